"""What of the spool is removed: whole intervals, oldest first, never what a declared reader needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper import spool as writer
from shipper.retention import CROWDED, Bounds, Retention
from shipper.spool import Spool
from shipper.wire.frame import wrap
from shipper.wire.position import Position, position_file
from shipper.wire.reader import Gap, GapCause, Reader
from shipper.wire.segment import Stream, streams
from tests.unit.frames import BOOT, HOST, SECOND, commit, frames_of, gaps_of, segment, stream_in, told

NEXT_BOOT = b"c" * 16
HOUR = 3600 * SECOND
NEVER = 1 << 62
"""Bytes, or nanoseconds, that no spool comes near."""


@pytest.fixture(autouse=True)
def _a_segment_for_each_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 1)


def record(folder: Path, hours: range, boot: bytes = BOOT) -> Stream:
    """A keyframe an hour, of two segments of one frame each; the agent stops at the end."""
    with Spool(folder, HOST, boot) as spool:
        for hour in hours:
            spool.time = hour * HOUR
            spool.keyframe()
            spool.add(wrap(b"keyframe"), 1)
            spool.commit()
            spool.add(wrap(b"more"), 1)
            spool.commit()
    return spool.stream


def kept(folder: Path) -> list[int]:
    """The hours whose keyframes are there, of every stream; each interval is whole."""
    found = [interval for stream in streams(folder) for interval in stream.intervals()]
    assert all(len(interval.segments) == 2 for interval in found)
    return [interval.time // HOUR for interval in found]


def size(folder: Path) -> int:
    """Bytes in the spool."""
    return sum(stream.size for stream in streams(folder))


def read_up_to(folder: Path, reader: str, positions: dict[Stream, int], **needs: int) -> None:
    """A reader has stored everything below these numbers, and needs nothing before them."""
    position_file(folder, reader).store(
        {stream.id.hex(): Position(number, needs.get("needs", number)) for stream, number in positions.items()}
    )


def by_age(*readers: str, hours: int = 2) -> Bounds:
    """Only age counts."""
    return Bounds(NEVER, hours * HOUR, readers)


def by_size(max_bytes: int, *readers: str) -> Bounds:
    """Only bytes count."""
    return Bounds(max_bytes, NEVER, readers)


def test_the_old_is_removed(tmp_path: Path) -> None:
    """An interval is old when too much was recorded since it ended; the bytes that were freed are told."""
    record(tmp_path, range(6))
    before = size(tmp_path)
    for hours in (5, 4, 3, 2, 1, 0):
        retention = Retention(tmp_path, by_age(hours=hours))
        freed = retention.run(before)
        assert kept(tmp_path) == list(range(max(4 - hours, 0), 6))
        assert freed == before - size(tmp_path)
        before -= freed
        assert retention.holding == []


@pytest.mark.parametrize("jump", [40 * 24, -40 * 24])
def test_a_clock_that_is_set_makes_nothing_old(tmp_path: Path, jump: int) -> None:
    """Nor does a host that was off: either counts as an hour at most, wherever it happened."""
    begun = 100 * 24
    record(tmp_path, range(begun, begun + 3))
    record(tmp_path, range(begun + jump, begun + jump + 3), NEXT_BOOT)
    record(tmp_path, range(begun + 3, begun + 6), HOST)
    assert Retention(tmp_path, by_age(hours=9)).run(size(tmp_path)) == 0
    assert Retention(tmp_path, by_age(hours=5)).run(size(tmp_path)) > 0
    assert kept(tmp_path)[-3:] == list(range(begun + 3, begun + 6))


def test_the_newest_interval_is_never_removed(tmp_path: Path) -> None:
    """It is being written, however old and big it is."""
    record(tmp_path, range(1))
    assert Retention(tmp_path, Bounds(1, 0)).run(NEVER) == 0
    assert kept(tmp_path) == [0]


def test_an_empty_spool_has_nothing_to_remove(tmp_path: Path) -> None:
    """Nor one that is not there yet."""
    assert Retention(tmp_path / "none", Bounds(1, 0)).run(0) == 0
    with Spool(tmp_path, HOST, BOOT):
        assert Retention(tmp_path, Bounds(1, 0)).run(0) == 0
    assert len(streams(tmp_path)) == 1


@pytest.mark.parametrize("stay", range(1, 7))
def test_what_crowds_is_removed(tmp_path: Path, stay: int) -> None:
    """Oldest first, and only until the spool is below its crowded part."""
    record(tmp_path, range(6))
    whole, each = size(tmp_path), size(tmp_path) // 6
    bound = int((stay * each + 1) / CROWDED) + 1
    assert Retention(tmp_path, by_size(bound)).run(whole) == (6 - stay) * each
    assert kept(tmp_path) == list(range(6 - stay, 6))


def test_what_a_reader_needs_is_kept(tmp_path: Path) -> None:
    """Neither age nor size counts for what a declared reader has not passed; it is named."""
    stream = record(tmp_path, range(6))
    retention = Retention(tmp_path, Bounds(1, 0, ("sqlite", "kafka")))
    read_up_to(tmp_path, "kafka", {stream: 12})
    for number, left in [(0, 6), (1, 6), (2, 5), (3, 5), (5, 4), (10, 1)]:
        read_up_to(tmp_path, "sqlite", {stream: number})
        retention.run(NEVER)
        assert kept(tmp_path) == list(range(6 - left, 6))
        assert retention.holding == (["sqlite"] if left > 1 else [])


def test_what_is_needed_again_is_kept(tmp_path: Path) -> None:
    """A reader may have stored all of an interval, and need it to start anew."""
    stream = record(tmp_path, range(6))
    read_up_to(tmp_path, "sqlite", {stream: 12}, needs=4)
    Retention(tmp_path, Bounds(1, 0, ("sqlite",))).run(NEVER)
    assert kept(tmp_path) == [2, 3, 4, 5]


@pytest.mark.parametrize("content", [None, b"", b"\xff{", b'{"%s":7}' % (b"0" * 32)])
def test_a_reader_that_has_not_read_keeps_everything(tmp_path: Path, content: bytes | None) -> None:
    """It was declared and never ran, or its file is damaged: nothing is lost for that."""
    record(tmp_path, range(4))
    file = position_file(tmp_path, "sqlite")
    file.store({})
    if content is None:
        file.path.unlink()
    else:
        file.path.write_bytes(content)
    retention = Retention(tmp_path, Bounds(1, 0, ("sqlite",)))
    assert retention.run(NEVER) == 0
    assert kept(tmp_path) == [0, 1, 2, 3]
    assert retention.holding == ["sqlite"]


def test_every_reader_that_holds_is_named(tmp_path: Path) -> None:
    """Of several declared readers the slowest counts."""
    stream = record(tmp_path, range(4))
    read_up_to(tmp_path, "a", {stream: 1})
    read_up_to(tmp_path, "b", {stream: 8})
    retention = Retention(tmp_path, Bounds(1, 0, ("a", "b", "c")))
    assert retention.run(NEVER) == 0
    assert retention.holding == ["a", "c"]


def test_an_undeclared_reader_is_told_what_expired(tmp_path: Path) -> None:
    """Its position holds nothing; it gets a gap, and the frames behind it."""
    stream = record(tmp_path, range(6))
    reader = Reader(stream)
    first = next(reader.read())
    read_up_to(tmp_path, "undeclared", {stream: 1})
    read_up_to(tmp_path, "sqlite", {stream: 12})
    Retention(tmp_path, by_age("sqlite", hours=1)).run(size(tmp_path))
    found = [first, *told(reader)]
    assert gaps_of(found) == [Gap(1, 6, GapCause.FRAME_EXPIRED)]
    assert [each.number for each in frames_of(found)] == [0, *range(6, 12)]


def test_old_streams_vanish(tmp_path: Path) -> None:
    """A stream that nothing is left of loses its folder; the streams' order is that of their boots."""
    old, new = record(tmp_path, range(3)), record(tmp_path, range(3, 6), NEXT_BOOT)
    retention = Retention(tmp_path, by_size(1, "sqlite"))
    read_up_to(tmp_path, "sqlite", {old: 4})
    retention.run(NEVER)
    assert kept(tmp_path) == [2, 3, 4, 5]
    read_up_to(tmp_path, "sqlite", {old: 6})
    retention.run(NEVER)
    assert kept(tmp_path) == [3, 4, 5]
    assert streams(tmp_path) == [new]
    assert not old.path.exists()
    read_up_to(tmp_path, "sqlite", {old: 6, new: 6})
    retention.run(NEVER)
    assert kept(tmp_path) == [5]


