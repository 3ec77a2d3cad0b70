/* A process ended. */
#include "task.h"

#define SIGNAL_GROUP_EXIT 4 /* include/linux/sched/signal.h */

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit, struct task_struct *task)
{
    struct signal_struct *signal = task->signal;
    struct watched *owner;
    struct cgtrail_exit *e;
    struct scratch *scratch;

    if (signal->live.counter != 0) /* other threads go on; the leader may well go first */
        return 0;
    owner = watch__task(task);
    if (!owner)
        return 0;
    scratch = record__scratch();
    if (!scratch)
        return 0;
    e = &scratch->record.exit;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_EXIT, sizeof(*e), task->cgroups->dfl_cgrp->kn->id);
    task__fill(&e->header, &e->task, task);
    /* as wait_task_zombie of kernel/exit.c */
    e->exit.status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->group_leader->exit_code;
    e->exit.exit_flags = signal->oom_mm ? CGTRAIL_EXIT_FLAG_OOM : 0; /* mark_oom_victim of mm/oom_kill.c */
    record__submit(&e->header, owner);
    return 0;
}
