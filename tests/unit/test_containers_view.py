"""What documents say of containers, tenants and pods, and how sure that is, as the stream tells and changes it."""

from __future__ import annotations

from typing import Any

import pytest

from bpf.enums import Policy
from bpf.events import CgroupMkdir
from bpf.schema import Record
from enrich.steps.host import Host
from enrich.steps.registry import MEMORY_NS, RegistryView
from shipper.wire.records import (
    CgroupInfo,
    ContainerFlag,
    KeyframeBegin,
    KeyframeEnd,
    Kind,
    RuntimeInfo,
    State,
    TenantChange,
    TenantEvent,
    TenantInfo,
    UserNames,
)
from tests.unit.stream import (
    BOX,
    SECOND,
    Stream,
    cgroup,
    contained,
    container,
    end,
    exec_,
    host_cgroup,
    process,
    removed,
)

EXEC, TERMINAL = int(Policy.EXEC), int(Policy.TERMINAL)


def ran(stream: Stream, pid: int = 2, **fields: Any) -> dict[str, Any]:
    """The document of a program started now."""
    return stream.one(exec_(pid, 1, b"/bin/ls", **fields))


def attribution(document: dict[str, Any]) -> str:
    """How sure it is whose the document is."""
    said: str = document["cgtrail"]["attribution"]
    return said


def test_one_container_of_many_cgroups() -> None:
    """What is told of a container holds for all its cgroups at once, also for those told before."""
    stream = Stream()
    stream.feed(contained(), cgroup(70), cgroup(71))
    assert {ran(stream, cgroup_id=n)["container"]["name"] for n in (70, 71)} == {"lab"}
    stream.feed(contained(name=b"renamed"))
    assert {ran(stream, cgroup_id=n)["container"]["name"] for n in (70, 71)} == {"renamed"}


def test_equal_ids_under_different_keys() -> None:
    """Two runtimes may give the same id: the key tells their containers apart."""
    stream = Stream()
    stream.feed(
        contained(b"docker/x", name=b"of docker", tenants=b"red"),
        contained(b"containerd/k8s.io/x", name=b"of containerd", runtime=b"containerd", tenants=b"blue"),
        cgroup(70, b"docker/x"),
        cgroup(71, b"containerd/k8s.io/x"),
    )
    one, other = ran(stream, cgroup_id=70), ran(stream, cgroup_id=71)
    assert one["container"]["id"] == other["container"]["id"]
    assert [d["container"]["name"] for d in (one, other)] == ["of docker", "of containerd"]
    assert [d["cgtrail"]["tenant"]["id"] for d in (one, other)] == [["red"], ["blue"]]


def test_a_key_that_changes() -> None:
    """A cgroup whose runtime is told later waits under its bare id, and belongs to the new key from then on."""
    stream = Stream()
    waiting = stream.feed(
        contained(b"4f0c", state=State.PENDING, container_id=b"4f0c", runtime=b""), cgroup(key=b"4f0c"),
        exec_(2, 1, b"/bin/ls"),
    )  # fmt: skip
    document = stream.one(
        contained(b"podman/4f0c", container_id=b"4f0c", runtime=b"podman"), cgroup(key=b"podman/4f0c")
    )
    assert (waiting, attribution(document)) == ([], "late")
    assert (document["container"]["id"], document["container"]["runtime"]) == ("4f0c", "podman")
    assert attribution(ran(stream)) == "exact"


def test_a_key_that_nobody_told_of() -> None:
    """Of a container that was not told, the key's own words are shown, as unknown."""
    stream = Stream()
    stream.feed(cgroup(key=b"docker/4f0c"), exec_(2, 1, b"/bin/ls"))
    (document,) = stream.wait(2 * SECOND)
    assert attribution(document) == "unknown"
    assert document["container"] == {"id": "4f0c", "runtime": "docker"}


def test_pod() -> None:
    """What Kubernetes says of a container's pod is its orchestrator object; without that there is none."""
    stream = Stream()
    stream.feed(*container(pod=b"web-1", pod_id=b"u-1", namespace=b"shop"), *container(78))
    pod = {"type": "pod", "name": "web-1", "id": "u-1"}
    assert ran(stream)["orchestrator"] == {"type": "kubernetes", "namespace": "shop", "resource": pod}
    assert "orchestrator" not in ran(stream, cgroup_id=78)


