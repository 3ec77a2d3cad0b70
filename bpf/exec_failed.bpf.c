/* A program could not be started. execve(2) and execveat(2) tell only on their return; the caller's registers still
 * hold the arguments then, and its memory is still the old one. 32-bit callers are not seen. */
#include "image.h"

#define SYS_EXECVE 59
#define SYS_EXECVEAT 322
#define MAX_PIECES 256 /* an argument takes one for each PIECE_BYTES */
#define PIECE_BYTES 4096

/* Indexed by CPU, and each program's own: fexit programs can be preempted, by others, which do not write here, and by
 * themselves, which the kernel does not let run then but counts (CGTRAIL_CAUSE_RECURSION). */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); /* set to the number of possible CPUs before loading */
    __type(key, __u32);
    __type(value, struct scratch);
} own_scratch SEC(".maps");

/* Joins the arguments. Where some are missing, args_bytes is one more than what is there: how long the rest is, is not
 * known. A page that the caller has not touched yet can't be read. */
static __always_inline void exec_failed__args(struct cgtrail_exec *e, const char **argv, struct watched *owner)
{
    __u32 start = e->header.length, used = 0, missing = 1;
    const char *arg = 0;

    if (!argv) /* allowed, and the same as none */
        return;
    for (int i = 0; i < MAX_PIECES; i++) {
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

static __always_inline int exec_failed__record(const char *filename, const char **argv, long error)
{
    struct task_struct *task = bpf_get_current_task_btf();
    __u32 cpu = bpf_get_smp_processor_id();
    struct watched *owner;
    struct scratch *scratch;
    struct cgtrail_exec *e;

    owner = watch__task(task);
    if (!owner)
        return 0;
    scratch = bpf_map_lookup_elem(&own_scratch, &cpu);
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

/* First choice: only failed execs pay. */
SEC("fexit/__x64_sys_execve")
int BPF_PROG(exec_failed__1_execve, const struct pt_regs *regs, long ret)
{
    return ret < 0 ? exec_failed__record((void *)regs->di, (void *)regs->si, ret) : 0;
}

SEC("fexit/__x64_sys_execveat")
int BPF_PROG(exec_failed__1_execveat, const struct pt_regs *regs, long ret)
{
    return ret < 0 ? exec_failed__record((void *)regs->si, (void *)regs->dx, ret) : 0;
}

/* Where functions can't be hooked: every system call of the host passes here, and pays about 0.1 us. */
SEC("tp_btf/sys_exit")
int BPF_PROG(exec_failed__2_sys_exit, struct pt_regs *regs, long ret)
{
    unsigned long nr = regs->orig_ax;

    if (ret >= 0)
        return 0;
    if (nr == SYS_EXECVE)
        return exec_failed__record((void *)regs->di, (void *)regs->si, ret);
    if (nr == SYS_EXECVEAT)
        return exec_failed__record((void *)regs->si, (void *)regs->dx, ret);
    return 0;
}
