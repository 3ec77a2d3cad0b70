/* What every program shares: the maps, who is watched, and the one way a record leaves the kernel. */
#ifndef CGTRAIL_RECORD_H
#define CGTRAIL_RECORD_H

#include "events.h"
#include "kernel.h"

#define PATH_BYTES 4096   /* of a path, its NUL not counted */
#define ARGS_BYTES 65536  /* one more than is ever read */
#define FIXED_BYTES 16384 /* room for a record without its arguments: under 256 + 3 * PATH_BYTES */
#define RECORD_BYTES (FIXED_BYTES + ARGS_BYTES)
#define MAX_LEVELS 16     /* at which a container's topmost cgroup is found by the slow path */
#define MAX_CHILDREN 1024 /* cgroups a container may have in the map; the rest take the slow path */

char LICENSE[] SEC("license") = "GPL"; /* tracing helpers ask for it */

/* Set before the program is loaded. */
const volatile __u32 capture_host; /* 1: record every process, 0: those of watched cgroups */

struct scratch {
    __u8 path[2 * PATH_BYTES]; /* a path is written from its middle towards its start */
    __u32 at;                  /* where it begins */
    union {
        union cgtrail_record record;
        __u8 room[RECORD_BYTES]; /* for the record's tail */
    };
};

/* Who is watched: one entry for each cgroup of a container. */
struct watched {
    __u64 owner; /* the container's topmost cgroup: its children share its counters */
    __u32 watch; /* enum cgtrail_watch */
    __u32 children;
    __u64 seen; /* an owner's: records made so far, lost ones included */
    /* Of an owner's records that were put into the ring while it was more than half full: */
    __u64 from;   /* where in the ring its bytes begin */
    __u64 until;  /* where they end */
    __u32 bytes;  /* how many there are */
    __u32 before; /* how many lie before, and are perhaps not drained yet */
    /* Of an owner's arguments, bytes beyond SHORT_ARGS_BYTES: */
    __u64 long_at;    /* when they were last counted */
    __u64 long_bytes; /* how many, less LONG_ARGS_RATE since */
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

/* By cgroup id. Entry 0, which user space makes, is the host: it owns what no watched cgroup does. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __type(key, __u64);
    __type(value, struct watched);
} watched SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __type(key, struct loss_key);
    __type(value, __u64);
} losses SEC(".maps");

/* Indexed by enum cgtrail_counter. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CGTRAIL_COUNTER_UNPLACED + 1);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

/* [0]: enum cgtrail_narrow, set by user space. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} narrow SEC(".maps");

static __always_inline __u64 *counter__at(__u32 index)
{
    return bpf_map_lookup_elem(&counters, &index);
}

static __always_inline __u32 narrow__level(void)
{
    __u32 zero = 0, *level = bpf_map_lookup_elem(&narrow, &zero);
    return level ? *level : CGTRAIL_NARROW_NONE;
}

/* Whether some cgroup has only an ancestor's entry. The kernel and user space have a number each, for only the kernel
 * can add to one that both write; what user space found no room for is taken off the kernel's when it is removed. */
static __always_inline bool watch__crowded(void)
{
    __u64 *crowded = counter__at(CGTRAIL_COUNTER_CROWDED), *unplaced = counter__at(CGTRAIL_COUNTER_UNPLACED);
    return crowded && unplaced && *crowded + *unplaced;
}

/* The id of a watched ancestor, or 0. From the top, for however deep cgroups are nested, a container's topmost is near
 * it; what lies above that is provisional. A global function, so that the verifier walks its loop once. */
__noinline __u64 watch__above(__u64 address, __u32 level)
{
    struct cgroup *ancestor, **ancestors = (void *)address + bpf_core_field_offset(struct cgroup, ancestors);
    __u64 id, above = 0;

    for (__u32 i = 1; i <= MAX_LEVELS && i < level; i++) {
        struct watched *found;

        if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor), &ancestors[i]))
            break;
        id = BPF_CORE_READ(ancestor, kn, id);
        found = bpf_map_lookup_elem(&watched, &id);
        if (!found)
            continue;
        above = id;
        if (found->watch == CGTRAIL_WATCH_CONTAINER)
            break;
    }
    return above;
}

/* The entry that a cgroup is watched by, its own or, when the map overflowed, an ancestor's. */
static __always_inline struct watched *watch__find(struct cgroup *cgroup)
{
    __u64 id = cgroup->kn->id;
    struct watched *found = bpf_map_lookup_elem(&watched, &id);

    if (found || !watch__crowded())
        return found;
    id = watch__above((__u64)BPF_CORE_READ(cgroup, self.cgroup), cgroup->level); /* itself, as a plain number */
    return id ? bpf_map_lookup_elem(&watched, &id) : 0;
}

/* Whether a task's events are recorded; `owner` is whose counters they are on (0: the host). */
static __always_inline bool watch__task(struct task_struct *task, __u64 *owner)
{
    struct watched *found = watch__find(task->cgroups->dfl_cgrp);

    *owner = found ? found->owner : 0;
    return found || capture_host;
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
 * recorded and what was lost together. 0 where nobody counts: the owner's entry is gone, or not there yet. */
static __always_inline __u32 owner__next(struct watched *owner)
{
    return owner ? __sync_fetch_and_add(&owner->seen, 1) + 1 : 0;
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

    if (!owner || used <= size / 2 || used + room >= size) /* full for everybody: the ring itself refuses */
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
static __always_inline void record__omit(__u64 owner, __u32 cause, __u32 type)
{
    owner__next(bpf_map_lookup_elem(&watched, &owner));
    loss__count(owner, cause, type);
}

/* The only way out of the kernel: what does not fit is counted. No wake-up, the agent drains on a timer (a wake-up is
 * an inter-processor interrupt: ten times the cost of the record). */
static __always_inline void record__submit(struct cgtrail_header_block *header, __u64 owner)
{
    struct watched *entry = bpf_map_lookup_elem(&watched, &owner);
    __u32 length = header->length;

    asm volatile("" : "+r"(length)); /* keep the check below for the verifier */
    if (length > RECORD_BYTES)
        return;
    header->owner = owner;
    header->sequence = owner__next(entry);
    if (!owner__may(entry, length))
        loss__count(owner, CGTRAIL_CAUSE_OVER_BUDGET, header->type);
    else if (bpf_ringbuf_output(&ring, header, length, BPF_RB_NO_WAKEUP))
        loss__count(owner, CGTRAIL_CAUSE_RING_FULL, header->type);
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
