/* A program was started. */
#include "image.h"

/* The arguments lie end to end in the new memory map; their pages were written a moment ago, so they are present. */
static __always_inline void exec__args(struct cgtrail_exec *e, struct mm_struct *mm, struct watched *owner)
{
    unsigned long start = mm->arg_start, bytes = mm->arg_end - start;
    __u32 length = args__length(owner, bytes);

    e->image.args_bytes = bytes;
    asm volatile("" : "+r"(length)); /* keep the mask for the verifier */
    length &= ARGS_BYTES - 1;
    if (bpf_probe_read_user((void *)e + (e->header.length & (FIXED_BYTES - 1)), length, (void *)start)) {
        e->image.flags |= CGTRAIL_IMAGE_FLAG_ARGS_UNREADABLE;
        return;
    }
    e->image.args_size = length;
    e->header.length += length;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    struct watched *owner;
    struct scratch *scratch;
    struct cgtrail_exec *e;

    owner = watch__task(task);
    if (!owner)
        return 0;
    scratch = record__scratch();
    if (!scratch)
        return 0;
    e = image__begin(scratch, CGTRAIL_RECORD_TYPE_EXEC, task);
    image__cwd(e, scratch, task);
    image__exe(e, scratch, task, bprm->file);
    image__filename(e, bprm->filename, false);
    exec__args(e, task->mm, owner);
    record__submit(&e->header, owner);
    return 0;
}
