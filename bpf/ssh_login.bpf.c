/* A program was started by an SSH server. Loaded before exec.bpf.c, so that at this hook, which runs its programs in
 * the order in which they came (tracepoint_add_func of kernel/tracepoint.c), the record of the login is in the ring
 * before that of its program, whose document it is a part of. */
#include "task.h"

#define ENVIRONMENT_BYTES 4096 /* that are looked through */
#define VALUE_BYTES 128        /* that are told of the variable found there */
/* What stands before the value: the NUL of the variable before, and "SSH_CONNECTION=". */
#define NAME_FIRST 0x4e4f435f48535300 /* "\0SSH_CON", little-endian */
#define NAME_LAST 0x3d4e4f495443454e  /* "NECTION=" */

/* Where the variable's value begins in the first `length` bytes of the environment, which lie in the scratch's path;
 * 0 if it is not there. The last 16 bytes pass through two words, so that a byte costs the verifier one branch: it
 * gives up at 8,192. A global function, so that it walks the loop once. */
__noinline __u32 environment__find(__u32 length)
{
    struct scratch *scratch = record__scratch();
    __u64 first = 0, last = 0;

    if (!scratch)
        return 0;
    for (__u32 i = 0; i < ENVIRONMENT_BYTES; i++) {
        first = first >> 8 | last << 56;
        last = last >> 8 | (__u64)scratch->path[i] << 56;
        if (!((first ^ NAME_FIRST) | (last ^ NAME_LAST)))
            return i < length ? i + 1 : 0; /* behind `length` lies what was there before */
    }
    return 0;
}

static __always_inline bool comm__is(const char *comm, const char *name, __u32 size)
{
    for (__u32 i = 0; i < size; i++)
        if (comm[i] != name[i])
            return false;
    return true;
}

#define COMM_IS(comm, name) comm__is(comm, name, sizeof(name)) /* its NUL included */

static __always_inline bool task__is_of_ssh(struct task_struct *task)
{
    struct task_struct *parent = task->real_parent;
    char comm[16] = {};

    BPF_CORE_READ_STR_INTO(&comm, parent, group_leader, comm);
    return COMM_IS(comm, "sshd") || COMM_IS(comm, "sshd-session") || COMM_IS(comm, "dropbear");
}

/* Copies the environment's beginning, whose pages were written a moment ago, and tells of one variable in it. The
 * kernel ends each with a NUL (copy_strings of fs/exec.c). */
static __always_inline void ssh_login__connection(struct cgtrail_ssh_login *e, struct scratch *scratch,
                                                  struct mm_struct *mm)
{
    unsigned long start = mm->env_start, bytes = mm->env_end - start;
    __u32 length = bytes < ENVIRONMENT_BYTES ? bytes : ENVIRONMENT_BYTES, at;
    long size;

    asm volatile("" : "+r"(length)); /* keep the check below for the verifier */
    if (length > ENVIRONMENT_BYTES || bpf_probe_read_user(scratch->path, length, (void *)start))
        return;
    at = environment__find(length);
    if (!at)
        return;
    size = bpf_probe_read_user_str(e->tail, VALUE_BYTES + 1, (void *)start + at);
    if (size <= 0)
        return;
    e->ssh_login.connection_size = size - 1;
    e->header.length += size - 1;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(ssh_login, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    struct cgtrail_ssh_login *e;
    struct scratch *scratch;
    struct watched *owner;

    owner = watch__task(task);
    if (!owner || !task__is_of_ssh(task))
        return 0;
    scratch = record__scratch(); /* as of exec, for neither can preempt the other */
    if (!scratch)
        return 0;
    e = &scratch->record.ssh_login;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_SSH_LOGIN, sizeof(*e), task->cgroups->dfl_cgrp->kn->id);
    task__fill(&e->header, &e->task, task);
    e->ssh_login.ssh_spare = 0;
    e->ssh_login.connection_size = 0;
    ssh_login__connection(e, scratch, task->mm);
    record__submit(&e->header, owner);
    return 0;
}
