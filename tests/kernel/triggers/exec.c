/* Starts of programs that succeed: the target's own report says what it was given. */
#include "trigger.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* exec-args HEX...: the target with these arguments, argv[0] among them, so that they may hold any bytes. */
int exec_args(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t size = strlen(argv[i]) / 2;
        for (size_t at = 0; at < size; at++)
            sscanf(argv[i] + 2 * at, "%2hhx", (unsigned char *)argv[i] + at);
        argv[i][size] = 0;
    }
    return target(argv + 1);
}

/* exec-bytes N: arguments of N bytes in all, NULs included, no two pieces alike. */
int exec_bytes(int argc, char **argv)
{
    size_t left = atol(argv[1]), count = 1;
    char **args = calloc(left / 1000 + 4, sizeof(*args));

    args[0] = "report";
    for (left -= sizeof("report"); left; count++) {
        size_t size = left < 1000 ? left : 1000;
        args[count] = malloc(size);
        memset(args[count], 'a' + count % 26, size - 1);
        args[count][size - 1] = 0;
        if (size > 8)
            args[count][sprintf(args[count], "%zu", count)] = '-';
        left -= size;
    }
    return target(args);
}

/* A script of the image whose interpreter is the target. */
int exec_script(int argc, char **argv)
{
    char *args[] = {"shown", "one", "two words", NULL};

    execv("/triggers/script", args);
    return must(-1, "/triggers/script");
}

/* Fills an open file with the target. */
static void target__copy(int to)
{
    int from = must(open(TARGET, O_RDONLY | O_CLOEXEC), TARGET);
    struct stat info;

    must(fstat(from, &info), "fstat");
    must(sendfile(to, from, NULL, info.st_size), "sendfile");
    close(from);
}

static int target__from(int file, char **args)
{
    char *none[] = {NULL};

    fexecve(file, args, none);
    return must(-1, "fexecve");
}

/* The target from memory: no file system ever holds it. */
int exec_memfd(int argc, char **argv)
{
    char *args[] = {"[kworker/0:1]", "hidden", NULL};
    int memory = must(memfd_create("evil", MFD_CLOEXEC), "memfd_create");

    target__copy(memory);
    return target__from(memory, args);
}

/* A copy of the target that has no name any more. */
int exec_unlinked(int argc, char **argv)
{
    char *args[] = {"unlinked", NULL};
    int file = must(open("/tmp/unlinked", O_RDWR | O_CREAT | O_CLOEXEC, 0755), "/tmp/unlinked");

    target__copy(file);
    close(file); /* a file that is open for writing can't be started */
    file = must(open("/tmp/unlinked", O_RDONLY | O_CLOEXEC), "/tmp/unlinked");
    must(unlink("/tmp/unlinked"), "unlink");
    return target__from(file, args);
}

static void *thread__exec(void *argv)
{
    return (void *)(long)target(argv);
}

/* A thread that is not the first starts the target: the process keeps its first thread's number. */
int exec_thread(int argc, char **argv)
{
    char *args[] = {"from-thread", NULL};
    pthread_t thread;

    pthread_create(&thread, NULL, thread__exec, args);
    pause();
    return 1;
}

static void enter(const char *folder)
{
    if (mkdir(folder, 0755) && errno != EEXIST)
        must(-1, folder);
    must(chdir(folder), folder);
}

/* exec-deep N [BYTES]: in a directory N levels below the root, whose names are filled up to so many bytes. */
int exec_deep(int argc, char **argv)
{
    char *args[] = {"deep", NULL}, name[256];
    int bytes = argc > 2 ? atoi(argv[2]) : 0;

    enter("/tmp");
    for (int level = 1; level < atoi(argv[1]); level++) {
        int length = sprintf(name, "level-%d", level);

        while (length < bytes)
            name[length++] = 'x';
        name[length] = 0;
        enter(name);
    }
    return target(args);
}

/* In a directory that is no more. */
int exec_removed(int argc, char **argv)
{
    char *args[] = {"removed", NULL};

    enter("/tmp/removed");
    must(rmdir("/tmp/removed"), "rmdir");
    return target(args);
}

/* exec-chroot FOLDER: below a root directory of its own, which the image holds, in a folder of that. */
int exec_chroot(int argc, char **argv)
{
    char *args[] = {"jailed", NULL};

    must(chroot("/jail"), "chroot");
    must(chdir(argv[1]), argv[1]);
    execv("/report", args);
    return must(-1, "/report");
}

/* exec-outside FOLDER: as before, but the working directory stays out of that root. */
int exec_outside(int argc, char **argv)
{
    char *args[] = {"jailed", NULL};

    must(chdir(argv[1]), argv[1]);
    must(chroot("/jail"), "chroot");
    execv("/report", args);
    return must(-1, "/report");
}

/* exec-chain N: N processes, each the child of the one before and started as a program of its own. */
int exec_chain(int argc, char **argv)
{
    char rest[16], *args[] = {SELF, "exec-chain", rest, NULL};

    json__begin();
    json__args(argv);
    json__end();
    if (atoi(argv[1]) == 1)
        return 0;
    sprintf(rest, "%d", atoi(argv[1]) - 1);
    if (must(fork(), "fork") == 0) {
        execv(SELF, args);
        must(-1, SELF);
    }
    must(wait(NULL), "wait");
    return 0;
}
