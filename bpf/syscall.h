/* What a system call that returns did, as far as it can have to do with a terminal. */
#ifndef CGTRAIL_SYSCALL_H
#define CGTRAIL_SYSCALL_H

#include "kernel.h"

#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h: a call of the 32-bit table, whatever the program is */
#define X32_BIT 0x40000000
#define EIO 5 /* errno(3) */

enum call_kind { CALL_READ = 1, CALL_WRITE, CALL_SEND, CALL_IOCTL, CALL_OPEN, CALL_BROKEN, CALL_SUBMIT };

struct call {
    __u32 kind;
    __u32 fd;      /* that it read from, wrote to, opened or asked */
    __u32 to;      /* of CALL_SEND: what it wrote to */
    __u32 command; /* of CALL_IOCTL */
    __u64 size;    /* bytes that were moved */
    __u64 buffer;  /* where they lie; 0: in nobody's memory */
    __u64 pieces;  /* or how many struct iovec lie there */
};

/* Of the 64-bit table (arch/x86/entry/syscalls/syscall_64.tbl). */
static __always_inline bool call__native(struct call *call, struct pt_regs *regs, __u32 number)
{
    call->fd = regs->di;
    call->buffer = regs->si;
    call->command = regs->si;
    switch (number) {
    case 0: /* read */
        call->kind = CALL_READ;
        return true;
    case 1: /* write */
        call->kind = CALL_WRITE;
        return true;
    case 16: /* ioctl */
        call->kind = CALL_IOCTL;
        return true;
    case 2:   /* open */
    case 257: /* openat */
    case 437: /* openat2 */
        call->kind = CALL_OPEN;
        return true;
    case 19:  /* readv */
    case 327: /* preadv2 */
        call->kind = CALL_READ;
        call->pieces = regs->dx;
        return true;
    case 20:  /* writev */
    case 328: /* pwritev2 */
        call->kind = CALL_WRITE;
        call->pieces = regs->dx;
        return true;
    case 40: /* sendfile */
        call->kind = CALL_SEND;
        call->buffer = 0;
        call->fd = regs->si;
        call->to = regs->di;
        return true;
    case 209: /* io_submit */
        call->kind = CALL_SUBMIT;
        call->buffer = regs->dx;
        return true;
    case 275: /* splice */
        call->kind = CALL_SEND;
        call->buffer = 0;
        call->to = regs->dx;
        return true;
    }
    return false;
}

/* Of the 32-bit table (syscall_32.tbl). Its iovecs are not looked at. */
static __always_inline bool call__compat(struct call *call, struct pt_regs *regs, __u32 number)
{
    call->fd = regs->bx;
    call->buffer = (__u32)regs->cx;
    call->command = regs->cx;
    switch (number) {
    case 3: /* read */
        call->kind = CALL_READ;
        return true;
    case 4: /* write */
        call->kind = CALL_WRITE;
        return true;
    case 54: /* ioctl */
        call->kind = CALL_IOCTL;
        return true;
    case 5:   /* open */
    case 295: /* openat */
    case 437: /* openat2 */
        call->kind = CALL_OPEN;
        return true;
    case 145: /* readv */
    case 378: /* preadv2 */
        call->kind = CALL_READ;
        call->buffer = 0;
        return true;
    case 146: /* writev */
    case 379: /* pwritev2 */
        call->kind = CALL_WRITE;
        call->buffer = 0;
        return true;
    case 187: /* sendfile */
    case 239: /* sendfile64 */
        call->kind = CALL_SEND;
        call->buffer = 0;
        call->fd = regs->cx;
        call->to = regs->bx;
        return true;
    case 313: /* splice */
        call->kind = CALL_SEND;
        call->buffer = 0;
        call->to = regs->dx;
        return true;
    }
    return false;
}

/* False: it had nothing to do with a terminal. After rt_sigreturn the number is -1, and in no table. */
static __always_inline bool call__read(struct call *call, struct pt_regs *regs, long ret)
{
    struct task_struct *task = bpf_get_current_task_btf();
    __u32 number = regs->orig_ax;

    call->kind = 0;
    call->to = 0;
    call->pieces = 0;
    if (!(task->thread_info.status & TS_COMPAT ? call__compat(call, regs, number)
                                               : call__native(call, regs, number & ~X32_BIT)))
        return false;
    call->size = ret;
    if (call->kind == CALL_IOCTL)
        return ret >= 0;
    if (call->kind == CALL_OPEN) {
        call->fd = ret;
        return ret >= 0;
    }
    if (call->kind == CALL_READ && ret == -EIO) {
        call->kind = CALL_BROKEN;
        return true;
    }
    return ret > 0 || (call->kind == CALL_READ && !ret); /* the end of a file, which ctrl-d is */
}

/* The first byte is no content. */
static __always_inline void call__strip(struct call *call)
{
    call->size--;
    if (call->buffer && !call->pieces)
        call->buffer++;
    else
        call->buffer = 0; /* who would read packets in pieces? */
}

/* The open file of the current process that a descriptor names, or null. */
static __always_inline struct file *fd__file(__u32 fd)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct files_struct *files = task->files;
    struct fdtable *fdt;
    struct file *file = 0;

    if (!files)
        return 0;
    fdt = files->fdt;
    if (fd >= fdt->max_fds)
        return 0;
    bpf_probe_read_kernel(&file, sizeof(file), fdt->fd + fd);
    return file;
}

#endif
