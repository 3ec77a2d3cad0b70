"""What is typed without echo never leaves the kernel: not a fragment of it is in any record, byte by byte."""

from __future__ import annotations

import string
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bpf.enums import Change, TerminalFlag
from bpf.events import TtyChange, TtyInput
from tests.kernel.capture import of
from tests.kernel.conftest import GCC
from tests.kernel.distribution import TYPED, distribution
from tests.kernel.dockerd import Container, Dockerd, program
from tests.kernel.raw import FRAGMENT, Raw, raw_capture
from tests.kernel.terminals import Client, at_terminal, consumed, life, lives, record_all, screen

SECRET = TYPED.encode()
WRONG = b"pY5nH8cL3sG6fD1r"
PROMPT = b"@@ "
"""Of the shell: nothing else prints it."""
PSQL = "$(ls -d /usr/lib/postgresql/*/bin/psql | tail -1) -W -h 127.0.0.1"
FILL = r"printf 'protocol=https\nhost=localhost\nusername=alice\n\n' | git credential fill >/dev/null"
MOVES = Path(__file__).parent / "moves" / "moves.c"


@dataclass(frozen=True)
class Asks:
    """A command that asks for a password; `again`: after a wrong one, and `waits`: for what was typed ahead."""

    command: str
    prompts: tuple[bytes, ...] = (rb"(?i)\n[^\n]*password[^\n]*: ",)
    again: bool = False
    waits: bool = True
    user: str = "alice"


ASKING = {
    "sudo": Asks("sudo -k id -u", again=True, waits=False),
    "su": Asks("su -c id"),
    "passwd": Asks("passwd alice", (rb"\nNew password: ", rb"\nRetype new password: "), user="root"),
    "ssh": Asks("ssh localhost id -u", again=True),
    "bash": Asks("read -s -p 'password: ' x"),
    "dash": Asks("dash -c 'stty -echo; printf \"password: \"; read x; stty echo'"),
    "ash": Asks("busybox ash -c 'read -s -p \"password: \" x'"),
    "getpass": Asks("python3 -c 'import getpass; getpass.getpass()'"),
    "mysql": Asks("mysql -p -h 127.0.0.1"),
    "psql": Asks(PSQL),
    "git": Asks(FILL),
}


