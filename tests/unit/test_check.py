"""`cgtrail check`: what each look says of what is odd; what needs other kernels or root is in tests/kernel."""

from __future__ import annotations

import gc
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date
from pathlib import Path

import click
import pytest

from cgtrail.check import clock, data_folder, kernel, others, programs, report, runtimes, store
from cgtrail.check.finding import Finding, Level, line
from cgtrail.settings import Config, Runtimes, Spool
from enrich.stores import dayfile
from shipper import lock
from shipper.libbpf import Object
from shipper.objects import families, object_file
from shipper.runtimes import sockets
from shipper.status import LOCK

DAY = date(2026, 11, 22)
# Of a daemon that hangs the client leaves a socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def look_at(folder: Path, what: str = "data folder") -> list[Finding]:
    """What one look finds of a data folder."""
    return list(report.LOOKS[what](Config(data=str(folder))))


def worst(found: list[Finding]) -> Finding:
    """The finding to act on."""
    return max(found, key=lambda finding: list(Level).index(finding.level))


# The report


def test_a_look_that_fails_is_a_finding() -> None:
    """Whatever a host has in store for one look, the others go on and its words are told."""

    def fails(_: Config) -> Iterator[Finding]:
        yield Finding("clock", Level.OK, "right")
        raise ValueError("odd")

    first, second = report.guarded("clock", fails, Config(), 5)
    assert first.level is Level.OK
    assert (second.level, second.found) == (Level.BAD, "could not be looked at: odd")
    assert second.advice


def test_a_look_that_hangs_is_a_finding() -> None:
    """It is left behind."""
    ended = threading.Event()

    def hangs(_: Config) -> Iterator[Finding]:
        ended.wait()
        yield Finding("store", Level.OK, "too late")

    (found,) = report.guarded("store", hangs, Config(), 0.01)
    ended.set()
    assert (found.level, found.what) == (Level.BAD, "store")
    assert found.advice


def test_it_prints_one_object_a_finding(tmp_path: Path) -> None:
    """Each has the same keys; what is not well says what to do; the exit code says whether anything is bad."""
    (tmp_path / LOCK).mkdir()
    (tmp_path / "store").touch()
    argv = [sys.executable, "-m", "cgtrail", "check", "--json", "--data", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=os.environ | {"TERM": "dumb"})
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {tuple(each) for each in found} == {("what", "level", "found", "advice")}
    assert all(each["advice"] for each in found if each["level"] != "ok")
    assert {"store"} <= {each["what"] for each in found if each["level"] == "bad"}
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize("data", ["\x1b[2J", "x" * 300, "a/b\nc", "/proc/self/none", "/dev/null/x"])
def test_odd_paths_end_nothing(data: str) -> None:
    """Any text may be named as the data folder: all looks go on, and nothing of it reaches the terminal raw."""
    for what in ("data folder", "store", "agents"):
        for finding in report.guarded(what, report.LOOKS[what], Config(data=data), 15):
            assert finding.level is Level.OK or finding.advice
            assert "\x1b" not in click.unstyle(line(finding))
            assert line(finding).count("\n") == bool(finding.advice)


# The data folder


def test_a_folder_that_will_be_made(tmp_path: Path) -> None:
    """Its parent is looked at, and nothing is made."""
    first = look_at(tmp_path / "a" / "b")[0]
    assert first.level is Level.OK
    assert "will be made" in first.found
    assert not any(tmp_path.iterdir())


def test_something_else_in_the_folders_place(tmp_path: Path) -> None:
    """A file, and a link to nothing, are named with what to do."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name, words in {"file": "no folder", "file/x": "no folder", "link": "a link to nothing"}.items():
        (found,) = look_at(tmp_path / name)
        assert (found.level, found.found) == (Level.BAD, f"{tmp_path / name.partition('/')[0]} is {words}")
        assert "--data" in found.advice


def test_others_may_look_into_it(tmp_path: Path) -> None:
    """Command lines hold passwords: a folder that others can read is told."""
    tmp_path.chmod(0o755)
    found = worst(look_at(tmp_path))
    assert (found.level, found.found) == (Level.NOTE, "others may look into it (mode 0755)")
    tmp_path.chmod(0o700)
    assert not [found for found in look_at(tmp_path) if "may look" in found.found]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_it_belongs_to_somebody_else(tmp_path: Path) -> None:
    """Its owner could change what is recorded."""
    os.chown(tmp_path, 65534, 65534)
    assert any("belongs to uid 65534" in found.found for found in look_at(tmp_path))


def test_a_spool_that_does_not_fit(tmp_path: Path) -> None:
    """A bound beyond the disk's room is a note: the disk would be full first."""
    config = Config(data=str(tmp_path), spool=Spool(max_bytes=1 << 60))
    first = next(data_folder.look(config))
    assert first.level is Level.NOTE
    assert "spool.max_bytes" in first.advice


