/* Generated from bpf/events.py, by python -m bpf.generate. */
#ifndef CGTRAIL_EVENTS_H
#define CGTRAIL_EVENTS_H

#include <linux/types.h>

enum cgtrail_record_type {
    CGTRAIL_RECORD_TYPE_EXEC = 1,
    CGTRAIL_RECORD_TYPE_EXEC_FAILED = 2,
    CGTRAIL_RECORD_TYPE_FORK = 3,
    CGTRAIL_RECORD_TYPE_EXIT = 4,
    CGTRAIL_RECORD_TYPE_CGROUP_MKDIR = 5,
    CGTRAIL_RECORD_TYPE_CGROUP_RMDIR = 6,
    CGTRAIL_RECORD_TYPE_CGROUP_ATTACH = 7,
    CGTRAIL_RECORD_TYPE_RUNNING = 8,
    CGTRAIL_RECORD_TYPE_SSH_LOGIN = 9,
    CGTRAIL_RECORD_TYPE_TTY_OUTPUT = 10,
    CGTRAIL_RECORD_TYPE_TTY_INPUT = 11,
    CGTRAIL_RECORD_TYPE_TTY_WRITE = 12,
    CGTRAIL_RECORD_TYPE_TTY_CHANGE = 13,
    CGTRAIL_RECORD_TYPE_TTY_SIGNAL = 14,
    CGTRAIL_RECORD_TYPE_TTY_OPEN = 15,
    CGTRAIL_RECORD_TYPE_TTY_URING = 16,
};

enum cgtrail_image_flag {
    CGTRAIL_IMAGE_FLAG_MEMFD = 1,
    CGTRAIL_IMAGE_FLAG_DELETED = 2,
    CGTRAIL_IMAGE_FLAG_CWD_CUT = 4,
    CGTRAIL_IMAGE_FLAG_CWD_OUTSIDE = 8,
    CGTRAIL_IMAGE_FLAG_CWD_DELETED = 16,
    CGTRAIL_IMAGE_FLAG_ARGS_UNREADABLE = 32,
    CGTRAIL_IMAGE_FLAG_FORKED = 64,
};

enum cgtrail_watch {
    CGTRAIL_WATCH_NONE = 0,
    CGTRAIL_WATCH_CONTAINER = 1,
    CGTRAIL_WATCH_PROVISIONAL = 2,
    CGTRAIL_WATCH_REFUSED = 3,
};

enum cgtrail_policy {
    CGTRAIL_POLICY_EXEC = 1,
    CGTRAIL_POLICY_TERMINAL = 2,
    CGTRAIL_POLICY_OUTPUT = 4,
};

enum cgtrail_exit_flag {
    CGTRAIL_EXIT_FLAG_OOM = 1,
};

enum cgtrail_counter {
    CGTRAIL_COUNTER_CROWDED = 0,
    CGTRAIL_COUNTER_ENTRIES = 1,
    CGTRAIL_COUNTER_UNWATCHED = 2,
};

enum cgtrail_terminal_flag {
    CGTRAIL_TERMINAL_FLAG_FOUND = 1,
    CGTRAIL_TERMINAL_FLAG_SECRET = 2,
    CGTRAIL_TERMINAL_FLAG_LINE = 4,
    CGTRAIL_TERMINAL_FLAG_UNREADABLE = 8,
};

enum cgtrail_change {
    CGTRAIL_CHANGE_TERMIOS = 1,
    CGTRAIL_CHANGE_WINDOW = 2,
    CGTRAIL_CHANGE_CONTROL = 3,
    CGTRAIL_CHANGE_INJECTED = 4,
    CGTRAIL_CHANGE_HANGUP = 5,
};

enum cgtrail_control {
    CGTRAIL_CONTROL_WATCH = 1,
    CGTRAIL_CONTROL_UNWATCH = 2,
    CGTRAIL_CONTROL_SET_POLICY = 3,
};

enum cgtrail_narrow {
    CGTRAIL_NARROW_NONE = 0,
    CGTRAIL_NARROW_OUTPUT = 1,
    CGTRAIL_NARROW_ARGUMENTS = 2,
    CGTRAIL_NARROW_FORKS = 3,
};

enum cgtrail_cause {
    CGTRAIL_CAUSE_RING_FULL = 1,
    CGTRAIL_CAUSE_NARROWED = 2,
    CGTRAIL_CAUSE_RECURSION = 3,
    CGTRAIL_CAUSE_SPOOL_FULL = 4,
    CGTRAIL_CAUSE_DISK = 5,
    CGTRAIL_CAUSE_OVER_BUDGET = 6,
    CGTRAIL_CAUSE_UNWATCHED = 7,
};

