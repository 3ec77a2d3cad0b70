/* What passes through a terminal, by who moves it: what is shown, consumed, written and typed. */
#ifndef CGTRAIL_PASSAGE_H
#define CGTRAIL_PASSAGE_H

#include "image.h"
#include "own.h" /* iterators can be preempted by what uses this */
#include "syscall.h"
#include "terminal.h"

#define CONTENT_BYTES 65536 /* one more than is ever read */
#define WRITE_BYTES 16384   /* of a TtyWrite in raw mode */
#define PROMPT_BYTES 256    /* and in canonical mode */
#define MAX_PIECES 32       /* of a readv or writev that are looked at */
#define MAX_GATHERED 16384  /* and bytes of it */
#define LEAST_BYTES 1024    /* of what is only recorded in part */
#define KEY_BYTES 6         /* of most keys; of more a line may be among them: Return and an answer to CSI 6n */
#define CTRL_O 0x0f         /* ends a line too, for some editors */
#define COMMENT '#'         /* and so does M-# */

/* Bytes of records that may be made at once, and a second, of what a terminal shows and what all terminals of a
 * container show. Bulk leaves a reserve to what comes in small pieces: a prompt after a flood is whole. */
#define OUTPUT_BURST (16 << 20)
#define OUTPUT_SHIFT 12 /* nanoseconds >> 12: 238 KiB a second */
#define OWNER_BURST (64 << 20)
#define OWNER_SHIFT 10 /* 954 KiB a second */
#define RESERVE (1 << 20)

/* Who acts, if it is watched itself; else it acts on somebody's terminal from outside, and that one is meant. */
static __always_inline struct watched *terminal__acting(struct terminal *terminal, struct tty_struct *tty,
                                                        struct task_struct *task, __u64 *cgroup_id)
{
    struct cgroup *cgroup = task->cgroups->dfl_cgrp;
    struct watched *home = terminal__owner(terminal, tty), *owner = watch__cgroup(cgroup);

    *cgroup_id = owner ? cgroup->kn->id : terminal->home;
    if (!owner)
        return home;
    if (!terminal->home)
        terminal->home = *cgroup_id;
    return owner;
}

struct iovec64 {
    __u64 base;
    __u64 length;
};

/* Lives in the scratch, for the verifier forgets what it knows of memory: with registers, 6.1 would tell every number
 * of pieces apart, and give up. */
struct gathering {
    __u64 at;   /* bytes of the pieces that come that are passed over */
    __u64 used; /* bytes that were copied */
};

/* Copies `length` bytes from byte `at` on of what lies in pieces behind a record of `fixed` bytes. 0: the first few
 * pieces do not hold all of that. */
__noinline int content__gather(struct call *call, __u64 at, __u64 length, __u32 fixed)
{
    struct scratch *scratch = own__scratch();
    struct gathering *all;

    if (!call || !scratch || length > MAX_GATHERED)
        return 0;
    all = (void *)scratch->path;
    all->at = at;
    all->used = 0;
    for (__u32 i = 0; i < MAX_PIECES && i < call->pieces; i++) {
        __u64 from = all->at, used = all->used, take;
        struct iovec64 piece;

        if (used >= length)
            break;
        if (bpf_probe_read_user(&piece, sizeof(piece), (struct iovec64 *)call->buffer + i))
            return 0;
        if (piece.length <= from) {
            all->at = from - piece.length;
            continue;
        }
        take = length - used < piece.length - from ? length - used : piece.length - from;
        asm volatile("" : "+r"(take));
        take &= 2 * MAX_GATHERED - 1;
        if (bpf_probe_read_user(scratch->room + (fixed & 255) + (used & (MAX_GATHERED - 1)), take,
                                (void *)piece.base + from))
            return 0;
        all->used = used + take;
        all->at = 0;
    }
    return all->used == length ? length : 0;
}

/* Copies what a call moved behind a record of `fixed` bytes: `length` bytes from byte `at` on. */
static __always_inline __u32 content__copy(struct scratch *scratch, __u32 fixed, struct call *call, __u64 at,
                                           __u64 length)
{
    __u64 from = call->buffer + at;

    if (call->pieces)
        return content__gather(call, at, length, fixed);
    asm volatile("" : "+r"(length), "+r"(from)); /* keep the check below, and nothing behind it: 6.1 forgets it */
    if (length >= CONTENT_BYTES)
        return 0;
    return bpf_probe_read_user(scratch->room + fixed, length, (void *)from) ? 0 : length;
}

/* Whether a line ends in what a program got, which lies behind a record; typed ahead or pasted, it may end anywhere. */
static __always_inline bool input__ends_line(struct cgtrail_tty_input *e, __u32 got)
{
    __u8 last = got ? e->tail[(got - 1) & (CONTENT_BYTES - 1)] : 0;

    return last == '\r' || last == '\n' || last == CTRL_O || last == COMMENT || e->tty_input.size > KEY_BYTES;
}

