"""The records that only the host's user space can know. They stand in the same stream as the kernel's (numbers < 256).

The header's `time` is always boot time in nanoseconds; `cgroup_id` is the cgroup a record is about, or 0.
A container is named by its `key`, which no other container of this host has: runtime, the uid of the user whose it is
if that is not root, the runtime's namespace where it has such, and id, as in docker/4f0c…, containerd/k8s.io/4f0c…,
lxc/web, podman/1000/4f0c…. Number 257 was used before, and never is again.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from bpf.events import Header
from bpf.schema import U32, U64, Args, BootNs, Namespace, Text, field, record

FIRST = 256
"""The first number that is not the kernel's."""


class Kind(IntEnum):
    """What a cgroup is (`CgroupInfo.kind`)."""

    HOST = 0
    """Part of the host: a service, a user session, the root."""
    CONTAINER = 1
    UNDECIDED = 2
    """Its path does not tell; a runtime may within a moment, otherwise it is the host's. Documents wait for that."""


class State(IntEnum):
    """How much of a container is known (`ContainerInfo.state`)."""

    PENDING = 0
    """Its id is known, and a runtime is expected to tell its name, image and labels."""
    COMPLETE = 1
    """All that the runtime tells, or all there is."""


class ContainerFlag(IntFlag):
    """What `ContainerInfo.flags` can say: what its runtime was told to allow it."""

    PRIVILEGED = 1
    RUNTIME_SOCKET = 2
    """A container runtime's socket is mounted in it: it can do whatever that runtime can."""
    LABELS_CUT = 4
    """It has more labels than are recorded."""


class Life(IntEnum):
    """What only a runtime can tell of a container's life (`ContainerEvent.life`)."""

    CREATED = 1
    REMOVED = 2
    RENAMED = 3


class TenantChange(IntEnum):
    """What became of a tenant (`TenantEvent.change`)."""

    CREATED = 1
    CHANGED = 2
    """Its name or policy."""
    REMOVED = 3
    ATTACHED = 4
    """A container belongs to it from now on."""
    DETACHED = 5


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
    cause: U32 = field("cgtrail.loss.cause", "bpf.enums.Cause")
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
    architecture: Text = field("host.architecture", "its machine (uname), as x86_64", default=b"")
    system: Text = field("host.os.full", "its distribution and release (PRETTY_NAME of os-release(5))", default=b"")


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


@record(number=266)
class CgroupInfo(Header):
    """Which container a cgroup belongs to, from here on in the stream; a later one replaces it."""

    started: BootNs = field(None, "when the cgroup was made; 0 when it was found")
    told: BootNs = field(None, "when the registry first told of it")
    kind: U32 = field(None, "Kind")
    cgroup_spare: U32 = field(None, "zero")
    path: Text = field("cgtrail.cgroup.path", "path below the root of the cgroup2 hierarchy", default=b"")
    key: Text = field(None, "the container's key; empty for what is no container's", default=b"")


@record(number=267)
class ContainerInfo(Header):
    """What is known of a container, from here on in the stream; a later one of the same key replaces it.

    It stands before the first CgroupInfo that names its key, and in each keyframe if it has a cgroup.
    """

    created: U64 = field(None, "nanoseconds since 1970, the runtime's clock; 0: not told")
    state: U32 = field(None, "State")
    policy: U32 = field(None, "bpf.enums.Policy: what is recorded of it, from here on")
    flags: U32 = field(None, "ContainerFlag")
    key: Text = field(None, "the container's key", default=b"")
    container_id: Text = field("container.id", "the runtime's id", default=b"")
    name: Text = field("container.name", "the runtime's name for it", default=b"")
    image: Text = field("container.image.name", "image as it was asked for, with its tag", default=b"")
    digest: Text = field("container.image.hash.all", "digest of the image", default=b"")
    runtime: Text = field("container.runtime", "docker, containerd, podman, …", default=b"")
    labels: Text = field("container.labels", "labels, a JSON object of strings", default=b"")
    pod_id: Text = field("orchestrator.resource.id", "uid of the Kubernetes pod", default=b"")
    pod: Text = field("orchestrator.resource.name", "name of the Kubernetes pod", default=b"")
    namespace: Text = field("orchestrator.namespace", "Kubernetes namespace", default=b"")
    tenants: Text = field("cgtrail.tenant.id", "every tenant of the container, sorted, NUL between two", default=b"")


@record(number=268)
class ContainerEvent(Header):
    """Something in a container's life that only its runtime knows; its ContainerInfo stands before it."""

    realtime: U64 = field(None, "when it was, in nanoseconds since 1970 by the runtime's clock; 0: not told")
    life: U32 = field(None, "Life")
    key: Text = field(None, "the container's key", default=b"")


@record(number=269)
class TenantInfo(Header):
    """A tenant, from here on in the stream; in each keyframe. A later one of the same id replaces it."""

    policy: U32 = field(None, "bpf.enums.Policy: what it asks to have recorded of its containers")
    tenant_spare: U32 = field(None, "zero")
    tenant_id: Text = field("cgtrail.tenant.id", "the tenant's id", default=b"")
    name: Text = field("cgtrail.tenant.name", "the tenant's name", default=b"")


@record(number=270)
class TenantEvent(Header):
    """A change of a tenant, or of its containers. TenantInfo and ContainerInfo stand before it, as they are then."""

    change: U32 = field(None, "TenantChange")
    policy: U32 = field(None, "bpf.enums.Policy: what it asks for")
    tenant_id: Text = field("cgtrail.tenant.id", "the tenant's id", default=b"")
    name: Text = field("cgtrail.tenant.name", "the tenant's name", default=b"")
    key: Text = field(None, "key of the container that was attached or detached", default=b"")
    source: Text = field("cgtrail.tenant.source", "what caused it: a file, a label, a command and whose", default=b"")


@record(number=271)
class RuntimeInfo(Header):
    """Whether a runtime is being heard; in each keyframe. While it is not, what it told last may be old."""

    connected: U32 = field(None, "1: it is")
    runtime: Text = field(None, "docker, containerd, podman, as in ContainerInfo", default=b"")


@record(number=272)
class UserNames(Header):
    """A container's own names of its users and groups, read beneath its root. A later one of the same key replaces it.

    They hold for processes in the mount namespace that they were read in.
    """

    mount_ns: Namespace = field(None, "mount namespace whose files were read")
    left_out: U32 = field(None, "how many names were left out: too many, too long, or not understood")
    names_spare: U32 = field(None, "zero")
    key: Text = field(None, "the container's key", default=b"")
    users: Text = field(None, "of /etc/passwd: <uid>:<name>, NUL between two; the first of a uid", default=b"")
    groups: Text = field(None, "of /etc/group: <gid>:<name>, NUL between two; the first of a gid", default=b"")
