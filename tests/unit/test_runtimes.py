"""Listening to Docker and Podman, against a small daemon of our own."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shipper.runtimes import docker, listener, sockets
from shipper.runtimes.listen import runtimes
from shipper.runtimes.listener import Listener
from shipper.runtimes.news import Heard, Lived, Metadata, News
from shipper.wire.records import Life
from tests.unit.docker_daemon import (
    CREATED_NS,
    DB,
    DIGEST,
    IMAGE_ID,
    SECOND,
    WEB,
    FakeDaemon,
    container,
    event,
)

SECONDS = 20
"""How long to wait for what must come; nothing here takes as long unless it is broken."""
WEB_TOLD = Metadata(
    "docker", WEB, name="web", image="nginx:1.29", digest=DIGEST, labels={"tenant": "alice"}, created=CREATED_NS
)
OTHER_DIGEST = f"sha256:{'3' * 64}"
"""Of a repository that the image was not asked for by."""
DB_TOLD = replace(
    WEB_TOLD, container_id=DB, name="db", image="postgres:18", labels={"tenant": "bob"}, digest=OTHER_DIGEST
)
ON, OFF = Heard("docker", connected=True), Heard("docker", connected=False)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """A daemon with one container, that answers."""
    monkeypatch.setattr(listener, "RETRY_SECONDS", (0.01,))
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeDaemon(Path(folder))
        fake.containers = [container(WEB, "web", tenant="alice")]
        fake.start()
        yield fake
        fake.stop()


Listen = Callable[[], Listener]


@pytest.fixture
def listen(daemon: FakeDaemon) -> Iterator[Listen]:
    """Starts a listener; all threads and files are gone at the end."""
    gc.collect()
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    started: list[Listener] = []

    def start() -> Listener:
        (made,) = runtimes([daemon.url], [], [])
        assert isinstance(made, Listener)
        made.start()
        started.append(made)
        return made

    yield start
    for each in started:
        each.stop()
    daemon.stop()
    for each in started:
        each._thread.join(SECONDS)
        assert not each._thread.is_alive()
    gc.collect()
    assert threading.active_count() < threads  # the daemon's own is gone, too
    assert len(os.listdir("/proc/self/fd")) < files  # so is its socket


def news(heard: Listener) -> News:
    """What the listener says next."""
    return heard.updates.get(timeout=SECONDS)


def until(heard: Listener, wanted: News) -> list[News]:
    """What the listener says before it says this."""
    said = []
    while (each := news(heard)) != wanted:
        said.append(each)
    return said


def test_containers_are_listed_and_then_described(daemon: FakeDaemon, listen: Listen) -> None:
    """Every container is told with what the list has, and again with what only an inspection tells."""
    daemon.containers.append(container(DB, "db", "postgres:18", tenant="bob"))
    heard = listen()
    assert heard.expected
    heard.wait_listed()
    listed = replace(WEB_TOLD, digest="", created=1795363200 * SECOND)
    assert [news(heard), news(heard)] == [
        listed,
        replace(listed, container_id=DB, name="db", image="postgres:18", labels={"tenant": "bob"}),
    ]
    assert news(heard) == ON
    assert heard.error is None
    assert {news(heard).key for _ in range(2)} == {f"docker/{WEB}", f"docker/{DB}"}  # type: ignore[union-attr]
    assert ("/containers/json", {"all": ["1"]}) in daemon.requests


def test_events_are_asked_for_before_containers(daemon: FakeDaemon, listen: Listen) -> None:
    """Nothing falls between the list and the stream of events, as the stream is open first."""
    news(listen())
    paths = [path for path, _ in daemon.requests]
    assert paths.index("/events") < paths.index("/containers/json")


@pytest.fixture
def heard(listen: Listen) -> Listener:
    """A listener that has told all of the one container."""
    made = listen()
    until(made, WEB_TOLD)
    return made


def test_a_container_is_told_when_it_is_made(daemon: FakeDaemon, heard: Listener) -> None:
    """At once, from the event, and that it was made; then all that the daemon knows of it."""
    daemon.containers.append(container(DB, "db", "postgres:18", tenant="bob"))
    daemon.events.put(event("create", DB, name="db", image="postgres:18", tenant="bob"))
    assert news(heard) == replace(DB_TOLD, digest="", created=7 * SECOND)
    assert news(heard) == Lived(f"docker/{DB}", Life.CREATED, 7 * SECOND)
    assert news(heard) == DB_TOLD


def test_an_inspection_that_hangs_holds_up_nothing(daemon: FakeDaemon, heard: Listener) -> None:
    """The creation of others is told meanwhile, and so is what happens to the one that hangs."""
    daemon.hangs[f"/containers/{DB}/json"] = threading.Event()
    daemon.containers.append(container(DB, "db"))
    daemon.events.put(event("create", DB, name="db", image="x"))
    until(heard, Lived(f"docker/{DB}", Life.CREATED, 7 * SECOND))
    other = "c" * 64
    daemon.events.put(event("create", other, name="other", image="x"))
    daemon.events.put(event("destroy", DB))
    assert news(heard).key == f"docker/{other}"  # type: ignore[union-attr]
    assert news(heard) == Lived(f"docker/{other}", Life.CREATED, 7 * SECOND)
    assert news(heard) == Lived(f"docker/{DB}", Life.REMOVED, 7 * SECOND)


def test_a_container_may_go_while_it_is_inspected(daemon: FakeDaemon, heard: Listener) -> None:
    """Nothing is told of it after its removal, whatever the answer is."""
    held = daemon.hangs[f"/containers/{DB}/json"] = threading.Event()
    daemon.containers.append(container(DB, "db"))
    daemon.events.put(event("create", DB, name="db", image="x"))
    until(heard, Lived(f"docker/{DB}", Life.CREATED, 7 * SECOND))
    daemon.events.put(event("destroy", DB))
    assert news(heard) == Lived(f"docker/{DB}", Life.REMOVED, 7 * SECOND)
    held.set()
    daemon.events.put(event("create", "c" * 64, name="last", image="x"))
    said = until(heard, Lived(f"docker/{'c' * 64}", Life.CREATED, 7 * SECOND))
    assert [each.key for each in said if isinstance(each, Metadata)] == [f"docker/{'c' * 64}"]


def test_a_container_is_told_when_it_is_renamed(daemon: FakeDaemon, heard: Listener) -> None:
    """Its labels stay what they are, though the event has more than labels."""
    daemon.containers = [container(WEB, "shop", tenant="alice")]
    daemon.events.put(event("rename", WEB, name="shop", image="nginx:1.29", oldName="/web", tenant="alice"))
    assert news(heard) == replace(WEB_TOLD, name="shop")
    assert news(heard) == Lived(f"docker/{WEB}", Life.RENAMED, 7 * SECOND)


@pytest.mark.parametrize("action", ["destroy", "remove"])
def test_a_removed_container_is_told(daemon: FakeDaemon, heard: Listener, action: str) -> None:
    """With the runtime's own time; Podman has another word for it."""
    daemon.containers = []
    daemon.events.put(event(action, WEB, name="web", image="nginx:1.29"))
    assert news(heard) == Lived(f"docker/{WEB}", Life.REMOVED, 7 * SECOND)


