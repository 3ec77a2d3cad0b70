/* The processes that run now, on request, through the same ring. Their arguments are not read: they lie in memory that
 * a process may have mapped to a file, whose server need never answer. */
#include "image.h"

#define PF_FORKNOEXEC 0x40 /* include/linux/sched.h; every new thread has it, the first one loses it by execve */

/* An iterator is preempted by tracepoints, so it must not share their scratch. One reader at a time. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} snapshot_scratch SEC(".maps");

SEC("iter/task")
int running(struct bpf_iter__task *ctx)
{
    struct task_struct *task = ctx->task;
    struct watched *owner;
    struct scratch *scratch;
    struct cgtrail_exec *e;
    struct mm_struct *mm;
    __u32 zero = 0;

    if (!task || task->signal->live.counter == 0)
        return 0;
    if (task->pid != task->tgid && task->group_leader->mm)
        return 0; /* its first thread tells of it; once that has ended, each of the others does */
    mm = task->mm;
    if (!mm) /* a kernel thread has no memory map, nor has a thread that ended */
        return 0;
    owner = watch__task(task);
    if (!owner)
        return 0;
    scratch = bpf_map_lookup_elem(&snapshot_scratch, &zero);
    if (!scratch)
        return 0;
    e = image__begin(scratch, CGTRAIL_RECORD_TYPE_RUNNING, task);
    if (task->group_leader->flags & PF_FORKNOEXEC)
        e->image.flags |= CGTRAIL_IMAGE_FLAG_FORKED;
    image__cwd(e, scratch, task);
    image__exe(e, scratch, task, mm->exe_file);
    e->image.args_bytes = mm->arg_end - mm->arg_start;
    e->image.flags |= CGTRAIL_IMAGE_FLAG_ARGS_UNREADABLE;
    record__submit(&e->header, owner);
    return 0;
}
