"""The host's registry: what paths, runtimes and tenants tell, as records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import pytest

from bpf.enums import Policy, Watch
from bpf.schema import Record, decode
from shipper import tell
from shipper.registry import PATIENCE_NS, UNDECIDED_NS, Registry
from shipper.runtimes.news import Lived, Metadata
from shipper.tell import LABELS_BYTES
from shipper.tenants.model import EVERYTHING, Membership, Subject, Tenant, Tenants
from shipper.wire.frame import MAX_PAYLOAD
from shipper.wire.records import (
    CgroupInfo,
    ContainerEvent,
    ContainerFlag,
    ContainerInfo,
    Kind,
    Life,
    RuntimeInfo,
    State,
    TenantChange,
    TenantEvent,
    TenantInfo,
)

ID, OTHER = "a" * 64, "b" * 64
SCOPE = f"/system.slice/docker-{ID}.scope"
KEY = f"docker/{ID}"
WEB = Metadata("docker", ID, name="web", image="nginx:1.29", labels={"team": "t1"})
CTR = Metadata("containerd", "web", scope="default", name="web", cgroup="/default/web")
R = TypeVar("R", bound=Record)


class Teams(Tenants):
    """A container belongs to the tenants that its label `team` names, t1 if that is declared to ask for nothing."""

    def __init__(self, **declared: Policy) -> None:
        super().__init__()
        self.known = {name: Tenant(name, name.upper(), policy, "teams.yaml:1") for name, policy in declared.items()}

    def of(self, subject: Subject) -> Membership:
        """Named by the label."""
        names = sorted(filter(None, subject.labels.get("team", "").split("+")))
        policy = Policy(0)
        for name in names:
            policy |= self.tenant(name).policy
        return Membership(dict.fromkeys(names, "label team"), policy if names else self.unassigned)


class Clock:
    """Boot time that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000_000_000
        monkeypatch.setattr(tell, "boot_ns", lambda: self.now)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still."""
    return Clock(monkeypatch)


@pytest.fixture
def registry() -> Registry:
    """A registry that expects Docker and containerd to tell more."""
    return Registry(Teams(), lambda runtime: runtime in {"", "docker", "containerd"})


def of(kind: type[R], records: Iterable[Record]) -> list[R]:
    """Those of one kind, as they come out of the stream."""
    raws = [record.encode() for record in records]
    assert all(len(raw) < MAX_PAYLOAD for raw in raws)
    return [record for raw in raws if isinstance(record := decode(raw, 0, len(raw)), kind)]


def one(kind: type[R], records: Iterable[Record]) -> R:
    """The only one of a kind."""
    (found,) = of(kind, records)
    return found


def names(records: Iterable[Record]) -> list[str]:
    """The kinds of records, in their order."""
    return [type(record).__name__ for record in records]


def changes(records: Iterable[Record]) -> list[tuple[TenantChange, bytes, bytes]]:
    """What became of tenants."""
    return [(TenantChange(event.change), event.tenant_id, event.key) for event in of(TenantEvent, records)]


def test_a_hosts_cgroup_is_no_containers(registry: Registry, clock: Clock) -> None:
    """A service's cgroup has no key, and nothing is told of a container."""
    info = one(CgroupInfo, registry.found(7, "/system.slice/ssh.service", 123))
    assert (info.cgroup_id, info.path, info.started, info.told) == (7, b"/system.slice/ssh.service", 123, clock.now)
    assert (info.kind, info.key) == (Kind.HOST, b"")
    assert registry.containers == {}


def test_a_container_waits_for_its_runtime(registry: Registry) -> None:
    """A container is pending until its runtime tells, and complete with what it told."""
    found = registry.found(7, SCOPE, 0)
    assert names(found) == ["ContainerInfo", "CgroupInfo"]
    pending = one(ContainerInfo, found)
    assert (pending.key, pending.container_id, pending.runtime) == (KEY.encode(), ID.encode(), b"docker")
    assert (pending.state, pending.name, pending.tenants) == (State.PENDING, b"", b"")
    assert one(CgroupInfo, found).key == KEY.encode()
    told = one(ContainerInfo, registry.told(WEB))
    assert (told.state, told.name, told.image) == (State.COMPLETE, b"web", b"nginx:1.29")
    assert json.loads(told.labels) == {"team": "t1"}
    assert told.tenants == b"t1"
    assert list(registry.containers) == [KEY]


def test_a_runtime_may_tell_first(registry: Registry) -> None:
    """What was told before a container starts stands before the first record of its cgroup."""
    assert registry.told(WEB) == []
    found = registry.found(7, SCOPE, 5)
    assert names(found) == ["TenantInfo", "ContainerInfo", "TenantEvent", "CgroupInfo"]
    assert one(ContainerInfo, found).state == State.COMPLETE


