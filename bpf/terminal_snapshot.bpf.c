/* The terminals that are open now, on request, through the same ring: by whoever has a file of theirs open. */
#include "terminal.h"

SEC("iter/task_file")
int terminal_snapshot(struct bpf_iter__task_file *ctx)
{
    struct task_struct *task = ctx->task;
    struct file *file = ctx->file;
    struct cgtrail_tty_open e = {};
    struct tty_struct *tty;
    struct terminal *terminal;
    struct watched *owner;

    if (!file || !task)
        return 0;
    tty = file__tty(file);
    if (tty && tty__is_master(tty))
        tty = BPF_CORE_READ(tty, link);
    terminal = tty ? terminal__of(tty) : 0;
    if (!terminal || terminal->asked == ctx->meta->session_id)
        return 0;
    owner = terminal__owner(terminal, tty);
    if (!owner && !terminal->home) { /* nobody's session, and who opened it was not seen: it is theirs who have it */
        owner = watch__cgroup(task->cgroups->dfl_cgrp);
        terminal->home = owner ? task->cgroups->dfl_cgrp->kn->id : 0;
    }
    if (!owner || !(owner->policy & (CGTRAIL_POLICY_TERMINAL | CGTRAIL_POLICY_OUTPUT)))
        return 0;
    terminal->asked = ctx->meta->session_id;
    header__fill(&e.header, CGTRAIL_RECORD_TYPE_TTY_OPEN, sizeof(e), terminal->home);
    terminal__fill(&e.terminal, terminal, tty);
    terminal__actor(&e.header, &e.terminal, task);
    record__send(&e.header, owner, sizeof(e));
    return 0;
}
