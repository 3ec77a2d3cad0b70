"""The control socket: commands ask the running agent, one JSON object a line, and are answered by its loop."""

from __future__ import annotations

import os
import queue
import selectors
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

SOCKET = "control.sock"
"""Its name in the data folder."""
MAX_REQUEST = 1 << 20
"""Bytes of one request, its newline included."""
MAX_CLIENTS = 16
REQUEST_SECONDS = 5.0
"""From connecting, or the answer before, to a whole request; and as long for taking an answer."""
ODD_SECONDS = 0.1
"""After what should not happen, so that it does not take a processor when it happens again and again."""
_WAITING = 128
"""Connections that wait to be accepted, those beyond MAX_CLIENTS to be told so."""
_CHUNK = 65536
_CREDENTIALS = struct.Struct("iII")
"""struct ucred of SO_PEERCRED (unix(7)): pid, uid, gid."""

_log = structlog.get_logger()
Handler = Callable[[dict[str, Any], int], dict[str, Any]]
"""What answers a request of a uid. ValueError and OSError are told to whoever asked."""


class ControlError(ValueError):
    """The socket can't be made; the message says what stands in its way."""


@dataclass(eq=False)
class _Client:
    """One connection. It reads until a request is whole, waits for the loop, then writes the answer."""

    socket: socket.socket
    uid: int
    deadline: float
    """Monotonic seconds; infinity while the loop has the request."""
    received: bytearray = field(default_factory=bytearray)
    answer: bytes = b""
    last: bool = False
    """The connection ends with this answer."""


@dataclass(frozen=True, slots=True)
class _Asked:
    client: _Client
    request: dict[str, Any]


class Control:
    """Serves the socket in a thread from `start` to `stop`; requests wait there until `handle` is called."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the data folder; whoever holds its lock owns the socket in it."""
        self._folder = folder
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[tuple[_Client, dict[str, Any]]] = queue.SimpleQueue()
        self._clients: set[_Client] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Listen. Raises ControlError, OSError."""
        self._listener = _listen(self._folder)
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_out, selectors.EVENT_READ, self._woken)
        self._thread.start()

    def stop(self) -> None:
        """Remove the socket and end the connections."""
        if self._thread.ident is None:
            return
        self._stopping.set()
        self._wake()
        self._thread.join()
        for opened in (*(client.socket for client in self._clients), self._listener, self._wake_out, self._wake_in):
            opened.close()
        self._selector.close()
        with suppress(OSError):
            os.unlink(self._folder / SOCKET)

    def handle(self, handler: Handler) -> None:
        """Answer what was asked since; returns at once where nothing was."""
        for _ in range(self._asked.qsize()):  # those who ask again at once wait for the next round
            asked = self._asked.get()
            try:
                answer = handler(asked.request, asked.client.uid)
            except (ValueError, OSError) as error:
                answer = {"error": str(error)}
            except Exception as error:  # noqa: BLE001  a request must not end the recording
                _log.exception("a request could not be answered", request=str(asked.request.get("request"))[:80])
                answer = {"error": f"the agent failed: {error!r}; its log has more"}
            self._answered.put((asked.client, answer))
            self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is awake then
            self._wake_in.send(b"\0")

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(self._patience()):
                try:
                    key.data(key.fileobj)
                except Exception:  # noqa: BLE001  one connection must not end the others
                    _log.exception("a client of the control socket could not be served")
                    time.sleep(ODD_SECONDS)
            now = time.monotonic()
            for client in [client for client in self._clients if client.deadline < now]:
                late = f"no whole request within {REQUEST_SECONDS:.0f} s: the connection is closed"
                self._drop(client) if client.answer else self._refuse(client, late)

    def _patience(self) -> float | None:
        deadline = min((client.deadline for client in self._clients), default=float("inf"))
        return None if deadline == float("inf") else max(deadline - time.monotonic(), 0) + 0.001

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # it is gone again, or no descriptor is free
            time.sleep(ODD_SECONDS)
            return
        connection.setblocking(False)
        _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        client = _Client(connection, uid, time.monotonic() + REQUEST_SECONDS)
        full = len(self._clients) >= MAX_CLIENTS
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, lambda _: self._ready(client))
        if uid not in {0, os.geteuid()}:
            self._refuse(client, f"uid {uid} may not command this agent: do it as root, or as uid {os.geteuid()}")
        elif full:
            self._refuse(client, f"{MAX_CLIENTS} clients are connected already: try again in a moment")

    def _ready(self, client: _Client) -> None:
        """There is something to read, or room to write."""
        try:
            if client.answer:
                self._send(client)
                return
            received = client.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._drop(client)
            return
        client.received += received
        if b"\n" in received or len(client.received) >= MAX_REQUEST:
            self._ask(client)

    def _ask(self, client: _Client) -> None:
        """Hand a request that is whole to the loop."""
        line, newline, rest = client.received.partition(b"\n")
        if len(line) + len(newline) > MAX_REQUEST or (not newline and len(line) >= MAX_REQUEST):
            self._refuse(client, f"the request is longer than {MAX_REQUEST:,} bytes")
            return
        if not newline:
            return
        client.received = rest
        try:
            request = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            self._refuse(client, f"the request is no JSON: {error}")
            return
        if not isinstance(request, dict):
            self._refuse(client, "the request is no JSON object: send one in a line")
            return
        client.deadline = float("inf")
        self._selector.unregister(client.socket)  # what more it sends waits, and so does its end
        self._asked.put(_Asked(client, request))

    def _woken(self, pipe: socket.socket) -> None:
        with suppress(BlockingIOError):
            pipe.recv(_CHUNK)
        while not self._answered.empty():
            client, answer = self._answered.get()
            self._selector.register(client.socket, selectors.EVENT_WRITE, lambda _, to=client: self._ready(to))
            self._answer(client, answer)

    def _answer(self, client: _Client, answer: dict[str, Any]) -> None:
        try:
            client.answer = orjson.dumps(answer) + b"\n"
        except TypeError as error:
            client.answer = orjson.dumps({"error": f"the answer can't be told: {error}"}) + b"\n"
        client.deadline = time.monotonic() + REQUEST_SECONDS
        self._ready(client)

    def _refuse(self, client: _Client, why: str) -> None:
        client.last = True
        self._selector.modify(client.socket, selectors.EVENT_WRITE, lambda _: self._ready(client))
        self._answer(client, {"error": why})

    def _send(self, client: _Client) -> None:
        try:
            sent = client.socket.send(client.answer, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        client.answer = client.answer[sent:]
        if client.answer:
            return
        if client.last:
            self._drop(client)
            return
        client.deadline = time.monotonic() + REQUEST_SECONDS
        self._selector.modify(client.socket, selectors.EVENT_READ, lambda _: self._ready(client))
        if client.received:
            self._ask(client)

    def _drop(self, client: _Client) -> None:
        self._clients.discard(client)
        self._selector.unregister(client.socket)
        client.socket.close()


def _listen(folder: Path) -> socket.socket:
    """A socket that only its owner can connect to, whatever the umask; it replaces one that was left over."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.stat(SOCKET, dir_fd=at, follow_symlinks=False).st_mode):
                raise ControlError(f"{folder / SOCKET}: something else than a socket is there: remove it")
            os.unlink(SOCKET, dir_fd=at)
        os.fchmod(listener.fileno(), 0o600)  # bind() makes the file with the mode of the socket (net/unix/af_unix.c)
        listener.bind(f"/proc/self/fd/{at}/{SOCKET}")  # a path of a socket ends at 107 bytes (unix(7)); this one does
        listener.listen(_WAITING)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(at)
    return listener