# Tenants


def test_tenants() -> None:
    """Documents name every tenant, and those whose policy asked for processes; who was never told asked for all."""
    stream = Stream()
    stream.feed(TenantInfo(tenant_id=b"b", policy=TERMINAL), TenantInfo(tenant_id=b"c", policy=EXEC))
    stream.feed(*container(tenants=b"a\0b\0c"))
    assert ran(stream)["cgtrail"]["tenant"] == {"id": ["a", "b", "c"], "asked": ["a", "c"]}
    stream.feed(TenantInfo(tenant_id=b"b", policy=EXEC))
    assert ran(stream)["cgtrail"]["tenant"]["asked"] == ["a", "b", "c"]
    stream.feed(TenantInfo(tenant_id=b"c", policy=0), TenantEvent(tenant_id=b"b", change=TenantChange.REMOVED))
    assert ran(stream)["cgtrail"]["tenant"]["asked"] == ["a", "b"]


def test_no_tenant() -> None:
    """A container without a tenant has none in its documents."""
    stream = Stream()
    stream.feed(*container())
    assert "tenant" not in ran(stream)["cgtrail"]


def test_a_change_of_tenants_has_one_place() -> None:
    """No document before it has the new tenant, and all behind it have."""
    stream = Stream()
    stream.feed(*container(tenants=b"a"))
    for pid in range(2, 5):
        ran(stream, pid)
    stream.feed(contained(tenants=b"a\0b"))
    for pid in range(5, 8):
        ran(stream, pid)
    assert [d["cgtrail"]["tenant"]["id"] for d in stream.documents] == [["a"]] * 3 + [["a", "b"]] * 3


def test_a_document_that_waits_gets_what_completes_it() -> None:
    """Also its tenants and its pod."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING), exec_(2, 1, b"/bin/ls"))
    document = stream.one(contained(tenants=b"a", namespace=b"shop"))
    assert (attribution(document), document["cgtrail"]["tenant"]["id"]) == ("late", ["a"])
    assert document["orchestrator"]["namespace"] == "shop"


def test_nobody_asked_for_processes() -> None:
    """Where no tenant asks for them, programs make no documents, from the place of the change on; losses do."""
    stream = Stream()
    stream.feed(*container(), exec_(2, 1, b"/bin/a"), contained(policy=TERMINAL))
    assert stream.feed(exec_(3, 1, b"/bin/b"), end(2, 1)) == []
    stream.feed(contained(policy=EXEC | TERMINAL))
    assert ran(stream)["process"]["name"] == "ls"


def test_whether_they_were_asked_for_is_told_later() -> None:
    """What happened before anything was told of a container is dropped where it proves that nobody asked."""
    stream = Stream()
    stream.feed(exec_(2, 1, b"/bin/a"), exec_(3, 1, b"/bin/b", cgroup_id=78))
    assert stream.feed(*container(policy=TERMINAL)) == []
    assert [d["process"]["name"] for d in stream.feed(*container(78))] == ["b"]
    assert stream.wait(2 * SECOND) == []


# Attribution


def test_a_runtime_that_is_not_heard() -> None:
    """While it is not, what is known of its containers is the last known; of other runtimes' nothing changes."""
    stream = Stream()
    stream.feed(*container(), *container(78, runtime=b"podman"), RuntimeInfo(runtime=b"docker", connected=0))
    assert [attribution(ran(stream, cgroup_id=n)) for n in (BOX, 78)] == ["stale", "exact"]
    stream.feed(contained(name=b"other"))
    assert attribution(ran(stream)) == "stale"
    stream.feed(RuntimeInfo(runtime=b"docker", connected=1))
    assert attribution(ran(stream)) == "exact"


def test_undecided() -> None:
    """Until it is said what a cgroup is, its documents wait; host: dropped; a container: late; neither: unknown."""
    stream = Stream()
    for number in (70, 71, 72):
        stream.feed(cgroup(number, b"", kind=Kind.UNDECIDED), exec_(number, 1, b"/bin/ls", cgroup_id=number))
    assert stream.documents == []
    assert stream.feed(host_cgroup(70)) == []
    assert attribution(stream.one(*container(71))) == "late"
    (document,) = stream.wait(2 * SECOND)
    assert (attribution(document), "container" in document) == ("unknown", False)
    assert attribution(ran(stream, cgroup_id=72)) == "unknown"


