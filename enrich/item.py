"""What travels through the steps: one record and what the steps before have found out about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from bpf.schema import Record
from enrich.arguments import cut
from enrich.containers import Container, Life
from enrich.document import Document, Part
from enrich.terminals.session import Session
from shipper.wire.records import CgroupInfo, Kind


@dataclass(slots=True, eq=False)
class Program:
    """What a process runs, as it is shown; never changed, and shared by what it forks."""

    executable: str = ""
    args: tuple[str, ...] = ()
    """None where they are long."""
    args_count: int = 0
    """0: not known."""
    command_line: str = ""
    """Of a long one the beginning."""
    working_directory: str = ""
    secrets: tuple[str, ...] = ()
    """The kinds of secrets that were masked in its arguments."""
    told: dict[str, Any] = field(init=False)
    """What its own documents say of it."""
    shared: dict[str, Any] = field(init=False)
    """What those of others do: of long paths the beginning."""

    def __post_init__(self) -> None:
        """What is said is worked out once."""
        self.told = self.shared = {name: value for name in _TOLD if (value := getattr(self, name))}
        if len(self.executable) + len(self.working_directory) > _SHORT:
            self.shared = self.told | {n: cut(self.told[n], PATH_BYTES) for n in _PATHS if n in self.told}


PATH_BYTES = 1024
"""Of a path, as JSON has it, in what is told of a process in others' documents."""
_SHORT = 100
_PATHS = ("executable", "working_directory")
_TOLD = ("executable", "args", "args_count", "command_line", "working_directory")
NOTHING = Program()
"""That of a process of which only a name is known."""


class Ids(NamedTuple):
    """On whose behalf a process runs, and at which terminal: fields of bpf.events.Task."""

    uid: int
    gid: int
    real_uid: int
    saved_uid: int
    tty: int
    mount_ns: int
    user_ns: int


@dataclass(slots=True, eq=False)
class Parts:
    """What others' documents say of a process, for one offset of the clock and one list of names (enrich.relatives)."""

    key: tuple[Any, ...] = ()
    parent: Part = field(default_factory=Part)
    leader: Part | None = None

    def __reduce__(self) -> tuple[type[Parts], tuple[()]]:
        """Not kept in snapshots: made anew."""
        return Parts, ()


@dataclass(slots=True, eq=False)
class Identity:
    """What others keep of a process, also after it has ended. It names no other: chains are never freed."""

    entity_id: str
    pid: int
    start: int
    """Boot time in ns."""
    name: str = ""
    found: bool = False
    """It was running when recording began, and has started no program since."""
    program: Program = NOTHING
    ids: tuple[int, ...] | None = None
    """Ids as of its latest record; None where there was none."""
    epoch: Epoch | None = None
    parts: Parts | None = None
    """None when they have to be made anew."""

    def become(self, name: str, program: Program) -> None:
        """It runs another program, or more is known of the one it runs."""
        self.name, self.program, self.parts = name, program, None


@dataclass(slots=True, eq=False)
class Entry:
    """How a tree of processes was entered: decided once, and inherited by all that descends from its leader."""

    kind: str
    """init, exec, sshd, cron or login."""
    type: str
    """The same in ECS's words (process.entry_leader.entry_meta.type)."""
    leader: Identity
    user: dict[str, str]
    """Its id and name."""
    found: bool
    """It was decided from what was found running."""
    source: str = ""
    """Address that an SSH client is said to have come from."""
    port: int = 0
    environment: tuple[str, ...] = ()
    """Of its leader, as far as it was told: NAME=value."""
    parts: tuple[Parts, Part, Part] | None = None
    """What documents say of it, for these parts of its leader: the leader's own, and those of all others."""


@dataclass(slots=True, eq=False)
class Process:
    """One life of one process, as last seen. `start` is boot time in ns; names are as they are shown."""

    entity_id: str
    pid: int
    start: int
    identity: Identity
    name: str = ""
    program: Program = NOTHING
    exe_inode: int = 0
    group_leader: Identity | None = None
    session_leader: Identity | None = None
    keyframe: int = 0
    only_forked: bool = False
    """It was made while we watched, and has not started a program since."""
    epoch: Epoch | None = None
    """The life of its cgroup, once it is known how it came there."""
    entry: Entry | None = None
    """How its tree was entered; None where that is not known, or not over."""
    entering: bool = False
    """It came from outside, and has not started a program of the container's since."""
    first: bool = False
    """It was the first that was put into a new cgroup, or descends from that one on its way in."""
    outside: int = 0
    """The mount namespace that it had when it came."""
    login: bytes | None = None
    """What an SshLogin told of it before its program was."""
    command: str | None = None
    """cgtrail.command.id of the typed line that it is a part of; empty: of none; None: not looked at yet."""
    mount_ns: int = 0
    """As of its latest record."""
    user_ns: int = 0


