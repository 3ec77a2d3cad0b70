/* A program was started by an SSH server. */
#include "task.h"

SEC("tp_btf/sched_process_exec")
int BPF_PROG(ssh_login, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    return 0;
}
