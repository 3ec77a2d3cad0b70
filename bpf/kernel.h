/* The few kernel types that the programs read, by name: CO-RE finds each field in the running kernel's BTF, so no
 * vmlinux.h is needed and one build serves every kernel. Only the fields named here are used. */
#ifndef CGTRAIL_KERNEL_H
#define CGTRAIL_KERNEL_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#ifndef __TARGET_ARCH_x86
#error "only x86-64 is supported: exec_failed.bpf.c reads system call arguments from its registers"
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
    int counter;
} atomic_t;

typedef struct {
    unsigned int val;
} kuid_t;

typedef struct {
    unsigned int val;
} kgid_t;

struct kernel_capabilities {
    __u64 val;
};

struct ns_common {
    unsigned int inum;
};

struct uid_gid_extent {
    __u32 first;
    __u32 lower_first;
    __u32 count;
};

struct uid_gid_map {
    __u32 nr_extents;
    struct uid_gid_extent extent[5];
    struct uid_gid_extent *forward;
};

struct user_namespace {
    struct uid_gid_map uid_map;
    struct uid_gid_map gid_map;
    struct ns_common ns;
};

struct cred {
    kuid_t uid;
    kuid_t suid;
    kuid_t euid;
    kgid_t egid;
    struct kernel_capabilities cap_permitted;
    struct kernel_capabilities cap_effective;
    struct user_namespace *user_ns;
};

struct pid_namespace {
    struct ns_common ns;
};

struct mnt_namespace {
    struct ns_common ns;
};

struct nsproxy {
    struct mnt_namespace *mnt_ns;
};

struct upid {
    int nr;
    struct pid_namespace *ns;
};

struct hlist_node {
    struct hlist_node *next;
};

struct hlist_head {
    struct hlist_node *first;
};

struct pid {
    unsigned int level;
    struct hlist_head tasks[4];
    struct upid numbers[1];
};

struct tty_driver {
    int major;
    int minor_start;
};

struct ktermios {
    unsigned int c_oflag;
    unsigned int c_lflag;
};

struct winsize {
    unsigned short ws_row;
    unsigned short ws_col;
};

struct tty_struct {
    struct tty_driver *driver;
    int index;
    struct ktermios termios;
    struct winsize winsize;
    struct {
        struct pid *pgrp;
        struct pid *session;
        bool packet;
    } ctrl;
    struct tty_struct *link; /* the other end of a pseudo-terminal */
    void *disc_data;         /* struct n_tty_data */
    void *driver_data;       /* of a pseudo-terminal's slave: its dentry */
    struct tty_port *port;
};

struct tty_buffer {
    struct tty_buffer *next;
    unsigned int commit;
    unsigned int read;
};

struct tty_bufhead {
    struct tty_buffer *head;
};

struct tty_port { /* on its way to the terminal */
    struct tty_bufhead buf;
};

struct n_tty_data { /* counts that only rise, until input is flushed */
    unsigned long read_head;
    unsigned long read_tail;
};

struct tty_file_private {
    struct tty_struct *tty;
};

enum { PIDTYPE_TGID = 1, PIDTYPE_PGID = 2, PIDTYPE_SID = 3 };

struct signal_struct {
    atomic_t live;
    int group_exit_code;
    unsigned int flags;
    struct pid *pids[4];
    struct tty_struct *tty;
    struct mm_struct *oom_mm;
};

struct qstr {
    __u32 hash;
    __u32 len;
    const unsigned char *name;
};

struct hlist_bl_node {
    struct hlist_bl_node **pprev;
};

struct super_block {
    __u32 s_dev;
};

struct inode {
    unsigned int i_nlink;
    unsigned short i_mode;
    unsigned int i_rdev;
    unsigned long i_ino;
    struct super_block *i_sb;
};

struct dentry {
    struct hlist_bl_node d_hash;
    struct dentry *d_parent;
    struct qstr d_name;
    struct super_block *d_sb;
    void *d_fsdata; /* in devpts: the tty_struct that it names */
};

struct vfsmount {
    struct dentry *mnt_root;
};

struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
};

struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};

struct file {
    struct path f_path;
    struct inode *f_inode;
    void *private_data;
};

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
};

struct files_struct {
    struct fdtable *fdt;
};

struct fs_struct {
    struct path root;
    struct path pwd;
};

struct mm_struct {
    unsigned long arg_start;
    unsigned long arg_end;
    unsigned long env_start;
    unsigned long env_end;
    struct file *exe_file;
};

struct kernfs_node {
    __u64 id;
    const char *name;
};

struct cgroup;

struct cgroup_subsys_state {
    struct cgroup *cgroup;
    struct cgroup_subsys_state *parent;
};

struct cgroup_root {
    int hierarchy_id;
};

struct cgroup {
    struct cgroup_subsys_state self;
    int level;
    struct kernfs_node *kn;
    struct cgroup_root *root;
    struct cgroup *ancestors[1]; /* by level, the cgroup itself the last */
};

struct css_set {
    struct cgroup *dfl_cgrp;
};

struct thread_info {
    __u32 status;
};

struct task_struct {
    struct thread_info thread_info;
    unsigned int flags;
    int exit_code;
    int pid;
    int tgid;
    struct task_struct *real_parent;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    struct hlist_node pid_links[4];
    __u64 start_boottime;
    const struct cred *real_cred;
    const struct cred *cred;
    char comm[16];
    struct fs_struct *fs;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct signal_struct *signal;
    struct mm_struct *mm;
    kuid_t loginuid;
    unsigned int sessionid;
    struct css_set *cgroups;
};

struct linux_binprm {
    struct file *file;
    const char *filename;
    const char *fdpath;
};

struct pt_regs {
    unsigned long bx;
    unsigned long r10;
    unsigned long cx;
    unsigned long dx;
    unsigned long si;
    unsigned long di;
    unsigned long orig_ax;
};

struct bpf_iter_meta {
    __u64 session_id;
};

struct bpf_iter__task {
    struct task_struct *task;
};

struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    struct file *file;
};

struct io_cqe {
    int fd;
};

struct io_rsrc_node {
    unsigned long file_ptr; /* its lowest bits are flags */
};

struct io_rsrc_data {
    unsigned int nr;
    struct io_rsrc_node **nodes;
};

struct io_file_table { /* since 6.13 */
    struct io_rsrc_data data;
};

struct io_ring_ctx {
    struct io_file_table file_table;
};

struct io_fixed_file {
    unsigned long file_ptr;
};

struct io_file_table___before {
    struct io_fixed_file *files;
};

struct io_ring_ctx___before {
    struct io_file_table___before file_table;
    unsigned int nr_user_files;
};

struct io_kiocb {
    __u8 opcode;
    unsigned int flags;
    struct io_cqe cqe;
    struct io_ring_ctx *ctx;
};

#pragma clang attribute pop

#endif