@pytest.mark.parametrize(("kind", "level"), [("tmpfs", Level.NOTE), ("nfs4", Level.NOTE), ("ext4", None)])
def test_the_file_systems_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: Level | None) -> None:
    """What is gone after a reboot, or is on the network, is told."""
    device = tmp_path.stat().st_dev
    file = tmp_path / "mountinfo"
    file.write_text(f"1 2 0:999 / /x rw - proc p rw\n3 2 {os.major(device)}:{os.minor(device)} / / rw - {kind} d rw\n")
    assert data_folder.file_system(tmp_path, file) == kind
    monkeypatch.setattr(data_folder, "file_system", lambda _: kind)
    assert [found.level for found in data_folder._kind(tmp_path)] == ([level] if level else [])


# The store


def make_day(data: Path) -> Path:
    """A data folder's day file with nothing in it."""
    dayfile.open_writer(data / "store", DAY).close()
    return dayfile.path_of(data / "store", DAY)


def test_a_store_that_is_well(tmp_path: Path) -> None:
    """Its days are counted, and a look leaves no file behind."""
    path = make_day(tmp_path)
    before = sorted(path.parent.iterdir())
    (found,) = look_at(tmp_path, "store")
    assert (found.level, found.found) == (Level.OK, f"{path.parent}: 1 of 1 days can be used")
    assert sorted(path.parent.iterdir()) == before


@pytest.mark.parametrize("kind", ["garbage", "short", "foreign", "older", "pipe", "folder", "unreadable"])
def test_a_store_with_something_else_in_it(tmp_path: Path, kind: str) -> None:
    """The file is named, what it is, and what to do."""
    path = make_day(tmp_path)
    words = {"older": "format 1", "foreign": "did not make", "garbage": "damaged", "short": "damaged"}
    path.unlink()
    match kind:
        case "garbage":
            path.write_bytes(b"x" * 4096)
        case "short":
            path.write_bytes(b"SQLite format 3\0")
        case "foreign" | "older":
            with closing(sqlite3.connect(path)) as db:
                number = dayfile.APPLICATION_ID if kind == "older" else 0
                db.executescript(f"PRAGMA application_id = {number}; PRAGMA user_version = 1; CREATE TABLE t (x);")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("loop")
            path.with_name("loop").symlink_to(path.name)
    bad = [found for found in look_at(tmp_path, "store") if found.level is Level.BAD]
    assert len(bad) == 1
    assert str(path) in bad[0].found
    assert words.get(kind, "") in bad[0].found
    assert "move" in bad[0].advice


@pytest.mark.parametrize("log", [True, False], ids=["write-ahead log", "rollback journal"])
def test_a_store_that_another_process_holds(tmp_path: Path, log: bool) -> None:
    """The process that writes is named, and not disturbed."""
    path = make_day(tmp_path)
    holding = f"""
import sqlite3, sys
db = sqlite3.connect({str(path)!r}, isolation_level=None)
db.execute("PRAGMA journal_mode = {"WAL" if log else "DELETE"}")
db.execute("BEGIN EXCLUSIVE")
print(flush=True)
sys.stdin.read()
db.execute("COMMIT")
"""
    argv = [sys.executable, "-c", holding]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        (found,) = [found for found in look_at(tmp_path, "store") if found.level is not Level.OK]
        assert found.level is Level.NOTE
        assert f"{path}: process {process.pid} holds it" in found.found
        process.communicate()
    assert process.returncode == 0
    assert [found.level for found in look_at(tmp_path, "store")] == [Level.OK]


def test_the_stores_folder_is_a_file(tmp_path: Path) -> None:
    """It can't be listed."""
    (tmp_path / "store").touch()
    assert [found.level for found in look_at(tmp_path, "store")] == [Level.BAD]


# Who else records


