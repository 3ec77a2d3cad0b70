"""Secrets from the keyboard to everything that cgtrail writes or prints: not six characters of one are in any of it."""

from __future__ import annotations

import random
import secrets
import socket
import string
import time
import urllib.request
from dataclasses import dataclass, field

import pytest

from tests.kernel.distribution import TYPED, distribution
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.spine import Document, Spine, spine
from tests.kernel.terminals import Client, at_terminal

pytestmark = pytest.mark.kernel

PROMPT = b"@@ "
"""Of the shell: nothing else prints it."""
FRAGMENT = 6
PSQL = "$(ls -d /usr/lib/postgresql/*/bin/psql | tail -1) -W -h 127.0.0.1"
FILL = r"printf 'protocol=https\nhost=localhost\nusername=alice\n\n' | git credential fill >/dev/null"
PASSWORD = rb"(?i)\n[^\n]*password[^\n]*: "


def made_up(length: int = 16, letters: str = string.ascii_letters + string.digits) -> str:
    """A secret of which no part is anywhere else; a run's own, so that nobody finds it elsewhere."""
    return "".join(secrets.choice(letters) for _ in range(length))


@dataclass(frozen=True)
class Asks:
    """A command that asks for a password: as whom, how its prompt looks, and how it is typed."""

    command: str
    way: str = "pasted"
    """Typed ahead: what is typed before the prompt is thrown away by all of these, and typed again."""
    prompts: tuple[bytes, ...] = (PASSWORD,)
    user: str = "alice"
    secret: str = TYPED


KERNEL = {
    "sudo": Asks("sudo -k id -u", "slow"),
    "su": Asks("su -c id"),
    "passwd": Asks("passwd alice", "slow", user="root", prompts=(rb"\nNew password: ", rb"\nRetype new password: ")),
    "ssh": Asks("ssh localhost id -u"),
    "bash": Asks("read -s -p 'password: ' x", "ahead"),
    "getpass": Asks("python3 -c 'import getpass; getpass.getpass()'"),
    "mysql": Asks("mysql -p -h 127.0.0.1", "ahead"),
    "psql": Asks(PSQL, "slow"),
    "git": Asks(FILL, "ahead"),
}
"""Read in lines without echo: never recorded at all."""
RAW = {
    "pwfeedback": Asks("sudo -k id -u", "slow", user="bob", prompts=(rb"password for bob: ",)),
    "zsh": Asks("zsh -fc 'read -s \"x?password: \"'", "slow", secret=made_up()),
    "fish": Asks("fish -N -c 'read -s -P \"password: \" x'", "slow", prompts=(b"password: ",), secret=made_up()),
    "onward": Asks("ssh -t localhost sudo -k id -u", "slow", prompts=(PASSWORD, rb"password for alice: ")),
}
"""Read key by key: the spool has them."""


LINES: dict[str, tuple[str, str]] = {
    "mysql": ("true | mysql -u root -p{} -h 127.0.0.1", made_up()),
    "quoted": ("mysql -u root -p'{}' -h 127.0.0.1", made_up()),
    "curl": ("curl -s -u bob:{} http://127.0.0.1:1/", made_up()),
    "export": ("export TOKEN={}", made_up()),
    "prefix": ("FOO_TOKEN={} /bin/true", made_up()),
    "url": ("/bin/true https://bob:{}@localhost/x", made_up()),
    "jwt": ("echo eyJ{}", f"{made_up(20)}.{made_up(60)}.{made_up(43)}"),
    "aws": ("/bin/true AWS_SECRET_ACCESS_KEY={}", made_up(40)),
    "github": ("/bin/echo ghp_{}", made_up(36)),
    "header": ("curl -s -H 'Authorization: Bearer {}' http://127.0.0.1:1/", made_up(40)),
    "apart": ("/bin/true --password {}", made_up()),
    "json": ("""echo '{{"password": "{}"}}'""", made_up()),
}
"""Typed for all to see, and given to programs."""
KEY = "\n".join(made_up(64) for _ in range(24))
STREWN = [made_up() for _ in range(40)]
"""In a file of the container, at all places of pieces and records."""


@dataclass
class Found:
    """All that was written and printed: name of the place → bytes."""

    places: dict[str, bytes] = field(default_factory=dict)
    spool: bytes = b""
    received: bytes = b""
    documents: list[Document] = field(default_factory=list)

    def text(self) -> str:
        """What terminals showed, by the documents."""
        shown = [d for d in self.documents if d["event"]["action"] == "text_output"]
        return "".join(d["process"]["io"]["text"] for d in shown)

    def masked(self) -> int:
        """How many inputs are told of that were secret."""
        return len([d for d in self.documents if d["cgtrail"].get("terminal", {}).get("masked")])


def strewn() -> bytes:
    """100 kB in which a secret stands about every 2,500 bytes."""
    filler = random.Random(7)  # noqa: S311
    out = []
    for secret in STREWN:
        out += [f"line {filler.random()}\n" for _ in range(filler.randrange(110, 140))]
        out.append(f"  db_password: {secret}\n")
    return "".join(out).encode()


