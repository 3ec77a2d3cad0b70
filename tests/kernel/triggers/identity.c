/* Processes that change who they are, or which terminal and group they belong to, and then start the target. */
#include "trigger.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static void identity__child(char *name, int (*change)(void))
{
    char *args[] = {name, NULL};
    pid_t child = must(fork(), "fork");

    if (child == 0) {
        must(change(), name);
        target(args);
    }
    must(waitpid(child, NULL, 0), "waitpid");
}

static int unchanged(void)
{
    return 0;
}

/* identity-uids REAL EFFECTIVE SAVED: the parent keeps all three, the child loses the saved one as it starts the
 * target. */
int identity_uids(int argc, char **argv)
{
    uid_t r, e, s;

    must(setresgid(2001, 2002, 2003), "setresgid");
    must(setresuid(atoi(argv[1]), atoi(argv[2]), atoi(argv[3])), "setresuid");
    identity__child("uids", unchanged);
    must(getresuid(&r, &e, &s), "getresuid");
    json__begin();
    json__add("\"uids\":[%u,%u,%u],", r, e, s);
    json__end();
    return 0;
}

static void map__write(pid_t child, const char *name, const char *text)
{
    char path[64];
    int file;

    sprintf(path, "/proc/%d/%s", child, name);
    file = must(open(path, O_WRONLY), path);
    must(write(file, text, strlen(text)), path);
    close(file);
}

/* identity-userns MAP REAL EFFECTIVE SAVED: in a user namespace of its own with these lines as its uid_map. */
int identity_userns(int argc, char **argv)
{
    char *args[] = {"userns", NULL};
    pid_t child = must(fork(), "fork");

    if (child) {
        must(waitpid(child, NULL, WUNTRACED), "waitpid");
        map__write(child, "setgroups", "deny");
        map__write(child, "uid_map", argv[1]);
        must(kill(child, SIGCONT), "kill");
        must(waitpid(child, NULL, 0), "waitpid");
        json__begin();
        json__end();
        return 0;
    }
    must(unshare(CLONE_NEWUSER), "unshare");
    raise(SIGSTOP);
    must(setresuid(atoi(argv[2]), atoi(argv[3]), atoi(argv[4])), "setresuid");
    return target(args);
}

/* A child with a controlling terminal of its own. */
int identity_tty(int argc, char **argv)
{
    char *args[] = {"tty", NULL}, path[32];
    int master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY), "/dev/ptmx"), unlocked = 0, index, slave;
    pid_t child;

    must(ioctl(master, TIOCSPTLCK, &unlocked), "TIOCSPTLCK");
    must(ioctl(master, TIOCGPTN, &index), "TIOCGPTN");
    sprintf(path, "/dev/pts/%d", index);
    child = must(fork(), "fork");
    if (child == 0) {
        must(setsid(), "setsid");
        slave = must(open(path, O_RDWR | O_NOCTTY), path);
        must(ioctl(slave, TIOCSCTTY, 0), "TIOCSCTTY");
        return target(args);
    }
    must(waitpid(child, NULL, 0), "waitpid");
    json__begin();
    json__number("index", index);
    json__end();
    return 0;
}

static int own_group(void)
{
    return setpgid(0, 0);
}

static int own_session(void)
{
    return setsid() < 0 ? -1 : 0;
}

/* Three children: as the parent, in a process group of its own, in a session of its own. */
int identity_groups(int argc, char **argv)
{
    identity__child("same", unchanged);
    identity__child("group", own_group);
    identity__child("session", own_session);
    json__begin();
    json__number("pgid", getpgid(0));
    json__number("sid", getsid(0));
    json__end();
    return 0;
}
