/* Both ends of a pseudo-terminal in one program: what a terminal's bytes cost, with nobody else's work in it. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#define CHUNK (128 * 1024) /* as cat of coreutils writes */

/* A child at a terminal of its own, as its session's leader; the parent gets the master. In raw mode, or as it is. */
static pid_t pty__fork(int *master, int raw)
{
    struct termios settings;
    pid_t child;
    int slave;

    *master = posix_openpt(O_RDWR | O_NOCTTY);
    if (*master < 0 || grantpt(*master) || unlockpt(*master) || (slave = open(ptsname(*master), O_RDWR | O_NOCTTY)) < 0)
        return -1;
    if (raw) {
        tcgetattr(slave, &settings);
        cfmakeraw(&settings);
        tcsetattr(slave, TCSANOW, &settings);
    }
    child = fork();
    if (child == 0) {
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        dup2(slave, 0);
        dup2(slave, 1);
        close(*master);
    }
    close(slave);
    return child;
}

/* Text of so many bytes is shown; how many the reader got, which has them with a carriage return at each line's end. */
static long pty__show(long bytes)
{
    static char text[CHUNK];
    long got = 0, n;
    int master;
    pid_t child = pty__fork(&master, 0);

    if (child < 0)
        return -1;
    if (child == 0) {
        for (long i = 0; i < CHUNK; i++)
            text[i] = i % 80 == 79 ? '\n' : 'a' + i % 26;
        for (long left = bytes; left > 0; left -= n)
            n = write(1, text, left < CHUNK ? left : CHUNK);
        _exit(0);
    }
    while ((n = read(master, text, 32 * 1024)) > 0)
        got += n;
    close(master);
    waitpid(child, NULL, 0);
    return got;
}

/* Keys are typed one by one, each when the program has shown the one before, as an editor does. */
static long pty__echo(long count)
{
    long done = 0;
    int master;
    char key = 'x';
    pid_t child = pty__fork(&master, 1);

    if (child < 0)
        return -1;
    if (child == 0) {
        while (read(0, &key, 1) == 1 && write(1, &key, 1) == 1)
            ;
        _exit(0);
    }
    while (done < count && write(master, &key, 1) == 1 && read(master, &key, 1) == 1)
        done++;
    close(master);
    waitpid(child, NULL, 0);
    return done;
}
