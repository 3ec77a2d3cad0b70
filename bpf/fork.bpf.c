/* A process was made. */
#include "task.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(fork, struct task_struct *parent, struct task_struct *child)
{
    struct watched *owner;
    struct cgtrail_fork *e;
    struct scratch *scratch;

    if (child->pid != child->tgid) /* a thread */
        return 0;
    owner = watch__task(child); /* the child's cgroup: clone3 may put it elsewhere */
    if (!owner)
        return 0;
    if (narrow__level() >= CGTRAIL_NARROW_FORKS) {
        record__omit(owner, CGTRAIL_CAUSE_NARROWED, CGTRAIL_RECORD_TYPE_FORK);
        return 0;
    }
    scratch = record__scratch();
    if (!scratch)
        return 0;
    e = &scratch->record.fork;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_FORK, sizeof(*e), child->cgroups->dfl_cgrp->kn->id);
    task__fill(&e->header, &e->task, child);
    record__submit(&e->header, owner);
    return 0;
}