struct cgtrail_header_block {
    __u16 type; /* the record's number */
    __u16 fixed; /* bytes before the tail */
    __u32 length; /* bytes of the whole record */
    __u64 time; /* when it happened */
    __u64 cgroup_id; /* the acting process's own cgroup in the cgroup2 hierarchy (kernfs node id) */
    __u64 owner; /* the container's topmost cgroup, whose counters its other cgroups share; 0: the host */
    __u32 cpu; /* the processor it was written on */
    __u32 tgid; /* process id as the host sees it */
    __u32 uid; /* effective user id as the container sees it, mapped through its user namespace */
    __u32 sequence; /* how many records of this owner the kernel had made by then, this one included, modulo 2^32; 0: not counted */
};
_Static_assert(sizeof(struct cgtrail_header_block) == 48, "struct cgtrail_header_block");

struct cgtrail_task_block {
    __u64 start; /* when the process was made */
    __u64 parent_start; /* when its parent was made */
    __u64 capabilities; /* effective capabilities */
    __u32 ppid; /* the parent's process id */
    __u32 pgid; /* the process group */
    __u32 sid; /* the session */
    __u32 vpid; /* process id in the process's own pid namespace */
    __u32 gid; /* effective group id as the container sees it */
    __u32 real_uid; /* real user id as the container sees it */
    __u32 saved_uid; /* saved user id as the container sees it */
    __u32 host_uid; /* effective user id as the host sees it */
    __u32 login_uid; /* audit login uid: who logged in on the host */
    __u32 audit_session; /* audit session id */
    __u32 tty; /* controlling terminal */
    __u32 mount_ns; /* inode of the mount namespace */
    __u32 pid_ns; /* inode of the pid namespace */
    __u32 user_ns; /* inode of the user namespace */
    char comm[16]; /* the kernel's name of the process, which it can change */
    char parent_comm[16]; /* the kernel's name of the parent */
};
_Static_assert(sizeof(struct cgtrail_task_block) == 112, "struct cgtrail_task_block");

struct cgtrail_image_block {
    __u64 exe_inode; /* inode of the executable, the interpreter's for a #! script */
    __u32 exe_device; /* file system of the executable */
    __u32 flags; /* ImageFlag */
    __u32 args_bytes; /* length of the arguments in memory, NULs included; of a failed exec whose arguments were cut, at least */
    __s32 error; /* 0, or the negative errno of a failed exec */
    __u32 cwd_size; /* working directory, seen from the process's root */
    __u32 exe_size; /* path of the executable, seen from the process's root */
    __u32 filename_size; /* the path given to execve, a script's own for #! */
    __u32 args_size; /* arguments, at most 65,535 bytes of them */
    __u64 permitted; /* permitted capabilities, where it has some */
};
_Static_assert(sizeof(struct cgtrail_image_block) == 48, "struct cgtrail_image_block");

struct cgtrail_exit_block {
    __u32 status; /* wait status as of wait(2): exit code << 8 | signal */
    __u32 exit_flags; /* ExitFlag */
};
_Static_assert(sizeof(struct cgtrail_exit_block) == 8, "struct cgtrail_exit_block");

struct cgtrail_cgroup_mkdir_block {
    __u64 parent_id; /* the parent cgroup */
    __u32 level; /* depth below the root, which is 0 */
    __u32 watch; /* Watch */
    __u32 mkdir_spare; /* zero */
    __u32 path_size; /* path below the root of the hierarchy */
};
_Static_assert(sizeof(struct cgtrail_cgroup_mkdir_block) == 24, "struct cgtrail_cgroup_mkdir_block");

struct cgtrail_ssh_login_block {
    __u32 ssh_spare; /* zero */
    __u32 connection_size; /* SSH_CONNECTION of its environment (ssh(1)): client address, client port, server address, server port */
};
_Static_assert(sizeof(struct cgtrail_ssh_login_block) == 8, "struct cgtrail_ssh_login_block");

struct cgtrail_terminal_block {
    __u64 start; /* when the acting process was made */
    __u64 generation; /* when this life of the terminal began: its master was opened */
    __u64 home; /* cgroup of its session leader; where there never was one, of who opened it */
    __u64 shown; /* bytes that it had shown in this life before */
    __u64 consumed; /* bytes that had been read from it in this life before */
    __u64 typed; /* bytes written to its master in this life so far */
    __u32 device; /* the devpts instance that it is in; 0: it is no pseudo-terminal */
    __u32 index; /* its number there, 0 is one; of a line its device number as dev_t */
    __u32 leader; /* its session, 0 if it has none: the session leader's process id */
    __u32 foreground; /* its foreground process group */
    __u32 opener; /* process id of who opened its master, 0 if that was not seen */
    __u32 lflag; /* c_lflag: ICANON 2, ECHO 8 */
    __u32 oflag; /* c_oflag: OPOST 1, ONLCR 4 */
    __u16 rows; /* height of its window, 0 if it was not set */
    __u16 columns; /* width of its window */
    __u32 terminal_flags; /* TerminalFlag */
    __u32 unwritten; /* how many TtyWrite there were too many of in this life, and so were left out */
};
_Static_assert(sizeof(struct cgtrail_terminal_block) == 88, "struct cgtrail_terminal_block");

