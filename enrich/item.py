"""What travels through the steps: one record and what the steps before have found out about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from bpf.schema import Record
from enrich.document import Document, Part
from shipper.wire.records import CgroupInfo, Kind, State


@dataclass(slots=True, eq=False)
class Identity:
    """What those it leads keep of a process, also after it has ended. It names no other: chains are never freed."""

    entity_id: str
    pid: int
    name: str = ""
    found: bool = False
    """It was running when recording began, and has started no program since."""


@dataclass(slots=True, eq=False)
class Process:
    """One life of one process, as last seen. `start` is boot time in ns; names are as they are shown."""

    entity_id: str
    pid: int
    start: int
    identity: Identity
    name: str = ""
    executable: str = ""
    args: tuple[str, ...] = ()
    """None where they are long."""
    command_line: str = ""
    """Of a long one the beginning."""
    working_directory: str = ""
    exe_inode: int = 0
    group_leader: Identity | None = None
    session_leader: Identity | None = None
    keyframe: int = 0
    as_parent: tuple[int, Part] | None = None
    """What its children's documents say of it, for one offset of the clock; None when that has to be made anew."""
    only_forked: bool = False
    """It was made while we watched, and has not started a program since."""


@dataclass(slots=True, eq=False)
class Epoch:
    """One life of one cgroup. `info` is the latest the registry told, None while nothing was (`told`)."""

    cgroup_id: int
    boot: str
    info: CgroupInfo | None = None
    ended: bool = False
    keyframe: int = 0
    pending: bool = True
    """More is expected to be told."""
    is_host: bool = False
    """It is known to be no container's."""
    cgroup: Part | None = None
    container: Part | None = None
    """The ECS container object."""

    @property
    def id(self) -> str:
        """(boot, cgroup id): a bare cgroup id could come again after a reboot."""
        return f"{self.boot}:{self.cgroup_id}"

    def tell(self, info: CgroupInfo, cgroup: Part, container: Part | None) -> None:
        """The registry told of it."""
        self.info, self.cgroup, self.container = info, cgroup, container
        self.pending = info.state == State.PENDING
        self.is_host = info.kind == Kind.HOST


@dataclass(slots=True, eq=False)
class Made:
    """A document but for its container, which may still have to be told."""

    id: str
    time: int
    epoch: Epoch | None
    source: dict[str, Any]


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
