"""Listening to containerd, against a small daemon of our own; its wire format and its containers' specifications."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.runtimes import containerd, grpc, listener, oci
from shipper.runtimes.listen import runtimes
from shipper.runtimes.listener import Listener
from shipper.runtimes.news import Heard, Lived, Metadata, News
from shipper.runtimes.protobuf import Message, string
from shipper.wire.records import Life
from tests.unit.containerd_daemon import SECOND, Box, FakeContainerd, event, inner, mapping, number

SECONDS = 20
POD = "9d0a7f3e-4a7c-4f53-9d39-1f6f4b2b8f11"
CRI = {
    "io.kubernetes.container.name": "nginx",
    "io.kubernetes.pod.name": "web-0",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.pod.uid": POD,
}
WEB = Metadata(
    "containerd", "web", "default", name="web", image="docker.io/library/nginx:1.29", cgroup="/default/web",
    created=9 * SECOND + 5,
)  # fmt: skip
ON, OFF = Heard("containerd", connected=True), Heard("containerd", connected=False)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeContainerd]:
    """A daemon with one container, that answers."""
    monkeypatch.setattr(listener, "RETRY_SECONDS", (0.01,))
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeContainerd(Path(folder))
        fake.scopes = {"default": [Box("web")], "moby": [Box("d")], "buildkit": [Box("b")]}
        fake.start()
        yield fake
        fake.stop()


@pytest.fixture
def heard(daemon: FakeContainerd) -> Iterator[Listener]:
    """A listener; all threads and files are gone at the end."""
    gc.collect()
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    (made,) = runtimes([], [], [daemon.path])
    assert isinstance(made, Listener)
    made.start()
    yield made
    made.stop()
    daemon.stop()
    made._thread.join(SECONDS)
    gc.collect()
    assert threading.active_count() < threads
    assert len(os.listdir("/proc/self/fd")) < files


def until(heard: Listener, wanted: News) -> list[News]:
    """What the listener says before it says this."""
    said = []
    while (each := heard.updates.get(timeout=SECONDS)) != wanted:
        said.append(each)
    return said


def says(heard: Listener, why: str) -> None:
    """Wait until it says why it can't be heard."""
    for _ in range(SECONDS * 100):
        if why in (heard.error or ""):
            return
        threading.Event().wait(0.01)
    pytest.fail(f"{heard.error!r} instead of {why!r}")


def test_containers_are_listed(daemon: FakeContainerd, heard: Listener) -> None:
    """Of all namespaces but those that others tell of."""
    assert until(heard, ON) == [WEB]
    assert {scope for name, scope in daemon.asked if name == "ListStream"} == {"default"}


def test_a_container_is_told_when_it_is_made(daemon: FakeContainerd, heard: Listener) -> None:
    """With all there is to know, its labels and digest too; then its removal."""
    until(heard, ON)
    daemon.digest = "sha256:" + "d" * 64
    powers = sorted(oci._POWERS)
    spec = {
        "process": {"capabilities": {"bounding": powers}},
        "linux": {"cgroupsPath": f"kubepods-besteffort-pod{POD.replace('-', '_')}.slice:cri-containerd:box"},
        "mounts": [{"source": "/run/containerd/containerd.sock"}],
    }
    daemon.scopes["k8s.io"] = [Box("box", "i", CRI, spec)]
    daemon.events.put(event("/containers/create", "moby", "box", "i"))
    daemon.events.put(event("/containers/create", "k8s.io", "box", "i"))
    unit = f"kubepods-besteffort-pod{POD.replace('-', '_')}.slice"
    whole = Metadata(
        "containerd",
        "box",
        "k8s.io",
        image="i",
        name="nginx",
        digest=daemon.digest,
        labels=CRI,
        cgroup=f"/kubepods.slice/kubepods-besteffort.slice/{unit}/cri-containerd-box.scope",
        created=9 * SECOND + 5,
        privileged=True,
        runtime_socket=True,
        pod_id=POD,
        pod="web-0",
        namespace="shop",
    )
    assert until(heard, Lived("containerd/k8s.io/box", Life.CREATED, 7 * SECOND)) == [whole]
    daemon.scopes["k8s.io"] = []
    daemon.events.put(event("/containers/delete", "k8s.io", "box"))
    assert until(heard, Lived("containerd/k8s.io/box", Life.REMOVED, 7 * SECOND)) == []