def test_a_container_is_told_once_for_its_cgroups(registry: Registry) -> None:
    """Cgroups below a container's are the container's, and add nothing but themselves."""
    registry.told(WEB)
    registry.found(7, SCOPE, 0)
    assert names(registry.found(8, f"{SCOPE}/init.scope", 0)) == ["CgroupInfo"]
    registry.found(9, f"/system.slice/docker-{OTHER}.scope", 0)
    registry.found(10, "/system.slice", 0)
    everything = list(registry.all())
    assert [info.cgroup_id for info in of(CgroupInfo, everything)] == [7, 8, 9, 10]
    assert [info.state for info in of(ContainerInfo, everything)] == [State.COMPLETE, State.PENDING]
    assert [top.id for top in registry.containers[KEY].tops] == [7]


def test_what_is_told_again_replaces(registry: Registry) -> None:
    """A renamed container is told with its new name; what is no news is not told."""
    registry.found(7, SCOPE, 0)
    registry.told(WEB)
    assert registry.told(WEB) == []
    info = one(ContainerInfo, registry.told(replace(WEB, name="shop")))
    assert (info.name, info.image) == (b"shop", b"nginx:1.29")
    assert one(ContainerInfo, registry.all()).name == b"shop"


def test_a_container_renamed_to_anothers_old_name_is_itself(registry: Registry) -> None:
    """Names say nothing of identity: each keeps its own key, tenants and cgroups."""
    other = Metadata("docker", OTHER, name="new", labels={"team": "t2"})
    registry.told(WEB)
    registry.told(other)
    registry.found(7, SCOPE, 0)
    registry.found(9, f"/docker/{OTHER}", 0)
    registry.told(replace(WEB, name="old"))
    registry.told(replace(other, name="web"))
    shown = {info.key: (info.name, info.tenants) for info in of(ContainerInfo, registry.all())}
    assert shown == {KEY.encode(): (b"old", b"t1"), f"docker/{OTHER}".encode(): (b"web", b"t2")}


def test_a_container_that_starts_again_is_known(registry: Registry) -> None:
    """Docker tells nothing anew of a stopped container: its next cgroup has its name at once, and joins nothing."""
    registry.told(WEB)
    registry.found(7, SCOPE, 5)
    assert registry.gone(7) is not None
    assert (registry.containers, list(of(CgroupInfo, registry.all()))) == ({}, [])
    found = registry.found(8, SCOPE, 6)
    assert names(found) == ["TenantInfo", "ContainerInfo", "CgroupInfo"]
    assert one(ContainerInfo, found).name == b"web"


def test_a_removed_container_is_forgotten(registry: Registry) -> None:
    """Nothing is kept of a container that its runtime removed."""
    registry.told(WEB)
    registry.forget(KEY)
    registry.forget(f"docker/{OTHER}")
    assert one(ContainerInfo, registry.found(8, SCOPE, 0)).state == State.PENDING


def test_a_removed_container_whose_cgroup_lingers_stays_known(registry: Registry) -> None:
    """systemd removes a scope when it likes: what still ends in it has the name that it had."""
    registry.told(WEB)
    registry.found(7, SCOPE, 5)
    registry.lived(Lived(KEY, Life.REMOVED))
    registry.forget(KEY)
    told = one(ContainerInfo, registry.all())
    assert (told.state, told.name) == (State.COMPLETE, b"web")
    registry.gone(7)
    assert of(ContainerInfo, registry.all()) == []


def test_what_is_gone_is_told_no_more(registry: Registry) -> None:
    """A removed cgroup gets no records; an unknown one may be removed."""
    registry.found(7, SCOPE, 0)
    registry.found(8, f"{SCOPE}/init.scope", 0)
    assert registry.gone(7) is None
    assert registry.gone(99) is None
    registry.told(WEB)
    assert [info.cgroup_id for info in of(CgroupInfo, registry.all())] == [8]
    assert registry.ended == {7, 99}


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
    info = one(ContainerInfo, registry.found(7, path, 0))
    assert (info.state, info.runtime, info.name) == (state, runtime, name)


def test_any_name_is_kept(registry: Registry) -> None:
    """Bytes that are not UTF-8 in a path come through unchanged; text of a runtime as UTF-8."""
    path = os.fsdecode(f"{SCOPE}/".encode() + b"\xff\x1b[2J")
    registry.told(Metadata("docker", ID, name="wéb\x1b", labels={"é": "\u202e"}))
    found = registry.found(7, path, 0)
    assert (one(CgroupInfo, found).path, one(ContainerInfo, found).name) == (os.fsencode(path), "wéb\x1b".encode())
    assert json.loads(one(ContainerInfo, found).labels) == {"é": "\u202e"}