/* Appends the working directory of who got what lies behind the record in the scratch. */
__noinline int input__cwd(__u64 content)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct scratch *scratch = own__scratch();
    struct fs_struct *fs = task->fs;
    struct cgtrail_tty_input *e;

    if (!scratch || !fs || content >= CONTENT_BYTES)
        return 0;
    e = &scratch->record.tty_input;
    e->tty_input.cwd_flags = cwd__walk(scratch, fs);
    e->tty_input.cwd_size = path__copy(e->tail + content, scratch);
    e->header.length += e->tty_input.cwd_size;
    return 0;
}

/* A program got what was typed. What was typed or is read without echo in canonical mode is a secret and stays here;
 * while what is left of it may be in the queue, so is what is read otherwise. */
__noinline int terminal__consumed(struct call *call, __u64 address)
{
    struct tty_struct *tty = (void *)address;
    struct task_struct *task = bpf_get_current_task_btf();
    struct scratch *scratch = own__scratch();
    struct terminal *terminal = terminal__of(tty);
    struct cgtrail_tty_input *e;
    struct watched *owner;
    __u64 cgroup_id, at;
    bool secret;

    if (!call || !scratch || !terminal)
        return 0;
    e = &scratch->record.tty_input;
    terminal->hung_up = 0;
    at = __sync_fetch_and_add(&terminal->consumed, call->size);
    owner = terminal__acting(terminal, tty, task, &cgroup_id);
    if (call->size && owner && owner->policy & CGTRAIL_POLICY_TERMINAL) {
        header__fill(&e->header, CGTRAIL_RECORD_TYPE_TTY_INPUT, sizeof(*e), cgroup_id);
        terminal__fill(&e->terminal, terminal, tty);
        terminal__actor(&e->header, &e->terminal, task);
        e->terminal.consumed = at;
        e->tty_input.size = call->size;
        e->tty_input.content_size = 0;
        e->tty_input.cwd_size = 0;
        e->tty_input.cwd_flags = 0;
        secret = terminal->tainted || lflag__is_secret(e->terminal.lflag) || lflag__is_secret(terminal->lflag);
        if (secret) {
            e->terminal.terminal_flags |= CGTRAIL_TERMINAL_FLAG_SECRET;
        } else {
            __u64 length = call->size < CONTENT_BYTES ? call->size : CONTENT_BYTES - 1;
            __u32 got = content__copy(scratch, sizeof(*e), call, call->size - length, length);

            if (!got)
                e->terminal.terminal_flags |= CGTRAIL_TERMINAL_FLAG_UNREADABLE;
            e->tty_input.content_size = got;
            e->header.length += got;
            if (input__ends_line(e, got))
                input__cwd(got);
        }
        if (bucket__take(&terminal->input, INPUT_BURST, owner, e->header.length, END_RESERVE,
                         CGTRAIL_RECORD_TYPE_TTY_INPUT))
            record__submit(&e->header, owner);
    }
    __sync_fetch_and_add(&terminal->past_consumed, call->size);
    terminal->tail = tty__drained(tty);
    terminal__settle(terminal, tty);
    return 0;
}

/* Whoever shows a terminal got what it is to show. */
__noinline int terminal__shown(struct call *call, __u64 master_address, __u64 address)
{
    struct tty_struct *master = (void *)master_address, *tty = (void *)address;
    struct terminal *terminal = terminal__of(tty);
    struct scratch *scratch = own__scratch();
    struct cgtrail_tty_output *e;
    struct watched *owner;
    __u64 room, owners, length, at, cgroup_id;

    if (!call || !scratch || !terminal)
        return 0;
    terminal->told_drained = tty__drained(master);
    owner = terminal__owner(terminal, tty);
    if (!owner && !terminal->home) /* nobody was seen at it yet */
        owner = terminal__acting(terminal, tty, bpf_get_current_task_btf(), &cgroup_id);
    if (!owner)
        return 0;
    at = __sync_fetch_and_add(&terminal->shown, call->size);
    e = &scratch->record.tty_output;
    length = call->size < CONTENT_BYTES ? call->size : CONTENT_BYTES - 1;
    room = bucket__room(&terminal->output, OUTPUT_BURST, OUTPUT_SHIFT);
    owners = bucket__room(&owner->shown, OWNER_BURST, OWNER_SHIFT);
    room = owners < room ? owners : room;
    owners = sizeof(*e) + (length < LEAST_BYTES ? 0 : RESERVE);
    room = room > owners ? room - owners : 0;
    if (length > room)
        length = room < LEAST_BYTES ? 0 : room;
    if (!(owner->policy & CGTRAIL_POLICY_OUTPUT) || narrow__level() >= CGTRAIL_NARROW_OUTPUT)
        length = 0;
    if (length) {
        header__fill(&e->header, CGTRAIL_RECORD_TYPE_TTY_OUTPUT, sizeof(*e), terminal->home);
        terminal__fill(&e->terminal, terminal, tty);
        e->terminal.shown = at;
        e->header.tgid = e->terminal.leader;
        e->tty_output.drained = tty__drained(master);
        e->tty_output.size = call->size;
        e->tty_output.writer = terminal->writer;
        e->tty_output.last_writer = terminal->last_writer;
        e->tty_output.writers = terminal->writers;
        terminal->writers = 0;
        terminal->writer = 0;
        terminal->last_writer = 0;
        e->tty_output.output_spare = 0;
        length = content__copy(scratch, sizeof(*e), call, call->size - length, length);
        if (!length)
            e->terminal.terminal_flags |= CGTRAIL_TERMINAL_FLAG_UNREADABLE;
        e->tty_output.content_size = length;
        e->header.length += length;
        __sync_fetch_and_add(&terminal->output.bytes, e->header.length);
        __sync_fetch_and_add(&owner->shown.bytes, e->header.length);
        record__submit(&e->header, owner);
    }
    __sync_fetch_and_add(&terminal->past_shown, call->size);
    return 0;
}

