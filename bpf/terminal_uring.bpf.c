/* io_uring acts on a terminal: no system call returns with what it moved, so that it may escape us. Two names of one
 * tracepoint: 6.3 renamed it (io_uring/io_uring.c). Of a file that was registered with the ring nothing is known. */
#include "syscall.h"
#include "terminal.h"

static __always_inline int terminal_uring__record(struct io_kiocb *request)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct file *file = fd__file(BPF_CORE_READ(request, cqe.fd));
    struct cgroup *cgroup = task->cgroups->dfl_cgrp;
    struct watched *owner = watch__cgroup(cgroup);
    struct tty_struct *tty = file && owner ? file__tty(file) : 0;
    struct cgtrail_tty_uring e = {};
    struct terminal *terminal;

    if (!tty)
        return 0;
    if (tty__is_master(tty))
        tty = BPF_CORE_READ(tty, link);
    terminal = tty ? terminal__of(tty) : 0;
    if (!terminal || !(owner->policy & (CGTRAIL_POLICY_TERMINAL | CGTRAIL_POLICY_OUTPUT)))
        return 0;
    header__fill(&e.header, CGTRAIL_RECORD_TYPE_TTY_URING, sizeof(e), cgroup->kn->id);
    terminal__owner(terminal, tty);
    terminal__fill(&e.terminal, terminal, tty);
    terminal__actor(&e.header, &e.terminal, task);
    e.tty_uring.opcode = BPF_CORE_READ(request, opcode);
    if (bucket__take(&terminal->events, EVENTS_BURST, owner, sizeof(e), CGTRAIL_RECORD_TYPE_TTY_URING))
        record__send(&e.header, owner, sizeof(e));
    return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(terminal_uring__1_submit_req, struct io_kiocb *request)
{
    return terminal_uring__record(request);
}

SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(terminal_uring__2_submit_sqe, struct io_kiocb *request)
{
    return terminal_uring__record(request);
}