@pytest.mark.parametrize("labels", [{f"k{n}": "x" * 100 for n in range(5000)}, {"k0": "x" * MAX_PAYLOAD, "k1": "y"}])
def test_too_many_labels_still_fit_a_frame(registry: Registry, labels: Mapping[str, str]) -> None:
    """Of labels beyond the limit the longest are left out, and the record says so."""
    registry.told(Metadata("docker", ID, name="n" * MAX_PAYLOAD, labels=labels))
    info = one(ContainerInfo, registry.found(7, SCOPE, 0))
    kept = json.loads(info.labels)
    assert kept.items() <= labels.items()
    assert "k1" in kept
    assert len(info.labels) <= LABELS_BYTES
    assert info.flags == ContainerFlag.LABELS_CUT


def test_a_runtime_may_tell_last(registry: Registry, clock: Clock) -> None:
    """What is told of a container that has just ended is still a record of its cgroups, for a second."""
    registry.found(7, SCOPE, 5)
    registry.gone(7)
    late = registry.told(WEB)
    assert one(ContainerInfo, late).name == b"web"
    assert (one(CgroupInfo, late).cgroup_id, one(CgroupInfo, late).started) == (7, 5)
    assert registry.containers == {}
    assert registry.told(replace(WEB, name="again")) == []
    registry.found(8, f"/docker/{OTHER}", 6)
    registry.gone(8)
    clock.now += PATIENCE_NS + 1
    assert registry.told(Metadata("docker", OTHER)) == []


class TestAPathThatSaysNothing:
    """containerd lets whoever starts a container choose its cgroup."""

    def test_is_undecided_for_a_moment(self, registry: Registry, clock: Clock) -> None:
        """What nobody claims is the host's after half a second."""
        info = one(CgroupInfo, registry.found(7, "/default", 5, Watch.PROVISIONAL))
        assert info.kind == Kind.UNDECIDED
        assert registry.settle() == []
        clock.now += UNDECIDED_NS + 1
        assert one(CgroupInfo, registry.settle()).kind == Kind.HOST
        assert registry.settle() == []

    def test_is_a_containers_when_its_runtime_says_so(self, registry: Registry, clock: Clock) -> None:
        """Told meanwhile or before, the cgroup and those below are the container's."""
        registry.found(7, "/default/web", 5, Watch.PROVISIONAL)
        registry.found(8, "/default/web/below", 5, Watch.PROVISIONAL)
        registry.found(9, "/default/webber", 5, Watch.PROVISIONAL)
        told = registry.told(CTR)
        assert [(info.cgroup_id, info.key) for info in of(CgroupInfo, told)] == [
            (7, b"containerd/default/web"),
            (8, b"containerd/default/web"),
        ]
        assert one(ContainerInfo, told).state == State.COMPLETE
        clock.now += UNDECIDED_NS + 1
        assert [info.cgroup_id for info in of(CgroupInfo, registry.settle())] == [9]
        assert one(CgroupInfo, registry.found(10, "/default/web/more", 6)).kind == Kind.CONTAINER

    def test_is_decided_at_once_where_nobody_may_claim_it(self) -> None:
        """Without a runtime that chooses paths, it is the host's."""
        registry = Registry(Teams(), lambda _: False)
        assert one(CgroupInfo, registry.found(7, "/x", 5, Watch.PROVISIONAL)).kind == Kind.HOST

    def test_gone_is_gone(self, registry: Registry, clock: Clock) -> None:
        """One that was removed is not settled."""
        registry.found(7, "/default", 5, Watch.PROVISIONAL)
        registry.gone(7)
        clock.now += UNDECIDED_NS + 1
        assert registry.settle() == []


def test_a_bare_id_gets_its_runtimes_key(registry: Registry) -> None:
    """A path that tells the id alone is resolved when a runtime tells of that id."""
    before = one(CgroupInfo, registry.found(7, f"/kubepods/besteffort/x/{ID}", 5))
    assert before.key == ID.encode()
    pod = Metadata("containerd", ID, scope="k8s.io", name="app", pod="shop-0", namespace="shop", pod_id="u")
    told = registry.told(pod)
    assert one(CgroupInfo, told).key == f"containerd/k8s.io/{ID}".encode()
    info = one(ContainerInfo, told)
    assert (info.pod, info.namespace, info.pod_id) == (b"shop-0", b"shop", b"u")
    assert list(registry.containers) == [f"containerd/k8s.io/{ID}"]