# Lives of one id


def test_records_of_the_life_before() -> None:
    """What comes behind the end of a cgroup whose id came again is the old container's, and stale."""
    stream = Stream()
    stream.feed(*container(name=b"old", started=stream.now), exec_(2, 1, b"/bin/a"), removed())
    then = stream.now
    stream.feed(*container(name=b"new", container_id=b"d" * 64, started=then + 1))
    now, stream.now = stream.now, then
    late = stream.one(end(2, 1))
    stream.now = now
    assert (late["container"]["name"], attribution(late)) == ("old", "stale")
    assert (ran(stream)["container"]["name"], attribution(ran(stream))) == ("new", "exact")


def test_records_of_a_life_that_is_not_known() -> None:
    """What happened before a cgroup was made is of another life of its id, of which nothing is known."""
    stream = Stream()
    stream.feed(*container(started=stream.now + SECOND), exec_(2, 1, b"/bin/a"))
    (document,) = stream.wait(2 * SECOND)
    assert (attribution(document), "container" in document) == ("unknown", False)
    (view,) = (step for step in stream.steps if isinstance(step, RegistryView))
    stream.wait(MEMORY_NS)
    stream.wait(MEMORY_NS)
    current = view.known(BOX)
    assert current is not None
    assert current.previous is None


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"started": 5 * SECOND}, {"started": 9 * SECOND}),
        ({"told": 5 * SECOND}, {"started": 9 * SECOND}),
        ({"path": b"/docker/a"}, {"path": b"/docker/b"}),
    ],
    ids=["another start", "made after it was found", "another path"],
)
def test_an_end_that_was_lost(known: dict[str, Any], told: dict[str, Any]) -> None:
    """A cgroup id that is told of as another life is one, though nobody saw the first one's end."""
    stream = Stream()
    stream.feed(*container(name=b"old", **known))
    stream.feed(cgroup(key=b"docker/none", **told))
    assert stream.feed(exec_(2, 1, b"/bin/ls")) == []
    (document,) = stream.wait(2 * SECOND)
    assert (document["container"]["id"], attribution(document)) == ("none", "unknown")


def test_a_birth_behind_a_lost_end() -> None:
    """A cgroup that is made under a known id is another one: what was known of the id says nothing of it."""
    stream = Stream()
    stream.feed(*container(started=5 * SECOND), CgroupMkdir(cgroup_id=BOX, path=b"/x"))
    assert stream.feed(exec_(2, 1, b"/bin/ls")) == []
    assert "container" not in stream.wait(2 * SECOND)[0]


