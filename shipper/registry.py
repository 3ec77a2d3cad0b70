"""The host's registry: which cgroup is which container, as far as paths and runtimes have told so far."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shipper.cgroups import Owner, owner
from shipper.runtimes import Metadata
from shipper.wire.records import CgroupInfo, Kind, State

NAME_BYTES = 4096
"""At most so much of a name or an image: a record must fit a frame."""
PATIENCE_NS = 1_000_000_000
"""So long a runtime may still tell of a container whose cgroup is gone: documents wait as long."""
LABELS_BYTES = 8 * 1024
"""So many bytes of labels are recorded of a container: they are in each of its documents."""


@dataclass(frozen=True, slots=True)
class _Cgroup:
    path: str
    owner: Owner | None
    started: int
    told: int


class Registry:
    """Turns what sources say into CgroupInfo records. `runtimes` are those from which metadata can be expected."""

    def __init__(self, runtimes: frozenset[str]) -> None:
        self._runtimes = runtimes
        self._cgroups: dict[int, _Cgroup] = {}
        self._metadata: dict[str, Metadata] = {}
        self._gone: OrderedDict[int, tuple[int, _Cgroup]] = OrderedDict()
        """Cgroups that were removed before a runtime told of them, and when, oldest first."""

    @property
    def containers(self) -> set[str]:
        """Ids of the containers that have a cgroup now."""
        return {cgroup.owner.container_id for cgroup in self._cgroups.values() if cgroup.owner}

    def found(self, cgroup_id: int, path: str, started: int) -> CgroupInfo:
        """A cgroup was made (`started`: boot-time ns) or found running (0)."""
        known = self._cgroups.get(cgroup_id)
        told = known.told if known else _now()
        self._cgroups[cgroup_id] = cgroup = _Cgroup(path, owner(path), started, told)
        return self._info(cgroup_id, cgroup)

    @property
    def cgroups(self) -> set[int]:
        """Ids of the cgroups that live, as far as was told."""
        return set(self._cgroups)

    def told(self, metadata: Metadata) -> list[CgroupInfo]:
        """A runtime told of a container: the records of those of its cgroups that live, or were removed just now."""
        self._metadata[metadata.container_id] = metadata
        self._expire()
        known = self._cgroups | {number: cgroup for number, (_, cgroup) in self._gone.items()}
        return [self._info(number, cgroup) for number, cgroup in known.items() if _belongs(cgroup, metadata)]

    def gone(self, cgroup_id: int) -> None:
        """A cgroup was removed. Its container may start again, with another cgroup."""
        self._expire()
        cgroup = self._cgroups.pop(cgroup_id, None)
        # One that was found running can't be told from a later life with the same number.
        if cgroup and cgroup.started and cgroup.owner and cgroup.owner.container_id not in self._metadata:
            self._gone[cgroup_id] = _now(), cgroup

    def forget(self, container_id: str) -> None:
        """A runtime removed a container."""
        self._metadata.pop(container_id, None)

    def all(self) -> list[CgroupInfo]:
        """The record of every cgroup that lives."""
        return [self._info(number, cgroup) for number, cgroup in self._cgroups.items()]

    def _expire(self) -> None:
        now = _now()
        while self._gone and now - next(iter(self._gone.values()))[0] > PATIENCE_NS:
            self._gone.popitem(last=False)

    def _info(self, cgroup_id: int, cgroup: _Cgroup) -> CgroupInfo:
        placed = cgroup.owner
        known = self._metadata.get(placed.container_id) if placed else None
        told = {} if known is None else {"name": known.name, "image": known.image, "runtime": known.runtime}
        found = {"container_id": placed.container_id, "runtime": placed.runtime, "name": placed.name} if placed else {}
        expected = placed is not None and (not placed.runtime or placed.runtime in self._runtimes)
        return CgroupInfo(
            cgroup_id=cgroup_id,
            time=_now(),
            started=cgroup.started,
            told=cgroup.told,
            kind=Kind.CONTAINER if placed else Kind.HOST,
            state=State.PENDING if expected and known is None else State.COMPLETE,
            path=_bytes(cgroup.path),
            labels=_labels(known.labels if known else {}),
            **_texts(found | told),
        )


def _now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _texts(shown: Mapping[str, str]) -> dict[str, Any]:
    return {name: _bytes(text)[:NAME_BYTES] for name, text in shown.items()}


def _labels(labels: Mapping[str, str]) -> bytes:
    """As JSON; of too many, the longest are left out."""
    sizes = {key: len(json.dumps({key: value})) for key, value in labels.items()}
    left, kept = LABELS_BYTES, set()
    for key in sorted(sizes, key=sizes.__getitem__):
        left -= sizes[key]
        if left >= 0:
            kept.add(key)
    shown = {key: value for key, value in labels.items() if key in kept}
    return _bytes(json.dumps(shown)) if shown else b""


def _belongs(cgroup: _Cgroup, metadata: Metadata) -> bool:
    return cgroup.owner is not None and cgroup.owner.container_id == metadata.container_id


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
