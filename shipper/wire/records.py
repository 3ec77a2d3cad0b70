"""The records that only the host's user space can know. They stand in the same stream as the kernel's (numbers < 256).

The header's `time` is always boot time in nanoseconds; `cgroup_id` is the cgroup a record is about, or 0.
"""

from __future__ import annotations

from enum import IntEnum

from bpf.events import Header
from bpf.schema import U32, U64, Args, BootNs, Text, field, record

FIRST = 256
"""The first number that is not the kernel's."""


class Kind(IntEnum):
    """What a cgroup is (`CgroupInfo.kind`)."""

    HOST = 0
    """Part of the host: a service, a user session, the root."""
    CONTAINER = 1


class State(IntEnum):
    """How much of a container is known (`CgroupInfo.state`)."""

    PENDING = 0
    """Its id is known, and a runtime is expected to tell its name, image and labels."""
    COMPLETE = 1
    """All that the runtime tells, or all there is."""


class End(IntEnum):
    """How the recording before this one ended (`AgentStart.end`)."""

    NONE = 0
    """There was none."""
    STOPPED = 1
    """The agent was stopped."""
    KILLED = 2
    """The agent or its host was killed, or lost power."""


@record(number=256)
class AgentStart(Header):
    """An agent began to write to this stream, inside its first keyframe."""

    blind_since: U64 = field(None, "nanoseconds since 1970: nothing is recorded from then to the header's time")
    agent_pid: U32 = field(None, "the agent's process id")
    end: U32 = field(None, "End")


@record(number=257)
class CgroupInfo(Header):
    """What the host's registry knows of one cgroup from here on in the stream; a later one replaces it."""

    started: BootNs = field(None, "when the cgroup was made; 0 when it was found")
    told: BootNs = field(None, "when the registry first told of it")
    kind: U32 = field(None, "Kind")
    state: U32 = field(None, "State")
    path: Text = field("cgtrail.cgroup.path", "path below the root of the cgroup2 hierarchy", default=b"")
    container_id: Text = field("container.id", "the runtime's id", default=b"")
    name: Text = field("container.name", "the runtime's name for it", default=b"")
    image: Text = field("container.image.name", "image as it was asked for, with its tag", default=b"")
    runtime: Text = field("container.runtime", "docker, containerd, podman, …", default=b"")
    labels: Text = field("container.labels", "labels, a JSON object of strings", default=b"")


@record(number=258)
class Clock(Header):
    """Which wall-clock time a boot time is: in every keyframe, and when the two move apart by over 50 ms."""

    realtime: U64 = field(None, "nanoseconds since 1970-01-01 UTC at the header's time")


@record(number=259)
class Tick(Header):
    """Time passes: written every 200 ms. It drives every timer of the workers.

    Its time is read before the ring is drained: what had happened by then stands before it.
    """


@record(number=260)
class Loss(Header):
    """Records that were not written since the last such record of this cgroup, cause and type."""

    count: U64 = field("cgtrail.loss.count", "how many")
    since: BootNs = field("event.start", "when the counter was read before")
    cause: U32 = field("cgtrail.loss.cause", "bpf.events.Cause")
    record_type: U32 = field(None, "the number of the records that were lost; 0: not known")


@record(number=261)
class KeyframeBegin(Header):
    """What is alive follows, up to KeyframeEnd; live records stand between them. It begins a frame and a segment."""


@record(number=262)
class KeyframeEnd(Header):
    """Whatever lived before KeyframeBegin and was not named since has ended."""

    incomplete: U32 = field(None, "1: some of it was lost, and absence says nothing")
    keyframe_spare: U32 = field(None, "zero")


@record(number=263)
class HostInfo(Header):
    """Whose stream this is: in every keyframe."""

    capture_host: U32 = field(None, "1: the host's own processes are recorded too")
    host_name: Text = field("host.name", "the host's name (uname nodename)", default=b"")
    host_id: Text = field("host.id", "/etc/machine-id", default=b"")
    boot_id: Text = field("host.boot.id", "/proc/sys/kernel/random/boot_id", default=b"")
    kernel: Text = field("host.os.kernel", "kernel release", default=b"")
    version: Text = field("cgtrail.agent.version", "the agent's version", default=b"")


@record(number=264)
class AgentStop(Header):
    """The agent was stopped, and has written all it had."""


@record(number=265)
class Arguments(Header):
    """The arguments of a process that was found running (`Running` has none), some time after that was told.

    The header names its process id and owner, and no cgroup.
    """

    start: BootNs = field(None, "when the process was made")
    cut: U32 = field(None, "1: there are more")
    args: Args = field(None, "arguments as its memory has them, at most 4,096 bytes", default=b"")