@pytest.mark.parametrize("name", [f"docker-{ID}.scope", ID, f"docker/{ID}"])
def test_a_user_can_not_take_a_containers_id(registry: Registry, name: str) -> None:
    """Whoever may make cgroups of its own can call one like root's container: nothing in it is that container's."""
    registry.told(WEB)
    registry.found(7, SCOPE, 0)
    forged = registry.found(8, f"/user.slice/user-1000.slice/user@1000.service/app.slice/{name}", 0)
    assert one(CgroupInfo, forged).key not in {b"", KEY.encode()}
    assert one(ContainerInfo, forged).name == b""
    assert set(registry.containers[KEY].cgroups) == {7}


def test_a_users_own_runtime_tells_of_its_containers(registry: Registry) -> None:
    """It is that of the user in whose slice they are, before they are found and afterwards."""
    own = replace(WEB, user="1000")
    path = f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"
    registry.found(7, path, 0)
    assert one(ContainerInfo, registry.told(own)).name == b"web"
    registry.found(8, f"{path}/init", 0)
    assert {key: set(box.cgroups) for key, box in registry.containers.items()} == {f"docker/1000/{ID}": {7, 8}}


def test_users_containers_of_one_name_are_two(registry: Registry) -> None:
    """With a runtime that has names only, each user's are told apart."""
    registry.found(7, "/lxc.payload.web", 0)
    registry.found(8, "/user.slice/user-1000.slice/user@1000.service/run.scope/lxc.payload.web", 0)
    assert set(registry.containers) == {"lxc/web", "lxc/1000/web"}


@pytest.mark.parametrize("first", [True, False])
def test_an_id_that_two_runtimes_have(registry: Registry, first: bool) -> None:
    """A bare id is its whose path was not told; where that are two, it is neither's, until one is removed."""
    ctr = Metadata("containerd", ID, scope="default", name="other", cgroup=f"/default/{ID}")
    for told in (WEB, ctr) if first else (ctr, WEB):
        registry.told(told)
    assert of(CgroupInfo, registry.found(7, f"/batch/{ID}", 5))[0].key == KEY.encode()
    assert of(CgroupInfo, registry.found(8, f"/default/{ID}", 5))[0].key == f"containerd/default/{ID}".encode()
    registry.told(replace(WEB, runtime="podman", name="third"))
    assert of(CgroupInfo, registry.found(9, f"/more/{ID}", 5))[0].key == ID.encode()
    assert of(CgroupInfo, registry.found(10, f"/docker/{ID}", 5))[0].key == KEY.encode()
    registry.forget(KEY)
    assert of(CgroupInfo, registry.found(11, f"/yet/{ID}", 5))[0].key == f"podman/{ID}".encode()


def test_the_outermost_container_owns_what_is_in_it(registry: Registry) -> None:
    """Docker in Docker: whatever an inner daemon, or a liar, names below."""
    registry.told(WEB)
    registry.told(Metadata("docker", OTHER, name="bank"))
    found = registry.found(7, f"{SCOPE}/docker/{OTHER}", 5)
    assert one(CgroupInfo, found).key == KEY.encode()


def test_what_a_runtime_alone_knows_is_told(registry: Registry) -> None:
    """Creation, renaming and removal stand behind what is known of the container."""
    registry.told(WEB)
    created = registry.lived(Lived(KEY, Life.CREATED, 17))
    assert names(created) == ["TenantInfo", "ContainerInfo", "TenantEvent", "ContainerEvent"]
    event = one(ContainerEvent, created)
    assert (event.key, event.life, event.realtime) == (KEY.encode(), Life.CREATED, 17)
    assert registry.containers == {}
    assert changes(registry.found(7, SCOPE, 5)) == []
    registry.gone(7)
    assert names(registry.lived(Lived(KEY, Life.REMOVED))) == ["ContainerInfo", "ContainerEvent"]
    registry.forget(KEY)
    assert registry.lived(Lived(KEY, Life.REMOVED)) == []


def test_a_runtime_that_is_not_heard_is_told(registry: Registry) -> None:
    """Once when it changes, and in each keyframe."""
    assert one(RuntimeInfo, registry.heard("docker", connected=True)).connected == 1
    assert registry.heard("docker", connected=True) == []
    assert one(RuntimeInfo, registry.heard("docker", connected=False)).connected == 0
    assert (one(RuntimeInfo, registry.all()).runtime, one(RuntimeInfo, registry.all()).connected) == (b"docker", 0)


