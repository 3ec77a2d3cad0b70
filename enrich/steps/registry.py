"""The registry view: which container an event's cgroup was, as the stream has said so far."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import ClassVar

import msgspec

from bpf.events import CgroupRmdir, Header, Task
from enrich import render
from enrich.document import Part
from enrich.item import Epoch, Item
from enrich.steps.host import Host
from shipper.wire.records import CgroupInfo, KeyframeBegin, KeyframeEnd, Kind, Tick

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

    state: ClassVar[tuple[str, ...]] = ("_epochs", "_ended", "_keyframe", "_in_keyframe")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._epochs: dict[int, Epoch] = {}
        self._ended: deque[tuple[int, Epoch]] = deque()
        self._keyframe = 0
        self._in_keyframe = False

    def __call__(self, item: Item) -> None:
        """Sets the item's epoch; learns from registry records."""
        record = item.record
        if isinstance(record, Task):
            item.epoch = self._epoch(record) if record.cgroup_id else None
        elif isinstance(record, KeyframeBegin):
            self._keyframe += 1
            self._in_keyframe = True
        elif isinstance(record, Tick):
            self._forget(record.time)
        elif isinstance(record, KeyframeEnd):
            if self._in_keyframe and not record.incomplete:
                self._epochs = {n: e for n, e in self._epochs.items() if e.keyframe == self._keyframe or e.ended}
            self._in_keyframe = False
        elif isinstance(record, Header) and record.cgroup_id:
            item.epoch = epoch = self._epoch(record)
            if isinstance(record, CgroupInfo):
                cgroup = Part(id=record.cgroup_id, path=render.text(record.path)[0])
                epoch.tell(record, cgroup, _container(record))
            elif isinstance(record, CgroupRmdir):
                epoch.ended = True
                self._ended.append((record.time, epoch))

    def known(self, cgroup_id: int) -> Epoch | None:
        """The epoch of a cgroup that lives, or was removed a moment ago."""
        return self._epochs.get(cgroup_id)

    def _forget(self, now: int) -> None:
        # abs: a time ahead of the stream's is nobody's, and would hold back all that ended behind it
        while self._ended and abs(now - self._ended[0][0]) > MEMORY_NS:
            _, ended = self._ended.popleft()
            if self._epochs.get(ended.cgroup_id) is ended:
                del self._epochs[ended.cgroup_id]

    def _epoch(self, record: Header) -> Epoch:
        cgroup_id = record.cgroup_id
        epoch = self._epochs.get(cgroup_id)
        if epoch is None or (epoch.ended and isinstance(record, CgroupInfo) and not _same(epoch, record)):
            boot = self._host.fields.get("boot", {}).get("id", "")
            epoch = self._epochs[cgroup_id] = Epoch(cgroup_id, boot)
        epoch.keyframe = self._keyframe
        return epoch


def _same(epoch: Epoch, told: CgroupInfo) -> bool:
    """Whether it tells of a life that has ended; where its start is not known, it tells of another one."""
    return epoch.info is not None and epoch.info.started == told.started != 0


def _container(info: CgroupInfo) -> Part | None:
    if info.kind == Kind.HOST:
        return None
    shown = {
        "id": render.text(info.container_id)[0],
        "name": render.text(info.name)[0],
        "runtime": render.text(info.runtime)[0],
        "image": render.image(render.text(info.image)[0]) if info.image else None,
        "labels": _labels(info.labels),
    }
    return Part({name: value for name, value in shown.items() if value})


def _labels(encoded: bytes) -> dict[str, str]:
    """What a runtime gave; what can't be read shows as it is, so that nobody takes it for no labels."""
    try:
        return msgspec.json.decode(encoded, type=dict[str, str]) if encoded else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"unreadable": render.text(encoded)[0]}
