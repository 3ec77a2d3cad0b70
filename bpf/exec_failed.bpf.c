/* Programs that could not be started, where functions can be hooked: only failed execs pay. Where not, terminal.bpf.c
 * sees them too, at every system call's return. fexit programs can be preempted: by others, which do not write to this
 * one's scratch, and by themselves, which the kernel does not let run then but counts (CGTRAIL_CAUSE_RECURSION). */
#include "exec_failed.h"
#include "own.h"

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
