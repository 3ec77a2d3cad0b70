/* Puts cgroups into the map of who is watched and takes them out. Its counts are exact: they are taken before an entry
 * is made, and given back when it is not. */
#ifndef CGTRAIL_PLACE_H
#define CGTRAIL_PLACE_H

#include "watch.h"

#define EEXIST 17 /* errno(3) */
#define ENOSPC 28

/* Whether there was room for one entry more, which is taken then. The last quarter is for topmost cgroups: no number of
 * cgroups in containers keeps a new container from being recorded. */
static __always_inline bool place__take(struct watched *owner)
{
    __u64 *entries = counter__at(CGTRAIL_COUNTER_ENTRIES), limit = settings.max_cgroups;

    if (!entries)
        return false;
    if (owner && __sync_fetch_and_add(&owner->children, 1) >= MAX_CHILDREN) {
        __sync_fetch_and_add(&owner->children, -1);
        return false;
    }
    if (__sync_fetch_and_add(entries, 1) < (owner ? limit - limit / 4 : limit))
        return true;
    __sync_fetch_and_add(entries, -1);
    if (owner)
        __sync_fetch_and_add(&owner->children, -1);
    return false;
}

static __always_inline void place__give_back(struct watched *owner)
{
    counter__add(CGTRAIL_COUNTER_ENTRIES, -1);
    if (owner && owner->children) /* 0: it was taken out and put in again meanwhile */
        __sync_fetch_and_add(&owner->children, -1);
}

/* Puts a cgroup in, below `owner` if there is one. 0, -EEXIST or -ENOSPC; a child is then found by its owner's entry.
 */
static __always_inline int place__insert(__u64 id, struct watched *entry, struct watched *owner)
{
    long error = -ENOSPC;

    if (place__take(owner)) {
        error = bpf_map_update_elem(&watched, &id, entry, BPF_NOEXIST);
        if (!error)
            return 0;
        place__give_back(owner);
        if (error == -EEXIST)
            return error;
    }
    if (owner) {
        __sync_fetch_and_add(&owner->crowded, 1);
        counter__add(CGTRAIL_COUNTER_CROWDED, 1);
    }
    return -ENOSPC;
}

/* Takes a cgroup out; with an owner goes what was only found by it. */
static __always_inline void place__remove(__u64 id)
{
    struct watched *found = bpf_map_lookup_elem(&watched, &id);
    __u64 owner, crowded;

    if (!found)
        return;
    owner = found->owner;
    crowded = found->crowded;
    if (bpf_map_delete_elem(&watched, &id))
        return;
    place__give_back(owner == id ? 0 : bpf_map_lookup_elem(&watched, &owner));
    counter__add(CGTRAIL_COUNTER_CROWDED, -crowded);
}

/* One that found no room is gone. */
static __always_inline void place__forget(struct watched *owner)
{
    if (!owner->crowded)
        return;
    __sync_fetch_and_add(&owner->crowded, -1);
    counter__add(CGTRAIL_COUNTER_CROWDED, -1);
}

/* User space knows what a provisional entry is: a container of its own, or part of one. */
static __always_inline void place__settle(__u64 id, struct watched *entry, __u64 owner, __u32 policy)
{
    __u64 before = entry->owner, crowded = entry->crowded;
    struct watched *from = before == id ? 0 : bpf_map_lookup_elem(&watched, &before),
                   *to = owner == id ? 0 : bpf_map_lookup_elem(&watched, &owner);

    if (before != owner) {
        if (from && from->children)
            __sync_fetch_and_add(&from->children, -1);
        if (to) {
            __sync_fetch_and_add(&to->children, 1);
            __sync_fetch_and_add(&to->crowded, crowded);
            entry->crowded = 0;
        }
    }
    entry->policy = to ? 0 : policy;
    entry->owner = owner;
    entry->watch = CGTRAIL_WATCH_CONTAINER;
}

#endif
