/* A program could not be started. execve(2) and execveat(2) tell only on their return; the caller's registers still
 * hold the arguments then, and its memory is still the old one. 32-bit callers are not seen. */
#ifndef CGTRAIL_EXEC_FAILED_H
#define CGTRAIL_EXEC_FAILED_H

#include "image.h"

#define SYS_EXECVE 59
#define SYS_EXECVEAT 322
#define MAX_ARGUMENT_PIECES 256 /* an argument takes one for each PIECE_BYTES */
#define PIECE_BYTES 4096

/* Joins the arguments. Where some are missing, args_bytes is one more than what is there: how long the rest is, is not
 * known. A page that the caller has not touched yet can't be read. */
static __always_inline void exec_failed__args(struct cgtrail_exec *e, const char **argv, struct watched *owner)
{
    __u32 start = e->header.length, used = 0, missing = 1;
    const char *arg = 0;

    if (!argv) /* allowed, and the same as none */
        return;
    for (int i = 0; i < MAX_ARGUMENT_PIECES; i++) {
        long length;
        __u8 *to;

        if (!arg && bpf_probe_read_user(&arg, sizeof(arg), argv++)) {
            e->image.flags |= CGTRAIL_IMAGE_FLAG_ARGS_UNREADABLE;
            break;
        }
        if (!arg) {
            missing = 0;
            break;
        }
        if (used > ARGS_BYTES - PIECE_BYTES)
            break;
        to = (void *)e + (start & (FIXED_BYTES - 1)) + (used & (ARGS_BYTES - 1));
        *to = 0;
        length = bpf_probe_read_user_str(to, PIECE_BYTES, arg);
        if (length < 0) {
            e->image.flags |= CGTRAIL_IMAGE_FLAG_ARGS_UNREADABLE;
            break;
        }
        /* 6.1 and 6.12 say 0 of an empty string, 6.18 counts its NUL; a branch would double the verifier's work */
        asm volatile("" : "+r"(length));
        length += (__u64)(length - 1) >> 63;
        if (length == PIECE_BYTES) { /* the next piece overwrites its NUL */
            length--;
            arg += length;
        } else {
            arg = 0;
        }
        used += length;
    }
    e->image.args_bytes = used + missing;
    used = args__length(owner, used);
    e->image.args_size = used;
    e->header.length += used;
}

static __always_inline int exec_failed__record(struct scratch *scratch, const char *filename, const char **argv,
                                               long error)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct watched *owner;
    struct cgtrail_exec *e;

    owner = watch__task(task);
    if (!owner)
        return 0;
    if (!scratch)
        return 0;
    e = image__begin(scratch, CGTRAIL_RECORD_TYPE_EXEC_FAILED, task);
    e->image.error = error;
    image__cwd(e, scratch, task);
    image__filename(e, filename, true);
    exec_failed__args(e, argv, owner);
    record__submit(&e->header, owner);
    return 0;
}

#endif
