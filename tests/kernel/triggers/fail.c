/* Starts of programs that fail: the caller goes on and prints what it tried and which error it got. */
#include "trigger.h"

#include <fcntl.h>
#include <sys/syscall.h>

static char *args[] = {"first", "second argument", "", "\xff\n", NULL};

static int report(const char *filename, int result)
{
    int error = errno;

    json__begin();
    json__number("result", result);
    json__number("error", result ? error : 0);
    json__text("filename", filename);
    json__args(args);
    json__end();
    return 0;
}

static int fail(const char *filename)
{
    return report(filename, execve(filename, args, environ));
}

int fail_enoent(int argc, char **argv)
{
    return fail("/no/such/program");
}

/* A file of the image without an execute bit. */
int fail_eacces(int argc, char **argv)
{
    return fail("/triggers/denied");
}

/* A file of the image that is no program. */
int fail_enoexec(int argc, char **argv)
{
    return fail("/triggers/noexec");
}

int fail_badfd(int argc, char **argv)
{
    return report("", execveat(999, "", args, environ, AT_EMPTY_PATH));
}

/* A path that is no memory. */
int fail_memory(int argc, char **argv)
{
    return report(NULL, syscall(SYS_execve, 8, args, environ));
}
