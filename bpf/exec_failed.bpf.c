/* Programs that could not be started, where functions can be hooked: only failed execs pay. Where not, terminal.bpf.c
 * sees them too, at every system call's return. */
#include "exec_failed.h"

/* Indexed by CPU, and each program's own: fexit programs can be preempted, by others, which do not write here, and by
 * themselves, which the kernel does not let run then but counts (CGTRAIL_CAUSE_RECURSION). */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); /* set to the number of possible CPUs before loading */
    __type(key, __u32);
    __type(value, struct scratch);
} own_scratch SEC(".maps");

static __always_inline struct scratch *own__scratch(void)
{
    __u32 cpu = bpf_get_smp_processor_id();
    return bpf_map_lookup_elem(&own_scratch, &cpu);
}

SEC("fexit/__x64_sys_execve")
int BPF_PROG(exec_failed__1_execve, const struct pt_regs *regs, long ret)
{
    return ret < 0 ? exec_failed__record(own__scratch(), (void *)regs->di, (void *)regs->si, ret) : 0;
}

SEC("fexit/__x64_sys_execveat")
int BPF_PROG(exec_failed__1_execveat, const struct pt_regs *regs, long ret)
{
    return ret < 0 ? exec_failed__record(own__scratch(), (void *)regs->si, (void *)regs->dx, ret) : 0;
}