@pytest.fixture(scope="module")
def raw() -> Iterator[Raw]:
    """Kernel programs whose records are kept as bytes, too."""
    with raw_capture() as capture:
        yield capture


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, raw: Raw, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container with the programs that ask, where an sshd runs."""
    folder = tmp_path_factory.mktemp("box")
    subprocess.run([program("gcc"), *GCC, "-pthread", "-o", folder / "moves", MOVES], check=True)
    with distribution(docker_daemon, folder) as made:
        record_all(raw, made)
        made.run("/usr/sbin/sshd")
        yield made


@dataclass
class Session:
    """Somebody at a shell in the container, and what was recorded since."""

    client: Client
    raw: Raw
    box: Container
    begin: int

    def end(self) -> tuple[bytes, bytes]:
        """Leave the shell: what was consumed in clear, and what was shown according to the records."""
        self.client.type(b"exit\r")
        received = self.client.end()
        self.raw.until(self._hung_up, "the hang-up")
        records = self.raw.records[self.begin :]
        terminal = lives(records, self.box.cgroup_id)[0]
        shown = screen(records, terminal)
        assert (shown.content, shown.skipped) == (received, 0)
        return consumed(records, terminal), received

    def _hung_up(self) -> bool:
        records = self.raw.records[self.begin :]
        found = lives(records, self.box.cgroup_id)
        over = {life(r) for r in of(records, TtyChange) if r.change == Change.HANGUP}
        return bool(found) and found[0] in over

    def secret(self) -> list[TtyInput]:
        """What was read as a secret."""
        return [r for r in of(self.raw.records[self.begin :], TtyInput) if r.terminal_flags & TerminalFlag.SECRET]


@pytest.fixture
def shell(docker_daemon: Dockerd, raw: Raw, box: Container, request: pytest.FixtureRequest) -> Iterator[Session]:
    """At a bash of user alice, or of the one that the test is parametrized with."""
    user = getattr(request, "param", "alice")
    raw.drain()
    raw.raw.clear()
    begin = len(raw.records)
    command = ("exec", "-it", "-u", user, "-e", f"PS1={PROMPT.decode()}", box.id, "bash", "--norc")
    with at_terminal(docker_daemon, *command, timeout=8) as client:
        client.type(b"", PROMPT)
        client.type(b"echo before\r", b"\r\nbefore\r\n.*" + PROMPT)
        yield Session(client, raw, box, begin)


def type_slowly(client: Client, keys: bytes) -> None:
    """Key by key."""
    for key in keys:
        client.type(bytes([key]))
        time.sleep(0.003)


def cases() -> Iterator[object]:
    """Every program that asks, in every way of typing."""
    for name, asks in ASKING.items():
        for way in ("slow", "pasted", "ahead", *(["wrong"] if asks.again else [])):
            yield pytest.param(asks.user, asks, way, id=f"{name}-{way}")


@pytest.mark.parametrize(("shell", "asks", "way"), list(cases()), indirect=["shell"])
def test_asked(shell: Session, asks: Asks, way: str) -> None:
    """Not a fragment of the password is in a record; everything else that was typed is."""
    client, line = shell.client, asks.command.encode() + b"\r"
    client.type(line + SECRET + b"\r" if way == "ahead" else line)
    for number, prompt in enumerate(asks.prompts):
        client.type(b"", prompt)
        if way == "wrong" and not number:
            client.type(WRONG + b"\r", prompt)
        if way == "ahead" and not asks.waits:
            continue
        if way == "slow":
            type_slowly(client, SECRET + b"\r")
        else:
            client.type(SECRET + b"\r")
    client.type(b"", PROMPT)
    client.type(b"echo after\r", b"\r\nafter\r\n.*" + PROMPT)
    read, received = shell.end()
    assert read == b"echo before\r" + line + b"echo after\rexit\r"
    assert not any(part in received for part in (SECRET, WRONG))
    assert shell.raw.found(SECRET) == shell.raw.found(WRONG) == set()
    assert shell.secret()


@pytest.mark.parametrize(
    ("typed", "fragments"),
    [
        (SECRET[:8] + b"\x15" + SECRET[8:], SECRET),
        (SECRET[:9] + b"\x7f\x7f" + SECRET[5:], SECRET),
        (b"\x16\x00".join([SECRET[:8], SECRET[8:]]), SECRET),
        ("Größenwahn-密码是秘密".encode(), "Größenwahn-密码是秘密".encode()),
    ],
    ids=["erased", "corrected", "NUL", "UTF-8"],
)
def test_edited(shell: Session, typed: bytes, fragments: bytes) -> None:
    """Passwords that are corrected while they are typed, and such of other bytes."""
    shell.client.type(b"read -s -p 'password: ' x\r", b"\npassword: ")
    shell.client.type(typed + b"\r", PROMPT)
    read, _ = shell.end()
    assert read == b"echo before\rread -s -p 'password: ' x\rexit\r"
    assert shell.raw.found(fragments) == set()


def test_long(shell: Session) -> None:
    """A password that is longer than what the kernel keeps of a line, 4,095 bytes."""
    letters = string.ascii_letters + string.digits
    secret = "".join(letters[at * at * 31 % len(letters)] for at in range(6000)).encode()
    shell.client.type(b"read -s -p 'password: ' x\r", b"\npassword: ")
    shell.client.type(secret + b"\r", PROMPT)
    read, _ = shell.end()
    assert read == b"echo before\rread -s -p 'password: ' x\rexit\r"
    parts = [secret[i : i + 2 * FRAGMENT] for i in range(len(secret) - 2 * FRAGMENT + 1)]
    assert not any(part in shell.raw.raw for part in parts)


def test_shell_without_echo(shell: Session) -> None:
    """All that is typed to a shell while its terminal does not echo is a secret, and nothing after it is."""
    dash = b"PS1='## ' dash -i\r"
    shell.client.type(dash, b"\n## ")
    shell.client.type(b"stty -echo\r", b"## ")
    shell.client.type(b": " + SECRET + b"\r", b"## ")
    shell.client.type(b"stty echo\r", b"## ")
    shell.client.type(b"echo seen\r", b"\nseen\r\n## ")
    shell.client.type(b"exit\r", PROMPT)
    read, _ = shell.end()
    assert read == b"echo before\r" + dash + b"stty -echo\necho seen\nexit\nexit\r"
    assert shell.raw.found(SECRET) == set()
    assert [record.size for record in shell.secret()] == [len(SECRET) + 3, len(b"stty echo\n")]


def test_killed_at_prompt(shell: Session) -> None:
    """Who asks is killed before Return; another program then reads what is left of it, in raw mode."""
    first = "stty -echo; printf 'password: '; sleep 1000"
    then = f"stty raw; dd bs=1 count={len(SECRET)} of=/dev/null 2>/dev/null; stty sane"
    line = f'bash -c "{first}; {then}"\r'.encode()
    shell.client.type(line, b"\npassword: ")
    shell.client.type(SECRET)
    shell.box.run("pkill", "-9", "-x", "sleep")
    shell.client.type(b"", PROMPT)
    shell.client.type(b"echo after\r", b"\r\nafter\r\n.*" + PROMPT)
    read, _ = shell.end()
    assert read == b"echo before\r" + line + b"echo after\rexit\r"
    assert shell.raw.found(SECRET) == set()
    assert sum(record.size for record in shell.secret()) == len(SECRET)


def test_settings_changed_by_another(shell: Session) -> None:
    """While a secret waits to be read, somebody else makes the terminal raw."""
    then = f"dd bs=1 count={len(SECRET)} of=/dev/null 2>/dev/null; stty sane"
    line = f"bash -c \"stty -echo; printf 'password: '; sleep 1000; {then}\"\r"
    shell.client.type(line.encode(), b"\npassword: ")
    shell.client.type(SECRET)
    shell.box.run("bash", "-c", "stty -F /dev/pts/0 raw; pkill -x sleep")
    shell.client.type(b"", PROMPT)
    read, _ = shell.end()
    assert read == b"echo before\r" + line.encode() + b"exit\r"
    assert shell.raw.found(SECRET) == set()


def test_cancelled(shell: Session) -> None:
    """After ctrl-c at the prompt, what is typed next is complete."""
    line = b"python3 -c 'import getpass; getpass.getpass()'\r"
    shell.client.type(line, b"\nPassword: ")
    shell.client.type(SECRET + b"\x03", PROMPT)
    shell.client.type(b"echo after\r", b"\r\nafter\r\n.*" + PROMPT)
    shell.client.type(b"read -s -p 'password: ' x\r", b"\npassword: ")
    shell.client.type(b"\x04", PROMPT)
    shell.client.type(b"echo after\r", b"\r\nafter\r\n.*" + PROMPT)
    read, _ = shell.end()
    assert read == b"echo before\r" + line + b"echo after\rread -s -p 'password: ' x\recho after\rexit\r"
    assert shell.raw.found(SECRET) == set()


def test_injected(shell: Session) -> None:
    """A secret that a program pushes into the terminal's input is one, and that it was pushed is told."""
    script = f"stty -echo; /work/moves inject call {TYPED[::-1]} 1; read x; stty echo\r".encode()
    shell.client.type(script, PROMPT)
    read, _ = shell.end()
    assert read == b"echo before\r" + script + b"exit\r"
    assert shell.raw.found(SECRET) == set()
    told = [r for r in of(shell.raw.records[shell.begin :], TtyChange) if r.change == Change.INJECTED]
    assert len(told) == len(SECRET) + 1


