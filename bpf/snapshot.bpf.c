/* The processes that run now, on request, through the same ring. */
#include "image.h"

#define PF_FORKNOEXEC 0x40 /* include/linux/sched.h; every new thread has it, the first one loses it by execve */

/* An iterator may sleep, so it must not share the tracepoints' scratch. One reader at a time. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} snapshot_scratch SEC(".maps");

static __always_inline void snapshot__args(struct cgtrail_exec *e, struct task_struct *task, struct mm_struct *mm)
{
    unsigned long start = mm->arg_start, bytes = mm->arg_end - start;
    __u32 length = bytes < SHORT_ARGS_BYTES ? bytes : SHORT_ARGS_BYTES; /* every keyframe has them again */

    e->image.args_bytes = bytes;
    asm volatile("" : "+r"(length));
    length &= ARGS_BYTES - 1;
    if (bpf_copy_from_user_task((void *)e + (e->header.length & (FIXED_BYTES - 1)), length, (void *)start, task, 0)) {
        e->image.flags |= CGTRAIL_IMAGE_FLAG_ARGS_UNREADABLE;
        return;
    }
    e->image.args_size = length;
    e->header.length += length;
}

SEC("iter.s/task")
int running(struct bpf_iter__task *ctx)
{
    struct task_struct *task = ctx->task;
    struct scratch *scratch;
    struct cgtrail_exec *e;
    struct mm_struct *mm;
    __u32 zero = 0;
    __u64 owner;

    if (!task || task->signal->live.counter == 0)
        return 0;
    if (task->pid != task->tgid && task->group_leader->mm)
        return 0; /* its first thread tells of it; once that has ended, each of the others does */
    mm = task->mm;
    if (!mm || !watch__task(task, &owner)) /* a kernel thread has no memory map, nor has a thread that ended */
        return 0;
    scratch = bpf_map_lookup_elem(&snapshot_scratch, &zero);
    if (!scratch)
        return 0;
    e = image__begin(scratch, CGTRAIL_RECORD_TYPE_RUNNING, task);
    if (task->group_leader->flags & PF_FORKNOEXEC)
        e->image.flags |= CGTRAIL_IMAGE_FLAG_FORKED;
    image__cwd(e, scratch, task);
    image__exe(e, scratch, task, mm->exe_file);
    snapshot__args(e, task, mm);
    record__submit(&e->header, owner);
    return 0;
}