struct cgtrail_tty_output_block {
    __u64 drained; /* bytes ever read from the master by the kernel's own count (n_tty_data.read_tail) */
    __u32 size; /* how many bytes there were */
    __u32 writer; /* the first process that wrote since the last TtyOutput, 0 if none did: it is echo */
    __u32 last_writer; /* the last one that did */
    __u32 writers; /* how often the writer changed, the first one counted */
    __u32 output_spare; /* zero */
    __u32 content_size; /* the last of these bytes */
};
_Static_assert(sizeof(struct cgtrail_tty_output_block) == 32, "struct cgtrail_tty_output_block");

struct cgtrail_tty_input_block {
    __u32 size; /* how many bytes it got */
    __u32 content_size; /* the last of these bytes; none of a SECRET */
    __u32 cwd_size; /* where a line ends in what it got: its working directory, seen from its root; else nothing */
    __u32 cwd_flags; /* ImageFlag: what is to be known of the working directory */
};
_Static_assert(sizeof(struct cgtrail_tty_input_block) == 16, "struct cgtrail_tty_input_block");

struct cgtrail_tty_write_block {
    __u32 size; /* how many bytes it wrote */
    __u32 at; /* where among them the content begins */
    __u32 write_spare; /* zero */
    __u32 content_size; /* in raw mode the first of these bytes, else the last */
};
_Static_assert(sizeof(struct cgtrail_tty_write_block) == 16, "struct cgtrail_tty_write_block");

struct cgtrail_tty_change_block {
    __u32 change; /* Change */
    __u32 change_spare; /* zero */
};
_Static_assert(sizeof(struct cgtrail_tty_change_block) == 8, "struct cgtrail_tty_change_block");

struct cgtrail_tty_signal_block {
    __u32 signal; /* its number (signal(7)) */
    __u32 signal_spare; /* zero */
};
_Static_assert(sizeof(struct cgtrail_tty_signal_block) == 8, "struct cgtrail_tty_signal_block");

struct cgtrail_tty_uring_block {
    __u32 opcode; /* what it asked for (enum io_uring_op; of io_submit IOCB_CMD and 256) */
    __u32 uring_spare; /* zero */
};
_Static_assert(sizeof(struct cgtrail_tty_uring_block) == 8, "struct cgtrail_tty_uring_block");

/* A process started a program (execve succeeded). */
struct cgtrail_exec {
    struct cgtrail_header_block header;
    struct cgtrail_task_block task;
    struct cgtrail_image_block image;
    __u8 tail[];
};
_Static_assert(sizeof(struct cgtrail_exec) == 208, "struct cgtrail_exec");

/* A process tried to start a program and could not (execve failed). */
struct cgtrail_exec_failed {
    struct cgtrail_header_block header;
    struct cgtrail_task_block task;
    struct cgtrail_image_block image;
    __u8 tail[];
};
_Static_assert(sizeof(struct cgtrail_exec_failed) == 208, "struct cgtrail_exec_failed");

/* A process was made; the task is the child. Threads are not recorded. */
struct cgtrail_fork {
    struct cgtrail_header_block header;
    struct cgtrail_task_block task;
};
_Static_assert(sizeof(struct cgtrail_fork) == 160, "struct cgtrail_fork");

/* A process ended: its last thread is gone. */
struct cgtrail_exit {
    struct cgtrail_header_block header;
    struct cgtrail_task_block task;
    struct cgtrail_exit_block exit;
};
_Static_assert(sizeof(struct cgtrail_exit) == 168, "struct cgtrail_exit");

/* A cgroup was made in the cgroup2 hierarchy; the header names the new cgroup and who made it. */
struct cgtrail_cgroup_mkdir {
    struct cgtrail_header_block header;
    struct cgtrail_cgroup_mkdir_block cgroup_mkdir;
    __u8 tail[];
};
_Static_assert(sizeof(struct cgtrail_cgroup_mkdir) == 72, "struct cgtrail_cgroup_mkdir");

/* A cgroup was removed; the header names it and who removed it. */
struct cgtrail_cgroup_rmdir {
    struct cgtrail_header_block header;
};
_Static_assert(sizeof(struct cgtrail_cgroup_rmdir) == 48, "struct cgtrail_cgroup_rmdir");

