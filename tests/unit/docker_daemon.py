"""A small daemon of our own that answers as Docker and Podman do, over a Unix socket."""

from __future__ import annotations

import json
import queue
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

WEB, DB = "a" * 64, "b" * 64
SECOND = 1_000_000_000
CREATED = "2026-11-22T16:00:00.123456789Z"
CREATED_NS = 1795363200123456789
IMAGE_ID = "sha256:" + "1" * 64
DIGEST = "sha256:" + "2" * 64


def container(container_id: str, name: str, image: str = "nginx:1.29", **labels: str) -> dict[str, Any]:
    """A container, as both a list and an inspection tell of it."""
    return {
        "Id": container_id,
        "Names": [f"/{name}"],
        "Name": f"/{name}",
        "Image": image,
        "Labels": labels,
        "Created": CREATED,
        "Privileged": False,
        "Binds": [],
    }


def event(action: str, container_id: str, at: int = 7 * SECOND, **attributes: str) -> bytes:
    """A container's event as Docker sends it."""
    actor = {"ID": container_id, "Attributes": attributes}
    told = {"Type": "container", "Action": action, "Actor": actor, "time": at // SECOND, "timeNano": at}
    return json.dumps(told).encode() + b"\n"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """One request."""
        url = urlsplit(self.path)
        parts, query, daemon = url.path.split("/"), parse_qs(url.query), self.server.daemon
        daemon.requests.append((url.path, query))
        daemon.hang(url.path)
        match parts:
            case ["", "events"]:
                self._events()
            case _ if url.path in daemon.garbage:
                self._answer(daemon.garbage[url.path])
            case ["", "version"]:
                self._answer_json({"Version": "29.0", "Components": [{"Name": daemon.engine}]})
            case ["", "containers", "json"]:
                self._answer_json([_listed(each) for each in daemon.containers])
            case ["", "containers", container_id, "json"]:
                found = [_inspected(each) for each in daemon.containers if each["Id"] == container_id]
                self._answer_json(found[0] if found else {"message": "No such container"}, 200 if found else 404)
            case ["", "images", _, "json"]:
                self._answer_json({"RepoDigests": daemon.digests})
            case _:
                self._answer_json({"message": "page not found"}, 404)

    def _answer_json(self, told: object, status: int = 200) -> None:
        self._answer(json.dumps(told).encode(), status)

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _events(self) -> None:
        events = self.server.daemon.events
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while (sent := events.get()) is not None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent))
            self.wfile.flush()
        if self.server.daemon.graceful:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _listed(told: dict[str, Any]) -> dict[str, Any]:
    """Without what a list does not tell; an image whose tag has moved shows by its id."""
    mounts = [{"Type": "bind", "Source": bind.partition(":")[0]} for bind in told["Binds"]]
    return {key: told[key] for key in ("Id", "Names", "Image", "Labels")} | {"Created": 1795363200, "Mounts": mounts}


def _inspected(told: dict[str, Any]) -> dict[str, Any]:
    config = {"Image": told["Image"], "Labels": told["Labels"]}
    host = {"Privileged": told["Privileged"], "Binds": told["Binds"]}
    rest = {"Id": told["Id"], "Name": told["Name"], "Created": told["Created"], "Image": IMAGE_ID, "Mounts": []}
    return rest | {"Config": config, "HostConfig": host}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers each connection in a thread, and waits for all of them when it closes."""

    daemon: FakeDaemon

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has gone."""


class FakeDaemon:
    """What a daemon would know, and its socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "docker.sock"
        self.url = f"unix://{self._socket}"
        self.engine = "Engine"
        self.containers: list[dict[str, Any]] = []
        self.digests = [f"docker.io/nginx@sha256:{'3' * 64}", f"nginx@{DIGEST}"]
        self.events: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.garbage: dict[str, bytes] = {}
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        self.hangs: dict[str, threading.Event] = {}
        """By path: no answer before this is set."""
        self.graceful = True
        self._server: _Server | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._server = _Server(str(self._socket), _Handler)
        self._server.daemon = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self, *, graceful: bool = True) -> None:
        """End the stream of events, in the middle of it unless gracefully, and stop answering."""
        if self._server is not None:
            self.graceful = graceful
            self._socket.unlink()
            self._server.shutdown()
            self.release()
            for _ in range(1 + self.asked("/events")):  # of those that ended nobody knows
                self.events.put(None)
            self._thread.join()
            self._server.server_close()
            self._server = None
            self.events = queue.SimpleQueue()

    def asked(self, path: str) -> int:
        """How often."""
        return sum(each == path for each, _ in self.requests)

    def hang(self, path: str) -> None:
        """Wait as long as this path's answer is held back."""
        if path in self.hangs:
            self.hangs[path].wait()

    def release(self) -> None:
        """Answer all that was held back."""
        hangs, self.hangs = self.hangs, {}
        for held in hangs.values():
            held.set()
