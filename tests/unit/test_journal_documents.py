"""Containers and tenants have documents of their own: what became of them, who was put in, what changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bpf.enums import ExitFlag, Policy
from enrich.containers import MAX_LABEL
from enrich.documents import KINDS
from enrich.elasticsearch.mappings import MAX_KEYWORD
from shipper.tell import LABELS_BYTES
from shipper.wire.records import (
    ContainerEvent,
    ContainerFlag,
    Life,
    Loss,
    RuntimeInfo,
    State,
    TenantChange,
    TenantEvent,
    TenantInfo,
    UserNames,
)
from tests.unit.stream import (
    SECOND,
    UNIX,
    Stream,
    cgroup,
    contained,
    container,
    end,
    exec_,
    fork,
    process,
    removed,
    undeclared,
)
from tests.unit.test_entries import enter

KEY = b"docker/77"
OOM = int(ExitFlag.OOM)


def one(stream: Stream) -> dict[str, Any]:
    """The only document of the journal, which is empty then."""
    (document,) = stream.journal
    stream.journal.clear()
    return document


def begun(**fields: Any) -> Stream:
    """A stream in which a container, of tenant red, was just started; its journal is not read yet."""
    stream = Stream()
    stream.feed(*container(tenants=b"red", started=5, **fields))
    return enter(stream, 10, b"/sbin/init", b"-x", vpid=1, uid=0, capabilities=1 << 21)


def test_started() -> None:
    """A start names the first process, who made it, its rights, the container and its tenants."""
    document = one(begun(flags=int(ContainerFlag.PRIVILEGED), labels=b'{"a": "b"}', digest=b"sha256:ab"))
    event, process_ = document["event"], document["process"]
    assert (event["action"], event["category"], event["type"]) == ("started", ["host"], ["start"])
    assert event["dataset"] == "cgtrail.container"
    assert (process_["pid"], process_["name"], process_["args"]) == (10, "init", ["/sbin/init", "-x"])
    assert process_["command_line"] == "/sbin/init -x"
    assert process_["thread"]["capabilities"]["effective"] == ["CAP_SYS_ADMIN"]
    assert (process_["parent"]["pid"], "start" in process_) == (9, True)
    assert document["container"]["labels"] == {"a": "b"}
    assert document["container"]["image"]["hash"] == {"all": ["sha256:ab"]}
    assert document["container"]["security_context"] == {"privileged": True}
    assert document["cgtrail"]["container"] == {"runtime_socket": False}
    assert document["cgtrail"]["tenant"] == {"id": ["red"]}
    assert document["cgtrail"]["attribution"] == "exact"


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("x" * 8183, "x" * 8183),
        ("\N{GRINNING FACE}" * 4095, "\N{GRINNING FACE}" * 4095),
        ("\N{GRINNING FACE}" * 4096, "\N{GRINNING FACE}" * 4095 + "…"),
        ("é" * 8192, "é" * 4095 + "…"),
    ],
    ids=["agent's longest", "just", "surrogates", "too long"],
)
def test_labels_fit_an_index(label: str, shown: str) -> None:
    """No label's value is longer than what an index takes: documents with one would not say that it is in none."""
    document = one(begun(labels=json.dumps({"a": label}, ensure_ascii=False).encode()))
    assert document["container"]["labels"] == {"a": shown}
    assert len(shown.encode("utf-16-le")) // 2 <= MAX_LABEL == MAX_KEYWORD
    assert LABELS_BYTES - len(json.dumps({"": ""})) < MAX_KEYWORD


def test_started_is_beside_the_exec() -> None:
    """The process's own document stays as it is, under the record's id."""
    stream = begun()
    assert one(stream)["event"]["id"] == stream.documents[-1]["event"]["id"] + "-container"
    assert stream.documents[-1]["event"]["dataset"] == "cgtrail.process"


def test_nobody_asked_for_processes() -> None:
    """A container's start is told, also where no tenant asks for its programs."""
    stream = begun(policy=int(Policy.TERMINAL))
    assert one(stream)["event"]["action"] == "started"
    assert stream.documents == []


