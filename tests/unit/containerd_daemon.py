"""A small daemon of our own that answers as containerd does: gRPC over a Unix socket."""

from __future__ import annotations

import json
import queue
import socket
import socketserver
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
from h2.exceptions import H2Error

from shipper.runtimes.protobuf import Message, string

SECOND = 1_000_000_000


def number(at: int, value: int) -> bytes:
    """A field of a number below 2^28."""
    out = bytearray(_digits(at << 3))
    return bytes(out + _digits(value))


def inner(at: int, raw: bytes) -> bytes:
    """A field of a message."""
    return _digits(at << 3 | 2) + _digits(len(raw)) + raw


def _digits(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def mapping(at: int, told: dict[str, str]) -> bytes:
    """A map of strings."""
    return b"".join(inner(at, string(1, key) + string(2, value)) for key, value in told.items())


@dataclass
class Box:
    """A container as containerd keeps it."""

    id: str
    image: str = "docker.io/library/nginx:1.29"
    labels: dict[str, str] = field(default_factory=dict)
    spec: Any = field(default_factory=lambda: {"linux": {"cgroupsPath": "/default/web"}})
    created: int = 9 * SECOND + 5

    def encode(self) -> bytes:
        """containerd.services.containers.v1.Container."""
        raw = self.spec if isinstance(self.spec, bytes) else json.dumps(self.spec).encode()
        spec = string(1, "types.containerd.io/opencontainers/runtime-spec/1/Spec") + inner(2, raw)
        at = number(1, self.created // SECOND) + number(2, self.created % SECOND)
        told = string(1, self.id) + mapping(2, self.labels) + string(3, self.image)
        return told + inner(5, spec) + inner(8, at) + inner(8, at)


def event(topic: str, scope: str, container_id: str, image: str = "", at: int = 7) -> bytes:
    """containerd.services.events.v1.Envelope of a container."""
    told = string(1, container_id) + (string(2, image) if image else b"")
    any_ = string(1, "containerd.events.ContainerCreate") + inner(2, told)
    return inner(1, number(1, at)) + string(2, scope) + string(3, topic) + inner(4, any_)


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """One connection, of one call."""
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.method, self.scope, body = "", "", bytearray()
        self._send()
        with suppress(OSError, H2Error):
            while raw := self.request.recv(65536):
                for got in self.h2.receive_data(raw):
                    if isinstance(got, h2.events.RequestReceived):
                        headers = {str(name): str(value) for name, value in got.headers or ()}
                        self.method, self.scope = headers[":path"], headers.get("containerd-namespace", "")
                    elif isinstance(got, h2.events.DataReceived):
                        body += got.data or b""
                    elif isinstance(got, h2.events.StreamEnded):
                        self._send()
                        self._answer(bytes(body[5:]))
                        return
                self._send()

    def _answer(self, request: bytes) -> None:
        daemon = self.server.daemon
        name = self.method.rpartition("/")[2] if "Containers" in self.method else self.method.split(".")[-1]
        daemon.asked.append((name, self.scope))
        if name in daemon.hangs:
            daemon.hangs[name].wait()
        boxes = daemon.scopes.get(self.scope, [])
        match name:
            case _ if name in daemon.garbage:
                self._end(daemon.garbage[name])
            case "Version/Version":
                self._end(string(1, "1.7"))
            case "Namespaces/List":
                self._end(b"".join(inner(1, string(1, scope)) for scope in daemon.scopes))
            case "ListStream":
                self._end(*(inner(1, box.encode()) for box in boxes))
            case "Get":
                found = [box for box in boxes if box.id == Message(request).text(1)]
                self._end(*(inner(1, box.encode()) for box in found), status=0 if found else 5)
            case "Images/Get":
                target = string(1, "application/json") + string(2, daemon.digest)
                self._end(inner(1, string(1, "x") + inner(3, target)), status=0 if daemon.digest else 5)
            case "Events/Subscribe":
                self._headers()
                while (told := daemon.events.get()) is not None:
                    self._message(told)
                self._trailers(0)

    def _end(self, *messages: bytes, status: int = 0) -> None:
        self._headers()
        for message in messages:
            self._message(message)
        self._trailers(status)
        while self.request.recv(65536):
            pass  # until the other hangs up

    def _headers(self) -> None:
        self.h2.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
        self._send()

    def _trailers(self, status: int) -> None:
        trailers = [("grpc-status", str(status)), ("grpc-message", "why%20not")]
        self.h2.send_headers(1, trailers, end_stream=True)
        self._send()

    def _message(self, raw: bytes) -> None:
        framed = b"\0" + len(raw).to_bytes(4, "big") + raw
        while framed:
            room = min(self.h2.local_flow_control_window(1), self.h2.max_outbound_frame_size)
            if not room:
                self.h2.receive_data(self.request.recv(65536))
                continue
            self.h2.send_data(1, framed[:room])
            framed = framed[room:]
            self._send()

    def _send(self) -> None:
        self.request.sendall(self.h2.data_to_send())


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon: FakeContainerd

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has gone."""


class FakeContainerd:
    """What a daemon would know, and its socket."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "containerd.sock")
        self.scopes: dict[str, list[Box]] = {}
        self.digest = ""
        self.events: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.garbage: dict[str, bytes] = {}
        self.hangs: dict[str, threading.Event] = {}
        self.asked: list[tuple[str, str]] = []
        self._server: _Server | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._server = _Server(self.path, _Handler)
        self._server.daemon = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """End the streams of events, and stop answering."""
        if self._server is not None:
            Path(self.path).unlink()
            self._server.shutdown()
            self.release()
            for name, _ in self.asked:
                if name == "Events/Subscribe":
                    self.events.put(None)
            self._thread.join()
            self._server.server_close()
            self._server = None
            self.events = queue.SimpleQueue()

    def release(self) -> None:
        """Answer all that was held back."""
        hangs, self.hangs = self.hangs, {}
        for held in hangs.values():
            held.set()
