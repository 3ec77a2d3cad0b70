"""A disk that refuses: the spool stays as it was at the last commit, and goes on when there is room."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper import spool as writer
from shipper.spool import Spool, SpoolGoneError
from shipper.wire.frame import MAX_PAYLOAD, Frame, wrap
from shipper.wire.reader import Reader
from shipper.wire.segment import Stream, streams
from tests.unit.frames import BOOT, HOST, told

CALLS = ("open", "write", "fdatasync", "fsync", "pwrite")


@dataclass
class Disk:
    """Refuses the n-th of some system calls, and `times - 1` after it; a write is done in part before it is refused."""

    monkeypatch: pytest.MonkeyPatch
    calls: tuple[str, ...] = CALLS
    countdown: int = -1
    """Calls until the refusal; negative: none."""
    times: int = 1
    partial: bool = False
    refused: int = 0
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Takes the place of the system calls."""
        for name in self.calls:
            self.monkeypatch.setattr(os, name, self._faulty(name))

    def _faulty(self, name: str) -> Any:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.made.append(name)
            self.countdown -= 1
            if -1 - self.times < self.countdown < 0 and self.refused < self.times:
                if self.partial and name == "write" and not self.refused and len(arguments[1]) > 1:
                    self.countdown += 1
                    self.partial = False
                    return real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                self.refused += 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        return call

    def arm(self, countdown: int, *, times: int = 1, partial: bool = False) -> None:
        """Let so many calls through, then refuse."""
        self.countdown, self.times, self.partial, self.refused, self.made = countdown, times, partial, 0, []


def files(stream: Stream) -> dict[str, bytes]:
    """Everything in a stream's folder."""
    return {path.name: path.read_bytes() for path in stream.path.iterdir()}


def on_disk(spool: Spool) -> int:
    """Bytes of all segments beside and of a spool's stream."""
    return sum(stream.size for stream in streams(spool.stream.path.parent))


def add(spool: Spool, *contents: bytes) -> list[bytes]:
    """Add records; a frame each. Returns the frames' payloads."""
    for content in contents:
        spool.add(wrap(content), 1)
        spool._seal()
    return [wrap(content) for content in contents]


def frames(spool: Spool) -> list[Frame]:
    """All committed frames: dense, chained, none of them missing."""
    found = [each for each in told(Reader(spool.stream)) if isinstance(each, Frame)]
    assert found == told(Reader(spool.stream))
    assert [each.number for each in found] == list(range(len(found)))
    assert [each.previous for each in found] == [bytes(16), *(each.digest for each in found)][: len(found)]
    return found


def payloads(spool: Spool) -> list[bytes]:
    """What the committed frames hold."""
    return [each.payload for each in frames(spool)]


@pytest.mark.parametrize("partial", [False, True], ids=["whole", "partial"])
@pytest.mark.parametrize("times", [1, 1000], ids=["once", "from then on"])
@pytest.mark.parametrize("again", [False, True], ids=["running", "started again"])
def test_a_refused_commit_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, partial: bool, again: bool
) -> None:
    """Whichever system call is refused: files, numbers and bytes are as before, and the payloads come back."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 400)
    disk, countdown, refused = Disk(monkeypatch), 0, True
    while refused:
        folder = tmp_path / str(countdown)
        with Spool(folder, HOST, BOOT) as spool:
            add(spool, b"one", b"two")
            spool.commit()
        with Spool(folder, HOST, BOOT) as spool:
            known = [wrap(b"one"), wrap(b"two")]
            if not again:
                known += add(spool, b"three")
                spool.commit()
            before, counts = files(spool.stream), (spool.number, spool.records, spool.bytes)
            new = add(spool, b"four", b"five" * 20)
            spool.keyframe()
            new += add(spool, b"six", b"seven" * 30, b"eight" * 20)
            disk.arm(countdown, times=times, partial=partial)
            returned = spool.commit()
            disk.arm(-1)
            refused = bool(returned)
            if refused:
                assert (returned, files(spool.stream)) == (new, before)
                assert spool.error is not None
                assert spool.error.errno == errno.ENOSPC
                assert (spool.number, spool.records, spool.bytes) == counts
                assert spool.used == on_disk(spool)
                assert payloads(spool) == known
                new = add(spool, b"later", b"x" * 300)
                assert spool.commit() == []
            assert spool.error is None
            assert payloads(spool) == known + new
            assert spool.used == on_disk(spool)
        countdown += 1
    assert countdown > 10


def test_every_kind_of_call_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above refuses what a commit really does."""
    disk = Disk(monkeypatch)
    with Spool(tmp_path, HOST, BOOT) as spool:
        add(spool, b"one")
        disk.arm(-1)
        spool.commit()
        assert set(disk.made) == set(CALLS)


steps = st.lists(
    st.tuples(
        st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), min_size=1, max_size=4),
        st.integers(-1, 20),
        st.sampled_from([1, 2, 1000]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
)


