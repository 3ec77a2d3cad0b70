/* Fills the image block and its tail: working directory, executable, path and arguments. */
#ifndef CGTRAIL_IMAGE_H
#define CGTRAIL_IMAGE_H

#include "task.h"

#define MAX_COMPONENTS 128 /* of a path */
/* Arguments that an owner may always have recorded; of longer ones it has so much at once, and so much a second. They
 * are cheap to make, and dear to whoever stores and searches them for everybody. */
#define SHORT_ARGS_BYTES 4096
#define LONG_ARGS_BURST (8 << 20)
#define LONG_ARGS_RATE(nanoseconds) ((nanoseconds) >> 11) /* 477 KiB a second */

/* Begins a record with header, task and image; tgid, cgroup and uid are the task's. */
static __always_inline struct cgtrail_exec *image__begin(struct scratch *scratch, __u16 type, struct task_struct *task)
{
    struct cgtrail_exec *e = &scratch->record.exec;
    const struct cred *cred = task->real_cred;

    header__fill(&e->header, type, sizeof(*e), task->cgroups->dfl_cgrp->kn->id);
    task__fill(&e->header, &e->task, task);
    __builtin_memset(&e->image, 0, sizeof(e->image));
    bpf_probe_read_kernel(&e->image.permitted, sizeof(e->image.permitted), &cred->cap_permitted);
    return e;
}

/* A memfd's file has a name in no directory (mm/shmem.c, MFD_NAME_PREFIX of mm/memfd.c). */
static __always_inline bool dentry__is_memfd(struct dentry *dentry)
{
    const char prefix[] = "memfd:";
    char name[sizeof(prefix) - 1] = {};

    if (BPF_CORE_READ(dentry, d_parent) != dentry)
        return false;
    bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
    for (__u32 i = 0; i < sizeof(name); i++)
        if (name[i] != prefix[i])
            return false;
    return true;
}

static __always_inline struct mount *mount__of(struct vfsmount *mnt)
{
    struct mount *zero = 0;
    return (void *)mnt - (unsigned long)__builtin_preserve_access_index(&zero->mnt);
}

/* Writes the path of `start` as seen from `root`, towards the start of scratch->path; scratch->at is where it begins,
 * PATH_BYTES being its end. After d_path (fs/d_path.c), without its locks: a rename meanwhile can show either name.
 * The position lives in the map because the verifier forgets what it knows of memory: with a register it would tell
 * every number of components apart, and give up. */
static __noinline __u32 path__walk(struct scratch *scratch, struct path *start, struct path *root)
{
    struct vfsmount *mnt = BPF_CORE_READ(start, mnt), *root_mnt = BPF_CORE_READ(root, mnt);
    struct dentry *dentry = BPF_CORE_READ(start, dentry), *root_dentry = BPF_CORE_READ(root, dentry);
    struct dentry *mnt_root = BPF_CORE_READ(mnt, mnt_root);
    struct mount *mount = mount__of(mnt);

    scratch->at = PATH_BYTES;
    for (int i = 0; i < MAX_COMPONENTS; i++) {
        struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
        __u32 length, at = scratch->at;
        struct qstr name;

        if (dentry == root_dentry && mnt == root_mnt)
            return 0;
        if (dentry == mnt_root) {
            struct mount *above = BPF_CORE_READ(mount, mnt_parent);
            if (above == mount)
                return CGTRAIL_IMAGE_FLAG_CWD_OUTSIDE;
            dentry = BPF_CORE_READ(mount, mnt_mountpoint);
            mount = above;
            mnt = __builtin_preserve_access_index(&above->mnt);
            mnt_root = BPF_CORE_READ(mnt, mnt_root);
            continue;
        }
        bpf_probe_read_kernel(&name, sizeof(name), &dentry->d_name);
        length = name.len;
        asm volatile("" : "+r"(length)); /* keep the mask for the verifier */
        length &= 255;
        if (at < length + 1)
            return CGTRAIL_IMAGE_FLAG_CWD_CUT;
        at -= length;
        bpf_probe_read_kernel(&scratch->path[at & (PATH_BYTES - 1)], length, name.name);
        at -= 1;
        scratch->path[at & (PATH_BYTES - 1)] = '/';
        scratch->at = at;
        if (parent == dentry)
            return CGTRAIL_IMAGE_FLAG_CWD_OUTSIDE;
        dentry = parent;
    }
    return CGTRAIL_IMAGE_FLAG_CWD_CUT;
}

