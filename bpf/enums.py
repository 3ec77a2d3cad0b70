"""The numbers and flags that records, kernel programs and user space tell each other."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class ImageFlag(IntFlag):
    """What `Image.flags` can say."""

    MEMFD = 1
    """The file has no name in any file system: memfd_create(2) or an unlinked tmpfs file of the kernel's own mount."""
    DELETED = 2
    """The file had been unlinked when it was started."""
    CWD_CUT = 4
    """The working directory has more than 128 levels or 4,095 bytes; its first part is missing."""
    CWD_OUTSIDE = 8
    """The working directory lies outside the process's root directory; the path is from its mount's root."""
    CWD_DELETED = 16
    """The working directory had been removed."""
    ARGS_UNREADABLE = 32
    """The arguments' memory could not be read."""
    FORKED = 64
    """It was forked and has not started a program since; told only of processes found running."""


class Watch(IntEnum):
    """Why a cgroup's events are recorded (`CgroupMkdir.watch`, and the value of the kernel's map)."""

    NONE = 0
    CONTAINER = 1
    """Its name is a container's, or it lies below a watched cgroup."""
    PROVISIONAL = 2
    """Its name says nothing; user space decides."""
    REFUSED = 3
    """It would be one of the above, but there was no room: nothing is recorded until user space watches it."""


class Policy(IntFlag):
    """What is recorded of a container: the sum of what its tenants ask for (`ContainerInfo.policy`)."""

    EXEC = 1
    """Programs and processes: exec, failed exec, fork, end, logins; who enters a container is always recorded."""
    TERMINAL = 2
    """Terminal sessions: what is typed, and who does it."""
    OUTPUT = 4
    """What terminals show."""


EVERYTHING = Policy.EXEC | Policy.TERMINAL | Policy.OUTPUT


class ExitFlag(IntFlag):
    """What `Exit.flags` can say."""

    OOM = 1
    """It was killed because memory ran out (the kernel chose it as the victim)."""


class Counter(IntEnum):
    """What the kernel's map `counters` holds, by index."""

    CROWDED = 0
    """Cgroups of containers that have no entry of their own now; unless it is 0, ancestors are asked."""
    ENTRIES = 1
    """Watched cgroups that have an entry now; the host's is not counted."""
    UNWATCHED = 2
    """Topmost cgroups that found no room, ever."""


class TerminalFlag(IntFlag):
    """What `Terminal.terminal_flags` can say."""

    FOUND = 1
    """Its opening was not seen: `generation` is when it was seen first."""
    SECRET = 2
    """What was consumed had been typed, or was read, while ICANON was set and ECHO was not: its content stays there."""
    LINE = 4
    """No pseudo-terminal but a serial line or console: what is written to it is what it shows."""
    UNREADABLE = 8
    """The memory that the content lies in could not be read, or is not known (sendfile, splice, 32-bit readv)."""


class Change(IntEnum):
    """What `TtyChange.change` can say; the block has what holds afterwards."""

    TERMIOS = 1
    """Its settings were set, perhaps to what they were."""
    WINDOW = 2
    """Its size was set."""
    CONTROL = 3
    """It became the controlling terminal of the acting process's session."""
    INJECTED = 4
    """A process pushed a byte into its input (TIOCSTI)."""
    HANGUP = 5
    """Whoever shows it was told that nobody has it open any more, and that all was read (EIO)."""


class Control(IntEnum):
    """What user space can ask of `bpf/control.bpf.c`."""

    WATCH = 1
    """Watch a cgroup, or settle what a provisional one is."""
    UNWATCH = 2
    SET_POLICY = 3
    """Of an owner and so of its whole container."""


class Narrow(IntEnum):
    """How much is left out because the spool is nearly full; each level leaves out what those before it do."""

    NONE = 0
    OUTPUT = 1
    """What terminals show is counted, not recorded; what is typed is."""
    ARGUMENTS = 2
    """Arguments are cut to 4,096 bytes."""
    FORKS = 3
    """Forks are counted as lost, not recorded."""


class Cause(IntEnum):
    """Why records were lost. The kernel counts some by owner and type; the rest only user space can know."""

    RING_FULL = 1
    """The ring had no room: the agent was slower than what happened."""
    NARROWED = 2
    """The spool was nearly full: such records were left out."""
    RECURSION = 3
    """A program could not run because one was running on that processor already; whose records, is not known."""
    SPOOL_FULL = 4
    """The spool was full."""
    DISK = 5
    """The disk refused the spool's frames."""
    OVER_BUDGET = 6
    """Ring or spool were filling up, and this container held as much of the room as was left for all others."""
    UNWATCHED = 7
    """The kernel's map of cgroups had no room for this container: nothing of it is recorded until it has."""
