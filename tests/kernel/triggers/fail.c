/* Starts of programs that fail: the caller goes on and prints what it tried and which error it got. */
#include "trigger.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static char *args[] = {"first", "second argument", "", "\xff\n", NULL};

static int report(const char *filename, char **tried, int result)
{
    int error = errno;

    json__begin();
    json__number("result", result);
    json__number("error", result ? error : 0);
    json__text("filename", filename);
    json__args(tried);
    json__end();
    return 0;
}

static int fail(const char *filename)
{
    return report(filename, args, execve(filename, args, environ));
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
    return report("", args, execveat(999, "", args, environ, AT_EMPTY_PATH));
}

/* A path that is no memory. */
int fail_memory(int argc, char **argv)
{
    return report(NULL, args, syscall(SYS_execve, 8, args, environ));
}

/* fail-long N: one argument of N bytes between two short ones. */
int fail_long(int argc, char **argv)
{
    size_t size = atol(argv[1]);
    char *tried[] = {"first", calloc(size + 1, 1), "last", NULL};

    memset(tried[1], 'x', size);
    return report("/no/such/program", tried, execve("/no/such/program", tried, environ));
}

/* fail-many N: N arguments. */
int fail_many(int argc, char **argv)
{
    int count = atoi(argv[1]);
    char **tried = calloc(count + 1, sizeof(*tried));

    for (int i = 0; i < count; i++)
        tried[i] = i % 2 ? "odd" : "even";
    return report("/no/such/program", tried, execve("/no/such/program", tried, environ));
}

/* An argument in a page that nobody has touched yet. */
int fail_untouched(int argc, char **argv)
{
    int file = must(open("/triggers/noexec", O_RDONLY | O_CLOEXEC), "/triggers/noexec");
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0), *tried[] = {"first", page, "last", NULL};

    must((long)page, "mmap");
    return report("/no/such/program", tried, execve("/no/such/program", tried, environ));
}

/* No arguments at all, not even an empty list. */
int fail_null(int argc, char **argv)
{
    char *tried[] = {NULL};

    return report("/no/such/program", tried, syscall(SYS_execve, "/no/such/program", NULL, NULL));
}
