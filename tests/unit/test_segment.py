"""The spool on disk, read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.wire.frame import Frame, FrameError, wrap
from shipper.wire.segment import COMMITTED, Reader, Stream, frames, streams

ID = bytes(range(16))


def frame(number: int) -> Frame:
    """A frame of this number."""
    return Frame(ID, b"h" * 16, b"b" * 16, number, 1, wrap(b"record of %d" % number))


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    """An empty stream."""
    path = tmp_path / f"{17:020d}-{ID.hex()}"
    path.mkdir()
    return Stream(path)


def segment(stream: Stream, numbers: range, *, tail: bytes = b"", name: int | None = None) -> Path:
    """Write a segment file with these frames, and bytes behind them."""
    file = stream.path / f"{numbers.start if name is None else name:020d}.seg"
    file.write_bytes(b"".join(frame(number).encode() for number in numbers) + tail)
    return file


def commit(stream: Stream, count: int) -> None:
    """Declare frames below this number readable."""
    (stream.path / COMMITTED).write_bytes(count.to_bytes(8, "little"))


def numbers(reader: Reader) -> list[int]:
    """The numbers of the frames that a reader gives now."""
    return [read.number for read in reader.read()]


def test_a_stream_is_named_by_its_folder(stream: Stream) -> None:
    """Its id and when it was opened are the folder's name."""
    assert (stream.id, stream.opened) == (ID, 17)


def test_streams_come_in_the_order_they_were_opened(tmp_path: Path) -> None:
    """Oldest first; other files are no streams, and no folder is no stream."""
    for opened in (300, 20, 1000):
        (tmp_path / f"{opened:020d}-{ID.hex()}").mkdir()
    (tmp_path / f"{1:020d}-{ID.hex()}").touch()
    (tmp_path / "lost-and-found").mkdir()
    assert [found.opened for found in streams(tmp_path)] == [20, 300, 1000]
    assert streams(tmp_path / "none") == []


def test_nothing_is_committed_at_first(stream: Stream) -> None:
    """A stream without a count has no readable frames, whatever its segments hold."""
    segment(stream, range(3))
    assert stream.committed == 0
    assert numbers(Reader(stream)) == []


@pytest.mark.parametrize("committed", range(8))
def test_only_committed_frames_are_read(stream: Stream, committed: int) -> None:
    """Frames are read up to the committed count and no further, over all segments."""
    segment(stream, range(3))
    segment(stream, range(3, 4))
    segment(stream, range(4, 7), tail=frame(7).encode()[:-1])
    commit(stream, committed)
    assert numbers(Reader(stream)) == list(range(committed))


@pytest.mark.parametrize("start", range(8))
def test_reading_begins_anywhere(stream: Stream, start: int) -> None:
    """A reader begins at any frame, at a segment's first and last too, and at the end."""
    segment(stream, range(3))
    segment(stream, range(3, 7))
    commit(stream, 7)
    assert numbers(Reader(stream, start)) == list(range(start, 7))


def test_what_is_read_is_what_was_written(stream: Stream) -> None:
    """Frames come back equal."""
    segment(stream, range(2))
    commit(stream, 2)
    assert list(Reader(stream).read()) == [frame(0), frame(1)]


def test_a_reader_follows(stream: Stream) -> None:
    """Asked again, a reader gives what was committed since, once, and crosses into new segments."""
    reader = Reader(stream)
    given = []
    for committed, segments in [(2, [range(3)]), (2, []), (3, []), (3, [range(3, 5)]), (5, []), (6, [range(5, 6)])]:
        for span in segments:
            segment(stream, span)
        commit(stream, committed)
        given.append(numbers(reader))
    assert given == [[0, 1], [], [2], [], [3, 4], [5]]


def test_a_reader_that_stops_in_between_goes_on_there(stream: Stream) -> None:
    """A caller that takes only some frames gets the others next time."""
    segment(stream, range(4))
    commit(stream, 4)
    reader = Reader(stream)
    reading = reader.read()
    assert next(reading).number == 0
    assert next(reading).number == 1
    del reading
    assert numbers(reader) == [2, 3]


