/* Processes that lie about themselves, use a number again, or multiply. */
#include "trigger.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void child__start(char **args)
{
    if (must(fork(), "fork") == 0) {
        execv(SELF, args);
        must(-1, SELF);
    }
    must(wait(NULL), "wait");
}

/* Lets the kernel take other memory for the arguments; what else of the memory map it is told, is as it was. */
static void lie__arguments(char *shown, size_t size)
{
    unsigned long long field[7] = {};
    FILE *file = fopen("/proc/self/stat", "r");
    struct prctl_mm_map map = {.exe_fd = -1};

    /* proc(5): startcode, endcode, startstack; start_data to env_end */
    must(fscanf(file,
                "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %*d "
                "%*u %llu %llu %llu %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %*d %*u %*u %*u %*u %*d "
                "%llu %llu %llu",
                &field[0], &field[1], &field[2], &field[3], &field[4], &field[5]),
         "fscanf");
    fclose(file);
    map.start_code = field[0], map.end_code = field[1], map.start_stack = field[2];
    map.start_data = field[3], map.end_data = field[4], map.start_brk = field[5];
    map.brk = (unsigned long long)sbrk(0);
    map.arg_start = map.env_start = (unsigned long long)shown;
    map.arg_end = map.env_end = map.arg_start + size;
    must(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0), "PR_SET_MM_MAP");
}

/* lie-memory: over its arguments; lie-map: by other memory in their place. Both by its name. Then it starts programs
 * for ever. */
static int lie(char **argv, int map)
{
    static char shown[] = "innocent\0--nothing";
    char *args[] = {SELF, "nothing", strdup(argv[1]), NULL};

    must(prctl(PR_SET_NAME, "innocent"), "PR_SET_NAME");
    if (map)
        lie__arguments(shown, sizeof(shown));
    else
        for (int i = 0; argv[i]; i++)
            memset(argv[i], 'x', strlen(argv[i]));
    for (;; usleep(50000))
        child__start(args);
    return 0;
}

int lie_memory(int argc, char **argv)
{
    return lie(argv, 0);
}

int lie_map(int argc, char **argv)
{
    return lie(argv, 1);
}

/* pid-again NAME: two lives of one number, each a program that starts another. */
int pid_again(int argc, char **argv)
{
    char mark[64], *args[] = {SELF, "fork-spawn", "1", mark, NULL};
    struct clone_args again = {.exit_signal = SIGCHLD, .set_tid_size = 1};
    pid_t first = must(fork(), "fork"), second = 0;

    if (first) {
        must(waitpid(first, NULL, 0), "waitpid");
        again.set_tid = (unsigned long long)&first;
        second = must(syscall(SYS_clone3, &again, sizeof(again)), "clone3");
    }
    if (!second) {
        sprintf(mark, "%s-%d", argv[1], first ? 2 : 1);
        execv(SELF, args);
        must(-1, SELF);
    }
    must(waitpid(second, NULL, 0), "waitpid");
    json__begin();
    json__add("\"children\":[%d,%d],", first, second);
    json__end();
    return 0;
}

/* fork-bomb COUNT: processes that all live at once, and end together. */
int fork_bomb(int argc, char **argv)
{
    int count = atoi(argv[1]), alive[2];
    char nothing;

    must(pipe(alive), "pipe");
    for (int i = 0; i < count; i++)
        if (must(fork(), "fork") == 0) {
            close(alive[1]);
            _exit(read(alive[0], &nothing, 1)); /* until its parent closes it */
        }
    close(alive[1]);
    for (int i = 0; i < count; i++)
        must(wait(NULL), "wait");
    json__begin();
    json__number("count", count);
    json__end();
    return 0;
}
