"""Kinds of sessions through the whole of cgtrail: how they are entered, nested, shared by tenants, flooded, left."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import DEADLINE, Container, Dockerd, program, wait_until
from tests.kernel.furnished import FOLDERS, furnished, ssh_server
from tests.kernel.spine import Document, Spine, spine
from tests.kernel.terminals import at, at_terminal
from tests.unit.stream import undeclared

pytestmark = pytest.mark.kernel

ASH = rb"# \x1b\[6n"
"""The prompt of BusyBox's ash, which then asks where the cursor is."""
PROMPT = rb"[#$] "
TENANTS = """
tenants:
  - id: sees-all
    members: [{name: k3-*}]
  - id: sees-programs
    policy: [exec]
    members: [{name: k3-*}]
"""


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """cgtrail at work for the module; a keyframe comes every few seconds."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "tenants.yaml").write_text(TENANTS)
    settings = {"CGTRAIL_TENANTS_FILES": str(folder / "tenants.yaml"), "CGTRAIL_SPOOL_KEYFRAME_SECONDS": "5"}
    with spine(docker_daemon, folder / "data", settings=settings) as started:
        yield started


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, running: Spine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container of two tenants with this machine's programs, and an SSH server that listens."""
    folder = tmp_path_factory.mktemp("ssh")
    with furnished(docker_daemon, ssh_server(folder), shared=str(folder), name="k3-box") as made:
        running.until("event.action:started", 1, "--container", "k3-box")
        made.run("/usr/sbin/sshd", "-f", "/etc/ssh/sshd_config")
        yield made


def sessions(running: Spine, container: str, count: int) -> dict[str, list[Document]]:
    """A container's sessions once so many are closed, by their ids, as contracts of documents have them."""
    running.until("event.action:session_closed", count, "--container", container)
    found: dict[str, list[Document]] = {}
    query = "event.dataset:cgtrail.session OR event.dataset:cgtrail.terminal"
    for document in running.search(query, "--container", container):
        found.setdefault(document["cgtrail"]["session"]["id"], []).append(document)
    for documents in found.values():
        checked(documents, 1 - ("late" in text(documents)))
    return found


def checked(documents: list[Document], times_open: int = 1) -> None:
    """What holds for every session; one that goes on behind its end (0) is told again."""
    for document in documents:
        assert undeclared(document) <= {"process.io.bytes_skipped"}  # a list, whose items' fields are declared
        assert document["cgtrail"]["session"]["tty"] == documents[0]["cgtrail"]["session"]["tty"]
        assert document["container"] == documents[0]["container"] or "name" in document["container"]
    times = [document["@timestamp"] for document in documents]
    assert len(set(times)) == len(times)
    opened, closed = of(documents, "session_opened"), of(documents, "session_closed")
    assert len(opened) == times_open or not times_open
    assert len(closed) <= len(opened)
    assert min(times) == opened[0]["@timestamp"]
    shown = of(documents, "text_output")
    assert [piece["cgtrail"]["terminal"]["number"] for piece in shown] == list(range(1, len(shown) + 1))
    for before, after in pairwise(shown):
        io = before["process"]["io"]
        assert after["cgtrail"]["terminal"]["offset"] >= before["cgtrail"]["terminal"]["offset"]
        assert before["@timestamp"] < after["@timestamp"], io
    for piece in shown:
        timing, io = piece["cgtrail"]["terminal"]["timing"], piece["process"]["io"]
        assert re.fullmatch(r"(\+\d+|>\d+|=\d+x\d+)*", timing)
        assert sum(map(int, re.findall(r">(\d+)", timing))) == len(io["text"])
        assert sum(map(int, re.findall(r"\+(\d+)", timing))) <= 3000
    if closed and len(closed) == 1:
        io, totals = closed[0]["process"]["io"], closed[0]["cgtrail"]["session"]
        assert io["total_bytes_captured"] == sum(piece["process"]["io"]["total_bytes_captured"] for piece in shown)
        assert io["total_bytes_captured"] + io["total_bytes_skipped"] == totals["shown"]
        assert closed[0]["event"]["duration"] >= 0
        assert closed[0]["@timestamp"] == max(times)


def of(documents: list[Document], action: str) -> list[Document]:
    """Those with one action, in the order of their times."""
    found = [document for document in documents if document["event"]["action"] == action]
    return sorted(found, key=lambda document: str(document["@timestamp"]))


def text(documents: list[Document], by: str = "") -> str:
    """What a session showed, or what one of its programs did."""
    shown = [piece for piece in of(documents, "text_output") if not by or piece["process"]["name"] == by]
    return "".join(piece["process"]["io"]["text"] for piece in shown)


def containing(found: dict[str, list[Document]], words: str) -> list[Document]:
    """The one session that showed something."""
    (one,) = (documents for documents in found.values() if words in text(documents))
    return one


