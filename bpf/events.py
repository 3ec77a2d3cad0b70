"""The kernel's events, each declared once.

From this file come `bpf/events.h`, the decoder, the documents' field names and types, and `docs/events.md`.
A new event is a class here, a `bpf/<family>.bpf.c`, and a kernel test. Records that only user space can know are
declared in `shipper/wire/records.py`, with numbers from 256.
"""

from __future__ import annotations

from bpf.schema import (
    S32,
    U16,
    U32,
    U64,
    Args,
    BootNs,
    Capabilities,
    Device,
    Id32,
    Name,
    Namespace,
    Record,
    Text,
    field,
    record,
)


@record()
class Header(Record):
    """What every record starts with."""

    type: U16 = field(None, "the record's number")
    fixed: U16 = field(None, "bytes before the tail")
    length: U32 = field(None, "bytes of the whole record")
    time: BootNs = field("@timestamp", "when it happened")
    cgroup_id: U64 = field(
        "cgtrail.cgroup.id", "the acting process's own cgroup in the cgroup2 hierarchy (kernfs node id)"
    )
    owner: U64 = field(None, "the container's topmost cgroup, whose counters its other cgroups share; 0: the host")
    cpu: U32 = field(None, "the processor it was written on")
    tgid: U32 = field("process.pid", "process id as the host sees it")
    uid: Id32 = field("user.id", "effective user id as the container sees it, mapped through its user namespace")
    sequence: U32 = field(
        None,
        "how many records of this owner the kernel had made by then, this one included, modulo 2^32; 0: not counted",
    )


@record()
class Task(Header):
    """The process that acted, or that an event is about."""

    start: BootNs = field("process.start", "when the process was made")
    parent_start: BootNs = field("process.parent.start", "when its parent was made")
    capabilities: Capabilities = field("process.thread.capabilities.effective", "effective capabilities")
    ppid: U32 = field("process.parent.pid", "the parent's process id")
    pgid: U32 = field("process.group_leader.pid", "the process group")
    sid: U32 = field("process.session_leader.pid", "the session")
    vpid: U32 = field("process.vpid", "process id in the process's own pid namespace")
    gid: Id32 = field("process.group.id", "effective group id as the container sees it")
    real_uid: Id32 = field("process.real_user.id", "real user id as the container sees it")
    saved_uid: Id32 = field("process.saved_user.id", "saved user id as the container sees it")
    host_uid: Id32 = field("cgtrail.host_user.id", "effective user id as the host sees it")
    login_uid: Id32 = field("cgtrail.login_user.id", "audit login uid: who logged in on the host")
    audit_session: Id32 = field("cgtrail.audit_session.id", "audit session id")
    tty: Device = field("process.tty.char_device", "controlling terminal")
    mount_ns: Namespace = field("cgtrail.namespace.mount", "inode of the mount namespace")
    pid_ns: Namespace = field("cgtrail.namespace.pid", "inode of the pid namespace")
    user_ns: Namespace = field("cgtrail.namespace.user", "inode of the user namespace")
    comm: Name = field("cgtrail.process.comm", "the kernel's name of the process, which it can change", default=b"")
    parent_comm: Name = field("cgtrail.process.parent_comm", "the kernel's name of the parent", default=b"")


@record()
class Image(Task):
    """A process and the program it runs, was to run, or was found running."""

    exe_inode: U64 = field("cgtrail.exec.inode", "inode of the executable, the interpreter's for a #! script")
    exe_device: Device = field("cgtrail.exec.device", "file system of the executable")
    flags: U32 = field(None, "ImageFlag")
    args_bytes: U32 = field(
        "cgtrail.args.bytes",
        "length of the arguments in memory, NULs included; of a failed exec whose arguments were cut, at least",
    )
    error: S32 = field(None, "0, or the negative errno of a failed exec")
    cwd: Text = field("process.working_directory", "working directory, seen from the process's root", default=b"")
    exe: Text = field("process.executable", "path of the executable, seen from the process's root", default=b"")
    filename: Text = field("cgtrail.exec.filename", "the path given to execve, a script's own for #!", default=b"")
    args: Args = field("process.args", "arguments, at most 65,535 bytes of them", default=b"")
    permitted: Capabilities = field(
        "process.thread.capabilities.permitted", "permitted capabilities, where it has some"
    )


@record(number=1, action="exec", family="exec")
class Exec(Image):
    """A process started a program (execve succeeded)."""


@record(number=2, action="exec", family="exec_failed")
class ExecFailed(Image):
    """A process tried to start a program and could not (execve failed)."""


@record(number=3, action="fork", family="fork")
class Fork(Task):
    """A process was made; the task is the child. Threads are not recorded."""


@record(number=4, action="end", family="exit")
class Exit(Task):
    """A process ended: its last thread is gone."""

    status: U32 = field(None, "wait status as of wait(2): exit code << 8 | signal")
    exit_flags: U32 = field(None, "ExitFlag")


@record(number=5, family="cgroup")
class CgroupMkdir(Header):
    """A cgroup was made in the cgroup2 hierarchy; the header names the new cgroup and who made it."""

    parent_id: U64 = field(None, "the parent cgroup")
    level: U32 = field(None, "depth below the root, which is 0")
    watch: U32 = field(None, "Watch")
    mkdir_spare: U32 = field(None, "zero")
    path: Text = field(None, "path below the root of the hierarchy", default=b"")


