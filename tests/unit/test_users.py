"""Names of containers' users are asked for when they are there, again when they change, and nobody is waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shipper.expendable import PATIENT_ROUNDS
from shipper.users import (
    GIVE_UP_NS,
    HEAVY_NS,
    LINGER_NS,
    LONGEST_PAUSE_NS,
    LOOK_NS,
    LOOKS_A_ROUND,
    MOST_ABANDONED,
    MOST_BYTES,
    MOST_OPEN,
    MUTE_NS,
    PATIENCE_NS,
    PAUSE_NS,
    UNABLE_NS,
    Users,
)
from shipper.users_reader import ANSWER, NEVER, NEW, NOT_YET, SAME, STAMP
from shipper.wire.records import UserNames

DEADLINE = 30
SECOND = 1_000_000_000
FAKE = f"""
import os, time
STAMP, HANG = {STAMP.size}, b"hang"
def answer(question):
    known, folder = question[:STAMP], question[STAMP:]
    with open(folder + b".asked", "ab") as asked:
        asked.write(b"x")
    try:
        with open(folder, "rb") as opened:
            told = opened.read()
    except FileNotFoundError:
        told = {ANSWER.pack(NOT_YET, 0, 0, 0, NEVER)!r}
    while told == HANG:
        time.sleep(1000)
    same = told[{ANSWER.size} - STAMP:{ANSWER.size}] == known
    return bytes([{SAME}]) + told[1:{ANSWER.size}] if told[0] == {NEW} and same else told
"""


class Host:
    """Containers as a reader sees them, and rounds of an agent whose time passes as the test says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "reader.py").write_text(FAKE)
        self.users, self.now, self.got = Users(), SECOND, list[UserNames]()
        self.users._reader.reader = folder / "reader.py"

    def folder(self, name: str) -> str:
        """Of a container's cgroup; here the file that says what is read of it."""
        return str(self._folder / name)

    def says(self, name: str, users: bytes, groups: bytes = b"", mark: int = 1, size: int = 0) -> None:
        """The container's files have these names now. `mark`: what tells them from those before."""
        stamp = STAMP.pack(4026, mark, *[0] * 9)
        answer = ANSWER.pack(NEW, 3, len(users), size, stamp) + users + groups
        (self._folder / "new").write_bytes(answer)
        (self._folder / "new").rename(self._folder / name)

    def hangs(self, name: str) -> None:
        """Its files do not answer."""
        Path(self.folder(name)).write_bytes(b"hang")

    def asked(self, name: str) -> int:
        """How often its files were asked for."""
        asked = Path(self.folder(name) + ".asked")
        return asked.stat().st_size if asked.exists() else 0

    def found(self, *names: str) -> None:
        """Containers appeared."""
        for name in names:
            self.users.found(f"docker/{name}", self.folder(name), 7)

    def round(self) -> None:
        """One round of the agent."""
        self.got += self.users.answers(self.now)

    def until(self, condition: Callable[[], object]) -> None:
        """Rounds without time until it is so."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"never; {self.users}"
            self.round()
            time.sleep(0.001)

    def settle(self) -> None:
        """Rounds without time until nothing that is due is left."""
        self.until(lambda: not self.users._reader.open and not self._any_due())

    def _any_due(self) -> bool:
        return any(due and due[0][0] <= self.now for due in (self.users._soon, self.users._looks))

    def pass_time(self, nanoseconds: int, step: int = 25_000_000) -> None:
        """So much time, in steps, after each of which everybody who was asked answers."""
        end = self.now + nanoseconds
        while self.now < end:
            self.now = min(self.now + step, end)
            self.round()
            self.settle()

    def silence(self) -> None:
        """The child does not answer for as long as patience takes."""
        self.until(lambda: self.users._reader.asked)
        self.now += PATIENCE_NS + 1
        for _ in range(PATIENT_ROUNDS + 1):
            self.round()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host without containers."""
    made = Host(tmp_path)
    yield made
    made.users._reader.waiting.clear()
    made.users._reader.asked.clear()
    made.users.close()
    made.until(lambda: made.users.abandoned == 0)


