/* Processes that are made and end: the parent prints each child with its wait status. */
#include "trigger.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Waits for a child and adds it to the report's list. */
static void children__reap(pid_t child)
{
    int status;

    must(waitpid(child, &status, 0), "waitpid");
    json__add("{\"pid\":%d,\"status\":%d},", child, status);
}

/* Makes `count` children, one after the other, that each run `act`. */
static int children__make(int count, void (*act)(int), int value)
{
    json__begin();
    json__add("\"children\":[");
    for (int i = 0; i < count; i++) {
        pid_t child = must(fork(), "fork");
        if (child == 0)
            act(value);
        children__reap(child);
    }
    json__close(']');
    json__end();
    return 0;
}

static void act__signal(int number)
{
    raise(number);
}

/* fork-exit COUNT CODE */
int fork_exit(int argc, char **argv)
{
    return children__make(atoi(argv[1]), _exit, atoi(argv[2]));
}

/* fork-signal COUNT SIGNAL */
int fork_signal(int argc, char **argv)
{
    return children__make(atoi(argv[1]), act__signal, atoi(argv[2]));
}

static void act__nothing(int unused)
{
    char *args[] = {SELF, "nothing", NULL};

    execv(SELF, args);
    must(-1, SELF);
}

/* fork-spawn COUNT: each child starts a program. */
int fork_spawn(int argc, char **argv)
{
    return children__make(atoi(argv[1]), act__nothing, 0);
}

static void *thread__return(void *unused)
{
    return unused;
}

/* fork-threads COUNT: threads only, no process. */
int fork_threads(int argc, char **argv)
{
    pthread_t thread;

    for (int i = 0; i < atoi(argv[1]); i++) {
        pthread_create(&thread, NULL, thread__return, NULL);
        pthread_join(thread, NULL);
    }
    json__begin();
    json__end();
    return 0;
}

/* Whether a process's first thread has ended and others go on: it is a zombie then. */
static void leader__gone(void)
{
    char state = 0;

    while (state != 'Z') {
        FILE *file = fopen("/proc/self/stat", "r");
        must(fscanf(file, "%*d (%*[^)]) %c", &state), "scanf");
        fclose(file);
        usleep(1000);
    }
}

static void *thread__exit_group(void *code)
{
    leader__gone();
    _exit((long)code);
}

static void *thread__exit(void *code)
{
    leader__gone();
    syscall(SYS_exit, (long)code);
    return NULL;
}

static void act__leader_first(int code)
{
    pthread_t thread;

    pthread_create(&thread, NULL, thread__exit_group, (void *)(long)code);
    syscall(SYS_exit, 99);
}

static void act__threads_end(int code)
{
    pthread_t thread;

    pthread_create(&thread, NULL, thread__exit, (void *)99L);
    syscall(SYS_exit, code);
}

/* fork-leader-first CODE: a child's first thread ends, later another ends the process with a code. */
int fork_leader_first(int argc, char **argv)
{
    return children__make(1, act__leader_first, atoi(argv[1]));
}

/* fork-threads-end CODE: a child's threads end one by one, the first with this code, the last with 99; kernels differ
 * in whose counts. */
int fork_threads_end(int argc, char **argv)
{
    return children__make(1, act__threads_end, atoi(argv[1]));
}

static void *thread__stay(void *unused)
{
    leader__gone();
    json__begin();
    json__end();
    pause();
    return NULL;
}

/* A process whose first thread has ended stays until it is killed. */
int fork_leader_gone(int argc, char **argv)
{
    pthread_t thread;

    pthread_create(&thread, NULL, thread__stay, NULL);
    syscall(SYS_exit, 0);
    return 1;
}

/* fork-into CGROUP [NAME]: a child that is born in another cgroup (clone3(2), CLONE_INTO_CGROUP); with a name it starts
 * a program, which has it as an argument. */
int fork_into(int argc, char **argv)
{
    int cgroup = must(open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC), argv[1]);
    struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = cgroup};
    char *program[] = {SELF, "nothing", argv[2], NULL};
    pid_t child = must(syscall(SYS_clone3, &args, sizeof(args)), "clone3");

    if (child == 0) {
        if (argc > 2)
            execv(SELF, program);
        _exit(0);
    }
    json__begin();
    json__add("\"children\":[");
    children__reap(child);
    json__close(']');
    json__end();
    return 0;
}
