/* Owns both ends of a pseudo-terminal and moves bytes through it by one of many ways: moves WHAT HOW TEXT [COUNT].
 * TEXT is taken from its end to its start, so that no argument has it as it is moved. */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

static int master, slave;
static char text[65536];
static size_t size;
static volatile int go, got;

static long must(long result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(111);
    }
    return result;
}

static void settings(int canonical, int echo)
{
    struct termios now;

    must(tcgetattr(slave, &now), "tcgetattr");
    cfmakeraw(&now);
    now.c_lflag |= (canonical ? ICANON : 0) | (echo ? ECHO : 0);
    must(tcsetattr(slave, TCSANOW, &now), "tcsetattr");
}

/* One request, awaited. */
static long uring(int writes, int fd, void *buffer, size_t length, int fixed)
{
    static struct io_uring_params params;
    static int ring = -1;
    static char *queue, *done;
    static struct io_uring_sqe *entries;
    unsigned *tail, *head;

    if (ring < 0) {
        ring = must(syscall(SYS_io_uring_setup, 4, &params), "io_uring_setup");
        queue = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
        done = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
        entries = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    }
    if (fixed) {
        int files[2] = {slave, master};
        syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, files, 2);
        fd = fd == master; /* its number in the table, where the process has its standard input and output */
    }
    tail = (unsigned *)(queue + params.sq_off.tail);
    memset(entries, 0, sizeof(*entries));
    entries->opcode = writes ? IORING_OP_WRITE : IORING_OP_READ;
    entries->fd = fd;
    entries->addr = (unsigned long)buffer;
    entries->len = length;
    entries->off = -1;
    entries->flags = fixed ? IOSQE_FIXED_FILE : 0;
    ((unsigned *)(queue + params.sq_off.array))[*tail & 3] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    must(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0), "io_uring_enter");
    head = (unsigned *)(done + params.cq_off.head);
    long result = ((struct io_uring_cqe *)(done + params.cq_off.cqes))[*head & 7].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
}

static long aio(int writes, int fd, void *buffer, size_t length)
{
    static aio_context_t context;
    struct iocb request = {.aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
                           .aio_fildes = fd,
                           .aio_buf = (unsigned long)buffer,
                           .aio_nbytes = length},
                *requests = &request;
    struct io_event event;

    if (!context)
        must(syscall(SYS_io_setup, 4, &context), "io_setup");
    must(syscall(SYS_io_submit, context, 1, &requests), "io_submit");
    must(syscall(SYS_io_getevents, context, 1, 1, &event, 0), "io_getevents");
    return event.res;
}

static long move(const char *how, int writes, int fd, char *buffer, size_t length)
{
    struct iovec pieces[2] = {{buffer, length / 2}, {buffer + length / 2, length - length / 2}};
    int pipes[2];
    long result;

    if (!strcmp(how, "call"))
        return writes ? write(fd, buffer, length) : read(fd, buffer, length);
    if (!strcmp(how, "pieces"))
        return writes ? writev(fd, pieces, 2) : readv(fd, pieces, 2);
    if (!strcmp(how, "uring") || !strcmp(how, "fixed"))
        return uring(writes, fd, buffer, length, *how == 'f');
    if (!strcmp(how, "aio"))
        return aio(writes, fd, buffer, length);
    if (!strcmp(how, "sendfile")) {
        int file = must(memfd_create("bytes", 0), "memfd_create");
        must(write(file, buffer, length), "write");
        off_t at = 0;
        return writes ? sendfile(fd, file, &at, length) : sendfile(file, fd, 0, length);
    }
    must(pipe(pipes), "pipe"); /* splice */
    if (!writes) {
        result = splice(fd, 0, pipes[1], 0, length, 0);
        return result > 0 ? read(pipes[0], buffer, length) : result;
    }
    must(write(pipes[1], buffer, length), "write");
    return splice(pipes[0], 0, fd, 0, length, 0);
}

