/* What programs about terminals share: which terminal a file is, whose it is, and what is known of its life. */
#ifndef CGTRAIL_TERMINAL_H
#define CGTRAIL_TERMINAL_H

#include "task.h"

#define MAX_TERMINALS 16384
#define PTY_MASTER_MAJOR 128 /* include/uapi/linux/major.h; of the driver, which is the same for all of them */
#define PTY_SLAVE_MAJOR 136
#define PTMX (5 << 20 | 2) /* /dev/ptmx and /dev/pts/ptmx */
#define S_IFMT 0170000     /* stat.h */
#define S_IFCHR 0020000
#define ICANON 2 /* asm-generic/termbits-common.h */
#define ECHO 8

/* Bytes of records, their fixed part included, that may be made at once, and a second: of a terminal's input, of what
 * is written while its lines are edited, and of what is no content; and of all that of a container's terminals. */
#define INPUT_BURST (16 << 20)
#define WRITES_BURST (4 << 20)
#define EVENTS_BURST (1 << 20)
#define TOLD_SHIFT 12          /* nanoseconds >> 12: 238 KiB a second */
#define END_RESERVE (64 << 10) /* for the end of terminals: whatever else is told in bulk leaves that much */
#define OWNER_TOLD_BURST (64 << 20)
#define OWNER_TOLD_SHIFT 8 /* 3.7 MiB a second */

/* One life of one terminal. */
struct terminal {
    __u64 generation;
    __u64 home;           /* as in the records */
    __u64 shown;          /* bytes */
    __u64 consumed;       /* bytes */
    __u64 typed;          /* bytes */
    __u64 past_shown;     /* of these, what the records tell of that are in the ring: none may tell of more before */
    __u64 past_consumed;  /* the same */
    __u64 tail;           /* of its input, n_tty_data.read_tail when a read returned last */
    struct bucket output; /* recorded: what it shows */
    struct bucket input;  /* what is read */
    struct bucket writes; /* what is written while a line is edited */
    struct bucket events; /* what is no content */
    __u64 asked;          /* the snapshot that told of it last */
    __u64 told_consumed;  /* of the last TtyChange */
    __u64 told_drained;   /* what tty__drained was of its master when it showed something last */
    __u64 dentry;         /* its name's address: another one is another life */
    __u32 device;         /* as in the records */
    __u32 index;          /* as in the records */
    __u32 opener;         /* as in the records */
    __u32 flags;          /* enum cgtrail_terminal_flag that all its records have */
    __u32 writer;         /* as in TtyOutput */
    __u32 last_writer;
    __u32 writers;
    __u32 unwritten; /* as in the records */
    __u32 tainted;   /* what was typed without echo may be among what is read next */
    __u32 hung_up;   /* nobody has it open, and that was told */
    __u32 lflag;     /* as it was seen last */
    __u32 told_by;   /* of the last TtyChange: who acted, and how things were then */
    __u32 told_lflag;
    __u32 told_oflag;
    __u32 told_rows;
    __u32 told_columns;
};

/* By the address of its tty_struct, the slave's. Nothing tells that one is freed: those that are no terminals any more
 * are removed when there is no room. All that can be open at one time have room (kernel.pty.max, by default 4,096), so
 * that nobody can push out or keep out others' by opening many. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, MAX_TERMINALS);
    __type(key, __u64);
    __type(value, struct terminal);
} terminals SEC(".maps");

/* The terminal that a file is, or null; master or slave. */
static __always_inline struct tty_struct *file__tty(struct file *file)
{
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    struct tty_file_private *private;

    /* Documentation/admin-guide/devices.txt: ttyS, tty and ptmx, pts, ttyACM, ttyUSB, other serial lines, hvc */
    switch (BPF_CORE_READ(inode, i_rdev) >> 20) {
    case 4:
    case 5:
    case 136 ... 143:
    case 166:
    case 188:
    case 204:
    case 229:
        break;
    default:
        return 0;
    }
    if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFCHR)
        return 0;
    private = BPF_CORE_READ(file, private_data);
    return private ? BPF_CORE_READ(private, tty) : 0;
}