def test_entered() -> None:
    """A process that was put in from outside is told with its user, its parent and its terminal."""
    stream = begun()
    stream.journal.clear()
    stream.feed(UserNames(key=KEY, mount_ns=2, users=b"1000:eve"))
    enter(stream, 20, b"/bin/sh", uid=1000, tty=136 << 20)
    document = one(stream)
    assert (document["event"]["action"], document["event"]["category"]) == ("entered", ["session"])
    assert (document["process"]["name"], document["process"]["interactive"]) == ("sh", True)
    assert document["user"] == {"id": "1000", "name": "eve"}
    assert document["process"]["parent"]["pid"] == 19


@pytest.mark.parametrize("victim", [10, 11, None])
def test_died(victim: int | None) -> None:
    """An end is the first process's: how, after how long, and whether memory had run out in the container."""
    stream = begun()
    stream.feed(fork(11, 10), exec_(11, 10, b"/bin/hog"))
    stream.journal.clear()
    child = stream.one(end(11, 10, status=9, exit_flags=OOM if victim == 11 else 0))
    assert child["cgtrail"].get("oom") == (True if victim == 11 else None)
    assert stream.journal == []
    stream.feed(end(10, 9, status=9, exit_flags=OOM if victim == 10 else 0))
    document = one(stream)
    assert (document["event"]["action"], document["event"]["type"]) == ("died", ["end"])
    assert (document["process"]["exit_code"], document["cgtrail"]["signal"]) == (137, "SIGKILL")
    assert document["event"]["duration"] > 0
    assert document["cgtrail"]["container"]["oom"] is (victim is not None)


def test_dies_once() -> None:
    """Each life ends once, and what was in the one before is not in the next."""
    stream = begun()
    stream.feed(end(10, 9, exit_flags=OOM), removed(), cgroup(78, started=20_000_000))
    enter(stream, 30, b"/sbin/init", vpid=1, cgroup_id=78, owner=78)
    stream.feed(end(30, 29, cgroup_id=78), end(30, 29, cgroup_id=78))
    assert [(d["event"]["action"], d["cgtrail"]["container"].get("oom")) for d in stream.journal] == [
        ("started", None), ("died", True), ("started", None), ("died", False),
    ]  # fmt: skip


def test_waits_for_its_container() -> None:
    """A start is held until its container is told, and of what is the host's there is none."""
    stream = Stream()
    enter(stream, 10, b"/sbin/init", vpid=1)
    enter(stream, 20, b"/sbin/init", vpid=1, cgroup_id=78)
    assert stream.journal == []
    stream.feed(*container())
    assert one(stream)["cgtrail"]["attribution"] == "late"
    stream.wait(2 * SECOND)
    assert stream.journal == []


@pytest.mark.parametrize(
    ("life", "action", "type_"),
    [(Life.CREATED, "created", "creation"), (Life.REMOVED, "removed", "deletion"), (Life.RENAMED, "renamed", "change")],
)
def test_what_a_runtime_tells(life: Life, action: str, type_: str) -> None:
    """Of a container that may have no cgroup, with its runtime's own time."""
    stream = Stream()
    stream.feed(contained(tenants=b"red", created=UNIX), ContainerEvent(key=KEY, life=life, realtime=UNIX + 5))
    document = one(stream)
    assert (document["event"]["action"], document["event"]["type"]) == (action, [type_])
    assert document["event"]["id"].endswith("-3")
    assert document["event"]["start"] == "2023-11-14T22:13:20.000000005Z"
    assert (document["container"]["name"], document["cgtrail"]["tenant"]) == ("lab", {"id": ["red"]})
    assert document["cgtrail"]["attribution"] == "exact"
    assert "epoch" not in document["cgtrail"]


def test_a_runtime_that_is_slow() -> None:
    """What happened to a container that is not told in full waits, as all documents do, and is never dropped."""
    stream = Stream()
    stream.feed(contained(state=State.PENDING), ContainerEvent(key=KEY, life=Life.CREATED))
    stream.feed(ContainerEvent(key=b"docker/nobody", life=Life.REMOVED))
    assert stream.journal == []
    stream.feed(contained())
    assert one(stream)["cgtrail"]["attribution"] == "late"
    stream.wait(2 * SECOND)
    document = one(stream)
    assert (document["container"]["id"], document["cgtrail"]["attribution"]) == ("nobody", "unknown")


def test_a_runtime_that_is_not_heard() -> None:
    """What is told of its containers is the last that is known."""
    stream = Stream()
    stream.feed(contained(), RuntimeInfo(runtime=b"docker"), ContainerEvent(key=KEY, life=Life.REMOVED))
    assert one(stream)["cgtrail"]["attribution"] == "stale"


