/* Does what it is told, a line of words a command, and answers each with one line of JSON:
 *   spawn COUNT PROGRAM  starts of a program, one after the other, as fast as it can
 *   pace RATE SECONDS    starts of itself, at so many a second
 *   call COUNT           system calls that do nothing
 *   write COUNT          writes of a byte to /dev/null
 *   show BYTES           text through a pseudo-terminal, both of whose ends it has
 *   echo COUNT           keys through one, each shown before the next is typed
 *   mark WORD            one start of itself with this argument
 * Built with musl, whose programs start and end with little beside what the kernel does. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pty.h"

#define SECOND 1000000000LL
#define WORDS 8

static const char *self;

static long long now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* CPU time of this process or of its children that were waited for. */
static long long used(int who)
{
    struct rusage usage;

    getrusage(who, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * SECOND +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

static void sleep_until(long long due)
{
    struct timespec time = {due / SECOND, due % SECOND};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL))
        ;
}

static long spawn(const char *program, const char *word)
{
    pid_t child = vfork();

    if (child == 0) {
        execl(program, program, "nothing", word, NULL);
        _exit(127);
    }
    return child > 0 && waitpid(child, NULL, 0) == child;
}

static long spawn__all(long count, const char *program)
{
    long done = 0;

    while (done < count)
        done += spawn(program, "spawn");
    return done;
}

static long pace(long rate, long seconds)
{
    long long start = now(CLOCK_MONOTONIC), end = start + seconds * SECOND, at = start;
    long done = 0;

    for (; done < rate * seconds && at < end; done += spawn(self, "pace"), at = now(CLOCK_MONOTONIC))
        if (start + done * SECOND / rate > at)
            sleep_until(start + done * SECOND / rate);
    return done;
}

static long call(long count)
{
    for (long i = 0; i < count; i++)
        syscall(SYS_getppid);
    return count;
}

static long write__all(long count)
{
    int file = open("/dev/null", O_WRONLY);
    long done = 0;

    while (done < count)
        done += write(file, "", 1);
    close(file);
    return done;
}

static long obey(char **words)
{
    long first = words[1] ? atol(words[1]) : 0, second = first && words[2] ? atol(words[2]) : 0;

    if (!strcmp(words[0], "spawn"))
        return spawn__all(first, words[2] ? words[2] : self);
    if (!strcmp(words[0], "pace"))
        return pace(first, second);
    if (!strcmp(words[0], "call"))
        return call(first);
    if (!strcmp(words[0], "write"))
        return write__all(first);
    if (!strcmp(words[0], "show"))
        return pty__show(first);
    if (!strcmp(words[0], "echo"))
        return pty__echo(first);
    return strcmp(words[0], "mark") ? -1 : spawn(self, words[1]);
}

static void answer(char **words)
{
    long long since = now(CLOCK_REALTIME), cpu = used(RUSAGE_SELF) + used(RUSAGE_CHILDREN);
    long long start = now(CLOCK_MONOTONIC);
    long done = obey(words);
    long long took = now(CLOCK_MONOTONIC) - start;

    cpu = used(RUSAGE_SELF) + used(RUSAGE_CHILDREN) - cpu;
    printf("{\"done\":%ld,\"ns\":%lld,\"cpu\":%lld,\"since\":%lld}\n", done, took, cpu, since);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[256], *words[WORDS + 1] = {};

    self = argv[0];
    if (argc > 1 && !strcmp(argv[1], "nothing"))
        return 0;
    if (argc > 2) {
        answer(argv + 1);
        return 0;
    }
    while (fgets(line, sizeof(line), stdin)) {
        int count = 0;
        for (char *word = strtok(line, " \n"); word && count < WORDS; word = strtok(NULL, " \n"))
            words[count++] = word;
        words[count] = NULL;
        if (count > 1)
            answer(words);
    }
    return 0;
}
