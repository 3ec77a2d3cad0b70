"""How far a reader has come, kept in a file that the agent reads."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.wire.position import READERS, Position, PositionFile, position_file
from tests.unit.frames import ID, NO_FILES

ONE = {ID.hex(): Position(12, 7)}


@pytest.fixture
def file(tmp_path: Path) -> PositionFile:
    """The file of one reader."""
    return position_file(tmp_path, "sqlite")


def test_a_reader_has_a_file_of_its_name(tmp_path: Path, file: PositionFile) -> None:
    """Below the spool, where the agent looks for it."""
    assert file.path == tmp_path / READERS / "sqlite.json"


def test_a_reader_that_has_not_read_has_no_positions(file: PositionFile) -> None:
    """And no file is made by asking."""
    assert file.load() == {}
    assert not file.path.parent.exists()


@given(st.dictionaries(st.text("0123456789abcdef", min_size=32, max_size=32), st.integers(0, 2**62)))
def test_what_is_stored_is_loaded(tmp_path_factory: pytest.TempPathFactory, numbers: dict[str, int]) -> None:
    """Every stream's position, any number of them."""
    file = position_file(tmp_path_factory.mktemp("spool"), "kafka.a")
    positions = {stream: Position(number, number // 2) for stream, number in numbers.items()}
    file.store({"another": Position(1)})
    file.store(positions)
    assert file.load() == positions
    assert os.listdir(file.path.parent) == ["kafka.a.json"]


def test_frames_are_wanted_from_the_first_unless_told(file: PositionFile) -> None:
    """A reader that does not say what it needs keeps everything."""
    assert Position(5).needs == 0


@given(st.binary(max_size=60))
def test_bytes_from_nowhere_are_no_positions(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A file that can't be understood counts as none, whatever it holds: repeats do no harm."""
    file = position_file(tmp_path_factory.mktemp("spool"), "sqlite")
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    loaded = file.load()
    assert loaded == {}


def write(file: PositionFile, streams: bytes) -> None:
    """A file whose check is right, whatever it says of streams."""
    file.path.write_bytes(b'{"streams":%s,"crc":%d}' % (streams, zlib.crc32(streams)))


@pytest.mark.parametrize("place", [(-1, 0), (5, -1), (5, 6), (2**62 + 1, 0), (2**64, 2**64)])
def test_no_reader_comes_there(file: PositionFile, place: tuple[int, int]) -> None:
    """Places that can't be count as none."""
    file.store(ONE)
    write(file, b'{"%s":{"next":%d,"needs":%d}}' % (ID.hex().encode(), *place))
    assert file.load() == {}


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_is_no_positions(file: PositionFile, what: Callable[[Path], None]) -> None:
    """Something else stands in its place; nothing is raised, and nothing hangs."""
    file.path.parent.mkdir()
    what(file.path)
    assert file.load() == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"%s":{"next":12,"needs":7}}' % ID.hex().encode(),
        b'{"streams":{},"crc":"0"}',
        b"[]",
        b"7",
        b'{"a":7}',
        b'{"a":{}}',
        b'{"a":{"next":"1"}}',
        b'{"\xff":{"next":1}}',
        b'{"a":{"next":1}',
        b"[" * 9,
    ],
)
def test_another_content_is_no_positions(file: PositionFile, content: bytes) -> None:
    """JSON of another shape, cut, or not UTF-8."""
    file.store(ONE)
    file.path.write_bytes(content)
    assert file.load() == {}
    file.store(ONE)
    assert file.load() == ONE


def test_what_a_newer_version_adds_is_passed_over(file: PositionFile) -> None:
    """Fields may be added."""
    file.store(ONE)
    write(file, b'{"%s":{"next":12,"needs":7,"more":[1]}}' % ID.hex().encode())
    assert file.load() == ONE


def test_any_changed_byte_is_survived(file: PositionFile) -> None:
    """It counts as none: a place too far ahead would make its reader pass over frames. Nothing is raised."""
    file.store(ONE)
    whole = file.path.read_bytes()
    for at in range(len(whole)):
        for mask in (0x01, 0x80, 0xFF):
            file.path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
            assert file.load() in ({}, ONE)
        file.path.write_bytes(whole[:at])
        assert file.load() == {}


def test_a_store_that_fails_changes_nothing(file: PositionFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old positions stay, and the next store succeeds."""
    file.store(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _refuse)
        with pytest.raises(OSError, match="full"):
            file.store({})
    assert file.load() == ONE
    file.store({})
    assert file.load() == {}


def _refuse(_: int) -> None:
    raise OSError("the disk is full")


def test_a_store_is_durable(file: PositionFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on disk before it takes the old one's place, then the folder: frames are removed on its word."""
    synced: list[tuple[bool, bool]] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(fd).st_mode), file.path.exists()))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    file.store(ONE)
    assert synced == [(False, False), (True, True)]


def test_only_its_owner_can_read_it(file: PositionFile) -> None:
    """Folder 0700, file 0600, whatever the umask allows."""
    umask = os.umask(0)
    try:
        file.store(ONE)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
