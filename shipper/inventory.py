"""Keeps the registry, the stream and the kernel in step: what is told of cgroups, containers, tenants and users."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from bpf.enums import Cause, Policy, Watch
from bpf.events import CgroupMkdir, CgroupRmdir
from bpf.schema import Record
from shipper import cgroups
from shipper.containers import Cgroup, Container, shown
from shipper.losses import Losses
from shipper.probes import Probes
from shipper.registry import Registry
from shipper.runtimes.news import Heard, Lived, Metadata, Runtime
from shipper.sweep import Sweep
from shipper.tell import boot_ns
from shipper.tenants.book import TenantBook
from shipper.users import Users
from shipper.wire.records import CgroupInfo, ContainerInfo, Kind, Life, Loss

_log = structlog.get_logger()

SWEEP_NS = 60_000_000_000
SOON_NS = 1_000_000_000
"""What the ring had no room for is looked for at once, but not more often."""


@dataclass(slots=True)
class Inventory:
    """What the agent knows of this host's containers. `put` adds a record to the stream."""

    root: Path
    """Of the cgroup2 hierarchy."""
    probes: Probes
    losses: Losses
    runtimes: list[Runtime]
    book: TenantBook
    put: Callable[[Record], None]
    users: Users = field(default_factory=Users)
    registry: Registry = field(init=False)
    widened: bool = False
    """More is recorded of a container than was: what runs or is open in it is not known yet."""
    _at_first: Policy = field(init=False)
    """The kernel's policy of containers that are made."""
    _quiet: bool = False
    """Nothing is put into the stream."""
    _expected: frozenset[str] = field(init=False)
    """Runtimes that may still tell, as the containers that are pending were told to wait for."""
    _sweep: Sweep = field(init=False)
    _swept: int = 0
    """Boot time in ns of the last walk's beginning."""
    _hurry: bool = False
    """A birth or death was lost since."""
    _retried: int = 0
    """Boot time in ns when room was last looked for."""
    _removed: list[Lived] = field(default_factory=list)
    """Containers that a runtime removed; the ring may still hold what they did."""
    _policies: dict[int, int] = field(default_factory=dict)
    """Topmost cgroup → the policy that the kernel holds for it."""
    unwatched: int = 0
    """How many containers found no room in the kernel's map since the agent began."""
    _unwatched: dict[int, bool] = field(default_factory=dict)
    """Topmost cgroups that the kernel has no room for, and whether that was told."""

    def __post_init__(self) -> None:
        """Begins with nothing but tenants."""
        self._expected = self._tellers()
        self.registry = Registry(self.book.current, self._expects)
        self._at_first = self.book.current.at_first
        self._sweep = Sweep(self.root)

    def start(self) -> None:
        """Listen to the runtimes, and wait a moment for what they have to tell first."""
        for runtime in self.runtimes:
            runtime.start()
        for runtime in self.runtimes:
            runtime.wait_listed()

    def begin(self) -> None:
        """Learn what there is before the stream begins: its first keyframe tells of it."""
        self._quiet = True
        self.news(lambda: None)
        self.adopt(dict(cgroups.walk(self.root)))
        self._quiet = False

    def close(self) -> None:
        """Stop listening; children that read files are left behind."""
        for runtime in self.runtimes:
            runtime.stop()
        self.book.close()
        self.users.close()

    def news(self, drain: Callable[[], None]) -> None:
        """What runtimes and tenants' files have told since. `drain` puts all that happened before into the stream."""
        for runtime in self.runtimes:
            while True:
                try:
                    told = runtime.updates.get_nowait()
                except queue.Empty:
                    break
                self._told(told, drain)
        before, self._expected = self._expected, self._tellers()
        if self.book.poll() or before != self._expected:
            self.regroup(drain)
        self._tell(self.registry.settle())

    def regroup(self, drain: Callable[[], None]) -> None:
        """Tenants have changed, or who may tell of containers: what happened before stands before it in the stream."""
        tenants = self.book.current
        self.probes.birth_policy(self._at_first & tenants.at_first)  # whoever is made now is told of by either
        drain()
        self._tell(self.registry.regroup(tenants))
        self._at_first = tenants.at_first
        self.probes.birth_policy(self._at_first)

    def drained(self) -> None:
        """The ring is empty: what was only waiting for that."""
        for lived in self._removed:
            self._tell(self.registry.lived(lived))
            self.registry.forget(lived.key)
            if self.registry.container(lived.key) is None:  # else it lives: another daemon may answer at that address
                self.book.forget(lived.key)
        self._removed.clear()
        self._tell(self.users.answers(boot_ns()))

    def born(self, record: CgroupMkdir) -> None:
        """A cgroup was made."""
        path = os.fsdecode(record.path)
        self._tell(self.registry.found(record.cgroup_id, path, record.time, Watch(record.watch)))

    def died(self, record: CgroupRmdir) -> None:
        """A cgroup was removed."""
        self._gone(record.cgroup_id)

    def adopt(self, found: dict[int, str]) -> None:
        """Cgroups that were found: id → path. Each container's topmost comes first."""
        for number, path in sorted(found.items(), key=lambda item: len(item[1])):
            empty = not cgroups.populated(Path(f"{self.root}{path}"))
            self._tell(self.registry.found(number, path, 0, Watch.NONE, empty=empty))

    def sweep(self, now: int) -> None:
        """Look for what nobody told of, about once a minute; for room for those that found none, each second."""
        if self._unwatched and now - self._retried >= SOON_NS:
            self._retried = now
            self._watch_refused()
        if not self._sweep.under_way:
            if now - self._swept >= (SOON_NS if self._hurry else SWEEP_NS):
                self._swept, self._hurry = now, False
                self.registry.ended.clear()
                self._sweep.begin(self.registry.cgroups | self.probes.watched_cgroups())
            return
        found = self._sweep.take(self.registry.cgroups, self.registry.ended)
        if found is not None:
            self.adopt(found.unknown)
            for number in found.gone - self.registry.ended:
                self._gone(number)
                self.probes.unwatch(number)

    def sweep_soon(self) -> None:
        """Cgroups came or went without a record."""
        self._hurry = True

    def all(self, *, host: bool) -> Iterator[Record]:
        """Everything that is so now, for a keyframe. `host`: also which cgroups are the host's."""
        yield from self.registry.all(host=host)
        yield from self.users.known()

    @property
    def sweeps(self) -> int:
        """How often the whole hierarchy was looked at."""
        return self._sweep.count

    def picture(self) -> list[dict[str, Any]]:
        """The containers that run now, for people: see `cgtrail containers`."""
        return [shown(container) for container in self.registry.running]

    def _told(self, told: Metadata | Lived | Heard, drain: Callable[[], None]) -> None:
        if isinstance(told, Heard):
            self._tell(self.registry.heard(told.runtime, connected=told.connected))
        elif isinstance(told, Lived):
            if told.life == Life.REMOVED:
                self._removed.append(told)
            else:
                self._tell(self.registry.lived(told))
        else:
            known = self.registry.container(told.key)
            if known is not None and known.cgroups:  # what it did before was done under its old name
                drain()
            self._tell(self.registry.told(told))

    def _tell(self, records: Sequence[Record]) -> None:
        """Into the stream; behind each, the kernel follows."""
        for record in records:
            if not self._quiet:
                self.put(record)
            if isinstance(record, CgroupInfo):
                self._follow(record)
            elif isinstance(record, ContainerInfo):
                self._allow(record)

    def _follow(self, record: CgroupInfo) -> None:
        if record.kind == Kind.HOST:
            self.probes.unwatch(record.cgroup_id)
        cgroup = self.registry.cgroup(record.cgroup_id)
        container = self.registry.container(cgroup.key) if cgroup else None
        if cgroup is not None and container is not None:
            top = container.tops[-1] if container.tops else cgroup
            self._watch(cgroup, container, top.id)
            if cgroup is top:
                self.users.found(container.key, f"{self.root}{cgroup.path}", top.id)

    def _watch(self, cgroup: Cgroup, container: Container, owner: int) -> bool:
        """The kernel has it already, if it could tell by the name at its birth. False: there is no room for it."""
        policy = container.membership.policy if container.membership else Policy.EXEC
        if cgroup.watch != Watch.CONTAINER and not self.probes.watch(cgroup.id, owner, policy):
            cgroup.watch = Watch.REFUSED
            self._unwatched.setdefault(owner, False)
            if not self._quiet:  # nothing may stand before the first keyframe
                self._refused(container, owner)
            return False
        cgroup.watch = Watch.CONTAINER
        if owner in self._unwatched:
            del self._unwatched[owner]
            _log.info("a container is recorded from now on: there was room for it", container=container.key)
        if cgroup.id == owner:
            self.probes.set_policy(owner, policy)
            self._policies[owner] = int(policy)
        return True

    def _allow(self, record: ContainerInfo) -> None:
        container = self.registry.container(os.fsdecode(record.key))
        for top in container.tops if container else ():
            before = self._policies.get(top.id)
            if before is not None and before != record.policy and self.probes.set_policy(top.id, Policy(record.policy)):
                self._policies[top.id] = record.policy
                self.widened |= bool(record.policy & ~before)

    def _gone(self, number: int) -> None:
        self._policies.pop(number, None)
        self._unwatched.pop(number, None)
        ended = self.registry.gone(number)
        if ended is not None:
            self.users.gone(ended.key)
        for loss in self.losses.final(number, boot_ns()):
            self.put(loss)

    def _refused(self, container: Container, top: int) -> None:
        """Tell of it once."""
        if self._unwatched[top]:
            return
        self._unwatched[top] = True
        self.unwatched += 1
        now = boot_ns()
        self.put(Loss(time=now, cgroup_id=top, since=now, cause=Cause.UNWATCHED))
        _log.error("a container is not recorded: the kernel's map of cgroups is full", container=container.key,
                   next="raise capture.max_cgroups; it is tried again each second")  # fmt: skip

    def _watch_refused(self) -> None:
        room = True
        for top in tuple(self._unwatched):
            cgroup = self.registry.cgroup(top)
            container = self.registry.container(cgroup.key) if cgroup else None
            if cgroup is None or container is None:
                del self._unwatched[top]
            elif not self._is_there(cgroup):  # of what is not watched, the kernel tells no end
                self._gone(top)
            elif room and self._watch(cgroup, container, top):
                self.widened = True
                for below in container.cgroups.values():
                    self._watch(below, container, top)
            else:
                room = False
                self._refused(container, top)

    def _is_there(self, cgroup: Cgroup) -> bool:
        try:
            return os.stat(f"{self.root}{cgroup.path}").st_ino == cgroup.id
        except FileNotFoundError:
            return False

    def _tellers(self) -> frozenset[str]:
        return frozenset(runtime.name for runtime in self.runtimes if runtime.expected)

    def _expects(self, runtime: str) -> bool:
        return runtime in self._expected if runtime else bool(self._expected)
