/* Fills the task block: who a process is. Sources: struct task_struct, cred, signal_struct of the running kernel. */
#ifndef CGTRAIL_TASK_H
#define CGTRAIL_TASK_H

#include "record.h"

#define MAX_EXTENTS 340 /* UID_GID_MAP_MAX_EXTENTS of user_namespace.h */
#define BASE_EXTENTS 5
#define OVERFLOW_ID 65534 /* what a namespace shows for an id it has no mapping for */

/* A host id as its user namespace shows it (map_id_up of kernel/user_namespace.c). A global function of plain numbers,
 * so that the verifier walks its loop once and not at every call. */
__noinline __u32 user_ns__show(__u64 address, __u32 id)
{
    struct uid_gid_map *map = (void *)address;
    struct uid_gid_extent extent, *forward = BPF_CORE_READ(map, forward);
    __u32 count = BPF_CORE_READ(map, nr_extents);

    for (__u32 i = 0; i < MAX_EXTENTS && i < count; i++) {
        if (bpf_probe_read_kernel(&extent, sizeof(extent), count <= BASE_EXTENTS ? &map->extent[i] : &forward[i]))
            break;
        if (id - extent.lower_first < extent.count)
            return extent.first + (id - extent.lower_first);
    }
    return OVERFLOW_ID;
}

static __always_inline __u32 pid__number(struct pid *pid)
{
    return pid ? BPF_CORE_READ(pid, numbers[0].nr) : 0;
}

static __always_inline void task__pids(struct cgtrail_task_block *block, struct task_struct *task)
{
    struct task_struct *leader = task->group_leader, *parent = leader->real_parent;
    struct pid *pid = leader->thread_pid;
    unsigned int level = 0;
    struct upid upid = {};

    block->start = leader->start_boottime;
    block->ppid = parent->tgid;
    block->parent_start = BPF_CORE_READ(parent, group_leader, start_boottime);
    BPF_CORE_READ_STR_INTO(&block->parent_comm, parent, group_leader, comm);
    block->pgid = pid__number(task->signal->pids[PIDTYPE_PGID]);
    block->sid = pid__number(task->signal->pids[PIDTYPE_SID]);
    if (pid) {
        level = pid->level;
        bpf_probe_read_kernel(&upid, sizeof(upid), &pid->numbers[level & 63]);
    }
    block->vpid = upid.nr;
    block->pid_ns = upid.ns ? BPF_CORE_READ(upid.ns, ns.inum) : 0;
}

static __always_inline void task__credentials(struct cgtrail_task_block *block, __u32 *uid, struct task_struct *task)
{
    const struct cred *cred = task->real_cred;
    struct user_namespace *ns = BPF_CORE_READ(cred, user_ns); /* a plain number to the verifier */

    bpf_probe_read_kernel(&block->capabilities, sizeof(block->capabilities), &cred->cap_effective);
    block->host_uid = cred->euid.val;
    *uid = user_ns__show((__u64)&ns->uid_map, cred->euid.val);
    block->real_uid = cred->uid.val == cred->euid.val ? *uid : user_ns__show((__u64)&ns->uid_map, cred->uid.val);
    block->saved_uid = cred->suid.val == cred->euid.val ? *uid : user_ns__show((__u64)&ns->uid_map, cred->suid.val);
    block->gid = user_ns__show((__u64)&ns->gid_map, cred->egid.val);
    block->user_ns = BPF_CORE_READ(ns, ns.inum);
    block->login_uid = task->loginuid.val;
    block->audit_session = task->sessionid;
}

/* Also sets what the header says of the process; `task` need not be the current one. */
static __always_inline void task__fill(struct cgtrail_header_block *header, struct cgtrail_task_block *block,
                                       struct task_struct *task)
{
    struct tty_struct *tty = task->signal->tty;
    struct nsproxy *namespaces = task->nsproxy;

    header->tgid = task->tgid;
    task__pids(block, task);
    task__credentials(block, &header->uid, task);
    block->tty = tty ? tty->driver->major << 20 | (tty->driver->minor_start + tty->index) : 0;
    block->mount_ns = namespaces ? BPF_CORE_READ(namespaces, mnt_ns, ns.inum) : 0;
    BPF_CORE_READ_STR_INTO(&block->comm, task, comm);
}

#endif
