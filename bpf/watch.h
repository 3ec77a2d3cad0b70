/* Who is watched, by which policy, and on whose account: one map of cgroups, which only kernel programs write. */
#ifndef CGTRAIL_WATCH_H
#define CGTRAIL_WATCH_H

#include "events.h"
#include "kernel.h"

#define MAX_LEVELS 16     /* at which a container's topmost cgroup is found by the slow path */
#define MAX_CHILDREN 1024 /* cgroups a container may have in the map; the rest take the slow path */

/* Set before the program is loaded. */
const volatile struct {
    __u32 capture_host; /* 1: record every process, 0: those of watched cgroups */
    __u32 max_cgroups;  /* that the map has room for, the host not counted */
    __u32 failed_execs; /* 1: terminal.bpf.c records failed execs too, for nothing else does */
} settings;

/* What may be recorded at once and a second: `bytes` less what has run off until `at`. */
struct bucket {
    __u64 at;
    __u64 bytes; /* may be a little under 0 */
};

/* One entry for each cgroup of a container. An owner is its container's topmost cgroup: its entry has its own id as
 * `owner`, and what the container's other cgroups share. */
struct watched {
    __u64 owner;
    __u32 watch;    /* enum cgtrail_watch */
    __u32 policy;   /* an owner's: enum cgtrail_policy */
    __u32 children; /* an owner's: entries that refer to it */
    __u32 crowded;  /* an owner's: cgroups that found no room, and are found by its entry */
    __u64 seen;     /* an owner's: records made so far, lost ones included */
    /* Of an owner's records that were put into the ring while it was more than half full: */
    __u64 from;   /* where in the ring its bytes begin */
    __u64 until;  /* where they end */
    __u32 bytes;  /* how many there are */
    __u32 before; /* how many lie before, and are perhaps not drained yet */
    /* Of an owner's arguments, bytes beyond SHORT_ARGS_BYTES: */
    __u64 long_at;    /* when they were last counted */
    __u64 long_bytes; /* how many, less LONG_ARGS_RATE since */
    /* Of an owner's terminals: */
    struct bucket shown; /* what they show */
    struct bucket told;  /* all else */
};

/* By cgroup id. Entry 0, which user space makes before anything runs, is the host: it owns what no container does. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1); /* set to settings.max_cgroups and the host before loading */
    __type(key, __u64);
    __type(value, struct watched);
} watched SEC(".maps");

/* Indexed by enum cgtrail_counter. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CGTRAIL_COUNTER_UNWATCHED + 1);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

/* [0]: enum cgtrail_policy of containers that are made from now on, until user space has set their own: what it would
 * be at least, whoever they belong to. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} birth SEC(".maps");

static __always_inline __u32 birth__policy(void)
{
    __u32 zero = 0, *policy = bpf_map_lookup_elem(&birth, &zero);
    return CGTRAIL_POLICY_EXEC | (policy ? *policy : 0);
}

static __always_inline __u64 *counter__at(__u32 index)
{
    return bpf_map_lookup_elem(&counters, &index);
}

static __always_inline void counter__add(__u32 index, __s64 change)
{
    __u64 *counter = counter__at(index);

    if (counter && change)
        __sync_fetch_and_add(counter, change);
}

static __always_inline struct watched *watch__host(void)
{
    __u64 host = 0;
    return bpf_map_lookup_elem(&watched, &host);
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

/* The entry that a cgroup with this id is watched by: its own or, while some cgroup has none, an ancestor's. */
static __always_inline struct watched *watch__entry(struct cgroup *cgroup, __u64 id)
{
    struct watched *found = bpf_map_lookup_elem(&watched, &id);
    __u64 *crowded, above;

    if (found)
        return found;
    crowded = counter__at(CGTRAIL_COUNTER_CROWDED);
    if (!crowded || !*crowded)
        return 0;
    above = watch__above((__u64)BPF_CORE_READ(cgroup, self.cgroup), BPF_CORE_READ(cgroup, level)); /* plain numbers */
    return above ? bpf_map_lookup_elem(&watched, &above) : 0;
}

static __always_inline struct watched *watch__find(struct cgroup *cgroup)
{
    return watch__entry(cgroup, cgroup->kn->id);
}

/* The owner's entry of the entry that was found for a cgroup, which for a topmost one is the same; null where the owner
 * is watched no more. Two steps: an owner that became part of another's container refers to that one. */
static __always_inline struct watched *watch__owner(struct watched *found, __u64 id)
{
    for (int i = 0; i < 2 && found && found->owner != id; i++) {
        id = found->owner;
        found = bpf_map_lookup_elem(&watched, &id);
    }
    return found && found->owner == id ? found : 0;
}

/* The owner of a cgroup that is watched, or null. */
static __always_inline struct watched *watch__cgroup(struct cgroup *cgroup)
{
    return watch__owner(watch__find(cgroup), cgroup->kn->id);
}

/* The same of a cgroup by its address, of which the verifier need know nothing. */
static __always_inline struct watched *watch__at(__u64 address)
{
    struct cgroup *cgroup = (void *)address;
    __u64 id = BPF_CORE_READ(cgroup, kn, id);

    return watch__owner(watch__entry(cgroup, id), id);
}

/* The owner of a task whose events are recorded, or null: its container is not watched, or not with this policy. */
static __always_inline struct watched *watch__task(struct task_struct *task)
{
    struct watched *owner = watch__cgroup(task->cgroups->dfl_cgrp);

    if (!owner && settings.capture_host)
        owner = watch__host();
    return owner && owner->policy & CGTRAIL_POLICY_EXEC ? owner : 0;
}

#endif
