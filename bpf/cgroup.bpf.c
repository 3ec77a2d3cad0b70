/* Cgroups of the cgroup2 hierarchy are made, entered and removed. A container's is watched from its birth, so that its
 * first program is never missed; user space takes out what turns out to be none. */
#include "task.h"

#define NAME_BYTES 256
#define ID_BYTES 64 /* of a container's id, in hexadecimal */

static __always_inline bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static __always_inline bool ends_with(const char *name, __u32 length, const char *suffix, __u32 size)
{
    if (length < size)
        return false;
    for (__u32 i = 0; i < size; i++)
        if (name[(length - size + i) & (NAME_BYTES - 1)] != suffix[i])
            return false;
    return true;
}

#define ENDS_WITH(name, length, suffix) ends_with(name, length, suffix, sizeof(suffix) - 1)

/* Whether the last 64 characters are a container's id, as in docker-<id>.scope or <id>. */
static __noinline bool name__has_id(const char *name, __u32 length)
{
    if (length < ID_BYTES || length > NAME_BYTES)
        return false;
    for (__u32 i = 0; i < ID_BYTES; i++)
        if (!is_hex(name[(length - ID_BYTES + i) & (NAME_BYTES - 1)]))
            return false;
    return true;
}

static __always_inline __u32 cgroup__classify(struct cgroup *cgroup)
{
    char name[NAME_BYTES] = {};
    __u32 length = bpf_probe_read_kernel_str(name, sizeof(name), cgroup->kn->name) - 1;

    if (length >= NAME_BYTES)
        return CGTRAIL_WATCH_PROVISIONAL;
    if (ENDS_WITH(name, length, ".scope"))
        return name__has_id(name, length - 6) ? CGTRAIL_WATCH_CONTAINER : CGTRAIL_WATCH_NONE;
    if (ENDS_WITH(name, length, ".service") || ENDS_WITH(name, length, ".slice") || ENDS_WITH(name, length, ".mount"))
        return CGTRAIL_WATCH_NONE;
    return name__has_id(name, length) ? CGTRAIL_WATCH_CONTAINER : CGTRAIL_WATCH_PROVISIONAL;
}

/* Puts a new cgroup into the map: whatever lies in a container is part of it. Below a provisional cgroup, such as the
 * one that Docker makes before its first container, a name that is a container's counts. */
static __always_inline struct watched cgroup__watch(struct cgroup *cgroup, __u64 id)
{
    struct watched *above = watch__find(cgroup->self.parent->cgroup), *top = 0, entry = {};
    __u32 named = cgroup__classify(cgroup);
    __u64 *crowded = counter__at(CGTRAIL_COUNTER_CROWDED);

    if (above && (above->watch == CGTRAIL_WATCH_CONTAINER || named != CGTRAIL_WATCH_CONTAINER)) {
        entry.owner = above->owner;
        entry.watch = above->watch;
        top = bpf_map_lookup_elem(&watched, &entry.owner);
    } else {
        entry.owner = named ? id : 0;
        entry.watch = named;
    }
    if (!entry.watch)
        return entry;
    if ((top && top->children >= MAX_CHILDREN) || bpf_map_update_elem(&watched, &id, &entry, BPF_NOEXIST)) {
        if (crowded && above) /* without one, no entry would be found */
            __sync_fetch_and_add(crowded, 1);
    } else if (top) {
        __sync_fetch_and_add(&top->children, 1);
    }
    return entry;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
    __u64 id = cgroup->kn->id;
    struct cgtrail_cgroup_mkdir *e;
    struct scratch *scratch;
    struct watched entry;
    long length;

    if (cgroup->root->hierarchy_id != 0) /* cgroup v1 */
        return 0;
    entry = cgroup__watch(cgroup, id);
    if (!entry.watch && !capture_host)
        return 0;
    scratch = record__scratch();
    if (!scratch)
        return 0;
    e = &scratch->record.cgroup_mkdir;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_CGROUP_MKDIR, sizeof(*e), id);
    e->cgroup_mkdir.parent_id = BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
    e->cgroup_mkdir.level = cgroup->level;
    e->cgroup_mkdir.watch = entry.watch;
    e->cgroup_mkdir.mkdir_spare = 0;
    length = bpf_probe_read_kernel_str(e->tail, PATH_BYTES, path);
    e->cgroup_mkdir.path_size = length > 0 ? length - 1 : 0;
    e->header.length += e->cgroup_mkdir.path_size;
    record__submit(&e->header, entry.owner);
    return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
    __u64 id = cgroup->kn->id, owner, *crowded = counter__at(CGTRAIL_COUNTER_CROWDED);
    struct watched *own, *entry, *top;
    struct cgtrail_cgroup_rmdir *e;
    struct scratch *scratch;

    if (cgroup->root->hierarchy_id != 0)
        return 0;
    own = bpf_map_lookup_elem(&watched, &id);
    entry = own ? own : watch__find(cgroup);
    if (!entry && !capture_host)
        return 0;
    owner = entry ? entry->owner : 0;
    scratch = record__scratch();
    if (scratch) {
        e = &scratch->record.cgroup_rmdir;
        header__fill(&e->header, CGTRAIL_RECORD_TYPE_CGROUP_RMDIR, sizeof(*e), id);
        record__submit(&e->header, owner); /* while the entry still counts */
    }
    top = owner == id ? 0 : bpf_map_lookup_elem(&watched, &owner);
    if (bpf_map_delete_elem(&watched, &id) == 0 && top && top->children) /* user space puts children in uncounted */
        __sync_fetch_and_sub(&top->children, 1);
    if (entry && !own && crowded)
        __sync_fetch_and_add(crowded, -1);
    return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_attach, struct cgroup *cgroup, const char *path, struct task_struct *task)
{
    struct cgtrail_cgroup_attach *e;
    struct scratch *scratch;
    struct watched *entry;

    if (cgroup->root->hierarchy_id != 0)
        return 0;
    entry = watch__find(cgroup);
    if (!entry && !capture_host)
        return 0;
    scratch = record__scratch();
    if (!scratch)
        return 0;
    e = &scratch->record.cgroup_attach;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_CGROUP_ATTACH, sizeof(*e), cgroup->kn->id);
    task__fill(&e->header, &e->task, task);
    record__submit(&e->header, entry ? entry->owner : 0);
    return 0;
}
