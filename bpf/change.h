/* What is changed about a terminal: its settings, its window, whose it is, what is pushed into its input. */
#ifndef CGTRAIL_CHANGE_H
#define CGTRAIL_CHANGE_H

#include "passage.h"

/* Whether a process sets what it has set before, and nothing was changed or read since: a line editor that does so
 * after a Return has begun a line. */
static __always_inline bool terminal__is_told(struct terminal *terminal, struct cgtrail_tty_change *e)
{
    if (e->tty_change.change != CGTRAIL_CHANGE_TERMIOS && e->tty_change.change != CGTRAIL_CHANGE_WINDOW)
        return false;
    return terminal->told_by == e->header.tgid && terminal->told_consumed == e->terminal.consumed &&
           terminal->told_lflag == e->terminal.lflag && terminal->told_oflag == e->terminal.oflag &&
           terminal->told_rows == e->terminal.rows && terminal->told_columns == e->terminal.columns;
}

/* A change is told on the account of who makes it. */
__noinline int terminal__change(__u64 address, __u32 change)
{
    struct tty_struct *tty = (void *)address;
    struct task_struct *task = bpf_get_current_task_btf();
    struct scratch *scratch = own__scratch();
    struct tty_struct *slave = tty__is_master(tty) ? BPF_CORE_READ(tty, link) : tty;
    struct cgtrail_tty_change *e;
    struct terminal *terminal;
    struct watched *owner;
    __u64 cgroup_id, leave = END_RESERVE;

    terminal = slave ? terminal__of(slave) : 0;
    if (!scratch || !terminal)
        return 0;
    if (change == CGTRAIL_CHANGE_HANGUP) {
        if (terminal->hung_up)
            return 0;
        terminal->hung_up = 1;
        leave = 0;
    }
    terminal__settle(terminal, slave);
    owner = terminal__acting(terminal, slave, task, &cgroup_id);
    if (!change || !owner || !(owner->policy & (CGTRAIL_POLICY_TERMINAL | CGTRAIL_POLICY_OUTPUT)))
        return 0;
    e = &scratch->record.tty_change;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_TTY_CHANGE, sizeof(*e), cgroup_id);
    terminal__fill(&e->terminal, terminal, slave);
    terminal__actor(&e->header, &e->terminal, task);
    e->tty_change.change = change;
    e->tty_change.change_spare = 0;
    if (terminal__is_told(terminal, e) ||
        !bucket__take(&terminal->events, EVENTS_BURST, owner, sizeof(*e), leave, CGTRAIL_RECORD_TYPE_TTY_CHANGE))
        return 0;
    terminal->told_by = e->header.tgid;
    terminal->told_consumed = e->terminal.consumed;
    terminal->told_lflag = e->terminal.lflag;
    terminal->told_oflag = e->terminal.oflag;
    terminal->told_rows = e->terminal.rows;
    terminal->told_columns = e->terminal.columns;
    record__submit(&e->header, owner);
    return 0;
}

static __always_inline int terminal__ioctl(struct tty_struct *tty, __u32 command)
{
    switch (command) { /* asm-generic/ioctls.h */
    case 0x5402:       /* TCSETS, TCSETSW, TCSETSF, TCSETA, TCSETAW, TCSETAF */
    case 0x5403:
    case 0x5404:
    case 0x5406:
    case 0x5407:
    case 0x5408:
    case 0x402c542b: /* TCSETS2, TCSETSW2, TCSETSF2 */
    case 0x402c542c:
    case 0x402c542d:
        return terminal__change((__u64)tty, CGTRAIL_CHANGE_TERMIOS);
    case 0x540b: /* TCFLSH: a secret may be gone */
        return terminal__change((__u64)tty, 0);
    case 0x5414: /* TIOCSWINSZ */
        return terminal__change((__u64)tty, CGTRAIL_CHANGE_WINDOW);
    case 0x540e: /* TIOCSCTTY */
        return terminal__change((__u64)tty, CGTRAIL_CHANGE_CONTROL);
    case 0x5412: /* TIOCSTI */
        return terminal__change((__u64)tty, CGTRAIL_CHANGE_INJECTED);
    }
    return 0;
}

#endif