def test_the_last_interval_of_an_old_stream_ages(tmp_path: Path) -> None:
    """It ends where the next stream begins."""
    record(tmp_path, range(1))
    record(tmp_path, range(1, 4), NEXT_BOOT)
    assert Retention(tmp_path, by_age()).run(0) == 0
    assert Retention(tmp_path, by_age(hours=1)).run(0) > 0
    assert kept(tmp_path) == [1, 2, 3]


def test_a_folder_with_something_else_stays(tmp_path: Path) -> None:
    """Nothing that is not the spool's is removed."""
    old = record(tmp_path, range(1))
    record(tmp_path, range(1, 2), NEXT_BOOT)
    (old.path / "note").touch()
    Retention(tmp_path, Bounds(1, 0)).run(NEVER)
    assert [path.name for path in old.path.iterdir()] == ["note"]


def test_streams_that_were_never_written_vanish(tmp_path: Path) -> None:
    """An agent that ended before its first commit leaves a folder; the newest may still be written."""
    for _ in range(3):
        with Spool(tmp_path, HOST, BOOT):
            pass
    assert len(streams(tmp_path)) == 3
    Retention(tmp_path, Bounds(NEVER, NEVER, ("sqlite",))).run(0)
    assert len(streams(tmp_path)) == 1


def test_a_stream_whose_segments_are_missing_stays(tmp_path: Path) -> None:
    """Its readers are told that frames are missing; it was not the agent that removed them."""
    lost = stream_in(tmp_path, 1)
    commit(lost, 3)
    record(tmp_path, range(1))
    Retention(tmp_path, Bounds(NEVER, NEVER)).run(0)
    assert told(Reader(lost)) == [Gap(0, 3, GapCause.FRAME_MISSING)]


