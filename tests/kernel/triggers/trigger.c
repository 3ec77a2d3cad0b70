/* Does one thing that the kernel programs must record, named by the first argument. */
#include "trigger.h"

#include <signal.h>

/* For those who are to be started and do nothing. */
static int nothing(int argc, char **argv)
{
    return 0;
}

/* Stops until somebody continues it, then does what the rest of the arguments say: what comes before is over then. */
static int when_continued(int argc, char **argv);

static const struct {
    const char *name;
    trigger *run;
} triggers[] = {
    {"nothing", nothing},
    {"when-continued", when_continued},
    {"exec-args", exec_args},
    {"exec-bytes", exec_bytes},
    {"exec-script", exec_script},
    {"exec-memfd", exec_memfd},
    {"exec-unlinked", exec_unlinked},
    {"exec-thread", exec_thread},
    {"exec-deep", exec_deep},
    {"exec-removed", exec_removed},
    {"exec-chroot", exec_chroot},
    {"exec-outside", exec_outside},
    {"exec-chain", exec_chain},
    {"fail-enoent", fail_enoent},
    {"fail-eacces", fail_eacces},
    {"fail-enoexec", fail_enoexec},
    {"fail-badfd", fail_badfd},
    {"fail-memory", fail_memory},
    {"fail-long", fail_long},
    {"fail-many", fail_many},
    {"fail-untouched", fail_untouched},
    {"fail-null", fail_null},
    {"fork-exit", fork_exit},
    {"fork-signal", fork_signal},
    {"fork-spawn", fork_spawn},
    {"fork-threads", fork_threads},
    {"fork-leader-first", fork_leader_first},
    {"fork-threads-end", fork_threads_end},
    {"fork-leader-gone", fork_leader_gone},
    {"fork-into", fork_into},
    {"storm", storm},
    {"ssh-login", ssh_login},
    {"lie-memory", lie_memory},
    {"lie-map", lie_map},
    {"silent-arguments", silent_arguments},
    {"pid-again", pid_again},
    {"fork-bomb", fork_bomb},
    {"identity-uids", identity_uids},
    {"identity-userns", identity_userns},
    {"identity-tty", identity_tty},
    {"identity-groups", identity_groups},
    {"terminal-compat", terminal_compat},
    {"terminal-uring", terminal_uring},
    {"terminal-unseen", terminal_unseen},
};

static int run(int argc, char **argv)
{
    for (size_t i = 0; argc && i < sizeof(triggers) / sizeof(*triggers); i++)
        if (!strcmp(argv[0], triggers[i].name))
            return triggers[i].run(argc, argv);
    fprintf(stderr, "trigger: no such thing: %s\n", argc ? argv[0] : "");
    return 2;
}

static int when_continued(int argc, char **argv)
{
    raise(SIGSTOP);
    return run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    return run(argc - 1, argv + 1);
}
