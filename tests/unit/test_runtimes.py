"""Asking Docker, against a small daemon of our own."""

from __future__ import annotations

import gc
import json
import os
import queue
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shipper import runtimes
from shipper.runtimes import Docker, Metadata, Removed, docker_version

WEB, DB = "a" * 64, "b" * 64
# Of a daemon that is not there the client leaves a socket to the garbage collector. What we leave is counted below.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

SECONDS = 20
"""How long to wait for what must come; nothing here takes as long unless it is broken."""


def container(container_id: str, name: str, image: str = "nginx:1.29", **labels: str) -> dict[str, Any]:
    """A container as Docker lists it."""
    return {"Id": container_id, "Names": [f"/{name}"], "Image": image, "Labels": labels, "State": "running"}


def event(action: str, container_id: str, **attributes: str) -> bytes:
    """A container's event as Docker sends it."""
    actor = {"ID": container_id, "Attributes": attributes}
    return json.dumps({"Type": "container", "Action": action, "Actor": actor, "time": 1}).encode() + b"\n"


class Handler(BaseHTTPRequestHandler):
    """Answers /version, /containers/json and /events."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """One request."""
        url = urlsplit(self.path)
        path = "/" + url.path.partition("/v1.44/")[2] if "/v1.44/" in url.path else url.path
        query = parse_qs(url.query)
        daemon = self.server.daemon
        daemon.requests.append((path, query))
        if path == "/events":
            self._events()
        elif path == "/containers/json":
            wanted = json.loads(query["filters"][0])["id"] if "filters" in query else None
            listed = [c for c in daemon.containers if wanted is None or c["Id"] in wanted]
            self._answer(daemon.garbage.get(path, json.dumps(listed).encode()))
        else:
            version = {"Version": "29.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24"}
            self._answer(daemon.garbage.get(path, json.dumps(version).encode()))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:  # as the client asked
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while (sent := self.server.daemon.events.get()) is not None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent))
            self.wfile.flush()
        if self.server.daemon.graceful:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers each connection in a thread, and waits for all of them when it closes."""

    daemon: FakeDaemon


class FakeDaemon:
    """What dockerd would know, and its socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "docker.sock"
        self.url = f"unix://{self._socket}"
        self.containers: list[dict[str, Any]] = []
        self.events: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.garbage: dict[str, bytes] = {}
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        self.graceful = True
        self._server: Server | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._server = Server(str(self._socket), Handler)
        self._server.daemon = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self, *, graceful: bool = True) -> None:
        """End the stream of events, in the middle of it unless gracefully, and stop answering."""
        if self._server is not None:
            self.graceful = graceful
            self._socket.unlink()
            self._server.shutdown()
            self.events.put(None)
            self._thread.join()
            self._server.server_close()
            self._server = None
            self.events = queue.SimpleQueue()


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """A daemon with one container, that answers."""
    monkeypatch.setattr(runtimes, "_RETRY_SECONDS", (0.01,))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeDaemon(Path(folder))
        fake.containers = [container(WEB, "web", tenant="alice")]
        fake.start()
        yield fake
        fake.stop()
    gc.collect()


Listen = Callable[[], Docker]


@pytest.fixture
def listen(daemon: FakeDaemon) -> Iterator[Listen]:
    """Starts a listener; all threads and sockets are gone at the end."""
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    started: list[Docker] = []

    def start() -> Docker:
        docker = Docker(daemon.url)
        docker.start()
        started.append(docker)
        return docker

    yield start
    for docker in started:
        docker.stop()
    daemon.stop()
    for docker in started:
        docker._thread.join(SECONDS)
        assert not docker._thread.is_alive()
    gc.collect()
    assert threading.active_count() < threads  # the daemon's own is gone, too
    assert len(os.listdir("/proc/self/fd")) < files  # so is its socket


def news(docker: Docker) -> Metadata | Removed:
    """What the listener says next."""
    return docker.updates.get(timeout=SECONDS)


def test_running_containers_are_listed(daemon: FakeDaemon, listen: Listen) -> None:
    """Every container is told with its name, image and labels, also those that don't run now."""
    daemon.containers.append(container(DB, "db", "postgres:18"))
    docker = listen()
    docker.wait_listed()
    assert [news(docker), news(docker)] == [
        Metadata(WEB, "docker", "web", "nginx:1.29", {"tenant": "alice"}),
        Metadata(DB, "docker", "db", "postgres:18", {}),
    ]
    assert docker.error is None
    assert docker.updates.empty()
    assert [query["all"] for path, query in daemon.requests if path == "/containers/json"] == [["1"]]