@given(steps)
def test_a_spool_holds_what_was_committed(tmp_path_factory: pytest.TempPathFactory, steps: Any) -> None:
    """Through refusals, keyframes, full segments and new agents: the frames are those of the commits that succeeded."""
    folder = tmp_path_factory.mktemp("spool")
    model: list[bytes] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(writer, "SEGMENT_BYTES", 500)
        disk = Disk(monkeypatch)
        spool = Spool(folder, HOST, BOOT)
        for contents, countdown, times, partial, restart in steps:
            new: list[bytes] = []
            for begins, content in contents:
                if begins:
                    spool.keyframe()
                new += add(spool, content)
            disk.arm(countdown, times=times, partial=partial)
            returned = spool.commit()
            disk.arm(-1)
            assert returned in ([], new)
            model += [] if returned else new
            assert payloads(spool) == model
            assert spool.used == on_disk(spool)
            if restart and model:
                spool.__exit__(None, None, None)
                spool = Spool(folder, HOST, BOOT)
                assert (spool.number, spool.used) == (len(model), on_disk(spool))
        spool.__exit__(None, None, None)


def test_an_undoing_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the spool can't go on; the next agent can, and no committed frame is lost or changed."""
    with suppress(OSError), Spool(tmp_path, HOST, BOOT) as spool:
        add(spool, b"one")
        spool.commit()
        add(spool, b"two")
        with monkeypatch.context() as patch:
            for name in ("fdatasync", "truncate"):
                patch.setattr(os, name, _refuse)
            with pytest.raises(OSError, match="Input/output error"):
                spool.commit()
    assert payloads(spool) == [wrap(b"one")]
    with Spool(tmp_path, HOST, BOOT) as again:
        add(again, b"three")
        again.commit()
        assert again.stream == spool.stream
        assert payloads(again) == [wrap(b"one"), wrap(b"two"), wrap(b"three")]


def _refuse(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_without_room_nothing_is_tried(tmp_path: Path) -> None:
    """The payloads come back at once; nothing is written, and nothing went wrong."""
    with Spool(tmp_path, HOST, BOOT) as spool:
        add(spool, b"one")
        spool.commit()
        before = files(spool.stream)
        new = add(spool, b"two", b"three")
        assert spool.commit(room=False) == new
        assert (files(spool.stream), spool.error) == (before, None)
        assert spool.commit() == []
        add(spool, b"four")
        spool.commit()
        assert payloads(spool) == [wrap(b"one"), wrap(b"four")]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid():
        pytest.skip("only root mounts file systems")
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("size", [1000, 5000, 100_000, MAX_PAYLOAD - 8])
def test_a_full_disk_is_survived(tiny: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A real disk fills at any byte of a frame; when something else is removed, recording goes on."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 700_000)
    ballast = tiny / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    with Spool(tiny / "spool", HOST, BOOT) as spool:
        model: list[bytes] = []
        for times in range(3):
            returned: list[bytes] = []
            while not returned:
                new = add(spool, b"%d" % times + bytes(size - 1), b"another")
                returned = spool.commit()
                model += [] if returned else new
            assert returned == new
            assert spool.error is not None
            assert spool.error.errno == errno.ENOSPC
            assert payloads(spool) == model
            assert spool.used == on_disk(spool)
            os.truncate(ballast, 600_000 - times * 300_000)
        model += add(spool, b"at last")
        assert spool.commit() == []
        assert payloads(spool) == model


def test_a_full_disk_lets_no_agent_begin(tiny: Path) -> None:
    """It is an error that names the reason; once there is room the same folder serves."""
    room = os.statvfs(tiny)
    (tiny / "ballast").write_bytes(bytes(room.f_bavail * room.f_bsize))
    with pytest.raises(OSError, match="No space left"):
        Spool(tiny / "spool", HOST, BOOT)
    (tiny / "ballast").unlink()
    with Spool(tiny / "spool", HOST, BOOT) as spool:
        add(spool, b"one")
        spool.commit()
        assert payloads(spool) == [wrap(b"one")]


@pytest.mark.parametrize("what", ["segment", "stream", "spool"])
def test_removed_under_its_writer(tmp_path: Path, what: str) -> None:
    """An agent whose spool was removed says so instead of writing into nothing."""
    spool = Spool(tmp_path / "spool", HOST, BOOT)
    spool.add(wrap(b"one"), 1)
    spool.commit()
    (segment,) = spool.stream.segments()
    removed = {"segment": segment.path, "stream": spool.stream.path, "spool": tmp_path / "spool"}[what]
    if removed.is_dir():
        shutil.rmtree(removed)
    else:
        removed.unlink()
    spool.add(wrap(b"two"), 1)
    with pytest.raises(SpoolGoneError, match="start the agent again"):
        spool.commit()
