/* io_uring acts on a terminal: no system call returns with what it moved, so that it may escape us. Two names of one
 * tracepoint: 6.3 renamed it (io_uring/io_uring.c). */
#include "syscall.h"
#include "terminal.h"

#define FIXED_FILE 1 /* REQ_F_FIXED_FILE: its number is one of the ring's own table */
#define FILE_FLAGS 7ul

/* The file that a request is about, or null. */
static __always_inline struct file *request__file(struct io_kiocb *request)
{
    struct io_ring_ctx___before *before = (void *)BPF_CORE_READ(request, ctx);
    struct io_ring_ctx *ring = (void *)before;
    __u32 fd = BPF_CORE_READ(request, cqe.fd);

    if (!(BPF_CORE_READ(request, flags) & FIXED_FILE))
        return fd__file(fd);
    if (bpf_core_field_exists(before->file_table.files)) {
        struct io_fixed_file *files = BPF_CORE_READ(before, file_table.files);
        if (fd >= BPF_CORE_READ(before, nr_user_files))
            return 0;
        return (void *)(BPF_CORE_READ(&files[fd], file_ptr) & ~FILE_FLAGS);
    }
    if (bpf_core_field_exists(ring->file_table.data)) {
        struct io_rsrc_node **nodes = BPF_CORE_READ(ring, file_table.data.nodes), *node = 0;
        if (fd >= BPF_CORE_READ(ring, file_table.data.nr))
            return 0;
        bpf_probe_read_kernel(&node, sizeof(node), &nodes[fd]);
        return node ? (void *)(BPF_CORE_READ(node, file_ptr) & ~FILE_FLAGS) : 0;
    }
    return 0;
}

static __always_inline int terminal_uring__record(struct io_kiocb *request)
{
    struct file *file = request__file(request);
    struct task_struct *task = bpf_get_current_task_btf();
    struct watched *owner = watch__cgroup(task->cgroups->dfl_cgrp);
    struct tty_struct *tty = file && owner ? file__tty(file) : 0;
    struct cgtrail_tty_uring e = {};

    return tty ? terminal__escaped(&e, tty, owner, BPF_CORE_READ(request, opcode)) : 0;
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
