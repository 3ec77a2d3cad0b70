"""Docker's Engine API over HTTP: one answer, or the stream of events. Podman speaks it too.

Paths carry no version, so that a daemon answers by its own newest: what is read here has not changed for years.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from shipper.runtimes import sockets

ANSWER_BYTES = 256 << 20
"""A list of thousands of containers with long labels is some megabytes."""
EVENT_BYTES = 16 << 20
_CHUNK = 1 << 16
_CLOSE = {"Connection": "close"}
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""Seconds, seconds, probes (tcp(7)): who pulls a cable says nothing."""


class AnswerError(OSError):
    """The daemon answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"it answers with status {status}: {message}")
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """As the base class does, to a file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(address: str, path: str, seconds: float) -> Any:
    """What the daemon answers, decoded from JSON.

    `address` is unix:///path, tcp://host:port, http:// or https://. Raises OSError and its TimeoutError, AnswerError,
    ValueError, HTTPException.
    """
    late = time.monotonic() + seconds
    with closing(_connection(address, seconds)) as connection, _ask(connection, path, _CLOSE) as response:
        body = bytearray()
        while piece := response.read1(_CHUNK):
            body += piece
            if len(body) > ANSWER_BYTES:
                raise ValueError(f"its answer to {path} has more than {ANSWER_BYTES} bytes")
            if time.monotonic() > late:
                raise TimeoutError(f"no whole answer in {seconds:.0f} s")
        if response.length:
            raise http.client.IncompleteRead(bytes(body), response.length)
        return json.loads(body)


class Events:
    """The daemon's events, from when this is made. Raises as `get` does when it does not answer within `seconds`."""

    def __init__(self, address: str, path: str, seconds: float) -> None:
        self._connection = _connection(address, seconds)
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            _keep_alive(self._socket)
            self._response = _ask(self._connection, path, {})
        except BaseException:
            self._connection.close()
            raise
        self._socket.settimeout(None)

    def __iter__(self) -> Iterator[Any]:
        """Each event, decoded; ends with the stream."""
        rest = b""
        while piece := self._response.read1(_CHUNK):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > EVENT_BYTES:
                raise ValueError(f"an event has more than {EVENT_BYTES} bytes")
            yield from (json.loads(line) for line in lines if line.strip())

    def hang_up(self) -> None:
        """End the stream, also for a thread that reads it now, which closes it."""
        sockets.hang_up(self._socket)

    def close(self) -> None:
        """Close the connection; nobody may read it any more."""
        self._response.close()
        self._connection.close()


def _ask(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    if response.status != http.client.OK:
        with response:
            raise AnswerError(response.status, response.read(200).decode(errors="replace").strip())
    return response


def _connection(address: str, seconds: float) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    match parts.scheme:
        case "unix":
            return _UnixConnection(parts.path, seconds)
        case "tcp" | "http" if parts.hostname:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
        case "https" if parts.hostname:
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=seconds)
        case _:
            raise ValueError(f"{address!r} is no address of a daemon; write unix:///path or tcp://host:port")


def _keep_alive(sock: socket.socket) -> None:
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
