"""A session from its first byte to its export, through the whole of cgtrail, and with halves of it killed meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.live import Rig, rig
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, wait_until
from tests.kernel.spine import Document, spine
from tests.kernel.terminals import Client, at_terminal

pytestmark = pytest.mark.kernel

TYPED = "correct-horse-battery"
PROMPT = rb"# \x1b\[6n"
"""Of BusyBox's ash, which then asks where the cursor is."""


def shown(documents: list[Document]) -> str:
    """What terminal documents hold of a screen, in their strict order."""
    found = [document for document in documents if document["event"]["action"] == "text_output"]
    numbers = [document["cgtrail"]["terminal"]["number"] for document in found]
    assert numbers == list(range(1, len(numbers) + 1))
    times = [document["@timestamp"] for document in found]
    assert times == sorted(set(times))
    return "".join(document["process"]["io"]["text"] for document in found)


def work(client: Client) -> None:
    """A line, a secret that is read without echo, one that is typed for all to see, and a command's own output."""
    client.type(b"", PROMPT)
    client.type(b"echo one two\r", PROMPT)
    client.type(b"read -s word\r", rb"\r\n")
    client.type(TYPED.encode() + b"\r", PROMPT)
    client.type(b"export TOKEN=" + TYPED.encode() + b"\r", PROMPT)
    client.type(b"/triggers/report\r", rb"\}\r\n.*" + PROMPT)


def test_a_session(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """It opens, shows what the client saw but for the secrets, and closes; list and exports tell the same."""
    with (
        spine(docker_daemon, tmp_path / "data") as running,
        docker_daemon.container("triggers", *FOREVER, name="worked-in", labels={"cgtrail.tenant": "shop"}) as box,
    ):
        running.until("event.action:started", 1, "--container", "worked-in")
        with at_terminal(docker_daemon, "exec", "-it", box.id, "sh", rows=30, columns=100) as client:
            work(client)
            client.type(b"exit\r")
            received = client.end().decode()
        (closed,) = running.until("event.action:session_closed", 1, "--container", "worked-in")
        (opened,) = running.search("event.action:session_opened", "--container", "worked-in")
        number = opened["cgtrail"]["session"]["id"]
        terminal = running.search(f"event.dataset:cgtrail.terminal AND cgtrail.session.id:{number}")
        assert shown(terminal) == received.replace(TYPED, f"[secret:{len(TYPED)}]")
        _about(opened, closed, box, len(received))
        assert {document["cgtrail"]["tenant"]["id"][0] for document in [opened, closed, *terminal]} == {"shop"}
        _attributed(terminal, opened)
        for document in running.search("*"):
            assert TYPED not in json.dumps(document)
        (listed,) = [json.loads(line) for line in running.command("sessions", "--json").stdout.splitlines()][-1:]
        assert listed["cgtrail"]["session"]["id"] == number
        assert number in running.command("sessions", "--container", "worked-in").stdout
        _exported(running.command("export", number, "--format", "asciicast2").stdout, shown(terminal))
        assert "one two" in running.command("export", number, "--format", "txt").stdout
        log = running.log.read_bytes()
    for file in [path for path in (tmp_path / "data").rglob("*") if path.is_file() and "spool" not in path.parts]:
        assert TYPED.encode() not in file.read_bytes(), file
    assert TYPED.encode() not in log


def _about(opened: Document, closed: Document, box: Container, size: int) -> None:
    session = closed["cgtrail"]["session"]
    assert closed["cgtrail"]["session"]["id"] == opened["cgtrail"]["session"]["id"]
    assert opened["cgtrail"]["entry"] == closed["cgtrail"]["entry"] == "exec"
    assert opened["container"]["id"] == closed["container"]["id"] == box.id
    assert opened["process"]["name"] == "sh"
    assert opened["user"]["id"] == "0"
    assert opened["cgtrail"]["session"]["tty"] == "pts/0"
    assert (session["shown"], session["skipped"]) == (size, 0)
    assert closed["process"]["io"] == {"total_bytes_captured": size, "total_bytes_skipped": 0}
    assert session["masked"] >= 1
    assert closed["event"]["duration"] > 0


def _attributed(terminal: list[Document], opened: Document) -> None:
    """What a program said is its own, the rest is the shell's; what was masked says so."""
    by_name: dict[str, str] = {}
    for document in terminal:
        assert document["cgtrail"]["session"]["id"] == opened["cgtrail"]["session"]["id"]
        if document["event"]["action"] == "text_output":
            by_name[document["process"]["name"]] = by_name.get(document["process"]["name"], "") + "".join(
                document["process"]["io"]["text"]
            )
    assert json.loads(by_name["report"])["pid"]
    assert "one two" in by_name["sh"]
    masked = [document for document in terminal if document["cgtrail"]["terminal"].get("masked")]
    assert {document["cgtrail"]["terminal"]["masked"]["kind"] for document in masked} == {"password"}


def _exported(cast: str, text: str) -> None:
    header, *events = [json.loads(line) for line in cast.splitlines()]
    assert header["version"] == 2
    assert "".join(data for _, code, data in events if code == "o") == text
    assert [at for at, *_ in events] == sorted(at for at, *_ in events)


def session_documents(live: Rig, box: Container) -> list[Document]:
    """All of one container's sessions."""
    return [
        document
        for document in live.documents(box.id)
        if document["event"]["dataset"] in {"cgtrail.session", "cgtrail.terminal"}
    ]


def of(documents: list[Document], action: str) -> list[Document]:
    """Those with one action."""
    return [document for document in documents if document["event"]["action"] == action]


@pytest.mark.parametrize("killed", ["agent", "worker"])
def test_killed_meanwhile(docker_daemon: Dockerd, tmp_path: Path, killed: str) -> None:
    """A session outlives either half: it is one session, and of what was recorded nothing is missing or twice."""
    with (
        rig(docker_daemon, tmp_path) as live,
        docker_daemon.container("busybox", *FOREVER, name=f"killed-{killed}") as box,
    ):
        live.start_agent()
        live.start_worker()
        with at_terminal(docker_daemon, "exec", "-it", box.id, "sh") as client:
            client.type(b"", PROMPT)
            client.type(b"echo before\r", rb"before\r\n.*" + PROMPT)
            live.written()
            if killed == "agent":
                live.kill(live.agent)
                unseen = len(client.received)
                client.type(b"echo unseen\r", rb"unseen\r\n.*" + PROMPT)
                unseen = len(client.received) - unseen
                live.start_agent()
            else:
                live.kill(live.worker)
                unseen = 0
                client.type(b"echo meanwhile\r", rb"meanwhile\r\n.*" + PROMPT)
                live.start_worker()
            client.type(b"echo after\r", rb"after\r\n.*" + PROMPT)
            client.type(b"exit\r")
            received = client.end().decode()
        wait_until(lambda: bool(of(session_documents(live, box), "session_closed")), "the session's end", 60)
        found = session_documents(live, box)
    assert len({document["cgtrail"]["session"]["id"] for document in found}) == 1
    assert len(of(found, "session_opened")) == len(of(found, "session_closed")) == 1
    text = shown(sorted(found, key=lambda document: document["event"]["sequence"]))
    if killed == "worker":
        assert text == received
        return
    assert "unseen" not in text
    assert text[: text.index("before")] in received
    assert text.endswith(received[received.index("echo after") :])
    assert len(text) + unseen == len(received)
