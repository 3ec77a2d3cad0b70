"""A real SSH server in a container: its clients' terminals, told of the container and of who logged in."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bpf.enums import Change
from bpf.events import Exec, Fork, Header, SshLogin, Terminal, TtyChange, TtyInput
from tests.kernel.capture import Capture, of
from tests.kernel.dockerd import DEADLINE, Container, Dockerd, program
from tests.kernel.furnished import draining, furnished, ssh_server
from tests.kernel.terminals import Client, Life, at, consumed, life, lives, record_all, screen

pytestmark = pytest.mark.kernel

PROMPT = rb"[#$] "


@dataclass(frozen=True)
class Server:
    """A container in which an SSH server is started for each connection, as inetd does."""

    daemon: Dockerd
    container: Container
    key: Path

    @contextmanager
    def login(self, user: str = "root") -> Iterator[Client]:
        """A client that logs in."""
        proxy = ["docker", "exec", "-i", self.container.id, "/usr/sbin/sshd", "-i", "-f", "/etc/ssh/sshd_config"]
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", f"ProxyCommand={shlex.join(proxy)}"]
        argv = ["-q", "-tt", "-F", "/dev/null", "-i", str(self.key), *(f"-o{option}" for option in options)]
        environment = {**self.daemon.environment, "TERM": "xterm-256color"}
        with at(program("ssh"), [*argv, f"{user}@container"], environment, 24, 80, DEADLINE) as client:
            yield client


@pytest.fixture(scope="module")
def server(docker_daemon: Dockerd, capture: Capture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A container with an SSH server, of which everything is recorded."""
    folder = tmp_path_factory.mktemp("keys")
    with furnished(docker_daemon, ssh_server(folder)) as made:
        record_all(capture, made)
        yield Server(docker_daemon, made, folder / "user")


@pytest.mark.parametrize("user", ["root", "alice"])
def test_login(capture: Capture, server: Server, user: str) -> None:
    """The screen is byte for byte what the client got; the server opened the terminal, the user's shell leads it."""
    capture.drain()
    begin = len(capture.records)
    with draining(capture), server.login(user) as client:
        client.type(b"", PROMPT)
        client.type(b"echo one 'tw'o\r", rb"one two\r\n.*[#$] ")
        client.resize(50, 132)
        client.settle()
        client.type(b"less /etc/ssh/sshd_config\r", rb"HostKey")
        client.settle()
        client.type(b"q", PROMPT)
        client.type(b"exit\r")
        received = client.end()
    records = capture.records[begin:]
    (terminal,) = lives(records, server.container.cgroup_id)
    assert screen(records, terminal).skipped == 0
    assert screen(records, terminal).content == received
    told = [r for r in of(records, Terminal) if life(r) == terminal]
    assert any((r.rows, r.columns) == (50, 132) for r in of(list[Header](told), TtyChange) if r.change == Change.WINDOW)
    assert program_of(records, {r.opener for r in told}) == b"sshd"
    leaders = {r.leader for r in told if isinstance(r, TtyInput)}
    (shell,) = [r for r in of(records, Exec) if r.tgid in leaders and r.sid == r.tgid]
    assert shell.exe == b"/bin/busybox"
    assert shell.tty
    assert {r.tgid for r in of(records, SshLogin)} == leaders
    assert b"echo one 'tw'o" in consumed(records, terminal).replace(b"\r", b"")


def program_of(records: list[Header], pids: set[int]) -> bytes:
    """The program that the one of these processes runs, perhaps its parent started it."""
    (pid,) = pids
    started = {r.tgid: r.exe for r in of(records, Exec)}
    parents = {r.tgid: r.ppid for r in of(records, Fork)}
    while pid not in started:
        pid = parents[pid]
    return started[pid].rsplit(b"/", 1)[-1]


def test_logins_at_once(capture: Capture, server: Server) -> None:
    """Two logins of different users have a terminal each, and neither has a byte of the other's."""
    capture.drain()
    begin = len(capture.records)
    with draining(capture), server.login() as one, server.login("alice") as other:
        for client in (one, other):
            client.type(b"", PROMPT)
        one.type(b"echo root''s\r", rb"roots\r\n.*# ")
        other.type(b"echo alice''s\r", rb"alices\r\n.*\$ ")
        for client in (one, other):
            client.type(b"exit\r")
        received = [client.end() for client in (one, other)]
    records = capture.records[begin:]
    found: list[Life] = lives(records, server.container.cgroup_id)
    assert sorted(screen(records, each).content for each in found) == sorted(received)
    uids = {life(r): r.uid for r in of(records, TtyInput) if r.home == server.container.cgroup_id}
    assert sorted(uids.values()) == [0, 1000]


def test_key_by_key(capture: Capture, server: Server) -> None:
    """A key that is typed into a shell makes three records: it is read, its echo is written, and is shown."""
    keys = b"echo abcdefghijklmnopqrstuvwxyz"
    with draining(capture), server.login() as client:
        client.type(b"", PROMPT)
        client.settle()
        begin = len(capture.records)
        for key in keys:
            client.type(bytes([key]), rb".")
        client.settle()
        end = len(capture.records)
        client.type(b"\rexit\r")
        client.end()
    made = [r for r in of(capture.records[begin:end], Terminal) if r.home == server.container.cgroup_id]
    print(len(made) / len(keys), "records and", sum(r.length for r in made) / len(keys), "bytes a key")
    assert of(list[Header](made), TtyInput)
    assert 2 * len(keys) <= len(made) <= 4 * len(keys)