@dataclass(slots=True, eq=False)
class Epoch:
    """One life of one cgroup. `info` is the latest the registry told, None while nothing was.

    One with cgroup id 0 stands for a container that is spoken of apart from any cgroup.
    """

    cgroup_id: int
    boot: str
    info: CgroupInfo | None = None
    started: int = 0
    """When the cgroup was made, boot time in ns; 0: before it was found."""
    fresh: bool = False
    """It was seen being made, and nobody was put in since."""
    ended: bool = False
    keyframe: int = 0
    undecided: bool = True
    """It is not known to be a container's, and not known to be the host's."""
    is_host: bool = False
    """It is known to be no container's."""
    owner: int = 0
    """The container's topmost cgroup, as the kernel has it; 0: the host's, or not known."""
    cgroup: Part | None = None
    container: Container | None = None
    previous: Epoch | None = None
    """The life before, of the same id, whose records may still come."""
    own: Life = field(default_factory=Life)
    """While its container is not known."""
    id: str = ""
    """(boot, cgroup id): a bare cgroup id could come again after a reboot."""

    def __post_init__(self) -> None:
        """Its id is made once."""
        self.id = f"{self.boot}:{self.cgroup_id}"

    @property
    def pending(self) -> bool:
        """More is expected to be told."""
        return self.undecided or (self.container is not None and self.container.pending)

    @property
    def life(self) -> Life:
        """Of the container that it belongs to."""
        return self.own if self.container is None else self.container.life

    def together(self, other: Epoch) -> bool:
        """Whether two cgroups are of one container, or both the host's."""
        if self is other or (self.is_host and other.is_host):
            return True
        here, there = self.container, other.container
        return here is not None and there is not None and here.key == there.key

    def same(self, other: Epoch | None) -> bool:
        """The same of who acts there, also before the registry told of both: the kernel knows whose a cgroup is."""
        if self is other:
            return True
        if other is None:
            return False
        if self.owner and self.owner == other.owner and (self.undecided or other.undecided):
            return True
        return self.together(other)

    def tell(self, info: CgroupInfo, cgroup: Part, container: Container | None) -> None:
        """The registry told of it."""
        before = self.life
        self.info, self.cgroup, self.container = info, cgroup, container
        self.started = self.started or info.started
        self.is_host = info.kind == Kind.HOST
        self.undecided = not self.is_host and (info.kind != Kind.CONTAINER or container is None)
        if container is not None and before.init and not container.life.init:
            container.life = before


@dataclass(slots=True, eq=False)
class Made:
    """A document but for its container, which may still have to be told."""

    id: str
    time: int
    epoch: Epoch | None
    source: dict[str, Any]
    policy: int = 0
    """What it was recorded under (bpf.enums.Policy), any of several; 0: whatever its container's policy is."""
    unasked: bool = False
    """Whether that is recorded of its container was not known yet."""


@dataclass(slots=True)
class Item:
    """One record on its way. `stream`, `frame`, `index` name it for ever; `time` is its wall-clock time in ns."""

    record: Record
    stream: str
    frame: int
    index: int
    time: int = 0
    epoch: Epoch | None = None
    process: Process | None = None
    parent: Process | None = None
    completed: bool = False
    """What it tells completes what documents wait for."""
    entered: Entry | None = None
    """A way in that began with it."""
    session: Session | None = None
    """That of its process's controlling terminal, where that is known; of a terminal's record that terminal's."""
    secret: bool = False
    """What its process consumed is taken for a secret."""
    made: tuple[Made, ...] = ()
    """Documents that steps made at this record beside its own."""
    documents: list[Document] = field(default_factory=list)
    """Where documents go that are released at this record, of this and of earlier ones."""

    @property
    def id(self) -> str:
        """The id of the document that this record is the source of."""
        return f"{self.stream}-{self.frame}-{self.index}"

    @property
    def sequence(self) -> int:
        """Position in the stream as one integer: a frame holds fewer than 2^20 records."""
        return self.frame << 20 | self.index


class Step(Protocol):
    """Looks at an item, keeps its own state, and adds what it found. Steps never ask the host or the clock."""

    state: ClassVar[tuple[str, ...]]
    """The attributes that hold what it knows: they are saved and restored (enrich.snapshot)."""

    def __call__(self, item: Item) -> None:
        """Look at the next item of the stream."""
        ...