def test_frames_written_while_reading_wait_for_the_next_time(stream: Stream) -> None:
    """What is committed after the reader was asked comes when it is asked again."""
    segment(stream, range(4))
    commit(stream, 1)
    reader = Reader(stream)
    reading = reader.read()
    assert next(reading).number == 0
    commit(stream, 4)
    assert list(reading) == []
    assert numbers(reader) == [1, 2, 3]


def test_a_torn_tail_may_be_cut_while_it_is_mapped(stream: Stream) -> None:
    """What stands behind the committed frames is never looked at: a new agent may cut it off meanwhile."""
    file = segment(stream, range(2), tail=frame(2).encode() + b"CGTF" + bytes(100_000))
    commit(stream, 2)
    reading = Reader(stream).read()
    assert next(reading).number == 0
    assert next(reading).number == 1
    with file.open("r+b") as opened:
        opened.truncate(2 * len(frame(0).encode()))
    assert list(reading) == []


@pytest.mark.parametrize("garbage", [bytes(500), b"\xff" * 500, b"CGTF" + b"\xff" * 500])
def test_garbage_behind_the_committed_frames_is_no_damage(stream: Stream, garbage: bytes) -> None:
    """A power cut may leave anything behind what was committed."""
    segment(stream, range(2), tail=garbage)
    commit(stream, 2)
    reader = Reader(stream)
    assert numbers(reader) == [0, 1]
    assert numbers(reader) == []


def test_a_damaged_frame_is_an_error(stream: Stream) -> None:
    """A committed frame that changed on disk is an error, after those before it."""
    file = segment(stream, range(3))
    data = bytearray(file.read_bytes())
    data[len(frame(0).encode()) + 130] ^= 1
    file.write_bytes(data)
    commit(stream, 3)
    reader = Reader(stream)
    reading = reader.read()
    assert next(reading).number == 0
    with pytest.raises(FrameError, match="crc32 differs"):
        next(reading)
    with pytest.raises(FrameError, match="crc32 differs"):
        numbers(reader)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_segment_is_a_hole(stream: Stream, missing: int) -> None:
    """Committed frames whose segment is gone are an error that names the first of them, not an endless wait."""
    files = [segment(stream, span) for span in (range(2), range(2, 4), range(4, 6))]
    commit(stream, 6)
    files[missing].unlink()
    reader = Reader(stream)
    read: list[int] = []
    with pytest.raises(FrameError, match=f"frame {2 * missing}"):
        read.extend(taken.number for taken in reader.read())
    with pytest.raises(FrameError, match=f"frame {2 * missing}"):
        numbers(reader)
    assert reader.number == 2 * missing


def test_a_cut_segment_is_a_hole(stream: Stream) -> None:
    """A committed frame that is there only in part is an error."""
    segment(stream, range(2), tail=frame(2).encode()[:-1])
    commit(stream, 3)
    reader = Reader(stream)
    with pytest.raises(FrameError, match="frame 2 is missing"):
        numbers(reader)
    assert reader.number == 2


def test_a_skipped_number_is_a_hole(stream: Stream) -> None:
    """Numbers are dense: one that is left out is an error that names both sides."""
    file = segment(stream, range(2))
    file.write_bytes(file.read_bytes() + frame(3).encode())
    commit(stream, 4)
    with pytest.raises(FrameError, match="frame 3 follows 1"):
        numbers(Reader(stream))


def test_an_empty_segment_has_no_frames(stream: Stream) -> None:
    """A segment that was opened and not written yet is no error."""
    file = segment(stream, range(2))
    segment(stream, range(2, 2))
    commit(stream, 2)
    assert numbers(Reader(stream)) == [0, 1]
    assert [read.number for read, _ in frames(file)] == [0, 1]
    assert list(frames(stream.segments()[1][1])) == []
    assert stream.size == file.stat().st_size
