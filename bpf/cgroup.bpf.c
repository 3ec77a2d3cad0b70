/* Cgroups of the cgroup2 hierarchy are made, entered and removed. A container's is watched from its birth, so that its
 * first program is never missed; user space takes out what turns out to be none. */
#include "names.h"
#include "place.h"
#include "task.h"

static __always_inline __u32 cgroup__classify(struct cgroup *cgroup)
{
    char name[NAME_BYTES] = {}, parent[16] = {};
    __u32 length = bpf_probe_read_kernel_str(name, sizeof(name), cgroup->kn->name) - 1;

    if (length >= NAME_BYTES - 1) /* cut */
        return CGTRAIL_WATCH_PROVISIONAL;
    bpf_probe_read_kernel_str(parent, sizeof(parent), BPF_CORE_READ(cgroup, self.parent, cgroup, kn, name));
    return name__watch(name, length, name__is_podman_parent(parent));
}

/* Puts a new cgroup into the map, and says why it is watched: whatever lies in a container is part of it. Below a
 * provisional cgroup, such as the one that Docker makes before its first container, a name that is a container's
 * counts. A topmost one whose name says that it is a container's begins with what every container's policy has. */
static __always_inline __u32 cgroup__watch(struct cgroup *cgroup, __u64 id)
{
    struct cgroup *parent = cgroup->self.parent->cgroup;
    struct watched *top = watch__owner(watch__find(parent), parent->kn->id), entry = {};
    __u32 named = cgroup__classify(cgroup);

    if (top && (top->watch == CGTRAIL_WATCH_CONTAINER || named != CGTRAIL_WATCH_CONTAINER)) {
        entry.owner = top->owner;
        entry.watch = top->watch;
        place__insert(id, &entry, top); /* without an entry of its own, top's serves */
        return entry.watch;
    }
    entry.owner = id;
    entry.watch = named;
    entry.policy = named == CGTRAIL_WATCH_CONTAINER ? birth__policy() : CGTRAIL_POLICY_EXEC;
    if (!named || !place__insert(id, &entry, 0))
        return named;
    counter__add(CGTRAIL_COUNTER_UNWATCHED, 1);
    return CGTRAIL_WATCH_REFUSED;
}

/* On whose account a cgroup's own records are: its owner's, else the host's. */
static __always_inline struct watched *cgroup__account(struct watched *found, __u64 id)
{
    struct watched *owner = watch__owner(found, id);
    return owner ? owner : watch__host();
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
    __u64 id = cgroup->kn->id;
    struct cgtrail_cgroup_mkdir *e;
    struct scratch *scratch;
    struct watched *account;
    __u32 watch;
    long length;

    if (cgroup->root->hierarchy_id != 0) /* cgroup v1 */
        return 0;
    watch = cgroup__watch(cgroup, id);
    if (!watch && !settings.capture_host)
        return 0;
    scratch = record__scratch();
    account = cgroup__account(watch__find(cgroup), id);
    if (!scratch || !account)
        return 0;
    e = &scratch->record.cgroup_mkdir;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_CGROUP_MKDIR, sizeof(*e), id);
    e->cgroup_mkdir.parent_id = BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
    e->cgroup_mkdir.level = cgroup->level;
    e->cgroup_mkdir.watch = watch;
    e->cgroup_mkdir.mkdir_spare = 0;
    length = bpf_probe_read_kernel_str(e->tail, PATH_BYTES, path);
    e->cgroup_mkdir.path_size = length > 0 ? length - 1 : 0;
    e->header.length += e->cgroup_mkdir.path_size;
    record__submit(&e->header, account);
    return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
    __u64 id = cgroup->kn->id;
    struct watched *own, *found, *account;
    struct cgtrail_cgroup_rmdir *e;
    struct scratch *scratch;

    if (cgroup->root->hierarchy_id != 0)
        return 0;
    own = bpf_map_lookup_elem(&watched, &id);
    found = own ? own : watch__find(cgroup);
    if (!found && !settings.capture_host)
        return 0;
    scratch = record__scratch();
    account = cgroup__account(found, id);
    if (scratch && account) {
        e = &scratch->record.cgroup_rmdir;
        header__fill(&e->header, CGTRAIL_RECORD_TYPE_CGROUP_RMDIR, sizeof(*e), id);
        record__submit(&e->header, account); /* while the entry still counts */
    }
    if (own)
        place__remove(id);
    else if (found && account)
        place__forget(account);
    return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_attach, struct cgroup *cgroup, const char *path, struct task_struct *task)
{
    struct watched *found, *account;
    struct cgtrail_cgroup_attach *e;
    struct scratch *scratch;

    if (cgroup->root->hierarchy_id != 0)
        return 0;
    found = watch__find(cgroup);
    if (!found && !settings.capture_host)
        return 0;
    scratch = record__scratch();
    account = cgroup__account(found, cgroup->kn->id);
    if (!scratch || !account)
        return 0;
    e = &scratch->record.cgroup_attach;
    header__fill(&e->header, CGTRAIL_RECORD_TYPE_CGROUP_ATTACH, sizeof(*e), cgroup->kn->id);
    task__fill(&e->header, &e->task, task);
    record__submit(&e->header, account);
    return 0;
}
