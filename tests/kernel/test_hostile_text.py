"""Whatever bytes a container chooses are kept in documents, and nothing of cgtrail's sends them to a terminal raw."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from enrich.printable import MAX_MARKS
from tests.kernel.capture import TRIGGER, cgroup
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, cgroup2_mount, wait_until
from tests.kernel.spine import Document, Spine, spine

pytestmark = pytest.mark.kernel

ARGUMENTS = {
    "newlines": b"a\nb\r\nc\td\x0b\x0c\x08",
    "escape sequences": b"\x1b[2J\x1b]52;c;Zm9v\x07\x1bP0;1|17/ab\x1b\\\x1b]0;title\x1b\\",
    "quotes": rb"""a'b"c\d`e$f \x41 \u0041""",
    "not UTF-8": b"\xff\xfe\xc3\xc0\xaf\xf8\x88",
    "C1": b"\x9b2J \xc2\x9b31m\xc2\x9d0;x\xc2\x9c",
    "surrogates": b"\xed\xa0\x80\xed\xbf\xbf",
    "bidi": "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c".encode(),
    "invisible": "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u3164\u2028\u2029\U000e0041\ufe0f\U000e0101".encode(),
    "stack": ("e" + "\u0301" * 200).encode(),
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u0661\u0662".encode(),
    "nobody's": "\ue000\ufffe\uffff\ufdd0\U0010ffff".encode(),
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e6\U0001f1f6".encode(),
    "empty": b"",
}
NAME = "\x1b]0;x\x07\u202e\u05d0e\u0301\n\\"
"""Of a directory, a program and so a process: 15 bytes and more."""
UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """cgtrail at work for the module, with its live table."""
    with spine(docker_daemon, tmp_path_factory.mktemp("spine") / "data", "--verbose") as started:
        yield started


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, running: Spine) -> Iterator[Container]:
    """A container with hostile labels."""
    with docker_daemon.container("triggers", *FOREVER, name="text-box", labels={NAME: NAME}) as made:
        yield made


@pytest.fixture(scope="module")
def started(running: Spine, box: Container) -> dict[str, Document]:
    """The documents of programs that were started with each of ARGUMENTS, by its name."""
    pids = {}
    for name, argument in ARGUMENTS.items():
        argv = (b"shown", argument, b"last", b"of-arguments")
        pids[name] = json.loads(box.run(TRIGGER, "exec-args", *(each.hex() for each in argv)))["pid"]
    found = running.until('process.args:"of-arguments" AND event.action:exec', len(ARGUMENTS))
    documents = {document["process"]["vpid"]: document for document in found}
    return {name: documents[pid] for name, pid in pids.items()}


@pytest.fixture(scope="module")
def hostile_program(running: Spine, box: Container) -> Document:
    """The document of a program whose file, directory and own name are hostile."""
    script = 'mkdir -p "/tmp/$1" && cd "/tmp/$1" && cp /triggers/report "$1" && exec "./$1" of-hostile'
    box.run("sh", "-c", script, "sh", NAME)
    (document,) = running.until('process.args:"of-hostile" AND event.action:exec', 1)
    return document


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(started: dict[str, Document], name: str) -> None:
    """The document has each byte, and is what was started."""
    document = started[name]
    argv = (b"shown", ARGUMENTS[name], b"last", b"of-arguments")
    raw = document["cgtrail"].get("raw", {}).get("process.args")
    kept = base64.b64decode(raw) if raw else "\0".join([*document["process"]["args"], ""]).encode()
    assert kept == b"".join(each + b"\0" for each in argv)
    assert (document["process"]["args_count"], document["process"]["args"][2]) == (4, "last")
    assert not any("\ud800" <= char <= "\udfff" for char in "".join(document["process"]["args"]))


def test_names(hostile_program: Document) -> None:
    """A program's path, its directory, the kernel's name of it and its container's labels are kept as they are."""
    process = hostile_program["process"]
    assert (process["name"], process["working_directory"]) == (NAME, f"/tmp/{NAME}")
    assert process["executable"] == f"/tmp/{NAME}/{NAME}"
    assert NAME.startswith(hostile_program["cgtrail"]["process"]["comm"])
    assert len(hostile_program["cgtrail"]["process"]["comm"].encode()) == 15
    assert hostile_program["container"]["labels"] == {NAME: NAME}


@contextmanager
def hostile_container() -> Iterator[None]:
    """A program in an LXC container's cgroup, whose name is what its user chose."""
    folder = cgroup2_mount() / f"lxc.payload.{NAME.replace(chr(10), '')}"
    with cgroup(folder):
        command = ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec true of-lxc', str(folder)]
        subprocess.run(command, check=True)
        yield


def unsafe(shown: str) -> set[str]:
    """The characters of an output that are not for a terminal; lines end, and that is all."""
    return {char for char in set(shown) if unicodedata.category(char) in UNSAFE_CATEGORIES and char != "\n"}


def reordering(shown: str) -> set[str]:
    """The characters of an output that change the order of a line's columns."""
    return {char for char in set(shown) if unicodedata.bidirectional(char) in ("R", "AL", "AN")}


OURS = 'process.args:"of-arguments" OR process.args:"of-hostile" OR process.args:"of-lxc"'
PLAIN = [("search", OURS), ("status",), ("spool", "ls"), ("spool", "verify"), ("deadletters", "list")]
JSON = [("search", "--json", OURS), ("status", "--json"), ("spool", "ls", "--json"), ("spool", "cat")]
REFUSED = [("search", f"process.name:{NAME}("), ("search", "--container", NAME, "*"), (NAME,), ("search", f"--{NAME}")]


@pytest.mark.usefixtures("started", "hostile_program")
def test_outputs(running: Spine) -> None:
    """No command sends any of it to a terminal: tables, JSON, logs and what is said of hostile input."""
    with hostile_container():
        (document,) = running.until('process.args:"of-lxc" AND event.outcome:success AND event.action:exec', 1)
        wait_until(lambda: named(running, NAME.replace("\n", "")), "the ledger, which is a second old, to name it")
        plain = [output(running, *arguments) for arguments in PLAIN]
        lines = [output(running, *arguments) for arguments in JSON]
    assert document["container"]["name"] == NAME.replace("\n", "")
    plain += [output(running, *arguments) for arguments in REFUSED] + [running.log.read_text()]
    for shown in plain:
        assert (unsafe(shown), reordering(shown)) == (set(), set())
        assert "\u0301" * (MAX_MARKS + 1) not in shown
    for shown in lines:
        assert unsafe(shown) == set()
        assert all(json.loads(line) for line in shown.splitlines() if line.startswith("{"))
    assert r"\x1b[2J" in plain[0]
    assert "e" + "\u0301" * MAX_MARKS + r"\u0301" in plain[0]
    assert r"\x1b]0;x\x07\u202e" in plain[1], "the ledger names the container"


def named(running: Spine, container: str) -> bool:
    """Whether `status` has a row of a container."""
    return container in {row.get("container") for row in running.status()["ledger"]}


def output(running: Spine, *arguments: str) -> str:
    """What a command prints on both outputs, whatever it thinks of its arguments."""
    argv = [sys.executable, "-m", "cgtrail", "--data", str(running.data), *arguments]
    done = subprocess.run(argv, env=running.environment, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return (done.stdout + done.stderr).decode()