def test_names(host: Host) -> None:
    """A container's names come once, as its files say, and are known from then on."""
    host.says("one", b"0:root\x001000:alice", b"0:wheel")
    host.found("one")
    host.settle()
    (told,) = host.got
    assert told == UserNames(
        time=host.now,
        owner=7,
        mount_ns=4026,
        left_out=3,
        key=b"docker/one",
        users=b"0:root\x001000:alice",
        groups=b"0:wheel",
    )
    assert host.users.known() == [told]
    host.pass_time(LOOK_NS * 3, LOOK_NS // 4)
    assert host.asked("one") == 4
    assert host.got == [told]


def test_found_twice(host: Host) -> None:
    """What is told twice is asked for once."""
    host.says("one", b"0:root")
    host.found("one", "one")
    host.settle()
    host.found("one")
    host.settle()
    assert (len(host.got), host.asked("one")) == (1, 1)


def test_started_again(host: Host) -> None:
    """A container of the same name in another cgroup has nothing of the one before it."""
    host.says("one", b"0:root")
    host.found("one")
    host.settle()
    host.users.found("docker/one", host.folder("two"), 8)
    assert host.users.known() == []
    host.says("two", b"0:toor")
    host.settle()
    assert [(record.owner, record.users) for record in host.users.known()] == [(8, b"0:toor")]


def test_being_made(host: Host) -> None:
    """A container without a process yet is asked again soon, then less often, and told once it is there."""
    host.found("one")
    host.settle()
    for pauses in range(8):
        host.pass_time(min(PAUSE_NS << pauses, LONGEST_PAUSE_NS) - 1, LONGEST_PAUSE_NS)
        assert host.asked("one") == pauses + 1
        host.pass_time(1)
        assert host.asked("one") == pauses + 2
    host.says("one", b"0:root")
    host.pass_time(LONGEST_PAUSE_NS, LONGEST_PAUSE_NS)
    assert [record.users for record in host.got] == [b"0:root"]
    assert host.users.unread == 0


def test_never_made(host: Host) -> None:
    """What has no process for a minute is unread, and still found when it has one at last."""
    host.found("one")
    host.pass_time(GIVE_UP_NS * 3, LONGEST_PAUSE_NS)
    assert host.users.unread == 1
    assert host.asked("one") < 30
    host.says("one", b"0:root")
    host.pass_time(LOOK_NS, LOOK_NS)
    assert [record.users for record in host.got] == [b"0:root"]


def test_changed(host: Host) -> None:
    """Changed files are told at the next look, also for a container that had no process meanwhile."""
    host.says("one", b"0:root")
    host.found("one")
    host.settle()
    Path(host.folder("one")).unlink()
    host.pass_time(LOOK_NS, LOOK_NS)
    assert [record.users for record in host.users.known()] == [b"0:root"]
    host.says("one", b"0:root\x001:eve", mark=2)
    host.pass_time(LOOK_NS - 1, LOOK_NS)
    assert len(host.got) == 1
    host.pass_time(1)
    assert [record.users for record in host.got] == [b"0:root", b"0:root\x001:eve"]
    assert host.users.known() == host.got[1:]


def test_heavy_files(host: Host) -> None:
    """Who makes large files of names is looked at less often."""
    host.says("one", b"0:root", size=16 << 20)
    host.found("one")
    host.settle()
    host.says("one", b"0:toor", mark=2)
    host.pass_time(LOOK_NS + (16 << 20) * HEAVY_NS - 1, 1 << 62)
    assert host.asked("one") == 1
    host.pass_time(1)
    assert host.asked("one") == 2


def test_gone(host: Host) -> None:
    """Of a container that has ended nothing comes any more, not even what had been asked."""
    host.says("one", b"0:root")
    host.found("one")
    host.until(lambda: host.users._reader.asked)
    host.users.gone("docker/one")
    host.users.gone("docker/never")
    host.settle()
    host.pass_time(LOOK_NS, LOOK_NS)
    assert (host.got, host.users.known(), host.asked("one")) == ([], [], 1)


def test_many(host: Host) -> None:
    """A thousand containers are each told once; few questions are open at once, few looks are taken in a round."""
    names = [f"c{number}" for number in range(1000)]
    for name in names:
        host.says(name, b"0:" + name.encode())
    host.found(*names)
    opened = {0}

    def all_told() -> bool:
        opened.add(len(host.users._reader.asked))
        return len(host.got) == len(names)

    host.until(all_told)
    assert max(opened) <= MOST_OPEN
    assert {record.users for record in host.got} == {b"0:" + name.encode() for name in names}
    host.settle()
    host.now += 10 * LOOK_NS
    host.users.answers(host.now)
    assert len(host.users._reader.waiting) + len(host.users._reader.asked) <= LOOKS_A_ROUND


def test_short_lives(host: Host) -> None:
    """20 containers that start and die each second pile up nowhere."""
    held = list[int]()
    for number in range(200):
        host.found(f"c{number}")
        host.pass_time(25_000_000)
        host.users.gone(f"docker/c{number}")
        host.pass_time(25_000_000)
        held.append(len(host.users._soon) + len(host.users._looks) + len(host.users._reader.waiting))
    assert max(held) < MOST_OPEN
    assert (host.users._known, host.got, host.users.unread) == ({}, [], 0)


def test_ended_long_before_their_turn(host: Host) -> None:
    """What ended is not kept until it would have been asked for again."""
    for number in range(20 * MOST_OPEN):
        host.says(f"c{number}", b"0:root", size=16 << 20)
        host.found(f"c{number}")
        if number % MOST_OPEN == 0:
            host.settle()
        host.users.gone(f"docker/c{number - 3}")
    host.settle()
    assert len(host.users._soon) + len(host.users._looks) <= 4 * MOST_OPEN


def test_hangs(host: Host) -> None:
    """Files that do not answer cost others a moment; they are left alone for long, and told of."""
    host.hangs("bad\n")
    host.says("good", b"0:root")
    host.found("bad\n", "good")
    with capture_logs() as logs:
        host.silence()
        host.settle()
    assert [record.key for record in host.got] == [b"docker/good"]
    assert host.users.unread == 1
    assert [(entry["cgroup"], entry["container"]) for entry in logs] == [(7, "'docker/bad\\n'")]
    host.until(lambda: host.users.abandoned == 0)
    before = host.asked("bad\n")
    host.pass_time(MUTE_NS // 2, SECOND)
    assert host.asked("bad\n") == before
    host.says("bad\n", b"0:late")
    host.pass_time(MUTE_NS // 2, SECOND)
    assert [record.users for record in host.got] == [b"0:root", b"0:late"]


def test_hangs_again(host: Host) -> None:
    """Each time one hangs it is left alone for longer."""
    host.hangs("bad")
    host.found("bad")
    host.silence()
    for times in range(4):
        asked = host.asked("bad")
        host.until(lambda: host.users.abandoned == 0)
        host.pass_time((MUTE_NS << times) - 1, 10 * SECOND)
        assert host.asked("bad") == asked
        host.now += 1
        host.silence()
        assert host.users.unread == times + 2


def test_child_that_stays(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose files still hold a child gets no second one, however long that takes."""
    host.hangs("bad")
    host.found("bad")
    with monkeypatch.context() as patched:
        patched.setattr(subprocess.Popen, "kill", lambda _: None)
        host.silence()
        host.pass_time(10 * MUTE_NS, MUTE_NS // 3)
        assert (host.asked("bad"), host.users.abandoned) == (1, 1)
    for child, _ in host.users._reader._abandoned:
        child.kill()
    host.until(lambda: host.users.abandoned == 0)
    host.says("bad", b"0:root")
    host.pass_time(2 * MUTE_NS, MUTE_NS // 3)
    assert [record.users for record in host.got] == [b"0:root"]


def test_too_many_children_stay(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """When many file systems hold a child, nobody's names are read, said once; it heals when they let go."""
    with monkeypatch.context() as patched:
        patched.setattr(subprocess.Popen, "kill", lambda _: None)
        for number in range(MOST_ABANDONED):
            host.hangs(f"bad{number}")
            host.found(f"bad{number}")
            host.silence()
        host.says("good", b"0:root")
        host.found("good")
        with capture_logs() as logs:
            host.pass_time(3 * UNABLE_NS, UNABLE_NS)
        assert (host.got, host.users.abandoned, len(logs)) == ([], MOST_ABANDONED, 1)
    for child, _ in host.users._reader._abandoned:
        child.kill()
    host.until(lambda: host.users.abandoned == 0)
    host.pass_time(UNABLE_NS, UNABLE_NS)
    assert [record.users for record in host.got] == [b"0:root"]


@pytest.mark.parametrize("command", [("/nonexistent/python",), (sys.executable, "-c", "")])
def test_no_child(host: Host, command: tuple[str, ...]) -> None:
    """Where no child can be had, it is tried again some seconds later."""
    usual, host.users._reader.command = host.users._reader.command, command
    host.says("one", b"0:root")
    host.found("one")
    with capture_logs() as logs:
        host.pass_time(2 * UNABLE_NS, UNABLE_NS // 2)
    assert (host.got, len(logs)) == ([], 1)
    host.users._reader.command = usual
    host.pass_time(UNABLE_NS, UNABLE_NS)
    assert [record.users for record in host.got] == [b"0:root"]


def test_child_is_kept_while_there_are_containers(host: Host) -> None:
    """One child serves many looks; it ends when there has been nothing to look at for some time."""
    host.says("one", b"0:root")
    host.found("one")
    host.settle()
    child = host.users._reader._child
    assert child
    host.pass_time(3 * LOOK_NS, LOOK_NS // 10)
    assert host.users._reader._child is child
    host.users.gone("docker/one")
    host.pass_time(LINGER_NS + LOOK_NS, LOOK_NS)
    host.until(lambda: host.users.abandoned == 0)
    assert not Path(f"/proc/{child._process.pid}").exists()


def test_long_paths(host: Host) -> None:
    """More questions than a pipe takes at once are all asked."""
    deep = "/".join(["d" * 200] * 15)
    Path(host.folder(deep)).mkdir(parents=True)
    names = [f"{deep}/c{number}" for number in range(MOST_OPEN)]
    for name in names:
        host.says(name, b"0:" + os.path.basename(name).encode())
    host.found(*names)
    host.settle()
    assert {record.key for record in host.got} == {f"docker/{name}".encode() for name in names}


def test_large_answers(host: Host) -> None:
    """As much as one container may tell, from many at once."""
    names = [f"c{number}" for number in range(40)]
    for name in names:
        host.says(name, b"1:" + b"u" * (96 << 10), b"2:" + b"g" * (64 << 10))
    host.found(*names)
    host.settle()
    assert {(record.users[-1:], len(record.groups)) for record in host.got} == {(b"u", (64 << 10) + 2)}
    assert len(host.got) == len(names)


HOG = [b"%d:%b" % (number, b"x" * 200) for number in range(240)]
"""Names of a container that fills each file's share: about 49 KB."""


def kept(host: Host) -> dict[bytes, UserNames]:
    """What a reader of the stream knows, which is what a keyframe would tell."""
    known = {record.key: record for record in host.got if record.key in {each.key for each in host.users.known()}}
    assert sorted((each.key, each.users, each.groups, each.left_out) for each in host.users.known()) == sorted(
        (each.key, each.users, each.groups, each.left_out) for each in known.values()
    )
    return known


def test_all_names_together_are_bounded(host: Host) -> None:
    """When all names have no room, who has most is cut to half, told again and counted; others lose nothing."""
    names = [f"hog{number}" for number in range(MOST_BYTES // 98_000 + 30)]
    for name in names:
        host.says(name, b"\0".join(HOG), b"\0".join(HOG))
    host.says("usual", b"0:root\x001000:alice", b"0:wheel")
    host.found("usual", *names[:-1])
    with capture_logs() as logs:
        host.settle()
        host.found(names[-1])
        host.settle()
    known = kept(host)
    total = sum(len(record.users) + len(record.groups) for record in known.values())
    assert MOST_BYTES // 2 < total <= MOST_BYTES
    assert total == host.users._bytes
    assert known[b"docker/usual"].users == b"0:root\x001000:alice"
    cut = [record for record in known.values() if record.left_out > 3]
    assert len(cut) == host.users.cut > 0
    assert len(logs) == 1
    for record in cut:
        users, groups = record.users.split(b"\0"), record.groups.split(b"\0")
        assert (users, groups) == (HOG[: len(users)], HOG[: len(groups)])
        assert record.left_out == 3 + 2 * len(HOG) - len(users) - len(groups)
    assert len(host.got) <= 2 * len(names)


def test_names_that_were_cut_come_back(host: Host) -> None:
    """Where there is room again, those who were cut have all their names at their next look; nothing is told twice."""
    names = [f"hog{number}" for number in range(MOST_BYTES // 98_000 + 30)]
    for name in names:
        host.says(name, b"\0".join(HOG), b"\0".join(HOG))
    host.found(*names)
    host.settle()
    told = len(host.got)
    host.pass_time(2 * LOOK_NS, LOOK_NS // 2)
    assert len(host.got) == told
    for name in names[-80:]:
        host.users.gone(f"docker/{name}")
    host.pass_time(2 * LOOK_NS, LOOK_NS // 16)
    assert {record.left_out for record in kept(host).values()} == {3}
    assert host.users.cut == 0
    for name in names:
        host.users.gone(f"docker/{name}")
    assert host.users._bytes == 0