def test_podman_says_who_it_is(daemon: FakeDaemon, listen: Listen) -> None:
    """Also at a socket that is called Docker's, as podman-docker makes it."""
    daemon.engine = "Podman Engine"
    heard = listen()
    assert until(heard, Heard("podman", connected=True))[0].key == f"podman/{WEB}"  # type: ignore[union-attr]
    assert heard.name == "podman"


@pytest.mark.parametrize(
    ("binds", "expected"),
    [
        (["/var/run/docker.sock:/var/run/docker.sock"], True),
        (["/run:/host-run:ro"], True),
        (["/:/host"], True),
        (["/data:/data", "/home/alice/docker.sock:/s"], True),
        (["/var:/var"], True),
        (["/run/lock:/l", "/runner:/r", "/etc:/etc"], False),
    ],
)
def test_a_runtimes_socket_that_is_mounted_is_told(
    daemon: FakeDaemon, listen: Listen, binds: list[str], expected: bool
) -> None:
    """From the list on; so are privileges, once it was inspected."""
    daemon.containers[0] |= {"Binds": binds, "Privileged": True}
    heard = listen()
    first = news(heard)
    assert isinstance(first, Metadata)
    assert (first.runtime_socket, first.privileged) == (expected, False)
    until(heard, replace(WEB_TOLD, runtime_socket=expected, privileged=True))


