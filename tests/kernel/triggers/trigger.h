/* What the trigger programs share: a process prints one JSON object of what it did, bytes in hexadecimal. */
#ifndef TRIGGER_H
#define TRIGGER_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGET "/triggers/report"
#define SELF "/triggers/trigger"

/* Ends the program unless `result` is what a system call returns on success. */
static inline long must(long result, const char *what)
{
    if (result == -1) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(111);
    }
    return result;
}

static char json[1 << 20];
static size_t json__size;

/* Appends text; members are written as `"name":value,` and the last comma is taken back at the end. */
static inline void json__add(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    json__size += vsnprintf(json + json__size, sizeof(json) - json__size, format, values);
    va_end(values);
}

static inline void json__number(const char *name, long long value)
{
    json__add("\"%s\":%lld,", name, value);
}

static inline void json__bytes(const void *bytes, size_t size)
{
    json__add("\"");
    for (size_t i = 0; i < size; i++)
        json__add("%02x", ((const unsigned char *)bytes)[i]);
    json__add("\",");
}

static inline void json__text(const char *name, const char *text)
{
    json__add("\"%s\":", name);
    if (text)
        json__bytes(text, strlen(text));
    else
        json__add("null,");
}

static inline void json__close(char bracket)
{
    if (json[json__size - 1] == ',')
        json__size--;
    json__add("%c", bracket);
}

static inline void json__begin(void)
{
    json__size = 0;
    json__add("{");
    json__number("pid", getpid());
    json__number("ppid", getppid());
}

static inline void json__args(char **argv)
{
    json__add("\"args\":[");
    for (; *argv; argv++)
        json__bytes(*argv, strlen(*argv));
    json__close(']');
    json__add(",");
}

/* Prints the object at once: lines of several processes do not mix as long as they are under PIPE_BUF. */
static inline void json__end(void)
{
    json__close('}');
    json__add("\n");
    for (size_t done = 0; done < json__size;)
        done += must(write(STDOUT_FILENO, json + done, json__size - done), "write");
}

/* What each subcommand is: argv[0] is its name. */
typedef int trigger(int argc, char **argv);

trigger exec_args, exec_bytes, exec_script, exec_memfd, exec_unlinked, exec_thread, exec_deep, exec_removed;
trigger exec_chroot, exec_outside, exec_chain;
trigger fail_enoent, fail_eacces, fail_enoexec, fail_badfd, fail_memory, fail_long, fail_many, fail_untouched,
    fail_null;
trigger fork_exit, fork_signal, fork_spawn, fork_threads, fork_leader_first, fork_threads_end, fork_leader_gone,
    fork_into;
trigger identity_uids, identity_userns, identity_tty, identity_groups;
trigger terminal_compat, terminal_uring, terminal_unseen;
trigger storm;
trigger ssh_login;
trigger lie_memory, lie_map, silent_arguments, pid_again, fork_bomb;

/* Starts the target; does not return. */
static inline int target(char **argv)
{
    execv(TARGET, argv);
    return must(-1, TARGET);
}

#endif
