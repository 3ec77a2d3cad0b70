/* A terminal sends its foreground processes a signal: a key as ctrl-c leaves no byte to be read (isig of
 * drivers/tty/n_tty.c), and a hang-up none either (tty_signal_session_leader of tty_jobctrl.c). */
#include "terminal.h"

#define SIGHUP 1 /* signal(7) */
#define SIGINT 2
#define SIGQUIT 3
#define SIGTSTP 20
#define SEND_SIG_PRIV 1 /* include/linux/sched/signal.h: the kernel sends it */

/* Runs in interrupts too, where another program may be at work on this processor: the record is on the stack. */
SEC("tp_btf/signal_generate")
int BPF_PROG(terminal_signal, int signal, void *info, struct task_struct *task)
{
    struct cgtrail_tty_signal e = {};
    struct terminal *terminal;
    struct tty_struct *tty;
    struct watched *owner;

    if (signal != SIGINT && signal != SIGHUP && signal != SIGQUIT && signal != SIGTSTP)
        return 0;
    if ((__u64)info != SEND_SIG_PRIV)
        return 0;
    tty = BPF_CORE_READ(task, signal, tty); /* a plain number to the verifier */
    owner = watch__cgroup(task->cgroups->dfl_cgrp);
    if (!tty || !owner || !(owner->policy & (CGTRAIL_POLICY_TERMINAL | CGTRAIL_POLICY_OUTPUT)))
        return 0;
    terminal = terminal__of(tty);
    if (!terminal)
        return 0;
    header__fill(&e.header, CGTRAIL_RECORD_TYPE_TTY_SIGNAL, sizeof(e), task->cgroups->dfl_cgrp->kn->id);
    terminal__owner(terminal, tty);
    terminal__fill(&e.terminal, terminal, tty);
    terminal__actor(&e.header, &e.terminal, task);
    e.tty_signal.signal = signal;
    if (bucket__take(&terminal->events, EVENTS_BURST, owner, sizeof(e), END_RESERVE, CGTRAIL_RECORD_TYPE_TTY_SIGNAL))
        record__send(&e.header, owner, sizeof(e));
    return 0;
}
