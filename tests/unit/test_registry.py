"""The host's registry: what paths and runtimes tell, as records."""

from __future__ import annotations

import json
import os
import time

import pytest

from bpf.schema import decode
from shipper.registry import LABELS_BYTES, PATIENCE_NS, Registry
from shipper.runtimes import Metadata
from shipper.wire.frame import MAX_PAYLOAD
from shipper.wire.records import CgroupInfo, Kind, State

ID, OTHER = "a" * 64, "b" * 64
SCOPE = f"/system.slice/docker-{ID}.scope"
WEB = Metadata(ID, "docker", "web", "nginx:1.29", {"com.example.tenant": "alice"})


@pytest.fixture
def registry() -> Registry:
    """A registry that expects Docker to tell more."""
    return Registry(frozenset({"docker"}))


def shown(info: CgroupInfo) -> dict[str, object]:
    """What a record says of a container."""
    names = ("container_id", "name", "image", "runtime", "labels")
    return {name: os.fsdecode(getattr(info, name)) for name in names} | {
        "kind": Kind(info.kind),
        "state": State(info.state),
    }


UNTOLD = {
    "container_id": ID,
    "name": "",
    "image": "",
    "runtime": "docker",
    "labels": "",
    "kind": Kind.CONTAINER,
    "state": State.PENDING,
}
TOLD = UNTOLD | {
    "name": "web",
    "image": "nginx:1.29",
    "labels": '{"com.example.tenant": "alice"}',
    "state": State.COMPLETE,
}
HOST = {
    "container_id": "",
    "name": "",
    "image": "",
    "runtime": "",
    "labels": "",
    "kind": Kind.HOST,
    "state": State.COMPLETE,
}


def test_a_hosts_cgroup_is_complete(registry: Registry) -> None:
    """Nothing more is expected of a service's cgroup."""
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    info = registry.found(7, "/system.slice/ssh.service", 123)
    assert shown(info) == HOST
    assert (info.cgroup_id, info.path, info.started) == (7, b"/system.slice/ssh.service", 123)
    assert before <= info.time <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert registry.containers == set()


def test_a_container_waits_for_its_runtime(registry: Registry) -> None:
    """A container is pending until its runtime tells, and complete with what it told."""
    assert shown(registry.found(7, SCOPE, 0)) == UNTOLD
    (info,) = registry.told(WEB)
    assert (info.cgroup_id, shown(info)) == (7, TOLD)
    assert registry.containers == {ID}


def test_a_runtime_may_tell_first(registry: Registry) -> None:
    """What was told before a container starts is in the first record of its cgroup."""
    assert registry.told(WEB) == []
    assert shown(registry.found(7, SCOPE, 5)) == TOLD


def test_all_cgroups_of_a_container_are_told(registry: Registry) -> None:
    """Cgroups below a container's are the container's; others are not told of it."""
    registry.found(7, SCOPE, 0)
    registry.found(8, f"{SCOPE}/init.scope", 0)
    registry.found(9, f"/system.slice/docker-{OTHER}.scope", 0)
    registry.found(10, "/system.slice", 0)
    assert [info.cgroup_id for info in registry.told(WEB)] == [7, 8]
    assert {info.cgroup_id: info.state for info in registry.all()} == {
        7: State.COMPLETE,
        8: State.COMPLETE,
        9: State.PENDING,
        10: State.COMPLETE,
    }


def test_what_is_told_again_replaces(registry: Registry) -> None:
    """A renamed container is told with its new name."""
    registry.found(7, SCOPE, 0)
    registry.told(WEB)
    (info,) = registry.told(Metadata(ID, "docker", "shop", "nginx:1.29", {}))
    assert shown(info) == TOLD | {"name": "shop", "labels": ""}
    assert shown(registry.all()[0]) == shown(info)


def test_a_container_that_starts_again_is_known(registry: Registry) -> None:
    """Docker doesn't tell of a stopped container anew: its next cgroup has its name at once."""
    registry.found(7, SCOPE, 0)
    registry.told(WEB)
    registry.gone(7)
    assert registry.containers == set()
    assert registry.all() == []
    assert shown(registry.found(8, SCOPE, 0)) == TOLD


def test_a_removed_container_is_forgotten(registry: Registry) -> None:
    """Nothing is kept of a container that its runtime removed."""
    registry.told(WEB)
    registry.forget(ID)
    registry.forget(OTHER)
    assert shown(registry.found(8, SCOPE, 0)) == UNTOLD


def test_what_is_gone_is_told_no_more(registry: Registry) -> None:
    """A removed cgroup gets no records; an unknown one may be removed."""
    registry.found(7, SCOPE, 0)
    registry.found(8, f"{SCOPE}/init.scope", 0)
    registry.gone(7)
    registry.gone(99)
    assert [info.cgroup_id for info in registry.told(WEB)] == [8]
    assert registry.containers == {ID}


@pytest.mark.parametrize(
    ("path", "state", "runtime", "name"),
    [
        (f"/machine.slice/libpod-{ID}.scope", State.COMPLETE, b"podman", b""),
        ("/lxc.payload.web", State.COMPLETE, b"lxc", b"web"),
        (f"/tenants/{ID}", State.PENDING, b"", b""),
    ],
    ids=["podman", "lxc", "unknown"],
)
def test_only_runtimes_that_tell_are_waited_for(
    registry: Registry, path: str, state: State, runtime: bytes, name: bytes
) -> None:
    """A container of a runtime that is not asked is complete as it is; one of an unknown runtime may be Docker's."""
    info = registry.found(7, path, 0)
    assert (info.kind, info.state, info.runtime, info.name) == (Kind.CONTAINER, state, runtime, name)


def test_any_name_is_kept(registry: Registry) -> None:
    """Bytes that are not UTF-8 in a path come through unchanged; text of a runtime as UTF-8."""
    path = os.fsdecode(f"{SCOPE}/".encode() + b"\xff\x1b[2J")
    registry.told(Metadata(ID, "docker", "wéb\x1b", "", {"é": "\u202e"}))
    info = registry.found(7, path, 0)
    assert (info.path, info.name) == (os.fsencode(path), "wéb\x1b".encode())
    assert json.loads(info.labels) == {"é": "\u202e"}


@pytest.mark.parametrize("labels", [{f"k{n}": "x" * 100 for n in range(5000)}, {"k0": "x" * MAX_PAYLOAD, "k1": "y"}])
def test_too_many_labels_still_fit_a_frame(registry: Registry, labels: dict[str, str]) -> None:
    """Of labels beyond the limit the longest are left out; the record can be stored and read."""
    registry.told(Metadata(ID, "docker", "web", "nginx", labels))
    data = registry.found(7, SCOPE, 0).encode()
    info = decode(data, 0, len(data))
    assert isinstance(info, CgroupInfo)
    kept = json.loads(info.labels)
    assert kept.items() <= labels.items()
    assert "k1" in kept
    assert len(info.labels) <= LABELS_BYTES
    assert len(data) < MAX_PAYLOAD


def test_a_runtime_may_tell_last(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of a container that has just ended is still a record of its cgroups, for a second."""
    registry.found(7, SCOPE, 5)
    registry.gone(7)
    assert [(info.started, shown(info)) for info in registry.told(WEB)] == [(5, TOLD)]
    assert (registry.all(), registry.containers) == ([], set())
    later = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + PATIENCE_NS + 1
    monkeypatch.setattr("shipper.registry._now", lambda: later)
    assert registry.told(WEB) == []