def test_run(docker_daemon: Dockerd, running: Spine, box: Container) -> None:
    """`docker run -it` is recorded from its first byte; so is its window; `docker attach` is the same session."""
    volumes = [f"-v{folder}:{folder}:ro" for folder in FOLDERS]
    argv = ["run", "-it", "--rm", "--network", "none", "--name", "k3-run", *volumes, "furnished", "/bin/sh"]
    with at_terminal(docker_daemon, *argv, rows=31, columns=101) as client:
        client.type(b"", ASH)
        client.type(b"echo fir''st\r", rb"first\r\n.*" + ASH)
        client.resize(40, 120)
        client.settle()
        client.type(b"\r", ASH)
        with at_terminal(docker_daemon, "attach", "k3-run") as second:
            second.type(b"echo at''tached\r", rb"attached\r\n")
        client.type(b"exit\r")
        received = client.end().decode()
    (documents,) = sessions(running, "k3-run", 1).values()
    opened, closed = of(documents, "session_opened")[0], of(documents, "session_closed")[0]
    assert opened["cgtrail"]["entry"] == "init"
    assert "partial" not in opened["cgtrail"]
    assert closed["cgtrail"]["session"]["skipped"] == 0
    assert "first" in text(documents)
    assert "attached" in text(documents)
    assert received.startswith(text(documents)[:20])
    timing = "".join(piece["cgtrail"]["terminal"]["timing"] for piece in of(documents, "text_output"))
    assert "=120x40" in timing


def test_tenants_that_asked(docker_daemon: Dockerd, running: Spine, box: Container) -> None:
    """Documents of a container of two tenants name both, and say which of them asked for recordings."""
    argv = ["exec", "-it", "-u", "alice", box.id, "bash", "--norc"]
    with at_terminal(docker_daemon, *argv) as client:
        client.type(b"", PROMPT)
        client.type(b"id -un; echo ali''ces\r", rb"alices\r\n.*" + PROMPT)
        client.type(b"ls /etc/ssh\r", rb"sshd_config.*" + PROMPT)
        client.type(b"exit\r")
        received = client.end().decode()
    documents = containing(sessions(running, "k3-box", 1), "alices")
    assert text(documents) == received
    assert "sshd_config" in text(documents, "ls")
    opened = of(documents, "session_opened")[0]
    assert (opened["user"], opened["cgtrail"]["entry"]) == ({"id": "1000", "name": "alice"}, "exec")
    for document in documents:
        assert document["cgtrail"]["tenant"]["id"] == ["sees-all", "sees-programs"]
        assert document["cgtrail"]["tenant"]["asked"] == ["sees-all"]


def test_ssh(docker_daemon: Dockerd, running: Spine, box: Container, tmp_path: Path) -> None:
    """A login over SSH: its user, and the address that it claims."""
    key = tmp_path / "key"
    key.write_bytes(box.run("cat", "/shared/user"))
    key.chmod(0o600)
    proxy = shlex.join(["docker", "exec", "-i", box.id, "nc", "127.0.0.1", "22"])
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", f"ProxyCommand={proxy}"]
    argv = ["-q", "-tt", "-F", "/dev/null", "-i", str(key), *(f"-o{option}" for option in options), "alice@box"]
    with at(program("ssh"), argv, docker_daemon.environment | {"TERM": "xterm"}, 24, 80, DEADLINE) as client:
        client.type(b"", PROMPT)
        client.type(b"echo by''ssh\r", rb"byssh\r\n.*" + PROMPT)
        client.type(b"exit\r")
        received = client.end().decode()
    documents = containing(sessions(running, "k3-box", 2), "byssh")
    assert text(documents) == received
    opened = of(documents, "session_opened")[0]
    assert opened["cgtrail"]["entry"] == "sshd"
    assert opened["cgtrail"]["entry_claimed"] is True
    assert opened["user"] == {"id": "1000", "name": "alice"}
    assert opened["process"]["entry_leader"]["entry_meta"]["source"] == {"ip": "127.0.0.1"}


def test_nested(docker_daemon: Dockerd, running: Spine, box: Container) -> None:
    """script and tmux open terminals within a session; sudo with a terminal of its own does too."""
    with at_terminal(docker_daemon, "exec", "-it", box.id, "bash", "--norc") as client:
        client.type(b"", PROMPT)
        client.type(b"script -q /dev/null\r", PROMPT)
        client.type(b"echo in''script\r", rb"inscript\r\n.*" + PROMPT)
        client.type(b"exit\r", PROMPT)
        client.type(b"tmux -L k3 new\r", PROMPT)
        client.type(b"echo in''tmux\r", rb"intmux")
        client.settle()
        client.type(b"exit\r", rb"exited")
        client.type(b"\r", PROMPT)
        client.type(b"sudo echo in''sudo\r", rb"insudo\r\n.*" + PROMPT)
        client.type(b"echo out''side; exit\r")
        client.end()
    running.until("cgtrail.session.opener:sudo AND event.action:session_closed", 1, "--container", "k3-box")
    running.until("cgtrail.session.opener:tmux* AND event.action:session_closed", 1, "--container", "k3-box")
    found = sessions(running, "k3-box", 4)
    outer = containing(found, "outside")
    opened = of(outer, "session_opened")[0]
    assert opened["cgtrail"]["entry"] == "exec"
    inner = [of(documents, "session_opened")[0] for documents in found.values()]
    told = {
        document["cgtrail"]["session"]["opener"]: document["cgtrail"]["session"].get("parent")
        for document in inner
        if document["cgtrail"]["entry"] == "nested"
    }
    assert told["script"] == opened["cgtrail"]["session"]["id"]
    assert told["sudo"] == opened["cgtrail"]["session"]["id"]
    assert {name.split(":")[0] for name in told} == {"script", "sudo", "tmux"}