static long all(const char *how, int writes, int fd)
{
    static char buffer[65536];
    long sum = 0;

    for (long part; sum < (long)size; sum += part) {
        memcpy(buffer, text + sum, size - sum);
        part = must(move(how, writes, fd, buffer, size - sum), how);
        if (!part)
            break;
    }
    return sum;
}

static void *reader(void *unused)
{
    char buffer[4096];

    for (;;)
        if (read(slave, buffer, sizeof(buffer)) > 0)
            got = 1;
    return unused;
}

static void *toggler(void *unused)
{
    for (;;) {
        while (!go)
            ;
        settings(1, 1);
        go = 0;
    }
    return unused;
}

/* COUNT megabytes from one end to the other; how many came. */
static long flood(int count)
{
    static char buffer[65536];
    long sum = 0;

    memset(buffer, 'x', sizeof(buffer));
    if (!must(fork(), "fork")) {
        for (int i = 0; i < count * 16; i++)
            must(write(slave, buffer, sizeof(buffer)), "write");
        _exit(0);
    }
    while (sum < count * 16L * 65536)
        sum += must(read(master, buffer, sizeof(buffer)), "read");
    return sum;
}

/* What was typed without echo is read by one thread while another turns the echo on. */
static void race(const char *how, int count)
{
    pthread_t thread;

    pthread_create(&thread, 0, reader, 0);
    pthread_create(&thread, 0, toggler, 0);
    text[size++] = '\n';
    while (count--) {
        settings(1, 0);
        got = 0;
        all(how, 1, master);
        go = 1;
        while (go || !got)
            ;
    }
}

int main(int argc, char **argv)
{
    const char *what = argv[1], *how = argv[2];
    int count = argc > 4 ? atoi(argv[4]) : 1;

    size = strlen(argv[3]);
    for (size_t i = 0; i < size; i++)
        text[i] = argv[3][size - 1 - i];
    text[size] = '\n';
    if (!strcmp(what, "inject")) { /* is pushed into the input of the terminal that it runs at, as a line */
        while (count--)
            for (size_t i = 0; i <= size; i++)
                must(ioctl(0, TIOCSTI, text + i), "TIOCSTI");
        return 0;
    }
    if (!strcmp(what, "open")) { /* COUNT times a pseudo-terminal */
        while (count--)
            close(must(open("/dev/ptmx", O_RDWR | O_NOCTTY), "ptmx"));
        return 0;
    }
    master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY), "ptmx");
    int zero = 0;
    must(ioctl(master, TIOCSPTLCK, &zero), "TIOCSPTLCK");
    slave = must(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY), "TIOCGPTPEER");
    settings(0, 0);
    if (!strcmp(what, "settings")) { /* are changed, there and back, and then set again to what they are */
        for (int i = 0; i < count; i++)
            settings(i & 1, i & 1);
        usleep(20000); /* until there is room for one more */
        for (int i = 0; i < count; i++)
            settings(0, 0);
    } else if (!strcmp(what, "secret")) { /* is typed without echo, and read in raw mode */
        settings(1, 0);
        all(how, 1, master);
        usleep(20000); /* until it is in the queue */
        settings(0, 0);
        printf("%ld\n", all("call", 0, slave));
    } else if (!strcmp(what, "flood")) {
        printf("%ld\n", flood(count));
    } else if (!strcmp(what, "race")) {
        race(how, count);
        printf("%d\n", count);
    } else if (!strcmp(what, "screen")) { /* is read from the master, and then something as everybody does */
        all("call", 1, slave);
        printf("%ld\n", all(how, 0, master));
        size = 3;
        all("call", 1, slave);
        all("call", 0, master);
    } else if (!strcmp(what, "write")) { /* is written to the slave */
        all(how, 1, slave);
        printf("%ld\n", all("call", 0, master));
    } else if (!strcmp(what, "input")) { /* is read from the slave */
        all("call", 1, master);
        printf("%ld\n", all(how, 0, slave));
    }
    return 0;
}