/* A program wrote. What it wrote is shown and told there; here is told what belongs to a line being edited, before it
 * is mixed with what others write: all that is written in raw mode, and otherwise what looks like a prompt. */
__noinline int terminal__wrote(struct call *call, __u64 address)
{
    struct tty_struct *tty = (void *)address;
    struct task_struct *task = bpf_get_current_task_btf();
    struct scratch *scratch = own__scratch();
    struct terminal *terminal = terminal__of(tty);
    __u64 cgroup_id, length = call->size, at = 0;
    struct cgtrail_tty_write *e;
    struct watched *owner;
    bool canonical;

    if (!call || !scratch || !terminal)
        return 0;
    terminal->hung_up = 0;
    terminal__note_writer(terminal, tty, task->tgid);
    owner = terminal__acting(terminal, tty, task, &cgroup_id);
    if (!owner || !(owner->policy & CGTRAIL_POLICY_TERMINAL))
        return 0;
    e = &scratch->record.tty_write;
    canonical = BPF_CORE_READ(tty, termios.c_lflag) & ICANON;
    if (canonical && length > PROMPT_BYTES) {
        at = length - PROMPT_BYTES;
        length = PROMPT_BYTES;
    } else if (length > WRITE_BYTES) {
        length = WRITE_BYTES;
    }
    length = content__copy(scratch, sizeof(*e), call, at, length);
    if (!length || (canonical && e->tail[(length - 1) & (PROMPT_BYTES - 1)] == '\n'))
        return 0;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_TTY_WRITE, sizeof(*e), cgroup_id);
    terminal__fill(&e->terminal, terminal, tty);
    terminal__actor(&e->header, &e->terminal, task);
    e->tty_write.size = call->size;
    e->tty_write.at = at;
    e->tty_write.write_spare = 0;
    e->tty_write.content_size = length;
    e->header.length += length;
    if (bucket__take(&terminal->writes, WRITES_BURST, owner, e->header.length, END_RESERVE,
                     CGTRAIL_RECORD_TYPE_TTY_WRITE))
        record__submit(&e->header, owner);
    else
        __sync_fetch_and_add(&terminal->unwritten, 1);
    return 0;
}

/* Somebody types: what, is told once it is consumed, for only then its secrecy is known. */
__noinline int terminal__typed(struct call *call, __u64 address)
{
    struct tty_struct *tty = (void *)address;
    struct terminal *terminal = terminal__of(tty);

    if (!call || !terminal)
        return 0;
    __sync_fetch_and_add(&terminal->typed, call->size);
    if (lflag__is_secret(BPF_CORE_READ(tty, termios.c_lflag)))
        terminal->tainted = 1;
    return 0;
}

static __always_inline int terminal__moved(struct call *call, struct tty_struct *tty, bool write)
{
    struct tty_struct *slave = tty;

    if (tty__is_master(tty)) {
        slave = BPF_CORE_READ(tty, link);
        if (!slave || !call->size)
            return 0;
        if (!write && BPF_CORE_READ(tty, ctrl.packet))
            call__strip(call); /* a byte of ioctl_tty(2)'s TIOCPKT */
        return write ? terminal__typed(call, (__u64)slave) : terminal__shown(call, (__u64)tty, (__u64)slave);
    }
    return write ? terminal__wrote(call, (__u64)slave) : terminal__consumed(call, (__u64)slave);
}

#endif