HOLD = """
import sys
from pathlib import Path
from shipper.lock import only
with only(Path(sys.argv[1]), "ship"):
    print(flush=True)
    sys.stdin.read()
"""


def test_agents_are_known_by_their_locks(tmp_path: Path) -> None:
    """One on this folder is told by its process; one on another is another installation."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
    argv = [sys.executable, "-c", HOLD, str(other / LOCK)]
    with lock.only(mine / LOCK, "agent"):
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "\n"
            found = look_at(mine, "agents")
            assert (found[0].what, found[0].found) == ("agent", f"{os.getpid()} works on {mine}")
            assert [(each.level, each.found) for each in found if f"{other}" in each.found] == [
                (Level.NOTE, f"another agent, {process.pid}, works on {other}")
            ]
            process.communicate()
        assert not [each for each in look_at(mine, "agents") if str(other) in each.found]
    assert not list(others.agents(tmp_path))


def pretend(proc: Path, pid: int, lock_file: Path, namespace: str) -> None:
    """A process as /proc shows one that holds a lock."""
    process = proc / str(pid)
    for folder in ("fd", "fdinfo", "ns"):
        (process / folder).mkdir(parents=True)
    (process / "exe").symlink_to("/usr/bin/python3.11")
    (process / "fd" / "3").symlink_to(lock_file)
    (process / "fdinfo" / "3").write_text("lock:\t1: OFDLCK ADVISORY WRITE -1 00:1:1 0 EOF\n")
    (process / "ns" / "mnt").symlink_to(namespace)


def test_a_container_that_plays_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says of its place is not repeated, also where it is this folder's; a path sends nothing to a terminal."""
    mine, odd = tmp_path / "mine", tmp_path / "odd\x1b\u202e\n"
    for folder in (mine, odd):
        folder.mkdir()
        (folder / LOCK).touch()
    proc = tmp_path / "proc"
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/mnt").symlink_to("mnt:[1]")
    pretend(proc, 20, odd / LOCK, "mnt:[1]")
    pretend(proc, 30, Path("/no/such", LOCK), "mnt:[2]")
    pretend(proc, 40, mine / LOCK, "mnt:[2]")
    monkeypatch.setattr(others, "_PROC", proc)
    assert [each.found for each in look_at(mine, "agents")] == [
        f"another agent, 20, works on {tmp_path}/odd\\x1b\\u202e\\x0a",
        "a process that looks like an agent, 30, in another mount namespace",
    ]


@pytest.mark.parametrize("text", [b"", b"\xff", b"12x", b"\0" * 32])
def test_a_lock_that_does_not_tell_its_holder(tmp_path: Path, text: bytes) -> None:
    """It is held all the same, by a process that is not known."""
    file = tmp_path / LOCK
    with lock.only(file, "agent"):
        file.write_bytes(text)
        assert lock.holder(file) == 0
        with pytest.raises(lock.AlreadyRunningError, match="agent 0 already works"), lock.only(file, "agent"):
            pass


def test_a_pipe_in_the_locks_place(tmp_path: Path) -> None:
    """Asking does not hang."""
    os.mkfifo(tmp_path / LOCK)
    assert lock.holder(tmp_path / LOCK) is None


# Runtimes


@pytest.fixture
def _nothing_left() -> Iterator[None]:
    """The client leaves sockets to the garbage collector, and a daemon that hangs a thread until it is gone."""
    yield
    for thread in threading.enumerate():
        if thread.name.endswith(" version"):
            thread.join()
    gc.collect()


@pytest.mark.usefixtures("_nothing_left")
@pytest.mark.parametrize("drips", [False, True])
def test_a_docker_that_hangs_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drips: bool) -> None:
    """One that accepts and never answers, or answers for ever, byte by byte, is left in time."""
    monkeypatch.setattr(runtimes, "ANSWER_SECONDS", 0.3)
    file, ended = tmp_path / "s", threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(file))
        listener.listen()

        def answer() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not ended.wait(0.02):
                    connection.sendall(b" " if drips else b"")

        serving = threading.Thread(target=answer)
        serving.start()
        found = next(runtimes.look(Config(runtimes=Runtimes(docker=[f"unix://{file}"]))))
        ended.set()
        serving.join()
    assert (found.what, found.level) == ("docker", Level.NOTE)
    assert "does not answer" in found.found
    assert "without names" in found.advice