class TestTenants:
    """Which tenants a container has, and when that changes."""

    def test_a_shared_container_has_all_and_adds_up(self) -> None:
        """Each asks for something else: all of it is recorded."""
        registry = Registry(Teams(t1=Policy.EXEC, t2=Policy.TERMINAL), lambda _: True)
        registry.told(replace(WEB, labels={"team": "t2+t1"}))
        found = registry.found(7, SCOPE, 5)
        info = one(ContainerInfo, found)
        assert (info.tenants, info.policy) == (b"t1\0t2", Policy.EXEC | Policy.TERMINAL)
        assert [(tenant.tenant_id, tenant.name, tenant.policy) for tenant in of(TenantInfo, found)] == [
            (b"t1", b"T1", Policy.EXEC),
            (b"t2", b"T2", Policy.TERMINAL),
        ]
        assert changes(found) == [
            (TenantChange.ATTACHED, b"t1", KEY.encode()),
            (TenantChange.ATTACHED, b"t2", KEY.encode()),
        ]

    def test_one_that_was_found_running_was_not_attached_just_now(self, registry: Registry) -> None:
        """An agent that starts tells whose containers are, and of no change; neither when the runtime tells late."""
        registry.told(WEB)
        assert changes(registry.found(7, SCOPE, 0)) == []
        registry.found(8, f"/docker/{OTHER}", 0)
        assert changes(registry.told(Metadata("docker", OTHER, labels={"team": "t1"}))) == []

    def test_late_metadata_attaches_one_that_was_born(self, registry: Registry) -> None:
        """Before its labels are known it has no tenant; then it has."""
        registry.found(7, SCOPE, 5)
        assert changes(registry.told(WEB)) == [(TenantChange.ATTACHED, b"t1", KEY.encode())]

    @pytest.mark.parametrize(
        ("unassigned", "at_first"),
        [
            (Policy(0), Policy.EXEC),
            (Policy.TERMINAL, Policy.EXEC | Policy.TERMINAL),
            (Policy.OUTPUT, Policy.EXEC),
            (EVERYTHING, Policy.EXEC | Policy.TERMINAL),
        ],
    )
    def test_until_labels_are_known_everybodys_policies_hold(self, unassigned: Policy, at_first: Policy) -> None:
        """Nothing is recorded that it may turn out nobody asked for, but programs; of those none is missed."""
        registry = Registry(Tenants(unassigned, [Tenant("t1", "T1", Policy.TERMINAL)]), lambda _: True)
        assert one(ContainerInfo, registry.found(7, SCOPE, 5)).policy == at_first
        assert one(ContainerInfo, registry.told(replace(WEB, labels={}))).policy == unassigned

    def test_a_label_that_changes_moves_a_container(self, registry: Registry) -> None:
        """It leaves one and comes to another; the record of the container stands before."""
        registry.told(WEB)
        registry.found(7, SCOPE, 5)
        moved = registry.told(replace(WEB, labels={"team": "t2"}))
        assert names(moved) == ["TenantInfo", "ContainerInfo", "TenantEvent", "TenantEvent"]
        assert changes(moved) == [
            (TenantChange.DETACHED, b"t1", KEY.encode()),
            (TenantChange.ATTACHED, b"t2", KEY.encode()),
        ]

    def test_regrouping_tells_what_changed_and_nothing_else(self) -> None:
        """Tenants made, changed and removed, and the containers that are recorded otherwise since."""
        registry = Registry(Teams(t1=EVERYTHING, t2=EVERYTHING), lambda _: True)
        registry.told(WEB)
        registry.told(Metadata("docker", OTHER))
        registry.found(7, SCOPE, 5)
        registry.found(8, f"/docker/{OTHER}", 5)
        assert registry.regroup(Teams(t1=EVERYTHING, t2=EVERYTHING)) == []
        records = registry.regroup(Teams(t1=Policy.EXEC, t3=EVERYTHING))
        assert changes(records) == [
            (TenantChange.CHANGED, b"t1", b""),
            (TenantChange.CREATED, b"t3", b""),
            (TenantChange.REMOVED, b"t2", b""),
        ]
        info = one(ContainerInfo, records)
        assert (info.key, info.policy) == (KEY.encode(), Policy.EXEC)

    def test_a_keyframe_names_every_tenant(self) -> None:
        """Declared ones, and those that only a label names before the container that has it."""
        registry = Registry(Teams(t2=EVERYTHING), lambda _: True)
        registry.told(WEB)
        registry.found(7, SCOPE, 0)
        for _ in range(2):
            assert names(registry.all()) == ["TenantInfo", "TenantInfo", "ContainerInfo", "CgroupInfo"]
            assert [tenant.tenant_id for tenant in of(TenantInfo, registry.all())] == [b"t2", b"t1"]