def test_many_at_once(docker_daemon: Dockerd, running: Spine) -> None:
    """Five people in two containers: pts/0 of both, each text complete and its own; a keyframe ends none of them."""
    with ExitStack() as stack:
        boxes = [
            stack.enter_context(docker_daemon.container("busybox", *FOREVER, name=f"k3-many{number}"))
            for number in range(2)
        ]
        running.until("event.action:started", 1, "--container", "k3-many1")
        people = []
        for number in range(5):
            client = stack.enter_context(at_terminal(docker_daemon, "exec", "-it", boxes[number % 2].id, "sh"))
            client.type(b"", ASH)
            people.append(client)
        for turn in range(4):
            for number, client in enumerate(people):
                client.type(f"echo per''son-{number}-{turn}\r".encode(), rb"person-.*" + ASH)
        frames = running.status()["agent"]["frames"]
        wait_until(lambda: running.status()["agent"]["frames"] > frames + 120, "some keyframes", 60)
        assert not running.search("event.action:session_closed", "--container", "k3-many0")
        received = []
        for client in people:
            client.type(b"exit\r")
            received.append(client.end().decode())
        found = sessions(running, "k3-many0", 3) | sessions(running, "k3-many1", 2)
    assert len(found) == 5
    for number, screen in enumerate(received):
        documents = containing(found, f"person-{number}-0")
        assert text(documents) == screen
        assert documents[0]["container"]["name"] == f"k3-many{number % 2}"
    names = [(one[0]["container"]["name"], one[0]["cgtrail"]["session"]["tty"]) for one in found.values()]
    assert {("k3-many0", "pts/0"), ("k3-many1", "pts/0")} <= set(names)
    assert len(set(names)) == 5


def test_a_flood_beside(docker_daemon: Dockerd, running: Spine) -> None:
    """100 MB in one session: to the byte captured or skipped; what another one shows meanwhile is complete."""
    with docker_daemon.container("busybox", *FOREVER, name="k3-flood") as box, ExitStack() as stack:
        running.until("event.action:started", 1, "--container", "k3-flood")
        quiet, loud = (stack.enter_context(at_terminal(docker_daemon, "exec", "-it", box.id, "sh")) for _ in range(2))
        quiet.type(b"", ASH)
        loud.type(b"", ASH)
        loud.child.timeout = 120
        loud.type(b"dd if=/dev/zero bs=1M count=100 2>/dev/null | tr '\\0' 'x'; echo do''ne; exit\r")
        for number in range(20):
            quiet.type(f"echo ty''ped-{number}\r".encode(), rb"typed-.*" + ASH)
        while len(loud.child.read_nonblocking(65536, 120)) and b"done\r\n" not in loud.received[-200:]:
            pass
        size = len(loud.end())
        quiet.type(b"exit\r")
        received = quiet.end().decode()
        found = sessions(running, "k3-flood", 2)
    assert text(containing(found, "typed-19")) == received
    totals = [of(documents, "session_closed")[0]["cgtrail"]["session"]["shown"] for documents in found.values()]
    assert max(totals) == size


def test_a_job_outlives_its_shell(docker_daemon: Dockerd, running: Spine, box: Container) -> None:
    """Whatever its jobs still do, a session ends with its shell, once; an idle pty of python's goes on with its job."""
    job = "import pty; pty.spawn(['sh', '-c', '(trap \"\" HUP; sleep 3; echo la''te) & sleep 0.2'])"
    box.run("sh", "-c", f"cat > /tmp/job.py <<'X'\n{job}\nX")
    with at_terminal(docker_daemon, "exec", "-it", box.id, "bash", "--norc") as client:
        client.type(b"", PROMPT)
        client.type(b"python3 /tmp/job.py; echo be''hind\r", rb"behind\r\n")
        client.type(b"(trap '' HUP; sleep 2; echo lost) & exit\r")
        client.end()
    running.settle()
    found = sessions(running, "k3-box", 1)
    wait_until(lambda: bool(of(containing(sessions(running, "k3-box", 1), "behind"), "session_closed")), "its end")
    assert of(containing(found, "behind"), "session_opened")
