/* What every program that records shares: the ring, what is lost, and the one way a record leaves the kernel. */
#ifndef CGTRAIL_RECORD_H
#define CGTRAIL_RECORD_H

#include "watch.h"

#define PATH_BYTES 4096   /* of a path, its NUL not counted */
#define ARGS_BYTES 65536  /* one more than is ever read */
#define FIXED_BYTES 16384 /* room for a record without its arguments: under 256 + 3 * PATH_BYTES */
#define RECORD_BYTES (FIXED_BYTES + ARGS_BYTES)

char LICENSE[] SEC("license") = "GPL"; /* tracing helpers ask for it */

struct scratch {
    __u8 path[2 * PATH_BYTES]; /* a path is written from its middle towards its start */
    __u32 at;                  /* where it begins */
    union {
        union cgtrail_record record;
        __u8 room[RECORD_BYTES]; /* for the record's tail */
    };
};

struct loss_key {
    __u64 owner;
    __u32 cause;
    __u32 type;
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 16 * 1024 * 1024);
} ring SEC(".maps");

/* Indexed by CPU; values of a per-CPU map may not pass 32 KiB. Tracepoint programs run with preemption off, so one
 * never finds another's half-written record here. Programs that may sleep or be preempted have one of their own. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); /* set to the number of possible CPUs before loading */
    __type(key, __u32);
    __type(value, struct scratch);
} scratch SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1); /* set before loading */
    __type(key, struct loss_key);
    __type(value, __u64);
} losses SEC(".maps");

/* [0]: enum cgtrail_narrow, set by user space. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} narrow SEC(".maps");

static __always_inline __u32 narrow__level(void)
{
    __u32 zero = 0, *level = bpf_map_lookup_elem(&narrow, &zero);
    return level ? *level : CGTRAIL_NARROW_NONE;
}

static __always_inline struct scratch *record__scratch(void)
{
    __u32 cpu = bpf_get_smp_processor_id();
    return bpf_map_lookup_elem(&scratch, &cpu);
}

static __always_inline void loss__count(__u64 owner, __u32 cause, __u32 type)
{
    struct loss_key key = {.owner = owner, .cause = cause, .type = type};
    __u64 one = 1, *count = bpf_map_lookup_elem(&losses, &key);

    if (count) {
        __sync_fetch_and_add(count, 1);
        return;
    }
    if (bpf_map_update_elem(&losses, &key, &one, BPF_NOEXIST) == 0)
        return;
    count = bpf_map_lookup_elem(&losses, &key); /* another CPU was first, or the map is full */
    if (!count) {
        key.owner = 0; /* user space makes the host's entries before anything runs */
        count = bpf_map_lookup_elem(&losses, &key);
    }
    if (count)
        __sync_fetch_and_add(count, 1);
}

/* The number of an owner's next record, which is taken even if the record is then lost: its highest number is what was
 * recorded and what was lost together. */
static __always_inline __u32 owner__next(struct watched *owner)
{
    return __sync_fetch_and_add(&owner->seen, 1) + 1;
}

/* Whether the ring has room for so many bytes of an owner. Up to half of it there is for everybody; of the other half
 * an owner may hold as much as it leaves free: whoever floods leaves half of what it found, and who is quiet finds room
 * (Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998). What it holds is
 * counted in two steps, for only the ring's two ends are known here: once `from` is drained, what lies before is gone.
 * CPUs that pass here at once may each be a record too generous. */
static __always_inline bool owner__may(struct watched *owner, __u32 length)
{
    __u64 size = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE), used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA),
          drained;
    __u32 room = (length + BPF_RINGBUF_HDR_SZ + 7) & ~7;

    if (used <= size / 2 || used + room >= size) /* full for everybody: the ring itself refuses */
        return true;
    drained = bpf_ringbuf_query(&ring, BPF_RB_CONS_POS);
    if (drained >= owner->from) {
        owner->before = drained < owner->until ? owner->bytes : 0;
        owner->bytes = 0;
        owner->from = drained + used;
    }
    if (used + owner->before + owner->bytes + room > size)
        return false;
    __sync_fetch_and_add(&owner->bytes, room);
    owner->until = drained + used + room;
    return true;
}

/* Instead of a record that is left out. */
static __always_inline void record__omit(struct watched *owner, __u32 cause, __u32 type)
{
    owner__next(owner);
    loss__count(owner->owner, cause, type);
}

/* The only way out of the kernel: what does not fit is counted. No wake-up, the agent drains on a timer (a wake-up is
 * an inter-processor interrupt: ten times the cost of the record). */
static __always_inline void record__send(struct cgtrail_header_block *header, struct watched *owner, __u32 length)
{
    header->owner = owner->owner;
    header->sequence = owner__next(owner);
    if (!owner__may(owner, length))
        loss__count(header->owner, CGTRAIL_CAUSE_OVER_BUDGET, header->type);
    else if (bpf_ringbuf_output(&ring, header, length, BPF_RB_NO_WAKEUP))
        loss__count(header->owner, CGTRAIL_CAUSE_RING_FULL, header->type);
}

/* Of a record in a scratch; one on the stack, whose length the verifier must know, is sent as it is. */
static __always_inline void record__submit(struct cgtrail_header_block *header, struct watched *owner)
{
    __u32 length = header->length;

    asm volatile("" : "+r"(length)); /* keep the check below for the verifier */
    if (length <= RECORD_BYTES)
        record__send(header, owner, length);
}

static __always_inline void header__fill(struct cgtrail_header_block *header, __u16 type, __u16 fixed, __u64 cgroup_id)
{
    header->type = type;
    header->fixed = fixed;
    header->length = fixed;
    header->time = bpf_ktime_get_boot_ns();
    header->cgroup_id = cgroup_id;
    header->cpu = bpf_get_smp_processor_id();
    header->tgid = bpf_get_current_pid_tgid() >> 32;
    header->uid = 0;
}

#endif