def test_events_are_asked_for_before_containers(daemon: FakeDaemon, listen: Listen) -> None:
    """Nothing falls between the list and the stream of events, as the stream is open first."""
    news(listen())
    paths = [path for path, _ in daemon.requests]
    assert paths.index("/events") < paths.index("/containers/json")


def test_a_container_is_told_when_it_is_made(daemon: FakeDaemon, listen: Listen) -> None:
    """A create event is enough: the daemon is not asked again."""
    docker = listen()
    news(docker)
    asked = len(daemon.requests)
    daemon.events.put(event("create", DB, name="db", image="postgres:18", tenant="bob"))
    assert news(docker) == Metadata(DB, "docker", "db", "postgres:18", {"tenant": "bob"})
    assert len(daemon.requests) == asked


def test_a_container_is_told_when_it_is_renamed(daemon: FakeDaemon, listen: Listen) -> None:
    """A rename event carries more than labels, so the daemon is asked for them."""
    docker = listen()
    news(docker)
    daemon.containers = [container(WEB, "shop", tenant="alice"), container(DB, "db")]
    daemon.events.put(event("rename", WEB, name="shop", image="nginx:1.29", oldName="/web", tenant="alice"))
    assert news(docker) == Metadata(WEB, "docker", "shop", "nginx:1.29", {"tenant": "alice"})
    assert docker.updates.empty()


def test_a_removed_container_is_told(daemon: FakeDaemon, listen: Listen) -> None:
    """A destroy event is told, so that nothing is kept for ever."""
    docker = listen()
    news(docker)
    daemon.events.put(event("destroy", WEB, name="web", image="nginx:1.29"))
    assert news(docker) == Removed(WEB)


def test_connections_to_the_daemon_do_not_grow(daemon: FakeDaemon, listen: Listen) -> None:
    """However many containers are asked for, only that of the events stays open."""
    docker = listen()
    news(docker)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(10):
        name = f"name-{number}"
        daemon.containers = [container(f"{number:064x}", name)]
        daemon.events.put(event("rename", f"{number:064x}", name=name))
        news(docker)
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # this test is both ends of a connection


def test_events_may_come_in_pieces(daemon: FakeDaemon, listen: Listen) -> None:
    """An event split over chunks, or two in one, are the same events."""
    docker = listen()
    news(docker)
    both = event("destroy", WEB) + event("create", DB, name="db", image="postgres:18")
    for at in range(0, len(both), 50):
        daemon.events.put(both[at : at + 50])
    assert [news(docker), news(docker)] == [Removed(WEB), Metadata(DB, "docker", "db", "postgres:18", {})]
    daemon.events.put(both)
    assert [news(docker), news(docker)] == [Removed(WEB), Metadata(DB, "docker", "db", "postgres:18", {})]


@pytest.mark.parametrize("graceful", [True, False], ids=["ended", "killed"])
def test_a_daemon_that_comes_back_is_listened_to_again(daemon: FakeDaemon, listen: Listen, graceful: bool) -> None:
    """After a restart of the daemon what changed meanwhile is told: new names, and what was removed."""
    docker = listen()
    news(docker)
    daemon.stop(graceful=graceful)
    assert docker.updates.empty()
    daemon.containers = [container(DB, "db")]
    daemon.start()
    assert [news(docker), news(docker)] == [Removed(WEB), Metadata(DB, "docker", "db", "nginx:1.29", {})]
    daemon.events.put(event("create", WEB, name="again", image="nginx"))
    assert news(docker) == Metadata(WEB, "docker", "again", "nginx", {})
    assert docker.error is None


def test_a_daemon_may_start_later(daemon: FakeDaemon, listen: Listen) -> None:
    """Nobody waits for a daemon that is not there, and the listener says why it has no names."""
    daemon.stop()
    docker = listen()
    docker.wait_listed()
    assert docker.error
    assert docker.updates.empty()
    daemon.start()
    assert news(docker) == Metadata(WEB, "docker", "web", "nginx:1.29", {"tenant": "alice"})


