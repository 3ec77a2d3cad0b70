"""A worker that starts from any keyframe says the same of whose documents are as one that read all before it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from bpf.enums import Policy
from bpf.events import CgroupMkdir, CgroupRmdir
from bpf.schema import Record
from enrich.document import Document
from enrich.enricher import Enricher
from enrich.steps.registry import Attribution
from shipper.wire.frame import Frame
from shipper.wire.records import (
    CgroupInfo,
    Clock,
    ContainerInfo,
    HostInfo,
    KeyframeBegin,
    KeyframeEnd,
    Kind,
    RuntimeInfo,
    State,
    TenantChange,
    TenantEvent,
    TenantInfo,
    Tick,
    UserNames,
)
from tests.unit.spooled import MS
from tests.unit.stream import BOOT, SECOND, exec_
from tests.unit.test_snapshot import ID, Pieces

EXEC, TERMINAL = int(Policy.EXEC), int(Policy.TERMINAL)
TENANTS = [b"red", b"green", b"blue"]
KEYFRAME, ROUNDS = 25, 250
"""Rounds between two keyframes, and all of them; each is a frame of about 0.3 s."""


@dataclass
class Registry:
    """What an agent knows, and tells when it changes and in each keyframe."""

    random: Random
    pieces: Pieces = field(default_factory=Pieces)
    cgroups: dict[int, CgroupInfo] = field(default_factory=dict)
    containers: dict[bytes, ContainerInfo] = field(default_factory=dict)
    names: dict[bytes, UserNames] = field(default_factory=dict)
    tenants: dict[bytes, int] = field(default_factory=dict)
    connected: dict[bytes, int] = field(default_factory=lambda: {b"docker": 1, b"podman": 1})
    gone: list[int] = field(default_factory=list)
    """Removed since the last keyframe: records of theirs may still come."""
    number: int = 0

    def told(self, key: bytes) -> ContainerInfo:
        """A container as it is told now."""
        return ContainerInfo(**{name: getattr(self.containers[key], name) for name in FIELDS})

    def keyframe(self) -> list[Record]:
        """All that is known."""
        self.gone.clear()
        held = [*(RuntimeInfo(runtime=name, connected=on) for name, on in self.connected.items())]
        tenants = [TenantInfo(tenant_id=tenant, policy=policy) for tenant, policy in self.tenants.items()]
        containers: list[Record] = []
        for info in self.cgroups.values():
            containers += [self.told(info.key)] if info.key else []
            containers.append(CgroupInfo(**{n: getattr(info, n) for n in CGROUP}))
        names = [UserNames(key=n.key, users=n.users, mount_ns=1) for k, n in self.names.items() if k in self.living()]
        host = HostInfo(host_name=b"node", boot_id=BOOT)
        return [KeyframeBegin(), host, Clock(), *held, *tenants, *containers, *names, self.program(), KeyframeEnd()]

    def living(self) -> list[bytes]:
        """Keys of the containers that have a cgroup."""
        return [info.key for info in self.cgroups.values() if info.key]

    def make(self, now: int) -> list[Record]:
        """A cgroup is made: a container's, told at once or later; the host's; or what its path does not tell."""
        self.number += 1
        number = self.random.choice([*self.gone, 100 + self.number])
        if number in self.gone:
            self.gone.remove(number)
        kind = self.random.choice([Kind.CONTAINER, Kind.CONTAINER, Kind.UNDECIDED, Kind.HOST])
        path = b"/x/%d" % self.number
        info = CgroupInfo(cgroup_id=number, kind=kind, path=path, started=now, told=now)
        self.cgroups[number] = info
        if kind != Kind.CONTAINER:
            return [CgroupMkdir(cgroup_id=number, path=path), self.again(number)]
        runtime = self.random.choice(list(self.connected))
        info.key = b"%s/%d" % (runtime, self.number)
        self.containers[info.key] = ContainerInfo(
            key=info.key,
            container_id=b"%d" % self.number,
            runtime=runtime,
            policy=EXEC,
            state=self.random.choice(list(State)),
        )
        born: list[Record] = [CgroupMkdir(cgroup_id=number, path=path), self.told(info.key), self.again(number)]
        if self.random.random() < 0.5:
            return born
        self.containers[info.key].state = State.COMPLETE
        return [*born, exec_(1000 + self.number, 1, b"/bin/init", cgroup_id=number), self.told(info.key)]

    def again(self, number: int) -> CgroupInfo:
        """A cgroup as it is told now."""
        return CgroupInfo(**{name: getattr(self.cgroups[number], name) for name in CGROUP})

    def change(self) -> list[Record]:
        """Something changes, of a container, a tenant, a runtime, a cgroup or a file of users."""
        match self.random.randrange(6):
            case 0:
                tenant = self.random.choice(TENANTS)
                self.tenants[tenant] = self.random.choice([EXEC, TERMINAL])
                return [TenantInfo(tenant_id=tenant, policy=self.tenants[tenant])]
            case 1:
                runtime = self.random.choice(list(self.connected))
                self.connected[runtime] ^= 1
                return [RuntimeInfo(runtime=runtime, connected=self.connected[runtime])]
            case 2 if self.tenants:
                tenant = self.random.choice(list(self.tenants))
                del self.tenants[tenant]
                return [TenantEvent(tenant_id=tenant, change=TenantChange.REMOVED)]
            case 3 if undecided := [n for n, info in self.cgroups.items() if info.kind == Kind.UNDECIDED]:
                number = self.random.choice(undecided)
                self.cgroups[number].kind = Kind.HOST
                return [self.again(number)]
        if not (living := self.living()):
            return []
        key = self.random.choice(living)
        if self.random.random() < 0.2:
            self.names[key] = UserNames(key=key, users=b"0:root%d" % self.random.randrange(9), mount_ns=1)
            return [UserNames(key=key, users=self.names[key].users, mount_ns=1)]
        info = self.containers[key]
        info.state, info.name = State.COMPLETE, b"name%d" % self.random.randrange(1000)
        info.namespace = self.random.choice([b"", b"shop"])
        info.tenants = b"\0".join(sorted(self.random.sample(TENANTS, self.random.randrange(4))))
        info.policy = self.random.choice([EXEC, EXEC, EXEC | TERMINAL, TERMINAL])
        return [self.told(key)]

    def remove(self) -> list[Record]:
        """A cgroup goes; now and then its end is lost."""
        if not self.cgroups:
            return []
        number = self.random.choice(list(self.cgroups))
        del self.cgroups[number]
        if self.random.random() < 0.2:
            return []
        self.gone.append(number)
        return [CgroupRmdir(cgroup_id=number)]

    def program(self) -> Record:
        """A program starts in a cgroup that lives, or was removed a moment ago."""
        self.number += 1
        there = [*self.cgroups, *self.gone] or [1]
        return exec_(1000 + self.number, 1, b"/bin/x", cgroup_id=self.random.choice(there), uid=0, mount_ns=1)

    def round(self) -> list[Record]:
        """What happens in about a third of a second."""
        self.pieces.now += self.random.choice([SECOND // 5, SECOND // 2])
        records: list[Record] = []
        for _ in range(self.random.randrange(1, 7)):
            what = self.random.random()
            if what < 0.15 and len(self.cgroups) < 12:
                records += self.make(self.pieces.now + len(records) * MS)
            elif what < 0.3:
                records += self.change()
            elif what < 0.38:
                records += self.remove()
            else:
                records.append(self.program())
        return [*records, Tick()]


FIELDS = [f.name for f in ContainerInfo.layout.blocks[-1][1]]
CGROUP = ["cgroup_id", *(f.name for f in CgroupInfo.layout.blocks[-1][1])]


def said(documents: list[Document], since: int) -> dict[str, Any]:
    """Id → all that documents of frames from a number on say of whose they are."""
    found = {}
    for document in documents:
        if int(document.id.split("-")[1]) >= since:
            source = json.loads(document.encode())
            own = source["cgtrail"]
            about = [source.get(name) for name in ("container", "orchestrator", "user")]
            found[document.id] = [*about, *(own.get(name) for name in ("tenant", "attribution", "epoch", "cgroup"))]
    return found


def made(frames: list[Frame]) -> list[Document]:
    """All documents of these frames."""
    enricher = Enricher(ID)
    documents = [document for frame in frames for document in enricher.take(frame).documents]
    return documents + enricher.finish().documents


@pytest.mark.parametrize("seed", range(12))
def test_from_any_keyframe(seed: int) -> None:
    """Containers, tenants, names and attributions behind a keyframe are those of the undisturbed run."""
    registry = Registry(Random(seed))  # noqa: S311  no secrets are made
    keyframes = []
    for number in range(ROUNDS):
        if number % KEYFRAME == 0:
            keyframes.append(len(registry.pieces.made))
            registry.pieces.frame(registry.keyframe())
        registry.pieces.frame(registry.round())
    frames = [piece for piece in registry.pieces.made if isinstance(piece, Frame)]
    undisturbed = made(frames)
    assert {d.source["cgtrail"].get("attribution") for d in undisturbed} == {*Attribution, None}
    for begin in keyframes[1:]:
        expected = said(undisturbed, begin)
        assert expected
        assert said(made(frames[begin:]), begin) == expected
