"""The registry view: which container an event's cgroup was, as the stream has said so far."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import ClassVar

from bpf.events import CgroupMkdir, CgroupRmdir, Header, Task
from enrich import render
from enrich.containers import Container, names
from enrich.document import Part
from enrich.item import Epoch, Item
from enrich.secrets.scrub import Scrubber
from enrich.steps.host import Host
from shipper.wire.records import (
    CgroupInfo,
    ContainerInfo,
    KeyframeBegin,
    KeyframeEnd,
    Kind,
    RuntimeInfo,
    TenantChange,
    TenantEvent,
    TenantInfo,
    Tick,
    UserNames,
)

MEMORY_NS = 10_000_000_000
"""How long an epoch is remembered after its cgroup was removed."""


class Attribution(StrEnum):
    """How sure it is that an event belongs to the container that its document names."""

    EXACT = "exact"
    """The registry record stands before the event in the stream."""
    LATE = "late"
    """It came within one second of stream time."""
    STALE = "stale"
    """The cgroup had been removed, or its metadata is the last that is known."""
    UNKNOWN = "unknown"
    """Nothing was told of it; nothing is guessed."""


class RegistryView:
    """The second step: gives each record of the kernel its epoch."""

    state: ClassVar[tuple[str, ...]] = (
        "_epochs",
        "_ended",
        "_containers",
        "_tenants",
        "_tenants_told",
        "_runtimes",
        "_keyframe",
        "_in_keyframe",
    )

    def __init__(self, host: Host, scrubber: Scrubber) -> None:
        self._host, self._scrubber = host, scrubber
        self._epochs: dict[int, Epoch] = {}
        self._ended: deque[tuple[int, Epoch]] = deque()
        self._containers: dict[bytes, Container] = {}
        self._tenants: dict[bytes, int] = {}
        """Tenant → its policy."""
        self._tenants_told: dict[bytes, int] = {}
        """Tenant → the keyframe that it was told in last."""
        self._runtimes: dict[bytes, tuple[bool, int]] = {}
        """Runtime → whether it is heard, and the keyframe that it was told in last."""
        self._keyframe = 0
        self._in_keyframe = False

    def __call__(self, item: Item) -> None:
        """Sets the item's epoch; learns from registry records."""
        record = item.record
        if isinstance(record, Task):
            item.epoch = self._epoch(record) if record.cgroup_id else None
        elif isinstance(record, Tick):
            self._forget(record.time)
        elif isinstance(record, KeyframeBegin):
            self._keyframe += 1
            self._in_keyframe = True
        elif isinstance(record, KeyframeEnd):
            if self._in_keyframe and not record.incomplete:
                self._forget_unnamed()
            self._in_keyframe = False
        elif isinstance(record, Header):
            self._learn(item, record)

    def known(self, cgroup_id: int) -> Epoch | None:
        """The epoch of a cgroup that lives, or was removed a moment ago."""
        return self._epochs.get(cgroup_id)

    def apart(self, key: bytes) -> Epoch:
        """A container apart from its cgroups, also one that was not told."""
        epoch = Epoch(0, self._boot, undecided=False)
        epoch.container = self._containers.get(key) or Container(key)
        return epoch

    @property
    def _boot(self) -> str:
        boot: str = self._host.fields.get("boot", {}).get("id", "")
        return boot

    def _learn(self, item: Item, record: Header) -> None:
        if isinstance(record, CgroupInfo):
            item.epoch = self._life(record, record.started, record.path)
            item.epoch.fresh |= item.epoch.info is None and record.started > 0 and not self._in_keyframe
            item.completed = self._tell(item.epoch, record)
        elif isinstance(record, ContainerInfo):
            item.completed = self._contain(record)
        elif isinstance(record, CgroupMkdir):
            item.epoch = self._life(record, record.time, record.path)
            item.epoch.started = item.epoch.started or record.time
        elif record.cgroup_id:
            item.epoch = self._epoch(record)
            if isinstance(record, CgroupRmdir):
                self._end(record.time, item.epoch)
        else:
            self._learn_of_others(record)

    def _learn_of_others(self, record: Header) -> None:
        if isinstance(record, UserNames):
            container = self._containers.get(record.key)
            if container is not None:
                container.names = names(record, self._keyframe)
        elif isinstance(record, TenantInfo):
            self._tenant(record.tenant_id, record.policy)
        elif isinstance(record, TenantEvent):
            if record.change == TenantChange.REMOVED:
                self._tenant(record.tenant_id, None)
        elif isinstance(record, RuntimeInfo):
            self._runtimes[record.runtime] = bool(record.connected), self._keyframe
            self._hear(record.runtime, heard=bool(record.connected))

    def _contain(self, info: ContainerInfo) -> bool:
        """A container is told of; True where that completes it."""
        container = self._containers.get(info.key)
        if container is None:
            container = self._containers[info.key] = Container(info.key)
        container.keyframe = self._keyframe
        pending = container.pending
        if container.tell(info, self._scrubber):
            container.ask(self._tenants)
            container.connected = self._runtimes.get(info.runtime, (True, 0))[0]
        return pending and not container.pending

    def _tell(self, epoch: Epoch, info: CgroupInfo) -> bool:
        """A cgroup is told of; True where that completes it."""
        pending = epoch.pending
        container = None
        if info.key and info.kind != Kind.HOST:
            container = self._containers.get(info.key)
            if container is None:
                container = self._containers[info.key] = Container(info.key)
        epoch.tell(info, Part(id=info.cgroup_id, path=render.text(info.path)[0]), container)
        epoch.keyframe = self._keyframe
        return pending and not epoch.pending

    def _tenant(self, tenant: bytes, policy: int | None) -> None:
        """A tenant's policy from here on; None: it is no more."""
        before = self._tenants.get(tenant)
        if policy is None:
            self._tenants.pop(tenant, None)
            self._tenants_told.pop(tenant, None)
        else:
            self._tenants[tenant], self._tenants_told[tenant] = policy, self._keyframe
        if policy != before:
            self._ask({tenant})

    def _ask(self, changed: set[bytes]) -> None:
        for container in self._containers.values():
            if not changed.isdisjoint(container.tenants):
                container.ask(self._tenants)

    def _hear(self, runtime: bytes, *, heard: bool) -> None:
        for container in self._containers.values():
            if container.info is not None and container.info.runtime == runtime:
                container.connected = heard

    def _forget_unnamed(self) -> None:
        """A whole keyframe has named all there is."""
        now = self._keyframe
        self._epochs = {n: e for n, e in self._epochs.items() if e.keyframe == now or e.ended}
        referred = {id(epoch.container) for epoch in self._epochs.values()}
        self._containers = {key: c for key, c in self._containers.items() if c.keyframe == now or id(c) in referred}
        for container in self._containers.values():
            if container.names is not None and container.names.keyframe != now:
                container.names = None
        for runtime in [name for name, (_, told) in self._runtimes.items() if told != now]:
            del self._runtimes[runtime]
            self._hear(runtime, heard=True)
        gone = {tenant for tenant, told in self._tenants_told.items() if told != now}
        for tenant in gone:
            del self._tenants[tenant], self._tenants_told[tenant]
        if gone:
            self._ask(gone)

    def _forget(self, now: int) -> None:
        # abs: a time ahead of the stream's is nobody's, and would hold back all that ended behind it
        while self._ended and abs(now - self._ended[0][0]) > MEMORY_NS:
            _, ended = self._ended.popleft()
            current = self._epochs.get(ended.cgroup_id)
            if current is ended:
                del self._epochs[ended.cgroup_id]
            elif current is not None and current.previous is ended:
                current.previous = None

    def _end(self, time: int, epoch: Epoch) -> None:
        if not epoch.ended:
            epoch.ended = True
            self._ended.append((time, epoch))

    def _epoch(self, record: Header) -> Epoch:
        """The life of a cgroup that a record of the kernel belongs to."""
        epoch = self._epochs.get(record.cgroup_id)
        if epoch is None:
            return self._new(record.cgroup_id)
        return epoch if record.time >= epoch.started else self._before(epoch, record)

    def _before(self, epoch: Epoch, record: Header) -> Epoch:
        """The life before one, whose records come behind its end."""
        if epoch.previous is None:  # nothing is known of it
            epoch.previous = Epoch(record.cgroup_id, self._boot)
            self._end(record.time, epoch.previous)
        return epoch.previous

    def _life(self, record: Header, started: int, path: bytes) -> Epoch:
        """The life of a cgroup that is told of, which may be another one than the life that was known."""
        epoch = self._epochs.get(record.cgroup_id)
        if epoch is None:
            return self._new(record.cgroup_id)
        if 0 < started < epoch.started:
            return self._before(epoch, record)
        if not _another(epoch, started, path):
            return epoch
        self._end(record.time, epoch)
        new = self._new(record.cgroup_id)
        new.previous, epoch.previous = epoch, None
        return new

    def _new(self, cgroup_id: int) -> Epoch:
        epoch = self._epochs[cgroup_id] = Epoch(cgroup_id, self._boot, keyframe=self._keyframe)
        return epoch


def _another(epoch: Epoch, started: int, path: bytes) -> bool:
    """Whether what is told of a cgroup id is of another life than the known one; 0: its start is not known."""
    if epoch.ended:  # where its start is not known, it tells of another one
        return not started or started != epoch.started
    if started and epoch.started:
        return started != epoch.started
    known = epoch.info
    if known is None:
        return False
    if started:
        return started > (known.told or known.time)
    return bool(path and known.path) and path != known.path