def test_an_images_digest_is_asked_for_once(daemon: FakeDaemon, heard: Listener) -> None:
    """That of the repository it was asked for by; of an image without repository its own."""
    daemon.containers.append(container(DB, "db", tenant="bob"))
    daemon.events.put(event("create", DB, name="db", image="nginx:1.29"))
    until(heard, replace(DB_TOLD, image="nginx:1.29", digest=DIGEST))
    assert daemon.asked(f"/images/{IMAGE_ID}/json") == 1
    daemon.digests = []
    last = "c" * 64
    daemon.containers.append(container(last, "last", "made:here"))
    daemon.events.put(event("create", last, name="last", image="made:here"))
    until(heard, replace(WEB_TOLD, container_id=last, name="last", image="made:here", labels={}, digest=IMAGE_ID))


def test_pods_are_told(daemon: FakeDaemon, listen: Listen) -> None:
    """By the labels that Kubernetes gives its containers."""
    names = {"pod.uid": "9d0a7f3e", "pod.name": "web-0", "pod.namespace": "shop"}
    daemon.containers[0]["Labels"] = {f"io.kubernetes.{key}": value for key, value in names.items()}
    told = news(listen())
    assert isinstance(told, Metadata)
    assert (told.pod_id, told.pod, told.namespace) == ("9d0a7f3e", "web-0", "shop")


def test_events_may_come_in_pieces(daemon: FakeDaemon, heard: Listener) -> None:
    """An event split over chunks, or two in one, are the same events."""
    both = event("destroy", WEB) + event("create", DB, name="db", image="postgres:18")
    daemon.containers = []
    for at in range(0, len(both), 50):
        daemon.events.put(both[at : at + 50])
    made = Lived(f"docker/{DB}", Life.CREATED, 7 * SECOND)
    assert until(heard, made)[0] == Lived(f"docker/{WEB}", Life.REMOVED, 7 * SECOND)
    daemon.events.put(event("destroy", DB) + event("create", DB, name="db", image="postgres:18"))
    assert until(heard, made)[0] == Lived(f"docker/{DB}", Life.REMOVED, 7 * SECOND)


@pytest.mark.parametrize("graceful", [True, False], ids=["ended", "killed"])
def test_a_daemon_that_comes_back_is_listened_to_again(daemon: FakeDaemon, heard: Listener, graceful: bool) -> None:
    """After a restart of the daemon what changed meanwhile is told: new names, and what was removed."""
    other = container("c" * 64, "other")
    daemon.containers.append(other)
    daemon.events.put(event("create", "c" * 64, name="other", image="nginx:1.29"))
    until(heard, replace(WEB_TOLD, container_id="c" * 64, name="other", labels={}))
    daemon.stop(graceful=graceful)
    assert news(heard) == OFF
    daemon.containers = [container(DB, "db", "postgres:18", tenant="bob"), other]
    daemon.start()
    said = until(heard, ON)
    assert said[0] == Lived(f"docker/{WEB}", Life.REMOVED)
    assert [each.key for each in said if isinstance(each, Metadata)] == [f"docker/{DB}"]  # unchanged ones are not told
    assert heard.error is None
    assert news(heard) == DB_TOLD