@pytest.mark.parametrize("how", ["call", "pieces", "sendfile", "splice", "uring", "fixed", "aio"])
def test_typed_by_any_call(raw: Raw, box: Container, how: str) -> None:
    """However it comes into the terminal without echo, it is a secret for who reads it in raw mode."""
    raw.drain()
    raw.raw.clear()
    begin = len(raw.records)
    assert box.run("/work/moves", "secret", how, TYPED[::-1]) == f"{len(SECRET)}\n".encode()
    raw.drain()
    (record,) = of(raw.records[begin:], TtyInput)
    assert (record.size, record.content) == (len(SECRET), b"")
    assert raw.found(SECRET) == set()


@pytest.mark.parametrize("how", ["call", "uring"])
def test_race(raw: Raw, box: Container, how: str) -> None:
    """One thread reads what was typed without echo while another turns the echo on, thousands of times."""
    raw.drain()
    raw.raw.clear()
    begin, rounds = len(raw.records), 3000
    assert box.run("/work/moves", "race", how, TYPED[::-1], str(rounds)) == f"{rounds}\n".encode()
    raw.drain()
    read = of(raw.records[begin:], TtyInput)
    assert sum(record.size for record in read) == rounds * (len(SECRET) + 1)
    assert raw.found(SECRET) == set()


@pytest.mark.xfail(strict=True, reason="typed before the program turns the echo off: what was displayed is recorded")
def test_typed_ahead_with_echo(shell: Session) -> None:
    """A password that is typed while its program still starts is shown by the terminal, and so recorded."""
    shell.client.type(b"sleep 1; read -s -p 'password: ' x\r", b"\n")
    shell.client.type(SECRET, SECRET)
    shell.client.type(b"\r", PROMPT)
    shell.end()
    assert shell.raw.found(SECRET) == set()


@pytest.mark.xfail(strict=True, reason="the shell shows what is left of a password on its next line: it is displayed")
def test_left_to_shell(shell: Session) -> None:
    """Who asks is killed before Return; the line editor gets what is left of it and shows it."""
    shell.client.type(b"stty -echo; printf 'password: '; sleep 1000\r", b"\npassword: ")
    shell.client.type(SECRET)
    shell.box.run("pkill", "-9", "-x", "sleep")
    shell.client.type(b"", SECRET)
    shell.client.type(b"\x15stty sane\r", PROMPT)
    shell.end()
    assert shell.raw.found(SECRET) == set()