@pytest.fixture(scope="module")
def found(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Everything is typed, and everything is read that came of it."""
    folder = tmp_path_factory.mktemp("secrets")
    share, data = folder / "share", folder / "data"
    share.mkdir()
    (share / "key.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n")
    (share / "strewn").write_bytes(strewn())
    ports = [_port(), _port()]
    settings = {
        f"CGTRAIL_METRICS_{half}": f"127.0.0.1:{port}" for half, port in zip(("AGENT", "WORKER"), ports, strict=True)
    }
    with (
        spine(docker_daemon, data, settings=settings) as running,
        distribution(docker_daemon, share, "secretive") as box,
    ):
        _furnish(box)
        made = Found()
        for user in ("alice", "root", "bob"):
            made.received += _work(docker_daemon, box, user)
        for form, secret in LINES.values():
            box.run("bash", "-c", form.format(secret) + " || true")
        running.settle()
        running.until(f"event.action:session_closed AND container.id:{box.id}", 3)
        made.documents = running.search(f"container.id:{box.id}")
        made.places = _printed(running, ports)
    made.places["log"] = running.log.read_bytes()
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        if "spool" in file.relative_to(data).parts and file.suffix != ".json":
            made.spool += file.read_bytes()
        else:
            made.places[str(file.relative_to(data))] = file.read_bytes()
    return made


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _furnish(box: Container) -> None:
    box.run("bash", "-c", "sed 's/^alice/bob/; s/1000:1000/1001:1000/' /etc/passwd | grep ^bob >> /etc/passwd")
    box.run("bash", "-c", "grep ^alice /etc/shadow | sed s/alice/bob/ >> /etc/shadow")
    box.run("bash", "-c", "echo 'Defaults:bob pwfeedback' >> /etc/sudoers; echo 'bob ALL=(ALL) ALL' >> /etc/sudoers")
    box.run("/usr/sbin/sshd")


def _work(daemon: Dockerd, box: Container, user: str) -> bytes:
    command = ("exec", "-it", "-u", user, "-e", f"PS1={PROMPT.decode()}", box.id, "bash", "--norc")
    with at_terminal(daemon, *command, timeout=20, columns=200) as client:
        client.type(b"", PROMPT)
        for name, asks in (KERNEL | RAW).items():
            if asks.user == user:
                _asked(client, name, asks)
        if user == "alice":
            for way, (name, (form, secret)) in zip(("slow", "pasted") * len(LINES), LINES.items(), strict=False):
                client.type(f"echo before-{name}\r".encode(), PROMPT)
                _type(client, form.format(secret).encode() + b"\r", way)
                client.type(b"", PROMPT)
            client.type(b"cat /work/key.pem\r", PROMPT)
            client.type(b"cat /work/strewn\r", PROMPT)
        client.type(b"exit\r")
        return client.end()


def _asked(client: Client, name: str, asks: Asks) -> None:
    client.type(f"echo before-{name}\r".encode(), PROMPT)
    secret = asks.secret.encode() + b"\r"
    client.type(asks.command.encode() + b"\r" + (secret if asks.way == "ahead" else b""))
    for prompt in asks.prompts:
        client.type(b"", prompt)
        _type(client, secret, asks.way)
    client.type(b"", PROMPT)
    client.type(f"echo after-{name}\r".encode(), PROMPT)


def _type(client: Client, keys: bytes, way: str) -> None:
    for key in [keys] if way == "pasted" else [bytes([key]) for key in keys]:
        client.type(key)
        time.sleep(0.004 if way == "slow" else 0)


def _printed(running: Spine, ports: list[int]) -> dict[str, bytes]:
    """What every command prints that shows something of what was recorded."""
    said = {}
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            said[f"metrics {port}"] = answer.read()
    for command in (
        "search --json --limit 100000 *",
        "search --limit 100000 *",
        "sessions",
        "sessions --json",
        "status",
        "status --json",
        "deadletters list",
    ):
        said[command] = running.command(*command.split()).stdout.encode()
    sessions = {d["cgtrail"]["session"]["id"] for d in running.search("event.action:session_opened")}
    for session in sorted(sessions):
        for format_ in ("asciicast", "asciicast2", "tlog", "txt"):
            said[f"export {format_} {session}"] = running.command(
                "export", session, "--format", format_
            ).stdout.encode()
    return said


def parts(secret: str) -> list[bytes]:
    """All of its fragments."""
    return [secret[at : at + FRAGMENT].encode() for at in range(len(secret) - FRAGMENT + 1)]


ALL = {
    "typed": TYPED,
    **{f"raw {name}": asks.secret for name, asks in RAW.items()},
    **{f"line {name}": secret for name, (_, secret) in LINES.items()},
    **{f"key {number}": line for number, line in enumerate(KEY.split("\n"))},
    **{f"strewn {number}": secret for number, secret in enumerate(STREWN)},
}


def test_nothing_has_it(found: Found) -> None:
    """No file but the spool, no metric, no answer of any command has a fragment of any secret."""
    leaks = {
        (name, place)
        for name, secret in ALL.items()
        for place, data in found.places.items()
        if any(part in data for part in parts(secret))
    }
    assert leaks == set()
    assert len([place for place in found.places if place.startswith("export")]) >= 12


def test_what_is_around_is_complete(found: Found) -> None:
    """The commands before and after are there, what they showed, and that something was masked."""
    shown = found.text()
    for name in [*KERNEL, *RAW]:
        for when in ("before", "after"):
            assert f"echo {when}-{name}" in shown
            assert f"\n{when}-{name}\r\n" in shown
    assert "[private-key:1582]" in shown  # with its line breaks, of two characters each
    assert found.masked() >= len(KERNEL) + len(RAW)
    for form, secret in LINES.values():
        assert form.split("{}")[0].rstrip("'").replace("{{", "{") in shown
        assert secret.encode() in found.received
    assert not any(part in found.spool for part in parts(TYPED))
    assert shown.count("[secret:16]") >= len(STREWN)
    assert strewn().count(b"\n") - len(STREWN) == shown.count("\nline 0.")