@record(number=6, family="cgroup")
class CgroupRmdir(Header):
    """A cgroup was removed; the header names it and who removed it."""


@record(number=7, action="attach", family="cgroup")
class CgroupAttach(Task):
    """A process was moved into a watched cgroup: how containers are entered. The task is the one moved."""


@record(number=8, family="snapshot")
class Running(Image):
    """A process that ran when the agent asked: sent by a task iterator, not by something that happened."""


@record(number=9, family="ssh_login")
class SshLogin(Task):
    """A process started a program as the child of an SSH server: a login, or a command over SSH.

    The connection is what its environment claims, which whoever runs the server in a container can set.
    """

    ssh_spare: U32 = field(None, "zero")
    connection: Text = field(
        None, "SSH_CONNECTION of its environment (ssh(1)): client address, client port, server address, server port"
    )


@record()
class Terminal(Header):
    """A terminal after a process acted on it. The header says who acted.

    Of what passes through the process that shows the terminal (TtyOutput, HANGUP), which is mostly the host's, the
    header has the terminal's cgroup instead. A terminal is (device, index, generation); its flags are termios(3)'s.
    """

    start: BootNs = field(None, "when the acting process was made")
    generation: BootNs = field(None, "when this life of the terminal began: its master was opened")
    home: U64 = field(None, "cgroup of its session leader; where there never was one, of who opened it")
    shown: U64 = field(None, "bytes that it had shown in this life before")
    consumed: U64 = field(None, "bytes that had been read from it in this life before")
    typed: U64 = field(None, "bytes written to its master in this life so far")
    device: Device = field(None, "the devpts instance that it is in; 0: it is no pseudo-terminal")
    index: U32 = field(None, "its number there, 0 is one; of a line its device number as dev_t")
    leader: U32 = field(None, "its session, 0 if it has none: the session leader's process id")
    foreground: U32 = field(None, "its foreground process group")
    opener: U32 = field(None, "process id of who opened its master, 0 if that was not seen")
    lflag: U32 = field(None, "c_lflag: ICANON 2, ECHO 8")
    oflag: U32 = field(None, "c_oflag: OPOST 1, ONLCR 4")
    rows: U16 = field(None, "height of its window, 0 if it was not set")
    columns: U16 = field(None, "width of its window")
    terminal_flags: U32 = field(None, "TerminalFlag")
    unwritten: U32 = field(None, "how many TtyWrite there were too many of in this life, and so were left out")


@record(number=10, family="terminal")
class TtyOutput(Terminal):
    """Bytes were read from a terminal's master: what it shows, echo included.

    Those of `shown` that no record holds were skipped: bulk output is bounded.
    """

    drained: U64 = field(None, "bytes ever read from the master by the kernel's own count (n_tty_data.read_tail)")
    size: U32 = field(None, "how many bytes there were")
    writer: U32 = field(None, "the first process that wrote since the last TtyOutput, 0 if none did: it is echo")
    last_writer: U32 = field(None, "the last one that did")
    writers: U32 = field(None, "how often the writer changed, the first one counted")
    output_spare: U32 = field(None, "zero")
    content: Text = field(None, "the last of these bytes", default=b"")


@record(number=11, family="terminal")
class TtyInput(Terminal):
    """A process consumed what was typed: it read from the terminal."""

    size: U32 = field(None, "how many bytes it got")
    content: Text = field(None, "the last of these bytes; none of a SECRET", default=b"")
    cwd: Text = field(
        None,
        "where a line ends in what it got: its working directory, seen from its root; else nothing",
        default=b"",
    )
    cwd_flags: U32 = field(None, "ImageFlag: what is to be known of the working directory")


@record(number=12, family="terminal")
class TtyWrite(Terminal):
    """A process wrote what belongs to a line being edited: in raw mode, or in canonical mode without a newline last."""

    size: U32 = field(None, "how many bytes it wrote")
    at: U32 = field(None, "where among them the content begins")
    write_spare: U32 = field(None, "zero")
    content: Text = field(None, "in raw mode the first of these bytes, else the last", default=b"")


@record(number=13, family="terminal")
class TtyChange(Terminal):
    """Something about a terminal was changed."""

    change: U32 = field(None, "Change")
    change_spare: U32 = field(None, "zero")


@record(number=14, family="terminal_signal")
class TtySignal(Terminal):
    """The terminal sent a process a signal: a key as ctrl-c, or a hang-up. The header has who gets it."""

    signal: U32 = field(None, "its number (signal(7))")
    signal_spare: U32 = field(None, "zero")


@record(number=15, family="terminal_snapshot")
class TtyOpen(Terminal):
    """A terminal that was open when the agent asked; the header has a process that holds it open."""


@record(number=16, family="terminal_uring")
class TtyUring(Terminal):
    """A process asked io_uring or io_submit(2) to act on a terminal: what is moved that way may be recorded nowhere."""

    opcode: U32 = field(None, "what it asked for (enum io_uring_op; of io_submit IOCB_CMD and 256)")
    uring_spare: U32 = field(None, "zero")