def test_a_relabelled_container_is_told(daemon: FakeContainerd, heard: Listener) -> None:
    """An event says that there is something new, and the daemon what."""
    until(heard, ON)
    daemon.scopes["default"] = [Box("web", labels={"nerdctl/name": "shop"})]
    daemon.events.put(event("/containers/update", "default", "web"))
    assert until(heard, replace(WEB, name="shop", labels={"nerdctl/name": "shop"})) == []


def test_a_container_may_go_while_it_is_asked_for(daemon: FakeContainerd, heard: Listener) -> None:
    """It stays what its creation told, until its removal is told."""
    until(heard, ON)
    daemon.events.put(event("/containers/create", "default", "short", "i"))
    daemon.events.put(event("/containers/delete", "default", "short"))
    said = until(heard, Lived("containerd/default/short", Life.REMOVED, 7 * SECOND))
    assert [type(each) for each in said] == [Metadata, Lived]
    assert heard.error is None


def test_a_thousand_specifications_are_listed(daemon: FakeContainerd, heard: Listener) -> None:
    """They come as a stream of more than the other side may send unasked."""
    until(heard, ON)
    daemon.stop()
    until(heard, OFF)
    spec = {"linux": {"cgroupsPath": "/default/web"}, "padding": "x" * 4000}
    daemon.scopes["default"] = [Box(f"box-{number}", spec=spec) for number in range(1000)]
    daemon.start()
    assert len([each for each in until(heard, ON) if isinstance(each, Metadata)]) == 1000