@pytest.mark.parametrize(
    "url", ["nonsense", "unix:///none", "unix:///dev/null", "tcp://127.0.0.1:1", "http://[", "npipe://x", "", "ssh://x"]
)
def test_an_address_that_is_no_docker(url: str) -> None:
    """The address, why, and what to do."""
    found = next(runtimes.look(Config(runtimes=Runtimes(docker=[url]))))
    assert (found.what, found.level) == ("docker", Level.NOTE)
    assert f"not reachable at {url}: " in found.found
    assert "runtimes.docker" in found.advice


def test_all_that_hang_are_waited_for_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each configured runtime is told, under its name; none waits for another's answer."""
    monkeypatch.setattr(runtimes, "ANSWER_SECONDS", 0.3)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        url = f"unix://{tmp_path / 's'}"
        asked = Runtimes(docker=[url, url], podman=[url], containerd=[url])
        found = list(runtimes.look(Config(runtimes=asked)))
    mine = [each for each in found if url in each.found]
    assert [each.what for each in mine] == ["docker", "docker", "podman", "containerd"]
    assert {each.found for each in mine} == {f"{url} does not answer in time"}
    assert _threads_end()


def _threads_end() -> bool:
    for thread in threading.enumerate():
        if thread.name.endswith(" version"):
            thread.join()
    return True


def test_what_is_not_installed_is_told_only_when_asked_for() -> None:
    """Nobody who has Docker only wants to hear of Podman."""
    asked = Runtimes(docker=[], podman=["unix:///none/podman.sock"])
    found = list(runtimes.look(Config(runtimes=asked)))
    assert [each.what for each in found if "not reachable" in each.found] == ["podman"]


def test_other_runtimes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime is there when its socket is; the setting that would add it is named, unless it is set already."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        here = str(tmp_path / "s")
        known = {"podman": (here,), "containerd": (here,), "cri-o": (str(tmp_path / "file"),), "lxd": (here, "/none")}
        monkeypatch.setattr(sockets, "KNOWN", known)
        monkeypatch.setattr(sockets, "USERS", {"podman": f"{tmp_path}/lin*"})
        found = list(runtimes.look(Config(runtimes=Runtimes([], [], []))))
        assert [each.what for each in found] == ["podman", "podman", "containerd", "lxd"]
        assert f'add "unix://{here}" to runtimes.podman' in found[0].advice
        assert f'add "unix://{tmp_path}/link" to runtimes.podman' in found[1].advice
        assert f'add "{here}" to runtimes.containerd' in found[2].advice
        assert found[3].level is Level.OK
        found = list(runtimes.look(Config(runtimes=Runtimes([f"unix://{tmp_path / 'link'}"], [], []))))
    assert [each.what for each in found] == ["docker"]


# Kernel, programs, clock


@pytest.mark.parametrize(
    ("text", "level"),
    [("none [integrity] confidentiality\n", Level.OK), ("none integrity [confidentiality]\n", Level.BAD), ("", None)],
)
def test_lockdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, level: Level | None) -> None:
    """The mode that takes the kernel's memory from BPF is told; a kernel that does not say is not."""
    file = tmp_path / "lockdown"
    file.write_text(text)
    monkeypatch.setattr(kernel, "_LOCKDOWN", file)
    assert [found.level for found in kernel._lockdown()] == ([level] if level else [])


@pytest.mark.parametrize(("release", "older"), [("5.15.0-91-generic", True), ("6.1", False), ("6.12.3+x", False)])
def test_an_old_kernel(release: str, older: bool) -> None:
    """Releases are compared as numbers."""
    assert (kernel._version(release) < kernel._OLDEST) is older


def test_every_event_says_what_its_absence_means() -> None:
    """Who reads that a program was refused learns what will be missing."""
    events = set()
    for family in families():
        with Object(object_file(family)) as opened:
            events |= {program.partition("__")[0] for program in opened.programs}
    assert events == set(programs.WITHOUT)


def test_the_clock_is_asked_and_not_changed() -> None:
    """It is synchronised or not, as the kernel knows."""
    (found,) = clock.look(Config())
    assert found.what == "clock"
    assert found.level in {Level.OK, Level.NOTE}


def test_a_store_folder_that_is_missing_is_no_trouble(tmp_path: Path) -> None:
    """It is made by the worker, not by a look."""
    (found,) = store.look(Config(data=str(tmp_path)))
    assert found.level is Level.OK
    assert not any(tmp_path.iterdir())
