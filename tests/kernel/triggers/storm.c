/* Batches of short programs, each reported with its own time to a file that outlives whoever watches. */
#include "trigger.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { ROUND_EXEC, ROUND_FAIL, ROUND_FORK, ROUND_KINDS };

struct batch {
    int rounds;  /* 0: until SIGUSR2 */
    int pause;   /* microseconds after each round */
    int padding; /* bytes of each program's last argument */
};

static long long now(void)
{
    struct timespec time;

    must(clock_gettime(CLOCK_REALTIME, &time), "clock_gettime");
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void child__run(int number, char *padding)
{
    char name[32], *args[] = {SELF, "nothing", name, padding, NULL};

    sprintf(name, "storm-%d", number);
    if (number % ROUND_KINDS == ROUND_FAIL)
        execv("/not/there", args);
    if (number % ROUND_KINDS != ROUND_FORK)
        execv(SELF, args);
    _exit(0);
}

/* A process that starts a program, or fails to start one and then starts one, or starts none. */
static void storm__round(int report, int number, char *padding)
{
    long long before = now();
    pid_t child = must(fork(), "fork");

    if (child == 0)
        child__run(number, padding);
    must(waitpid(child, NULL, 0), "waitpid");
    dprintf(report, "{\"number\":%d,\"before\":%lld,\"after\":%lld}\n", number, before, now());
}

static struct batch batch__read(const char *path)
{
    struct batch batch;
    FILE *file = fopen(path, "r");

    if (!file || fscanf(file, "%d %d %d", &batch.rounds, &batch.pause, &batch.padding) != 3)
        must(-1, path);
    fclose(file);
    return batch;
}

/* storm FOLDER: SIGUSR1 begins the batch that FOLDER/batch describes, SIGUSR2 ends it; each round and each rest is a
 * line of FOLDER/report. A container's first process gets signals that have no handler only while they are blocked. */
int storm(int argc, char **argv)
{
    int number = 0, left, got, report;
    struct timespec pause = {};
    struct batch batch;
    sigset_t begin, end;
    char *padding;

    must(chdir(argv[1]), argv[1]);
    report = must(open("report", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), "report");
    sigemptyset(&begin);
    sigaddset(&begin, SIGUSR1);
    sigemptyset(&end);
    sigaddset(&end, SIGUSR2);
    must(sigprocmask(SIG_BLOCK, &begin, NULL), "sigprocmask");
    must(sigprocmask(SIG_BLOCK, &end, NULL), "sigprocmask");
    for (;;) {
        dprintf(report, "{\"rested\":%d}\n", number);
        sigwait(&begin, &got);
        batch = batch__read("batch");
        pause.tv_nsec = batch.pause * 1000L;
        padding = calloc(batch.padding + 1, 1);
        memset(padding, 'x', batch.padding);
        left = batch.rounds;
        do
            storm__round(report, number++, padding);
        while (--left && sigtimedwait(&end, NULL, &pause) < 0);
        free(padding);
    }
}