def tenant(change: int, **fields: Any) -> TenantEvent:
    """A change of tenant red."""
    policy = int(Policy.EXEC | Policy.OUTPUT)
    return TenantEvent(
        change=change, tenant_id=b"red", name=b"Red\xff", policy=policy, source=b"tenants.csv:3", **fields
    )


@pytest.mark.parametrize(
    ("change", "action", "type_"),
    [
        (TenantChange.CREATED, "created", "creation"),
        (TenantChange.CHANGED, "changed", "change"),
        (TenantChange.REMOVED, "removed", "deletion"),
    ],
)
def test_tenants(change: TenantChange, action: str, type_: str) -> None:
    """A tenant's changes tell who it is, what it asks for, and what caused them."""
    stream = Stream()
    stream.feed(TenantInfo(tenant_id=b"red"), tenant(change))
    document = one(stream)
    event = document["event"]
    assert (event["dataset"], event["action"], event["type"]) == ("cgtrail.tenant", action, [type_])
    assert document["cgtrail"] == {
        "tenant": {"id": ["red"], "name": "Red\\xff", "policy": ["exec", "output"], "source": "tenants.csv:3"}
    }
    assert "container" not in document


@pytest.mark.parametrize("change", [TenantChange.ATTACHED, TenantChange.DETACHED])
def test_attached(change: TenantChange) -> None:
    """Who is attached or detached names the container, and only the tenant that this is about."""
    stream = Stream()
    stream.feed(*container(tenants=b"blue\0red"), tenant(change, key=KEY))
    document = one(stream)
    assert (document["event"]["action"], document["container"]["name"]) == (change.name.lower(), "lab")
    assert document["cgtrail"]["tenant"]["id"] == ["red"]
    assert document["cgtrail"]["attribution"] == "exact"


def test_changes_of_a_later_version() -> None:
    """A change that is not known makes nothing."""
    stream = Stream()
    stream.feed(tenant(99), ContainerEvent(key=KEY, life=99))
    assert stream.journal == []


def test_an_unknown_number_of_losses() -> None:
    """A loss that nobody could count has no number."""
    stream = Stream()
    stream.feed(*container())
    assert "count" not in stream.one(Loss(cgroup_id=77, count=0, cause=1))["cgtrail"]["loss"]


def test_attribution_is_counted() -> None:
    """Each document that leaves is counted by its attribution; what is taken again after a restart is not."""
    stream = Stream()
    release = stream.steps[-1]
    stream.feed(*container(), exec_(2, 1, b"/bin/a"), process(type(end(2)), 2, 1))
    stream.feed(*container(78, state=State.PENDING), exec_(3, 1, b"/bin/b", cgroup_id=78))
    stream.wait(2 * SECOND)
    stream.feed(removed(), exec_(4, 1, b"/bin/c"))
    release.quiet = True  # type: ignore[attr-defined]
    stream.feed(exec_(5, 1, b"/bin/d"))
    assert dict(release.counts) == {"exact": 2, "unknown": 1, "stale": 1}  # type: ignore[attr-defined]


def test_only_declared_fields() -> None:
    """Every field of the journal is declared, and each kind is one that can be searched."""
    stream = begun(digest=b"d", created=UNIX, pod=b"p", pod_id=b"q", namespace=b"n", labels=b'{"a": "b"}')
    stream.feed(UserNames(key=KEY, users=b"0:root", groups=b"0:root"))
    ids = {"uid": 0, "gid": 0, "real_uid": 0, "saved_uid": 0, "mount_ns": 0, "tty": 136 << 20}
    stream.feed(fork(12, 10), exec_(12, 10, b"/usr/sbin/sshd", sid=1), fork(13, 12))
    stream.feed(exec_(13, 12, b"/bin/sh", **ids), end(10, 9, exit_flags=OOM))
    for change in TenantChange:
        stream.feed(tenant(change, key=KEY))
    for life in Life:
        stream.feed(ContainerEvent(key=KEY, life=life, realtime=UNIX))
    made = stream.documents + stream.journal
    assert {d["event"]["dataset"].removeprefix("cgtrail.") for d in made} == set(KINDS) - {
        "loss",
        "session",
        "terminal",
        "command",
    }
    for document in made:
        assert undeclared(document) == set()
