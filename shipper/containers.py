"""A container and its cgroups, as the registry has them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from bpf.enums import Watch
from shipper.runtimes.news import Metadata
from shipper.tell import boot_ns
from shipper.tenants.declare import policy_names
from shipper.tenants.model import Membership
from shipper.whereabouts import Place
from shipper.wire.records import Kind


@dataclass(slots=True)
class Cgroup:
    """A cgroup that lives, or did a moment ago. Times are boot time in ns."""

    id: int
    path: str
    started: int
    """0: it was found running."""
    told: int
    """When the stream was told of it first."""
    watch: Watch = Watch.NONE
    """What the kernel made of it."""
    place: Place | None = None
    kind: Kind = Kind.HOST
    empty: bool = False
    """It was found without a process: a runtime that was killed leaves such behind."""

    @property
    def key(self) -> str:
        """Its container's key; empty for what is no container's."""
        return self.place.key if self.place else ""


@dataclass(slots=True)
class Container:
    """A container that has a cgroup, or that the stream was told of."""

    key: str
    known: Metadata
    """What its runtime told; as long as it has not, what its path says."""
    cgroups: dict[int, Cgroup] = field(default_factory=dict)
    membership: Membership | None = None
    """As it was last told; None: never."""
    pending: bool = True
    described: bool = False
    """Its runtime has told of it, and may have removed it since."""
    created: bool = False
    """Its creation was told: whatever tenant it has, it was attached since."""

    @property
    def tops(self) -> list[Cgroup]:
        """Its topmost cgroups: one, but for a moment when it starts anew."""
        return [cgroup for cgroup in self.cgroups.values() if cgroup.place and cgroup.path == cgroup.place.path]


def shown(container: Container) -> dict[str, Any]:
    """For people, as `cgtrail containers` prints it; `started` is in ns since 1970, 0: it was found running."""
    top, known, member = next(iter(container.tops), None), container.known, container.membership
    return {
        "key": container.key,
        "id": known.container_id,
        "name": known.name,
        "runtime": known.runtime,
        "image": known.image,
        "tenants": dict(member.tenants) if member else {},
        "policy": policy_names(member.policy) if member else [],
        "cgroups": len(container.cgroups),
        "cgroup": top.id if top else 0,
        "state": "pending" if container.pending else "complete",
        "recorded": top is None or top.watch == Watch.CONTAINER,
        "started": top.started + time.time_ns() - boot_ns() if top and top.started else 0,
    }