static __always_inline bool tty__is_master(struct tty_struct *tty)
{
    return BPF_CORE_READ(tty, driver, major) == PTY_MASTER_MAJOR;
}

/* How many bytes were ever read from it, by the kernel's own count (n_tty_data of drivers/tty/n_tty.c). */
static __always_inline __u64 tty__drained(struct tty_struct *tty)
{
    struct n_tty_data *data = BPF_CORE_READ(tty, disc_data);
    return data ? BPF_CORE_READ(data, read_tail) : 0;
}

static __always_inline bool lflag__is_secret(__u32 lflag)
{
    return (lflag & (ICANON | ECHO)) == ICANON;
}

/* Whether all that came to it was read: what comes lies in its port's buffer first, and is not taken out before it is
 * in the queue (flush_to_ldisc of drivers/tty/tty_buffer.c). */
static __always_inline bool tty__is_empty(struct tty_struct *tty)
{
    struct tty_buffer *coming = BPF_CORE_READ(tty, port, buf.head);
    struct n_tty_data *data = BPF_CORE_READ(tty, disc_data);

    return data && !BPF_CORE_READ(coming, next) && BPF_CORE_READ(coming, commit) == BPF_CORE_READ(coming, read) &&
           BPF_CORE_READ(data, read_head) == BPF_CORE_READ(data, read_tail);
}

/* Whether whatever was typed has been read by calls that have returned, or was flushed, which sets the counts to 0: a
 * read that has not returned yet may hold a secret though nothing is left. */
static __always_inline bool terminal__is_settled(struct terminal *terminal, struct tty_struct *tty)
{
    bool empty = tty__is_empty(tty);
    __u64 tail = tty__drained(tty);

    return empty && (!tail || tail == terminal->tail);
}

/* After its settings may have changed, or its input was read: what is left of a secret keeps it tainted. That does not
 * rest on `typed` alone, for who types with io_uring returns from no call. */
static __always_inline void terminal__settle(struct terminal *terminal, struct tty_struct *tty)
{
    if (lflag__is_secret(terminal->lflag))
        terminal->tainted = 1;
    terminal->lflag = BPF_CORE_READ(tty, termios.c_lflag);
    if (terminal->tainted && terminal__is_settled(terminal, tty))
        terminal->tainted = 0;
}

/* How many bytes there is room for now. Only who moves `at` on takes off what has run off since. */
static __always_inline __u64 bucket__room(struct bucket *bucket, __u64 burst, __u32 shift)
{
    __u64 now = bpf_ktime_get_boot_ns(), at = bucket->at, past = now > at ? (now - at) >> shift : 0;
    __u64 taken = bucket->bytes;

    if ((__s64)taken < 0)
        taken = 0;
    if (past && __sync_val_compare_and_swap(&bucket->at, at, now) == at) {
        past = past < taken ? past : taken;
        __sync_fetch_and_add(&bucket->bytes, -past);
        taken -= past;
    }
    return taken < burst ? burst - taken : 0;
}

/* Whether a record that is no output may be made and leaves room for so many bytes; if not, it is counted as lost. */
static __always_inline bool bucket__take(struct bucket *bucket, __u64 burst, struct watched *owner, __u64 length,
                                         __u64 leave, __u32 type)
{
    if (bucket__room(bucket, burst, TOLD_SHIFT) < length + leave ||
        bucket__room(&owner->told, OWNER_TOLD_BURST, OWNER_TOLD_SHIFT) < length + leave) {
        record__omit(owner, CGTRAIL_CAUSE_OVER_BUDGET, type);
        return false;
    }
    __sync_fetch_and_add(&bucket->bytes, length);
    __sync_fetch_and_add(&owner->told.bytes, length);
    return true;
}

/* Of a terminal that is no pseudo-terminal: the device's number. */
static __always_inline __u32 line__number(struct tty_struct *tty)
{
    return BPF_CORE_READ(tty, index) +
           (BPF_CORE_READ(tty, driver, major) << 20 | BPF_CORE_READ(tty, driver, minor_start));
}

