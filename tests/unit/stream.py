"""A host's stream made by hand: records in, documents out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bpf.events import CgroupRmdir, Exec, Exit, Fork, Header, Running, Task
from bpf.schema import Record, decode
from enrich.containers import EVERYTHING
from enrich.fields import FIELDS
from enrich.item import Item, Step
from enrich.pipeline import steps
from shipper.wire.records import Arguments, CgroupInfo, Clock, ContainerInfo, HostInfo, Kind, State, Tick

BOOT = b"f2dd6bbf-8c30-46ce-a8dc-b398c7317e6e"
STREAM = "0123456789abcdef0123456789abcdef"
SECOND = 1_000_000_000
UNIX = 1_700_000_000 * SECOND
"""Unix time at boot."""
BOX = 77
"""The cgroup id of the container that most tests are about."""


def process(kind: type[Task], pid: int, parent: int = 0, **fields: Any) -> Task:
    """A record of a process: made at `pid` milliseconds after boot, alone in its group and session."""
    known = {"tgid": pid, "start": pid * 1_000_000, "ppid": parent, "parent_start": parent * 1_000_000}
    return kind(**{"cgroup_id": BOX, "pgid": pid, "sid": pid, "vpid": pid, "comm": b"comm"} | known | fields)


def exec_(pid: int, parent: int, *args: bytes, **fields: Any) -> Task:
    """An exec of args[0]."""
    raw = b"".join(arg + b"\0" for arg in args)
    told = {"exe": args[0], "filename": args[0], "args": raw, "args_bytes": len(raw), "cwd": b"/"}
    return process(Exec, pid, parent, **told | fields)


def running(pid: int, parent: int, *args: bytes, **fields: Any) -> Task:
    """A process that was found running."""
    raw = b"".join(arg + b"\0" for arg in args)
    return process(Running, pid, parent, **{"exe": args[0], "args": raw, "args_bytes": len(raw)} | fields)


def arguments(pid: int, *args: bytes, cut: int = 0, **fields: Any) -> Arguments:
    """What a process that was found running says of itself."""
    return Arguments(
        **{"tgid": pid, "start": pid * 1_000_000, "cut": cut, "args": b"".join(arg + b"\0" for arg in args)} | fields
    )


def fork(pid: int, parent: int, **fields: Any) -> Task:
    """A fork; the child is `pid`."""
    return process(Fork, pid, parent, **fields)


def end(pid: int, parent: int = 0, status: int = 0, **fields: Any) -> Task:
    """A process's end with a wait status."""
    return process(Exit, pid, parent, status=status, **fields)


def contained(key: bytes = b"docker/77", *, state: State = State.COMPLETE, **fields: Any) -> ContainerInfo:
    """What the registry tells of a container apart from its cgroups."""
    told = {
        "container_id": b"c" * 64,
        "name": b"lab",
        "image": b"debian:12",
        "runtime": b"docker",
        "policy": EVERYTHING,
    }
    if state is State.PENDING:
        told |= {"name": b"", "image": b""}
    return ContainerInfo(key=key, state=state, **told | fields)


def cgroup(cgroup_id: int = BOX, key: bytes = b"docker/77", **fields: Any) -> CgroupInfo:
    """What the registry tells of a cgroup."""
    return CgroupInfo(cgroup_id=cgroup_id, key=key, **{"kind": Kind.CONTAINER} | fields)


def container(cgroup_id: int = BOX, *, state: State = State.COMPLETE, **fields: Any) -> tuple[Header, Header]:
    """What the registry tells of a container with one cgroup; its key is made of its id where that is given."""
    own = {name: fields.pop(name) for name in ("started", "told", "path") if name in fields}
    key = fields.pop("key", b"docker/" + (fields.get("container_id") or b"%d" % cgroup_id))
    return contained(key, state=state, **fields), cgroup(cgroup_id, key, **own)


def host_cgroup(cgroup_id: int = BOX) -> CgroupInfo:
    """The registry says that a cgroup is no container's."""
    return CgroupInfo(cgroup_id=cgroup_id, kind=Kind.HOST, path=b"/system.slice/x")


def removed(cgroup_id: int = BOX) -> CgroupRmdir:
    """A cgroup was removed."""
    return CgroupRmdir(cgroup_id=cgroup_id)


@dataclass
class Stream:
    """Feeds records to the steps of a worker; each is one millisecond later than the one before."""

    capture_host: bool = False
    forks: bool = False
    output: str = "none"
    now: int = 10 * SECOND
    unix: int = UNIX
    """What the wall clock says at boot: a clock that is set moves it."""
    index: int = 0
    documents: list[dict[str, Any]] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    """Documents about containers and tenants, which `feed` keeps apart."""
    steps: list[Step] = field(init=False)

    def __post_init__(self) -> None:
        """Begins as every stream does."""
        self.steps = steps(forks=self.forks, output=self.output)
        host = HostInfo(capture_host=int(self.capture_host), host_name=b"node", host_id=b"ab", boot_id=BOOT)
        self.feed(host, Clock(realtime=0))

    def feed(self, *records: Record) -> list[dict[str, Any]]:
        """The documents that these records release, each through JSON as a store would have it; not the journal's."""
        released: list[dict[str, Any]] = []
        for record in records:
            assert isinstance(record, Header)
            record.time = self.now
            if isinstance(record, Clock):
                record.realtime = self.unix + self.now
            raw = record.encode()
            item = Item(decode(raw, 0, len(raw)), STREAM, 0, self.index)
            for step in self.steps:
                step(item)
            for document in item.documents:
                kept = self.journal if document.kind in ("container", "tenant") else released
                kept.append(json.loads(document.encode()))
            self.now += 1_000_000
            self.index += 1
        self.documents += released
        return released

    def one(self, *records: Record) -> dict[str, Any]:
        """The one document that these records release."""
        (document,) = self.feed(*records)
        return document

    def wait(self, nanoseconds: int) -> list[dict[str, Any]]:
        """The documents that are released by time alone."""
        self.now += nanoseconds
        return self.feed(Tick())


def undeclared(document: dict[str, Any]) -> set[str]:
    """The names of a document's fields that nobody declared."""
    return {name for name in _flat(document) if name not in FIELDS}


def _flat(value: Any, path: str = "") -> set[str]:
    if path in FIELDS and FIELDS[path].type == "flattened":
        return {path}
    if isinstance(value, dict):
        return {name for key, inner in value.items() for name in _flat(inner, f"{path}.{key}".lstrip("."))}
    return {path}