GARBAGE = {
    "no JSON": b"<html>\n",
    "half": b'{"Action": "create", ',
    "a list": b"[1, 2]\n",
    "a number": b"7\n",
    "empty": b"{}\n",
    "no actor": b'{"Action": "create"}\n',
    "no attributes": b'{"Action": "create", "Actor": {"ID": "x", "Attributes": null}}\n',
    "wrong types": b'{"Action": "create", "Actor": {"ID": ["x"], "Attributes": 5}}\n',
    "bytes": bytes(range(128, 256)),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_an_event_that_makes_no_sense_ends_nothing(daemon: FakeDaemon, listen: Listen, garbage: bytes) -> None:
    """Whatever comes, the listener connects anew and goes on."""
    docker = listen()
    news(docker)
    daemon.events.put(garbage)
    daemon.events.put(None)  # this stream ends
    assert news(docker) == Metadata(WEB, "docker", "web", "nginx:1.29", {"tenant": "alice"})
    daemon.events.put(event("create", DB, name="db", image="postgres:18"))
    told = news(docker)
    while told == Metadata(WEB, "docker", "web", "nginx:1.29", {"tenant": "alice"}):  # it may have connected twice
        told = news(docker)
    assert told == Metadata(DB, "docker", "db", "postgres:18", {})


@pytest.mark.parametrize("path", ["/version", "/containers/json"])
@pytest.mark.parametrize("garbage", [b"<html>", b"7", b"[7]", b"[{}]", b'{"message": "no"}', b""])
def test_an_answer_that_makes_no_sense_ends_nothing(
    daemon: FakeDaemon, listen: Listen, path: str, garbage: bytes
) -> None:
    """The listener says that it has no names, and tries again until the answer makes sense."""
    daemon.garbage[path] = garbage
    docker = listen()
    docker.wait_listed()
    assert docker.error
    assert docker.updates.empty()
    del daemon.garbage[path]
    daemon.events.put(None)  # streams that were opened before the garbage came
    assert news(docker) == Metadata(WEB, "docker", "web", "nginx:1.29", {"tenant": "alice"})


def test_what_utf8_cant_hold_is_replaced(daemon: FakeDaemon, listen: Listen) -> None:
    """A lone surrogate, which JSON can hold, goes no further; neither does a value that is no text."""
    daemon.containers = [container(WEB, "w\ud800b", "i\udfff") | {"Labels": {"\ud801": "\ud802", "count": 7}}]
    assert news(listen()) == Metadata(WEB, "docker", "w?b", "i?", {"?": "?", "count": "7"})


def test_a_container_may_lack_what_is_optional(daemon: FakeDaemon, listen: Listen) -> None:
    """A container without name or labels is told without them."""
    daemon.containers = [{"Id": WEB, "Names": None, "Image": "sha256:abc", "Labels": None}]
    assert news(listen()) == Metadata(WEB, "docker", "", "sha256:abc", {})


def test_the_version_is_told(daemon: FakeDaemon) -> None:
    """`check` names the daemon that answers."""
    assert docker_version(daemon.url) == "Docker 29.0"


def test_the_cgroup_driver_is_told(daemon: FakeDaemon) -> None:
    """Where the daemon tells it."""
    daemon.garbage["/info"] = b'{"CgroupDriver": "systemd", "CgroupVersion": "2"}'
    assert docker_version(daemon.url) == "Docker 29.0, cgroup driver systemd, version 2"


@pytest.mark.parametrize("garbage", [b"[]", b"{}", b"x", b"7"])
def test_a_version_that_makes_no_sense_is_an_error(daemon: FakeDaemon, garbage: bytes) -> None:
    """`check` gets one kind of error, whatever is at the address."""
    daemon.garbage["/version"] = garbage
    with pytest.raises(OSError, match=r"."):
        docker_version(daemon.url)


def test_a_daemon_that_is_not_there_is_an_error(daemon: FakeDaemon) -> None:
    """`check` gets one kind of error, whatever is wrong."""
    daemon.stop()
    with pytest.raises(OSError, match="No such file"):
        docker_version(daemon.url)