@pytest.mark.parametrize("step", [3600, -3600])
def test_a_clock_that_is_set(step: int) -> None:
    """The wall clock moves between events and what is told of them: boot time decides."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING, told=stream.now), exec_(2, 1, b"/bin/ls"))
    (host,) = (each for each in stream.steps if isinstance(each, Host))
    host.offset += step * SECOND
    assert stream.wait(SECOND // 2) == []
    assert attribution(stream.one(contained())) == "late"


def test_two_boots() -> None:
    """Equal cgroup ids and keys in two streams have nothing to do with each other."""
    first, second = Stream(), Stream()
    first.feed(*container(name=b"first"))
    second.feed(exec_(2, 1, b"/bin/ls"))
    assert ran(first)["container"]["name"] == "first"
    assert "container" not in second.wait(2 * SECOND)[0]


# What is forgotten


def keyframe(*records: Record, incomplete: int = 0) -> list[Record]:
    """A keyframe that names these."""
    return [KeyframeBegin(), *records, KeyframeEnd(incomplete=incomplete)]


def test_a_keyframe_forgets() -> None:
    """Containers without a cgroup, tenants, runtimes and names that it does not tell of are nothing any more."""
    stream = Stream()
    (view,) = (step for step in stream.steps if isinstance(step, RegistryView))
    stream.feed(
        TenantInfo(tenant_id=b"a", policy=0), RuntimeInfo(runtime=b"docker", connected=0),
        *container(tenants=b"a"), contained(b"docker/created"), UserNames(key=b"docker/77", users=b"0:root"),
    )  # fmt: skip
    before = ran(stream, uid=0)
    assert (before["user"]["name"], before["cgtrail"]["tenant"]) == ("root", {"id": ["a"]})
    stream.feed(*keyframe(incomplete=1))
    assert len(view._containers) == 2
    stream.feed(*keyframe(*container(tenants=b"a")))
    after = ran(stream, uid=0)
    assert (after["user"], after["cgtrail"]["tenant"]) == ({"id": "0"}, {"id": ["a"], "asked": ["a"]})
    assert attribution(after) == "exact"
    assert list(view._containers) == [b"docker/77"]
    stream.feed(*keyframe())
    assert (view._containers, view._tenants | view._tenants_told, view._runtimes) == ({}, {}, {})


def test_what_runs_in_a_keyframe_names_nothing() -> None:
    """An event inside a keyframe keeps no cgroup that the keyframe does not tell of: a cold start knows none either."""
    stream = Stream()
    stream.feed(*container(), *keyframe(exec_(2, 1, b"/bin/ls")))
    assert stream.feed(exec_(3, 1, b"/bin/ls")) == []
    assert "container" not in stream.wait(2 * SECOND)[0]


def test_a_repeated_record_changes_nothing() -> None:
    """What a keyframe repeats is not worked out again."""
    stream = Stream()
    stream.feed(*container())
    (view,) = (step for step in stream.steps if isinstance(step, RegistryView))
    shown = view._containers[b"docker/77"].shown
    stream.feed(*keyframe(*container()))
    assert view._containers[b"docker/77"].shown is shown


# Users


def test_users() -> None:
    """Names are the container's own, as text that can be shown; who has none, and other mount namespaces, have none."""
    stream = Stream()
    stream.feed(
        *container(),
        UserNames(key=b"docker/77", mount_ns=5, users=b"0:root\x001000:al\xff\x00x:y\x007:", groups=b"0:wheel"),
    )
    ids = {"uid": 1000, "gid": 0, "real_uid": 0, "saved_uid": 7}
    shown = ran(stream, mount_ns=5, **ids)
    assert shown["user"] == shown["process"]["user"] == {"id": "1000", "name": "al\\xff"}
    assert shown["process"]["group"] == {"id": "0", "name": "wheel"}
    assert shown["process"]["real_user"] == {"id": "0", "name": "root"}
    assert shown["process"]["saved_user"] == {"id": "7"}
    assert ran(stream, mount_ns=6, **ids)["user"] == {"id": "1000"}
    stream.feed(UserNames(key=b"docker/77", mount_ns=5, users=b"1000:bob"))
    assert ran(stream, mount_ns=5, **ids)["user"]["name"] == "bob"


def test_users_of_nobody() -> None:
    """Names of a container that is not known are nobody's."""
    stream = Stream()
    stream.feed(UserNames(key=b"docker/77", users=b"0:root"), *container())
    assert ran(stream, uid=0)["user"] == {"id": "0"}


def test_what_its_runtime_allows_is_the_journals() -> None:
    """Digest, privileges and mounted sockets stand in documents about the container only."""
    stream = Stream()
    flags = int(ContainerFlag.PRIVILEGED | ContainerFlag.RUNTIME_SOCKET)
    stream.feed(*container(digest=b"sha256:ab", flags=flags, created=1_600_000_000 * SECOND))
    document = stream.one(process(type(exec_(2, 1, b"/sbin/init")), 2, 1, vpid=1, exe=b"/sbin/init"))
    (started,) = stream.journal
    assert "security_context" not in document["container"]
    assert started["container"]["security_context"] == {"privileged": True}
    assert started["container"]["image"] == {"name": "debian", "tag": ["12"], "hash": {"all": ["sha256:ab"]}}
    assert started["cgtrail"]["container"] == {"runtime_socket": True, "created": "2020-09-13T12:26:40.000000000Z"}


def test_kinds_from_elsewhere() -> None:
    """A kind of cgroup that is not known to this version is undecided."""
    stream = Stream()
    assert stream.feed(CgroupInfo(cgroup_id=BOX, kind=9, key=b"docker/x"), exec_(2, 1, b"/bin/ls")) == []
    assert attribution(stream.wait(2 * SECOND)[0]) == "unknown"
