"""Calls gRPC methods over a Unix socket (grpc.io, "gRPC over HTTP2"), each on a connection of its own.

HTTP/2 is h2's. grpcio would take 17 MB of the agent's memory and threads of its own for these lines.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.events
import h2.settings

from shipper.runtimes import sockets

MESSAGE_BYTES = 64 << 20
_CHUNK = 1 << 16
_HEAD = 5
"""Of a message: 0 for uncompressed, and its length."""
_WINDOW = 1 << 20
"""Bytes that may come before they were read."""
NOT_FOUND = 5
_STATUSES = {1: "cancelled", 2: "unknown", 4: "deadline exceeded", 5: "not found", 7: "permission denied",
             8: "resource exhausted", 12: "unimplemented", 13: "internal", 14: "unavailable"}  # fmt: skip


class CallError(OSError):
    """The method answered with an error; `status` is gRPC's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{_STATUSES.get(status, 'status')} ({status}): {message}")
        self.status = status


class Call:
    """One call: iterate over it for its answers, each a message.

    Raises OSError and its TimeoutError, CallError, ValueError, h2.exceptions.H2Error. Close it at the end.
    """

    def __init__(self, path: str, method: str, request: bytes, seconds: float | None, namespace: str = "") -> None:
        """`path`: the socket's. `method`: /package.Service/Method. `seconds`: for all of it; None: it may last."""
        self._late = None if seconds is None else time.monotonic() + seconds
        self._data, self._ended = bytearray(), False
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(seconds)
            self._socket.connect(path)
            self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
            self._h2.initiate_connection()
            self._h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW})
            self._h2.increment_flow_control_window(_WINDOW)
            headers = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "localhost"),
                       ("te", "trailers"), ("content-type", "application/grpc")]  # fmt: skip
            if namespace:
                headers.append(("containerd-namespace", namespace))
            stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream, headers)
            self._h2.send_data(stream, b"\0" + len(request).to_bytes(4, "big") + request, end_stream=True)
            self._send()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        """Closes it at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """The messages, as they come; ends when the method does."""
        while True:
            while (message := self._next()) is not None:
                yield message
            if self._ended:
                return
            self._receive()

    def hang_up(self) -> None:
        """End it, also for a thread that iterates over it now."""
        sockets.hang_up(self._socket)

    def close(self) -> None:
        """Close the connection; nobody may iterate over it any more."""
        self._socket.close()

    def _next(self) -> bytes | None:
        if len(self._data) < _HEAD:
            return None
        size = int.from_bytes(self._data[1:_HEAD], "big")
        if self._data[0] or size > MESSAGE_BYTES:
            raise ValueError(f"a message of {size} bytes, compression {self._data[0]}: neither was asked for")
        if len(self._data) < _HEAD + size:
            return None
        message = bytes(self._data[_HEAD : _HEAD + size])
        del self._data[: _HEAD + size]
        return message

    def _receive(self) -> None:
        if self._late is not None:
            left = self._late - time.monotonic()
            if left <= 0:
                raise TimeoutError("no whole answer in time")
            self._socket.settimeout(left)
        raw = self._socket.recv(_CHUNK)
        if not raw:
            raise EOFError("it hung up")
        for event in self._h2.receive_data(raw):
            self._take(event)
        self._send()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived():
                self._data += event.data or b""
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                _check({_shown(name): _shown(value) for name, value in event.headers or ()})
            case h2.events.StreamEnded():
                self._ended = True
            case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                raise EOFError(f"it ended the call with HTTP/2's error {event.error_code}")

    def _send(self) -> None:
        if out := self._h2.data_to_send():
            self._socket.sendall(out)


def unary(path: str, method: str, request: bytes, seconds: float, namespace: str = "") -> bytes:
    """The one answer of a method. Raises as `Call` does."""
    with Call(path, method, request, seconds, namespace) as call:
        answers = list(call)
    if len(answers) != 1:
        raise ValueError(f"{method} gave {len(answers)} answers instead of one")
    return answers[0]


def _check(headers: Mapping[str, str]) -> None:
    http, status = headers.get(":status", "200"), headers.get("grpc-status", "0")
    if http != "200":
        raise CallError(2, f"HTTP status {http}")
    if status != "0":
        raise CallError(int(status), unquote(headers.get("grpc-message", "")))


def _shown(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.decode(errors="replace")