def test_lost_events_heal(daemon: FakeContainerd, heard: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next list."""
    monkeypatch.setattr(listener, "RESYNC_SECONDS", 0.05)
    until(heard, ON)
    daemon.events.put(event("/containers/update", "default", "web"))  # so that the new interval counts
    daemon.stop()
    until(heard, OFF)
    daemon.start()
    until(heard, ON)
    daemon.scopes["default"] = [Box("web", labels={"a": "b"})]
    until(heard, replace(WEB, labels={"a": "b"}))
    daemon.scopes = {}
    until(heard, Lived(WEB.key, Life.REMOVED))


@pytest.mark.parametrize("name", ["Version/Version", "Namespaces/List", "ListStream"])
@pytest.mark.parametrize("garbage", [b"\xff\xff", b"\x0a\xff\x7f", b"\x0b"])
def test_an_answer_that_makes_no_sense_ends_nothing(
    daemon: FakeContainerd, heard: Listener, name: str, garbage: bytes
) -> None:
    """The listener says why it has no names, and goes on when the answer makes sense again."""
    until(heard, ON)
    daemon.stop()
    until(heard, OFF)
    daemon.garbage[name] = garbage
    daemon.start()
    says(heard, "protobuf")
    del daemon.garbage[name]
    until(heard, ON)


@pytest.mark.parametrize("garbage", [b"\xff\xff", event("/containers/create", "default", "x")[:-3]])
def test_an_event_that_makes_no_sense_ends_nothing(daemon: FakeContainerd, heard: Listener, garbage: bytes) -> None:
    """The listener connects anew."""
    until(heard, ON)
    daemon.events.put(garbage)
    until(heard, OFF)
    until(heard, ON)


@pytest.mark.parametrize("name", ["Version/Version", "ListStream"])
def test_a_daemon_that_hangs_is_told(
    daemon: FakeContainerd, heard: Listener, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It accepts, and does not answer."""
    monkeypatch.setattr(containerd, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(containerd, "LIST_SECONDS", 0.2)
    until(heard, ON)
    daemon.stop()
    until(heard, OFF)
    daemon.hangs[name] = threading.Event()
    daemon.start()
    says(heard, "time")
    daemon.release()
    until(heard, ON)


def test_an_error_is_told_in_its_words(daemon: FakeContainerd) -> None:
    """Whatever is at the socket, `check` gets an error."""
    with pytest.raises(grpc.CallError, match=r"not found \(5\): why not"):
        grpc.unary(daemon.path, "/containerd.services.images.v1.Images/Get", b"", 5)
    assert containerd.version(f"unix://{daemon.path}") == "containerd 1.7"
    daemon.stop()
    with pytest.raises(OSError, match="No such file"):
        containerd.version(daemon.path)


CGROUPS = {
    "the root": ("/", ""),
    "out of the root": ("/../..", ""),
    "a detour": ("/default/../other//web/", "/other/web"),
    "cgroupfs": ("/kubepods/besteffort/pod1/abc", "/kubepods/besteffort/pod1/abc"),
    "cgroupfs, untidy": ("//default//web/", "/default/web"),
    "systemd": ("system.slice:nerdctl:abc", "/system.slice/nerdctl-abc.scope"),
    "systemd, no slice": (":nerdctl:abc", "/system.slice/nerdctl-abc.scope"),
    "systemd, the root": ("-.slice:cri-containerd:abc", "/cri-containerd-abc.scope"),
    "systemd, nested": ("a-b-c.slice:x:abc", "/a.slice/a-b.slice/a-b-c.slice/x-abc.scope"),
    "systemd, a slice": ("a.slice:x:y.slice", "/a.slice/y.slice"),
    "relative": ("web", ""),
    "no slice": ("a:b:c", ""),
    "none": ("", ""),
}


@pytest.mark.parametrize(("path", "expected"), CGROUPS.values(), ids=CGROUPS)
def test_where_a_cgroup_will_be(path: str, expected: str) -> None:
    """As runc makes it of the specification's path."""
    assert oci.cgroup({"linux": {"cgroupsPath": path}}) == expected


PLAIN = {"process": {"capabilities": {"bounding": sorted(oci._POWERS)}}, "linux": {}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (PLAIN, True),
        (PLAIN | {"linux": {"maskedPaths": ["/proc/kcore"]}}, False),
        (PLAIN | {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}}}, False),
        ({"process": {"capabilities": {"bounding": ["CAP_SYS_ADMIN"]}}}, False),
        ({}, False),
    ],
)
def test_who_is_privileged(spec: dict[str, Any], expected: bool) -> None:
    """Who may do all that root may."""
    assert oci.privileged(spec) is expected


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inside: st.lists(inside) | st.dictionaries(
        st.sampled_from(["linux", "process", "capabilities", "bounding", "mounts", "source", "cgroupsPath"]), inside
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["linux", "process", "mounts"]), JSON))
def test_any_specification_is_read(spec: dict[str, Any]) -> None:
    """None raises, whoever wrote it."""
    assert isinstance(oci.cgroup(spec), str)
    assert isinstance(oci.privileged(spec), bool)
    assert all(mount.startswith("/") for mount in oci.mounts(spec))


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_specification_tells_nothing(raw: bytes) -> None:
    """It is one without content."""
    assert oci.read(raw) == {}


@given(st.dictionaries(st.text(), st.text()), st.integers(0, (1 << 28) - 1))
def test_what_was_written_is_read(told: dict[str, str], value: int) -> None:
    """Protobuf's text, maps, numbers and messages."""
    raw = inner(7, mapping(2, told) + number(3, value) + string(1, "é"))
    inside = Message(raw).message(7)
    assert (inside.mapping(2), inside.number(3), inside.text(1)) == (told, value, "é")
    assert (inside.text(9), inside.number(9), inside.raw(3), inside.mapping(9)) == ("", 0, b"", {})


@given(st.binary())
def test_any_bytes_are_a_message_or_an_error(raw: bytes) -> None:
    """Nothing else is raised, at any depth."""
    try:
        for inside in [Message(raw), *Message(raw).messages(1)]:
            inside.mapping(2)
            inside.number(1)
    except ValueError:
        return


def test_fields_of_every_size_are_passed_over() -> None:
    """Also those of types that nothing here has; a negative number is one."""
    raw = b"\x09" + bytes(8) + b"\x15" + bytes(4) + string(3, "x") + b"\x20" + b"\xff" * 9 + b"\x01"
    assert (Message(raw).text(3), Message(raw).number(4)) == ("x", -1)