def test_damage_removes_nothing_early(tmp_path: Path) -> None:
    """An interval whose head is damaged joins the one before it: it is kept as long as its readers need either."""
    stream = record(tmp_path, range(4))
    damaged = stream.segments()[2].path
    damaged.write_bytes(b"\xff" + damaged.read_bytes()[1:])
    read_up_to(tmp_path, "sqlite", {stream: 3})
    retention = Retention(tmp_path, Bounds(1, 0, ("sqlite",)))
    assert retention.run(NEVER) == 0
    read_up_to(tmp_path, "sqlite", {stream: 4})
    assert retention.run(NEVER) > 0
    assert stream.segments()[0].first == 4


@given(st.integers(1, 8), st.integers(0, 17), st.integers(0, 3000))
def test_readers_come_before_bounds(
    tmp_path_factory: pytest.TempPathFactory, hours: int, needs: int, bound: int
) -> None:
    """Whatever the bounds: all that the reader needs is there, and what is left is the newest, whole."""
    folder = tmp_path_factory.mktemp("spool")
    stream = record(folder, range(hours))
    read_up_to(folder, "sqlite", {stream: needs})
    before = size(folder)
    freed = Retention(folder, Bounds(bound + 1, 2 * HOUR, ("sqlite",))).run(before)
    left = kept(folder)
    assert left == list(range(hours))[-len(left) :]
    assert freed == before - size(folder)
    assert not gaps_of(told(Reader(stream, needs)))
    if len(left) > 1 and needs >= 2 * left[1]:
        assert size(folder) <= CROWDED * (bound + 1)
        assert hours - 1 - left[1] <= 2


def test_segments_without_a_keyframe_are_removed_too(tmp_path: Path) -> None:
    """A removal that was interrupted leaves the end of an interval: it goes with the next run."""
    stream = record(tmp_path, range(3))
    stream.segments()[0].path.unlink()
    Retention(tmp_path, by_size(1)).run(NEVER)
    assert kept(tmp_path) == [2]


def test_empty_segments_are_counted_as_they_are(tmp_path: Path) -> None:
    """A segment that holds nothing frees nothing, and goes."""
    stream = record(tmp_path, range(2))
    empty = segment(stream, range(0))
    before = size(tmp_path)
    assert Retention(tmp_path, by_size(1)).run(NEVER) == before - size(tmp_path)
    assert not empty.exists()