/* A process was moved into a watched cgroup: how containers are entered. The task is the one moved. */
struct cgtrail_cgroup_attach {
    struct cgtrail_header_block header;
    struct cgtrail_task_block task;
};
_Static_assert(sizeof(struct cgtrail_cgroup_attach) == 160, "struct cgtrail_cgroup_attach");

/* A process that ran when the agent asked: sent by a task iterator, not by something that happened. */
struct cgtrail_running {
    struct cgtrail_header_block header;
    struct cgtrail_task_block task;
    struct cgtrail_image_block image;
    __u8 tail[];
};
_Static_assert(sizeof(struct cgtrail_running) == 208, "struct cgtrail_running");

/* A process started a program as the child of an SSH server: a login, or a command over SSH.

    The connection is what its environment claims, which whoever runs the server in a container can set.
     */
struct cgtrail_ssh_login {
    struct cgtrail_header_block header;
    struct cgtrail_task_block task;
    struct cgtrail_ssh_login_block ssh_login;
    __u8 tail[];
};
_Static_assert(sizeof(struct cgtrail_ssh_login) == 168, "struct cgtrail_ssh_login");

/* Bytes were read from a terminal's master: what it shows, echo included.

    Those of `shown` that no record holds were skipped: bulk output is bounded.
     */
struct cgtrail_tty_output {
    struct cgtrail_header_block header;
    struct cgtrail_terminal_block terminal;
    struct cgtrail_tty_output_block tty_output;
    __u8 tail[];
};
_Static_assert(sizeof(struct cgtrail_tty_output) == 168, "struct cgtrail_tty_output");

/* A process consumed what was typed: it read from the terminal. */
struct cgtrail_tty_input {
    struct cgtrail_header_block header;
    struct cgtrail_terminal_block terminal;
    struct cgtrail_tty_input_block tty_input;
    __u8 tail[];
};
_Static_assert(sizeof(struct cgtrail_tty_input) == 152, "struct cgtrail_tty_input");

/* A process wrote what belongs to a line being edited: in raw mode, or in canonical mode without a newline last. */
struct cgtrail_tty_write {
    struct cgtrail_header_block header;
    struct cgtrail_terminal_block terminal;
    struct cgtrail_tty_write_block tty_write;
    __u8 tail[];
};
_Static_assert(sizeof(struct cgtrail_tty_write) == 152, "struct cgtrail_tty_write");

/* Something about a terminal was changed. */
struct cgtrail_tty_change {
    struct cgtrail_header_block header;
    struct cgtrail_terminal_block terminal;
    struct cgtrail_tty_change_block tty_change;
};
_Static_assert(sizeof(struct cgtrail_tty_change) == 144, "struct cgtrail_tty_change");

/* The terminal sent a process a signal: a key as ctrl-c, or a hang-up. The header has who gets it. */
struct cgtrail_tty_signal {
    struct cgtrail_header_block header;
    struct cgtrail_terminal_block terminal;
    struct cgtrail_tty_signal_block tty_signal;
};
_Static_assert(sizeof(struct cgtrail_tty_signal) == 144, "struct cgtrail_tty_signal");

/* A terminal that was open when the agent asked; the header has a process that holds it open. */
struct cgtrail_tty_open {
    struct cgtrail_header_block header;
    struct cgtrail_terminal_block terminal;
};
_Static_assert(sizeof(struct cgtrail_tty_open) == 136, "struct cgtrail_tty_open");

/* A process asked io_uring or io_submit(2) to act on a terminal: what is moved that way may be recorded nowhere. */
struct cgtrail_tty_uring {
    struct cgtrail_header_block header;
    struct cgtrail_terminal_block terminal;
    struct cgtrail_tty_uring_block tty_uring;
};
_Static_assert(sizeof(struct cgtrail_tty_uring) == 144, "struct cgtrail_tty_uring");

/* Any of them. */
union cgtrail_record {
    struct cgtrail_exec exec;
    struct cgtrail_exec_failed exec_failed;
    struct cgtrail_fork fork;
    struct cgtrail_exit exit;
    struct cgtrail_cgroup_mkdir cgroup_mkdir;
    struct cgtrail_cgroup_rmdir cgroup_rmdir;
    struct cgtrail_cgroup_attach cgroup_attach;
    struct cgtrail_running running;
    struct cgtrail_ssh_login ssh_login;
    struct cgtrail_tty_output tty_output;
    struct cgtrail_tty_input tty_input;
    struct cgtrail_tty_write tty_write;
    struct cgtrail_tty_change tty_change;
    struct cgtrail_tty_signal tty_signal;
    struct cgtrail_tty_open tty_open;
    struct cgtrail_tty_uring tty_uring;
};

#endif
