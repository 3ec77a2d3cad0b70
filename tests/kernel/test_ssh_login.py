"""A program that an SSH server starts is told with the connection of its environment, and with nothing else of it."""

from __future__ import annotations

import pytest

from bpf.enums import Policy
from bpf.events import Exec, SshLogin
from tests.kernel.capture import Capture, Seen
from tests.kernel.dockerd import Container

pytestmark = pytest.mark.kernel

CONNECTION = b"203.0.113.7 50022 192.0.2.1 22"
TOLD = b"SSH_CONNECTION=" + CONNECTION
LOOKED_AT, VALUE = 4096, 128
"""Bytes of an environment, and of the value (bpf/ssh_login.bpf.c)."""
NAME = len("SSH_CONNECTION=")


def login(capture: Capture, container: Container, *variables: bytes, server: str = "sshd") -> Seen:
    """Let a server start a program with this environment."""
    return capture.run(container, f"/triggers/{server}", "ssh-login", *(text.hex() for text in variables))


def told(seen: Seen) -> bytes:
    """The connection of the one record of a login."""
    (record,) = seen.of(SshLogin)
    return record.connection


def filled(size: int) -> bytes:
    """A variable of so many bytes, its NUL included."""
    return b"X=".ljust(size - 1, b"x")


@pytest.mark.parametrize(
    ("variables", "connection"),
    [
        ((TOLD, b"HOME=/root", b"TERM=xterm"), CONNECTION),
        ((b"HOME=/root", TOLD, b"TERM=xterm"), CONNECTION),
        ((b"HOME=/root", b"TERM=xterm", TOLD), CONNECTION),
        ((TOLD,), CONNECTION),
        ((TOLD, b"SSH_CONNECTION=second"), CONNECTION),
        ((b"HOME=/root", b"SECRET=word"), b""),
        ((b"XSSH_CONNECTION=x", b"X=SSH_CONNECTION=x", b"SSH_CONNECTION", b"SSH_CONNECTIONS=x"), b""),
        ((b"SSH_CONNECTION=", b"SECRET=word"), b""),
        ((), b""),
        ((b"",), b""),
        ((b"", TOLD), CONNECTION),
        ((b"SSH_CONNECTION=\xff\n \x1b[2J",), b"\xff\n \x1b[2J"),
        ((b"SSH_CONNECTION=" + b"1" * VALUE, b"SECRET=word"), b"1" * VALUE),
        ((b"SSH_CONNECTION=" + b"1" * (VALUE + 1),), b"1" * VALUE),
        ((b"SSH_CONNECTION=" + b"1" * 3 * LOOKED_AT,), b"1" * VALUE),
        ((filled(LOOKED_AT - NAME), TOLD), CONNECTION),
        ((filled(LOOKED_AT - NAME + 1), TOLD), b""),
        ((filled(LOOKED_AT), TOLD), b""),
        ((filled(60_000), TOLD), b""),
    ],
    ids=["first", "middle", "last", "alone", "twice", "missing", "others", "no value", "empty", "an empty one",
         "after an empty one", "no text", "longest", "too long", "huge", "just within", "just beyond", "beyond",
         "far beyond"],
)  # fmt: skip
def test_connection(capture: Capture, container: Container, variables: tuple[bytes, ...], connection: bytes) -> None:
    """The variable is found wherever it begins in the first 4 KiB, its value told up to 128 bytes; else it is empty."""
    assert told(login(capture, container, *variables)) == connection


def test_nothing_stale(capture: Capture, container: Container) -> None:
    """What an earlier environment held at a place behind this one's end is not told."""
    for _ in range(8):  # on whatever processors
        assert told(login(capture, container, filled(64), TOLD)) == CONNECTION
        assert told(login(capture, container, filled(32))) == told(login(capture, container)) == b""


@pytest.mark.parametrize("server", ["sshd", "sshd-session", "dropbear"])
def test_servers(capture: Capture, container: Container, server: str) -> None:
    """The record stands right before that of the program's start, and says the same of the process."""
    seen = login(capture, container, TOLD, server=server)
    (record,) = seen.of(SshLogin)
    (start,) = (r for r in seen.started(Exec) if r.args == b"login\0")
    at = seen.records.index(record)
    assert seen.records[at + 1] is start
    assert (record.tgid, record.start, record.ppid, record.parent_comm) == (
        start.tgid,
        start.start,
        start.ppid,
        server.encode(),
    )
    assert (record.cgroup_id, record.owner, record.sequence) == (start.cgroup_id, start.owner, start.sequence - 1)


@pytest.mark.parametrize("server", ["sshd2", "trigger"])
def test_others(capture: Capture, container: Container, server: str) -> None:
    """A program that anything else starts is no login, whatever its environment claims."""
    seen = login(capture, container, TOLD, server=server)
    assert seen.of(Exec)
    assert not seen.of(SshLogin)


def test_not_asked_for(capture: Capture, container: Container) -> None:
    """Where programs are not recorded, logins are not."""
    begin = len(capture.records)
    assert capture.probes.set_policy(container.cgroup_id, Policy.TERMINAL)
    container.run("/triggers/sshd", "ssh-login", TOLD.hex())
    assert capture.probes.set_policy(container.cgroup_id, Policy.EXEC)
    capture.run(container, "/triggers/report")
    assert not [record for record in capture.records[begin:] if isinstance(record, SshLogin)]