struct bpf_map; /* what bpf_for_each_map_elem is given */

/* Whether a terminal's life has ended. A pseudo-terminal's name refers to it until its master is closed, and names
 * another one or none then; what was freed since may be anything, but is not that. */
static long terminal__remove_ended(struct bpf_map *map, __u64 *key, struct terminal *terminal, void *unused)
{
    struct tty_struct *tty = (struct tty_struct *)*key;
    struct dentry *dentry = (struct dentry *)terminal->dentry;
    bool open;

    if (dentry)
        open = BPF_CORE_READ(dentry, d_fsdata) == tty && BPF_CORE_READ(tty, driver_data) == dentry;
    else
        open = terminal->device == 0 && line__number(tty) == terminal->index;
    if (!open)
        bpf_map_delete_elem(map, key);
    return 0;
}

/* Begins a life: of a terminal that was opened now, or (FOUND) is seen for the first time. A global function, as all
 * that are long here: the verifier walks each once, and 6.1 gives a chain of them 512 bytes of stack. */
__noinline int terminal__begin(__u64 key, __u64 name, __u32 flags)
{
    struct dentry *dentry = (void *)name;
    struct tty_struct *tty = (void *)key;
    struct terminal new = {.generation = bpf_ktime_get_boot_ns(), .dentry = (__u64)dentry, .flags = flags};

    new.index = BPF_CORE_READ(tty, index);
    new.lflag = BPF_CORE_READ(tty, termios.c_lflag);
    new.tail = tty__drained(tty);
    if (dentry) {
        new.device = BPF_CORE_READ(dentry, d_sb, s_dev);
    } else {
        new.index = line__number(tty);
        new.flags |= CGTRAIL_TERMINAL_FLAG_LINE;
    }
    if (!(flags & CGTRAIL_TERMINAL_FLAG_FOUND))
        new.opener = bpf_get_current_pid_tgid() >> 32;
    if (bpf_map_update_elem(&terminals, &key, &new, BPF_ANY)) {
        bpf_for_each_map_elem(&terminals, terminal__remove_ended, 0, 0);
        bpf_map_update_elem(&terminals, &key, &new, BPF_ANY);
    }
    return 0;
}

/* A pseudo-terminal's slave has its name in devpts; what has none is no pseudo-terminal. */
static __always_inline struct dentry *tty__dentry(struct tty_struct *tty)
{
    return BPF_CORE_READ(tty, driver, major) == PTY_SLAVE_MAJOR ? BPF_CORE_READ(tty, driver_data) : 0;
}

/* The life of a terminal, by its slave. */
static __always_inline struct terminal *terminal__of(struct tty_struct *tty)
{
    __u64 key = (__u64)tty;
    struct terminal *found = bpf_map_lookup_elem(&terminals, &key);
    struct dentry *dentry = tty__dentry(tty);

    if (found && found->dentry == (__u64)dentry)
        return found;
    terminal__begin(key, (__u64)dentry, CGTRAIL_TERMINAL_FLAG_FOUND);
    return bpf_map_lookup_elem(&terminals, &key);
}

/* The address of the cgroup of a terminal's session: of its leader or, once that is gone, of whoever is left. */
static __always_inline __u64 tty__cgroup(struct tty_struct *tty)
{
    struct pid *session = BPF_CORE_READ(tty, ctrl.session);
    struct task_struct *zero = 0;
    struct hlist_node *node;
    __u64 task;

    if (!session)
        return 0;
    node = BPF_CORE_READ(session, tasks[PIDTYPE_TGID].first);
    task = (__u64)node - (__u64)__builtin_preserve_access_index(&zero->pid_links[PIDTYPE_TGID]);
    if (!node) {
        node = BPF_CORE_READ(session, tasks[PIDTYPE_SID].first);
        task = (__u64)node - (__u64)__builtin_preserve_access_index(&zero->pid_links[PIDTYPE_SID]);
    }
    return node ? (__u64)BPF_CORE_READ((struct task_struct *)task, cgroups, dfl_cgrp) : 0;
}

