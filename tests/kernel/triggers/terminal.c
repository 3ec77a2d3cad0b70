/* Terminals by the ways that few programs take: 32-bit system calls in a 64-bit program, and io_uring. */
#include "trigger.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>

/* Of a master that is open, as it is at first. */
static int plain_slave_of(int master)
{
    int zero = 0;

    must(ioctl(master, TIOCSPTLCK, &zero), "TIOCSPTLCK");
    return must(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY), "TIOCGPTPEER");
}

/* The same in raw mode. */
static int slave_of(int master)
{
    struct termios settings;
    int slave = plain_slave_of(master);

    must(tcgetattr(slave, &settings), "tcgetattr");
    cfmakeraw(&settings);
    must(tcsetattr(slave, TCSANOW, &settings), "tcsetattr");
    return slave;
}

/* A call of the 32-bit table (arch/x86/entry/syscalls/syscall_32.tbl); pointers must fit. */
static long compat(long number, long first, long second, long third)
{
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(first), "c"(second), "d"(third)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}

int terminal_compat(int argc, char **argv)
{
    char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    struct winsize size = {.ws_row = 33, .ws_col = 44};
    unsigned int *pieces = (unsigned int *)(low + 512);
    int master, slave;

    strcpy(low + 64, "/dev/ptmx");
    master = compat(5, (long)low + 64, O_RDWR | O_NOCTTY, 0); /* open */
    slave = slave_of(master);
    strcpy(low, "compat.");
    compat(4, slave, (long)low, 7);           /* write */
    compat(3, master, (long)low + 1024, 100); /* read */
    pieces[0] = (unsigned int)(long)low;
    pieces[1] = 7;
    compat(146, slave, (long)pieces, 1); /* writev */
    compat(3, master, (long)low + 1024, 100);
    compat(4, master, (long)low, 3);
    compat(3, slave, (long)low + 1024, 100);
    memcpy(low, &size, sizeof(size));
    compat(54, master, TIOCSWINSZ, (long)low); /* ioctl */
    json__begin();
    json__end();
    return 0;
}

/* A ring with one entry; does one request and returns its result. */
static int uring(struct io_uring_sqe request)
{
    struct io_uring_params params = {};
    int ring = must(syscall(SYS_io_uring_setup, 1, &params), "io_uring_setup");
    size_t size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    char *shared = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries = mmap(0, sizeof(request), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    int result;

    entries[0] = request;
    ((unsigned int *)(shared + params.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned int *)(shared + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    must(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0), "io_uring_enter");
    result = ((struct io_uring_cqe *)(shared + params.cq_off.cqes))[0].res;
    close(ring);
    return result;
}

/* Opened and written by io_uring, and shown by read: no system call tells whose it is before. */
int terminal_unseen(int argc, char **argv)
{
    struct io_uring_sqe opening = {.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .open_flags = O_RDWR | O_NOCTTY},
                        writing = {.opcode = IORING_OP_WRITE, .len = 5, .off = -1};
    char got[100];
    int master;

    opening.addr = (unsigned long)"/dev/ptmx";
    writing.addr = (unsigned long)"uring";
    master = must(uring(opening), "openat");
    writing.fd = plain_slave_of(master);
    uring(writing);
    must(read(master, got, sizeof(got)), "read");
    json__begin();
    json__end();
    return 0;
}

/* The same index over and over, each life opened by io_uring and shown by read. */
int terminal_uring(int argc, char **argv)
{
    struct io_uring_sqe request = {.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .open_flags = O_RDWR | O_NOCTTY};
    char text[100], got[100];

    request.addr = (unsigned long)"/dev/ptmx";
    for (int i = 0; i < 20; i++) {
        int master = uring(request), slave = slave_of(master), size = sprintf(text, "life %d.", i);

        must(write(slave, text, size), "write");
        must(read(master, got, sizeof(got)), "read");
        close(slave);
        close(master);
    }
    json__begin();
    json__end();
    return 0;
}
