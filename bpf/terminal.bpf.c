/* Terminals, by what system calls did with them: every call of the host passes here on its return, so that what is no
 * terminal's must be told apart quickly. Two programs would cost every call twice as much, so that this one also sees
 * the execs that failed where nothing else can. The caller's registers still hold the arguments then, the return value
 * is how many bytes were moved, and the memory they lie in was touched a moment ago. */
#include "change.h"
#include "exec_failed.h"

#define MAX_REQUESTS 8 /* of an io_submit that are looked at */
#define AIO 256        /* as in TtyUring */

struct aio_request { /* struct iocb of linux/aio_abi.h */
    __u64 data;
    __u64 key;
    __u16 opcode;
    __u16 priority;
    __u32 fd;
};

/* The master of a new pseudo-terminal was opened. */
static __always_inline int terminal__opened(struct file *file)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct tty_struct *tty, *slave;
    struct terminal *terminal;
    __u64 key;

    if (BPF_CORE_READ(file, f_inode, i_rdev) != PTMX)
        return 0;
    tty = file__tty(file);
    slave = tty ? BPF_CORE_READ(tty, link) : 0;
    if (!slave)
        return 0;
    key = (__u64)slave;
    terminal__begin(key, (__u64)tty__dentry(slave), 0);
    terminal = bpf_map_lookup_elem(&terminals, &key);
    if (terminal)
        terminal->home = task->cgroups->dfl_cgrp->kn->id;
    return 0;
}

/* Of the requests of an io_submit, each of which may have moved bytes, we know not how many. */
__noinline int terminal__submitted(struct call *call)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct watched *owner = watch__cgroup(task->cgroups->dfl_cgrp);
    struct scratch *scratch = own__scratch();

    for (__u32 i = 0; call && owner && scratch && i < MAX_REQUESTS && i < call->size; i++) {
        struct aio_request request = {}, *at = 0;
        struct tty_struct *tty;
        struct file *file;

        if (bpf_probe_read_user(&at, sizeof(at), (void **)call->buffer + i) ||
            bpf_probe_read_user(&request, sizeof(request), at))
            return 0;
        file = fd__file(request.fd);
        tty = file ? file__tty(file) : 0;
        if (tty)
            return terminal__escaped(&scratch->record.tty_uring, tty, owner, AIO | request.opcode);
    }
    return 0;
}

/* A global function, for its stack. */
__noinline int terminal__exec_failed(__u64 filename, __u64 argv, long error)
{
    return exec_failed__record(own__scratch(), (void *)filename, (void *)argv, error);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(terminal, struct pt_regs *regs, long ret)
{
    struct call call;
    struct file *file;
    struct tty_struct *tty;

    if (settings.failed_execs && ret < 0) {
        if (regs->orig_ax == SYS_EXECVE)
            return terminal__exec_failed(regs->di, regs->si, ret);
        if (regs->orig_ax == SYS_EXECVEAT)
            return terminal__exec_failed(regs->si, regs->dx, ret);
    }
    if (!call__read(&call, regs, ret))
        return 0;
    if (call.kind == CALL_SUBMIT)
        return terminal__submitted(&call);
    file = fd__file(call.fd);
    if (!file)
        return 0;
    if (call.kind == CALL_OPEN)
        return terminal__opened(file);
    tty = file__tty(file);
    if (call.kind == CALL_IOCTL)
        return tty ? terminal__ioctl(tty, call.command) : 0;
    if (call.kind == CALL_BROKEN)
        return tty && tty__is_master(tty) ? terminal__change((__u64)tty, CGTRAIL_CHANGE_HANGUP) : 0;
    if (tty)
        terminal__moved(&call, tty, call.kind == CALL_WRITE);
    if (call.kind == CALL_SEND) { /* the other end */
        file = fd__file(call.to);
        tty = file ? file__tty(file) : 0;
        if (tty)
            terminal__moved(&call, tty, true);
    }
    return 0;
}