/* The owner of a terminal: of its session's cgroup or, without one, of the last that it had. */
static __always_inline struct watched *terminal__owner(struct terminal *terminal, struct tty_struct *tty)
{
    __u64 cgroup = tty__cgroup(tty), home;

    if (cgroup) {
        terminal->home = BPF_CORE_READ((struct cgroup *)cgroup, kn, id);
        return watch__at(cgroup);
    }
    home = terminal->home;
    return home ? watch__owner(bpf_map_lookup_elem(&watched, &home), home) : 0;
}

/* Whether nothing that was written is still to be shown. */
static __always_inline bool terminal__is_shown(struct terminal *terminal, struct tty_struct *tty)
{
    struct tty_struct *master = BPF_CORE_READ(tty, link);

    return master && tty__is_empty(master) && tty__drained(master) == terminal->told_drained;
}

/* Whose bytes it shows next; not of a write that returns when they were shown already. */
static __always_inline void terminal__note_writer(struct terminal *terminal, struct tty_struct *tty, __u32 tgid)
{
    if (terminal__is_shown(terminal, tty))
        return;
    if (!terminal->writers)
        terminal->writer = tgid;
    if (!terminal->writers || terminal->last_writer != tgid)
        terminal->writers++;
    terminal->last_writer = tgid;
}

/* Fills the terminal block; `shown` and the like are those of before. */
static __always_inline void terminal__fill(struct cgtrail_terminal_block *block, struct terminal *terminal,
                                           struct tty_struct *tty)
{
    block->start = 0;
    block->generation = terminal->generation;
    block->home = terminal->home;
    block->shown = terminal->past_shown;
    block->consumed = terminal->past_consumed;
    block->typed = terminal->typed;
    block->device = terminal->device;
    block->index = terminal->index;
    block->leader = pid__number(BPF_CORE_READ(tty, ctrl.session));
    block->foreground = pid__number(BPF_CORE_READ(tty, ctrl.pgrp));
    block->opener = terminal->opener;
    block->lflag = BPF_CORE_READ(tty, termios.c_lflag);
    block->oflag = BPF_CORE_READ(tty, termios.c_oflag);
    block->rows = BPF_CORE_READ(tty, winsize.ws_row);
    block->columns = BPF_CORE_READ(tty, winsize.ws_col);
    block->terminal_flags = terminal->flags;
    block->unwritten = terminal->unwritten;
}

/* Of a task that acted, beside its cgroup and id. */
static __always_inline void terminal__actor(struct cgtrail_header_block *header, struct cgtrail_terminal_block *block,
                                            struct task_struct *task)
{
    const struct cred *cred = task->real_cred;
    struct user_namespace *ns = BPF_CORE_READ(cred, user_ns);

    header->tgid = task->tgid;
    header->uid = user_ns__show((__u64)&ns->uid_map, cred->euid.val);
    block->start = BPF_CORE_READ(task, group_leader, start_boottime);
}

/* The current process acts on a terminal by a way whose bytes are not seen. */
static __always_inline int terminal__escaped(struct cgtrail_tty_uring *e, struct tty_struct *tty, struct watched *owner,
                                             __u32 opcode)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct terminal *terminal;

    if (tty__is_master(tty))
        tty = BPF_CORE_READ(tty, link);
    terminal = tty ? terminal__of(tty) : 0;
    if (!terminal || !(owner->policy & (CGTRAIL_POLICY_TERMINAL | CGTRAIL_POLICY_OUTPUT)))
        return 0;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_TTY_URING, sizeof(*e), task->cgroups->dfl_cgrp->kn->id);
    terminal__owner(terminal, tty);
    terminal__fill(&e->terminal, terminal, tty);
    terminal__actor(&e->header, &e->terminal, task);
    e->tty_uring.opcode = opcode;
    e->tty_uring.uring_spare = 0;
    if (bucket__take(&terminal->events, EVENTS_BURST, owner, sizeof(*e), END_RESERVE, CGTRAIL_RECORD_TYPE_TTY_URING))
        record__send(&e->header, owner, sizeof(*e));
    return 0;
}

#endif
