/* How user space changes who is watched: it runs this program, for to replace an entry of the map would undo what other
 * processors count in it meanwhile. */
#include "place.h"

#define ENOENT 2 /* errno(3) */

char LICENSE[] SEC("license") = "GPL";

struct control {
    __u32 operation; /* enum cgtrail_control */
    __u32 policy;    /* enum cgtrail_policy, of an owner */
    __u64 cgroup_id;
    __u64 owner;
};

/* An entry that is there stays, for it counts already; one that is provisional, or whose owner is gone, is settled. A
 * child that finds no room is found by its owner's entry. */
static __always_inline int control__watch(__u64 id, __u64 owner, __u32 policy)
{
    struct watched *own = bpf_map_lookup_elem(&watched, &id), *top = 0, entry = {};

    if (owner != id) {
        top = bpf_map_lookup_elem(&watched, &owner);
        if (!top || top->owner != owner)
            return -ENOENT;
    }
    if (!own) {
        int error;

        entry.owner = owner;
        entry.watch = CGTRAIL_WATCH_CONTAINER;
        entry.policy = top ? 0 : policy;
        error = place__insert(id, &entry, top);
        if (error != -EEXIST)
            return top ? 0 : error;
        own = bpf_map_lookup_elem(&watched, &id); /* the cgroup was made this moment */
    }
    if (own && (own->watch == CGTRAIL_WATCH_PROVISIONAL || !watch__owner(own, id)))
        place__settle(id, own, owner, policy);
    return 0;
}

static __always_inline int control__set_policy(__u64 owner, __u32 policy)
{
    struct watched *entry = bpf_map_lookup_elem(&watched, &owner);

    if (!entry || entry->owner != owner)
        return -ENOENT;
    entry->policy = policy;
    return 0;
}

/* 0 or a negative errno; entry 0 is the host's. */
SEC("syscall")
int control(struct control *asked)
{
    __u64 id = asked->cgroup_id, owner = asked->owner;

    switch (asked->operation) {
    case CGTRAIL_CONTROL_WATCH:
        return id && owner ? control__watch(id, owner, asked->policy) : -ENOENT;
    case CGTRAIL_CONTROL_UNWATCH:
        if (id)
            place__remove(id);
        return 0;
    case CGTRAIL_CONTROL_SET_POLICY:
        return control__set_policy(owner, asked->policy);
    }
    return -ENOENT;
}