def test_a_daemon_that_hangs_up_at_once_is_asked_ever_more_rarely(
    daemon: FakeDaemon, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its containers are not listed over and over."""
    monkeypatch.setattr(listener, "RETRY_SECONDS", (0.01, 0.01, 3600))
    for _ in range(10):
        daemon.events.put(None)
    heard = listen()
    for _ in range(3):
        until(heard, OFF)
    threading.Event().wait(0.3)  # a fourth time would come in this
    assert daemon.asked("/events") == 3


def test_a_daemon_may_start_later(daemon: FakeDaemon, listen: Listen) -> None:
    """Nobody waits for a daemon that is not there, and the listener says why it has no names."""
    daemon.stop()
    heard = listen()
    heard.wait_listed()
    assert heard.error
    assert not heard.expected
    assert heard.updates.empty()
    daemon.start()
    until(heard, ON)
    assert heard.expected
    daemon.stop()
    assert OFF not in until(heard, OFF)
    assert heard.expected  # it was there


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "RESYNC_SECONDS", 0.05)
    monkeypatch.setattr(listener, "DEAF_SECONDS", 0.2)


@pytest.mark.usefixtures("_often")
def test_lost_events_heal(daemon: FakeDaemon, listen: Listen) -> None:
    """What no event told is told by the next list: made, renamed, relabelled, removed."""
    heard = listen()
    until(heard, WEB_TOLD)
    daemon.containers = [container(WEB, "shop", tenant="carol")]
    assert news(heard) == replace(WEB_TOLD, name="shop", labels={"tenant": "carol"})
    daemon.containers.append(container(DB, "db", "postgres:18", tenant="bob"))
    until(heard, DB_TOLD)
    daemon.containers = []
    until(heard, Lived(f"docker/{WEB}", Life.REMOVED))
    until(heard, Lived(f"docker/{DB}", Life.REMOVED))


@pytest.mark.usefixtures("_often")
def test_a_stream_of_events_that_hangs_is_opened_anew(daemon: FakeDaemon, listen: Listen) -> None:
    """When the list tells what no event told, and none follows, nobody listens any more."""
    heard = listen()
    until(heard, WEB_TOLD)
    daemon.containers = []
    until(heard, Lived(f"docker/{WEB}", Life.REMOVED))
    assert news(heard) == OFF
    assert news(heard) == ON
    assert daemon.asked("/events") == 2


@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("path", ["/containers/json", "/version"])
def test_a_daemon_that_hangs_is_told(
    daemon: FakeDaemon, listen: Listen, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It accepts, and does not answer: the listener says so, and goes on when it answers again."""
    heard = listen()
    until(heard, WEB_TOLD)
    monkeypatch.setattr(docker, "LIST_SECONDS", 0.2)
    monkeypatch.setattr(docker, "CONNECT_SECONDS", 0.2)
    daemon.hangs |= {path: threading.Event(), "/containers/json": threading.Event()}
    assert news(heard) == OFF
    assert heard.error == "timed out"
    assert heard.expected
    daemon.release()
    assert news(heard) == ON
    assert heard.error is None


def test_a_container_that_hangs_is_not_the_daemon(
    daemon: FakeDaemon, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer does not come: the others' do, and the daemon counts as heard."""
    monkeypatch.setattr(docker, "INSPECT_SECONDS", 0.2)
    monkeypatch.setattr(listener, "DOUBT_SECONDS", 0.1)
    daemon.hangs[f"/containers/{WEB}/json"] = threading.Event()
    heard = listen()
    until(heard, ON)
    daemon.containers.append(container(DB, "db", "postgres:18", tenant="bob"))
    daemon.events.put(event("create", DB, name="db", image="postgres:18"))
    until(heard, DB_TOLD)
    assert heard.error is None
    while daemon.asked("/containers/json") < 2:  # is it the daemon?
        threading.Event().wait(0.01)
    daemon.release()
    until(heard, WEB_TOLD)


GARBAGE = {
    "no JSON": b"<html>\n",
    "half": b'{"Action": "create", ',
    "a list": b"[1, 2]\n",
    "a number": b"7\n",
    "empty": b"{}\n",
    "no actor": b'{"Action": "create"}\n',
    "wrong types": b'{"Action": "create", "Actor": {"ID": ["x"], "Attributes": 5}}\n',
    "no time": b'{"Action": "destroy", "Actor": {"ID": "x", "Attributes": {}}, "timeNano": "x"}\n',
    "bytes": bytes(range(128, 256)) + b"\n",
    "deep": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_an_event_that_makes_no_sense_ends_nothing(daemon: FakeDaemon, heard: Listener, garbage: bytes) -> None:
    """Whatever comes, the listener connects anew and goes on."""
    daemon.events.put(garbage)
    daemon.events.put(None)  # this stream ends
    until(heard, OFF)
    until(heard, ON)
    daemon.events.put(event("create", DB, name="db", image="postgres:18"))
    while Lived(f"docker/{DB}", Life.CREATED, 7 * SECOND) != (said := news(heard)):
        if said == ON:  # it connected twice, and the event went to a stream that nobody reads
            daemon.events.put(event("create", DB, name="db", image="postgres:18"))


@pytest.mark.parametrize("path", ["/version", "/containers/json"])
@pytest.mark.parametrize("garbage", [b"<html>", b"7", b"[7]", b"[{}]", b'{"message": "no"}', b"", b"[" * 100_000])
def test_an_answer_that_makes_no_sense_ends_nothing(
    daemon: FakeDaemon, listen: Listen, path: str, garbage: bytes
) -> None:
    """The listener says that it has no names, and tries again until the answer makes sense."""
    daemon.garbage[path] = garbage
    heard = listen()
    heard.wait_listed()
    assert heard.error
    assert heard.updates.empty()
    del daemon.garbage[path]
    until(heard, ON)


@pytest.mark.parametrize("garbage", [b"<html>", b"7", b"{}", b'{"Config": 7}', b""])
def test_a_container_that_makes_no_sense_stays_what_was_listed(
    daemon: FakeDaemon, listen: Listen, garbage: bytes
) -> None:
    """The others are described, and the daemon is heard."""
    daemon.garbage[f"/containers/{DB}/json"] = garbage
    daemon.containers.append(container(DB, "db"))
    heard = listen()
    until(heard, WEB_TOLD)
    assert heard.error is None


def test_what_utf8_cant_hold_is_replaced(daemon: FakeDaemon, listen: Listen) -> None:
    """A lone surrogate, which JSON can hold, goes no further; neither does a value that is no text."""
    odd = {"Name": "/w\ud800b", "Names": ["/w\ud800b"], "Image": "i\udfff", "Labels": {"\ud801": "\ud802", "count": 7}}
    daemon.containers[0] |= odd
    told = replace(WEB_TOLD, name="w?b", image="i?", labels={"?": "?", "count": "7"}, digest=OTHER_DIGEST)
    until(listen(), told)


def test_a_container_may_lack_what_is_optional(daemon: FakeDaemon, listen: Listen) -> None:
    """A container without name or labels is told without them; names that links give it are not its own."""
    bare = {"Names": None, "Labels": None, "Image": "sha256:abc"}
    daemon.containers = [daemon.containers[0] | bare, container(DB, "db") | {"Names": ["/web/alias", "/db"]}]
    heard = listen()
    assert [each.name for each in until(heard, ON) if isinstance(each, Metadata)] == ["", "db"]


def test_thousands_of_labels_are_read(daemon: FakeDaemon, listen: Listen) -> None:
    """An answer of megabytes is one answer."""
    labels = {f"label-{number}": "x" * 500 for number in range(5000)}
    daemon.containers[0]["Labels"] = labels
    until(listen(), replace(WEB_TOLD, labels=labels))


def test_no_socket_is_listened_to_twice(tmp_path: Path) -> None:
    """Under whatever name it is known."""
    (tmp_path / "podman.sock").touch()
    (tmp_path / "docker.sock").symlink_to("podman.sock")
    made = runtimes([f"unix://{tmp_path}/docker.sock", "tcp://h:1"], [f"unix://{tmp_path}/podman.sock"], ["/c.sock"])
    assert sorted(each.name for each in made) == ["containerd", "docker", "podman"]
    assert [each.expected for each in made if each.name == "podman"] == [True]
    assert [each.expected for each in made if each.name != "podman"] == [False, False]


def test_the_version_is_told(daemon: FakeDaemon) -> None:
    """`check` names the daemon that answers, and its cgroup driver where it tells it."""
    assert docker.version(daemon.url) == "Docker 29.0"
    daemon.garbage["/info"] = json.dumps({"CgroupDriver": "systemd", "CgroupVersion": "2"}).encode()
    assert docker.version(daemon.url) == "Docker 29.0, cgroup driver systemd, version 2"
    daemon.engine = "Podman Engine"
    assert docker.version(daemon.url).startswith("Podman 29.0")


def test_a_socket_tells_whose_runtime_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's, our own, and one on a network speak for the host's containers; any other for its user's."""
    file = tmp_path / "docker.sock"
    file.touch()
    real = os.stat(file)

    def owned(uid: int) -> str:
        monkeypatch.setattr(os, "stat", lambda _: os.stat_result((*real[:4], uid, *real[5:])))
        return sockets.user_of(f"unix://{file}")

    assert [owned(uid) for uid in (0, os.geteuid(), 1000 + os.geteuid())] == ["", "", str(1000 + os.geteuid())]
    assert sockets.user_of("tcp://127.0.0.1:2375") == ""
