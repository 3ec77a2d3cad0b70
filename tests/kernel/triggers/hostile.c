/* Processes that lie about themselves, use a number again, or multiply. */
#include "trigger.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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

/* Answers all that is asked of the file system, but what is in its only file. */
static void fuse__serve(int fuse, int asked)
{
    static char request[FUSE_MIN_READ_BUFFER * 16];
    const struct fuse_in_header *in = (void *)request;

    while (read(fuse, request, sizeof(request)) > 0) {
        struct {
            struct fuse_out_header header;
            union {
                struct fuse_init_out init;
                struct fuse_attr_out attr;
                struct fuse_open_out open;
            };
        } out = {.header = {.len = sizeof(out.header), .unique = in->unique}};

        switch (in->opcode) {
        case FUSE_READ:
            must(write(asked, "", 1), "write");
            continue;
        case FUSE_FORGET:
        case FUSE_INTERRUPT:
            continue;
        case FUSE_INIT:
            out.init.major = FUSE_KERNEL_VERSION, out.init.minor = 31, out.init.max_write = 4096;
            out.header.len += sizeof(out.init);
            break;
        case FUSE_GETATTR:
            out.attr.attr_valid = 1000000;
            out.attr.attr.ino = 1, out.attr.attr.nlink = 1, out.attr.attr.mode = S_IFREG | 0644;
            out.attr.attr.size = 4096;
            out.header.len += sizeof(out.attr);
            break;
        case FUSE_OPEN:
            out.header.len += sizeof(out.open);
            break;
        default:
            out.header.error = -ENOSYS;
        }
        must(write(fuse, &out, out.header.len), "write to fuse");
    }
}

/* Reads memory of a child, of a file that is never read to an end, and so holds the lock of its memory map for ever;
 * the child waits to change the map, and whoever wants to read its memory, its arguments too, waits behind it. */
static void silent__make(int asked)
{
    int file = must(open("/tmp/silent", O_RDONLY), "/tmp/silent");
    struct stat made;
    char memory[64], nothing;
    void *shown;
    pid_t silent;

    must(fstat(file, &made), "fstat"); /* the kernel learns how long it is */
    shown = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    must(shown == MAP_FAILED ? -1 : 0, "mmap");
    silent = must(fork(), "fork");
    if (silent == 0) {
        must(read(asked, &nothing, 1), "read");
        json__begin();
        json__end();
        mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        _exit(0);
    }
    sprintf(memory, "/proc/%d/mem", silent);
    pread(must(open(memory, O_RDONLY), memory), &nothing, 1, (off_t)shown);
}

/* silent-arguments: a grandchild has arguments that nobody can read. Ends with its file system when it is killed. */
int silent_arguments(int argc, char **argv)
{
    int fuse = must(open("/dev/fuse", O_RDWR), "/dev/fuse"), asked[2];
    char options[64];

    must(pipe(asked), "pipe");
    must(close(must(open("/tmp/silent", O_CREAT | O_WRONLY, 0644), "/tmp/silent")), "close");
    sprintf(options, "fd=%d,rootmode=100644,user_id=0,group_id=0", fuse);
    must(mount("silent", "/tmp/silent", "fuse", 0, options), "mount");
    if (must(fork(), "fork") == 0) {
        close(fuse);
        silent__make(asked[0]);
        _exit(0);
    }
    fuse__serve(fuse, asked[1]);
    return 0;
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
