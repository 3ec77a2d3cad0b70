/* A scratch that no other program writes to: what may preempt others, or be preempted by them, has one of its own. */
#ifndef CGTRAIL_OWN_H
#define CGTRAIL_OWN_H

#include "record.h"

/* Indexed by CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); /* set to the number of possible CPUs before loading */
    __type(key, __u32);
    __type(value, struct scratch);
} own_scratch SEC(".maps");

static __always_inline struct scratch *own__scratch(void)
{
    __u32 cpu = bpf_get_smp_processor_id();
    return bpf_map_lookup_elem(&own_scratch, &cpu);
}

#endif