/* Copies what path__walk wrote; returns its length. The root directory itself is "/". */
static __always_inline __u32 path__copy(void *to, struct scratch *scratch)
{
    __u32 at = scratch->at, length = PATH_BYTES - at;

    if (length == 0) {
        at = PATH_BYTES - 1;
        length = 1;
        scratch->path[at] = '/';
    }
    length &= PATH_BYTES - 1;
    bpf_probe_read_kernel(to, length, &scratch->path[at & (PATH_BYTES - 1)]);
    return length;
}

/* Appends it. */
static __always_inline __u32 image__path(struct cgtrail_exec *e, struct scratch *scratch)
{
    __u32 length = path__copy((void *)e + (e->header.length & (FIXED_BYTES - 1)), scratch);

    e->header.length += length;
    return length;
}

/* As path__walk, of the working directory; returns all that is to be known of it. */
static __always_inline __u32 cwd__walk(struct scratch *scratch, struct fs_struct *fs)
{
    struct dentry *dentry = BPF_CORE_READ(fs, pwd.dentry);
    __u32 flags = path__walk(scratch, &fs->pwd, &fs->root);

    if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
        flags |= CGTRAIL_IMAGE_FLAG_CWD_DELETED;
    return flags;
}

static __always_inline void image__cwd(struct cgtrail_exec *e, struct scratch *scratch, struct task_struct *task)
{
    struct fs_struct *fs = task->fs;

    if (!fs)
        return; /* the process is ending */
    e->image.flags |= cwd__walk(scratch, fs);
    e->image.cwd_size = image__path(e, scratch);
}

static __always_inline void image__exe(struct cgtrail_exec *e, struct scratch *scratch, struct task_struct *task,
                                       struct file *file)
{
    struct fs_struct *fs = task->fs;
    struct inode *inode;

    if (!fs || !file)
        return;
    inode = BPF_CORE_READ(file, f_inode);
    e->image.exe_inode = BPF_CORE_READ(inode, i_ino);
    e->image.exe_device = BPF_CORE_READ(inode, i_sb, s_dev);
    path__walk(scratch, &file->f_path, &fs->root);
    e->image.exe_size = image__path(e, scratch);
    if (dentry__is_memfd(BPF_CORE_READ(file, f_path.dentry)))
        e->image.flags |= CGTRAIL_IMAGE_FLAG_MEMFD;
    else if (!BPF_CORE_READ(inode, i_nlink))
        e->image.flags |= CGTRAIL_IMAGE_FLAG_DELETED;
}

/* Appends a NUL-terminated string, of the kernel (`user` false) or of the current process. */
static __always_inline void image__filename(struct cgtrail_exec *e, const char *text, bool user)
{
    void *to = (void *)e + (e->header.length & (FIXED_BYTES - 1));
    long length =
        user ? bpf_probe_read_user_str(to, PATH_BYTES, text) : bpf_probe_read_kernel_str(to, PATH_BYTES, text);

    if (length <= 0)
        return;
    e->image.filename_size = length - 1;
    e->header.length += length - 1;
}

/* Whether an owner may have so many bytes of long arguments now; if so, they are counted. */
static __always_inline bool owner__may_long(struct watched *owner, __u32 bytes)
{
    __u64 now = bpf_ktime_get_boot_ns(), past;

    past = LONG_ARGS_RATE(now - owner->long_at);
    owner->long_bytes = past < owner->long_bytes ? owner->long_bytes - past : 0;
    owner->long_at = now;
    if (owner->long_bytes + bytes > LONG_ARGS_BURST)
        return false;
    __sync_fetch_and_add(&owner->long_bytes, bytes);
    return true;
}

/* How many of so many bytes of an owner's arguments are recorded. */
static __always_inline __u32 args__length(struct watched *owner, unsigned long bytes)
{
    __u32 length = bytes < ARGS_BYTES ? bytes : ARGS_BYTES - 1;

    if (length <= SHORT_ARGS_BYTES)
        return length;
    if (narrow__level() >= CGTRAIL_NARROW_ARGUMENTS || !owner__may_long(owner, length - SHORT_ARGS_BYTES))
        return SHORT_ARGS_BYTES;
    return length;
}

#endif
