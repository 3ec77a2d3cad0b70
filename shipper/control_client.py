"""Asks the running agent of a data folder by its control socket."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from shipper.control import SOCKET

ANSWER_SECONDS = 30.0
"""An agent that has not answered by then does not."""
CONNECT_SECONDS = 5
MAX_ANSWER = 256 << 20
_CHUNK = 1 << 20


class AgentError(RuntimeError):
    """The agent can't be asked, or refused; the message says why and what to do."""


def ask(folder: Path, request: dict[str, Any], seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
    """The agent's answer to one request, within so many seconds. Raises AgentError for none, or an error."""
    try:
        line = orjson.dumps(request) + b"\n"
    except TypeError as error:
        raise AgentError(f"{error}: write names in UTF-8") from error
    with _connected(folder) as connection:
        connection.settimeout(seconds)
        with suppress(ConnectionError):  # it may refuse without reading all
            connection.sendall(line)
        try:
            answer = orjson.loads(_line(connection))
        except TimeoutError as error:
            advice = "`cgtrail status` tells how it is; whether the request was carried out is not known"
            raise AgentError(f"the agent on {folder} has not answered for {seconds:.0f} s: {advice}") from error
        except (ConnectionError, orjson.JSONDecodeError) as error:
            advice = "see its log, and ask again; whether the request was carried out is not known"
            raise AgentError(f"the agent on {folder} ended without an answer: {advice}") from error
    if not isinstance(answer, dict) or "error" in answer:
        raise AgentError(str(answer["error"]) if isinstance(answer, dict) else "the agent's answer is not understood")
    return answer


def _connected(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        at = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            # With Python's own timeout it would not wait behind others, but fail (unix(7), EAGAIN).
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", CONNECT_SECONDS, 0))
            connection.connect(f"/proc/self/fd/{at}/{SOCKET}")
        finally:
            os.close(at)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        connection.close()
        advice = f"start it with `cgtrail up --data {folder}` or `cgtrail ship`, or name its folder with --data"
        raise AgentError(f"no agent runs on {folder}: {advice}") from error
    except PermissionError as error:
        connection.close()
        raise AgentError(
            f"{folder / SOCKET}: only root and the agent's own user may ask it: run this as root"
        ) from error
    except OSError as error:
        connection.close()
        raise AgentError(f"{folder / SOCKET}: {error.strerror or error}: try again in a moment") from error
    return connection


def _line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = connection.recv(_CHUNK)
        if not chunk or len(received) > MAX_ANSWER:
            raise ConnectionError
        received += chunk
    return bytes(received)
