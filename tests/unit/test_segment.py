"""The spool on disk: streams, segments, intervals, and what a segment's bytes are taken for."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.wire import segment as segments
from shipper.wire.frame import HEADER_SIZE, KEYFRAME, MAX_PAYLOAD, PREFIX, Frame, FrameError, TornFrameError
from shipper.wire.segment import COMMITTED, Piece, Stream, content, count, newest, scan, streams
from tests.unit.frames import (
    ID,
    NO_FILES,
    OTHER_ID,
    SECOND,
    bad_sector,
    chained,
    commit,
    frame,
    segment,
    stream_in,
    write,
)


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    """An empty stream."""
    return stream_in(tmp_path)


def numbers(pieces: list[Piece]) -> list[int]:
    """The numbers of the frames among some pieces."""
    return [piece.found.number for piece in pieces if isinstance(piece.found, Frame)]


def assert_tiled(pieces: list[Piece], size: int, offset: int = 0) -> None:
    """Pieces stand end to end from `offset`, none empty, up to the file's end."""
    for piece in pieces:
        assert piece.offset == offset < piece.end
        offset = piece.end
    assert offset == size


def test_a_stream_is_named_by_its_folder(stream: Stream) -> None:
    """Its id and when it was opened are the folder's name."""
    assert (stream.id, stream.opened) == (ID, 17)


def test_streams_come_in_the_order_they_were_opened(tmp_path: Path) -> None:
    """Oldest first; other files are no streams, and no folder is no stream."""
    for opened in (300, 20, 1000):
        stream_in(tmp_path, opened)
    (tmp_path / f"{1:020d}-{ID.hex()}").touch()
    (tmp_path / "lost-and-found").mkdir()
    (tmp_path / f"{9 * 10**18:020d}-{ID.hex()}").mkdir()
    (tmp_path / f"{'9' * 20}-{ID.hex()}").mkdir()
    (tmp_path / "readers").mkdir()
    assert [found.opened for found in streams(tmp_path)] == [20, 300, 1000]
    assert streams(tmp_path / "none") == []


def test_the_newest_stream_holds_a_segment(tmp_path: Path) -> None:
    """A folder of the right name without one may be anybody's, but when there is nothing else."""
    first, second, empty = (stream_in(tmp_path, opened) for opened in (10, 20, 30))
    assert newest(streams(tmp_path)) == empty
    segment(first, range(1))
    segment(second, range(1))
    assert newest(streams(tmp_path)) == second


def test_segments_come_in_order(stream: Stream) -> None:
    """By their first frame's number; other files are no segments."""
    for first in (100, 0, 20):
        segment(stream, range(first, first + 1))
    commit(stream, 1)
    (stream.path / "7.seg").touch()
    (stream.path / f"{8:020d}.seg.new").touch()
    assert [found.first for found in stream.segments()] == [0, 20, 100]
    assert stream.size == sum(found.size for found in stream.segments()) > 0


# The count of committed frames


@pytest.mark.parametrize("number", [0, 1, 255, 256, 2**63, 2**64 - 1])
def test_the_count_is_read_back(stream: Stream, number: int) -> None:
    """What the writer puts into the file is what its readers find."""
    commit(stream, number)
    assert stream.told() == stream.committed == number


@given(st.integers(0, 2**64 - 1), st.integers(0, 127))
def test_a_flipped_bit_of_the_count_is_noticed(tmp_path_factory: pytest.TempPathFactory, number: int, bit: int) -> None:
    """No single bit of the count can change and be believed."""
    stream = stream_in(tmp_path_factory.mktemp("spool"))
    damaged = bytearray(count(number))
    damaged[bit // 8] ^= 1 << bit % 8
    (stream.path / COMMITTED).write_bytes(damaged)
    assert stream.told() is None


@pytest.mark.parametrize("content", [None, b"", bytes(8), bytes(16), b"\xff" * 16, count(1)[:-1]])
def test_without_a_count_what_is_whole_counts(stream: Stream, content: bytes | None) -> None:
    """A count that is missing, cut or nonsense hides no frame, and a torn one isn't counted."""
    segment(stream, range(3))
    segment(stream, range(3, 5), tail=frame(5).encode()[:-1])
    if content is not None:
        (stream.path / COMMITTED).write_bytes(content)
    assert (stream.told(), stream.committed) == (None, 5)


def test_an_empty_last_segment_counts_nothing(stream: Stream) -> None:
    """A segment that was opened and not written yet says by its name how many there are before it."""
    segment(stream, range(3))
    segment(stream, range(3, 3))
    assert stream.committed == 3


def test_frames_behind_damage_are_counted(stream: Stream) -> None:
    """Damage in the last segment does not hide the frames behind it from the count."""
    segment(stream, range(1), tail=b"\xff" * 300 + frame(2).encode())
    assert stream.committed == 3


def test_nothing_is_committed_at_first(stream: Stream) -> None:
    """A stream without files has no frames."""
    assert (stream.told(), stream.committed, stream.segments(), stream.size) == (None, 0, [], 0)


# Segments and intervals


def test_a_segments_head_tells_of_its_first_frame(stream: Stream) -> None:
    """All of the header, without the payload."""
    file = write(stream, chained(b"one", b"two", keyframes=[0]))
    (found,) = stream.segments()
    head = found.head()
    assert head is not None
    assert (head.number, head.flags, head.time, head.payload) == (0, KEYFRAME, 0, b"")
    assert (found.path, found.size) == (file, file.stat().st_size)


@pytest.mark.parametrize("content", [b"", b"CGTF", b"\xff" * 500, None], ids=["empty", "cut", "garbage", "gone"])
def test_a_segment_without_a_first_frame_has_no_head(stream: Stream, content: bytes | None) -> None:
    """That is no error."""
    file = segment(stream, range(1))
    (found,) = stream.segments()
    file.write_bytes(content or b"")
    if content is None:
        file.unlink()
    assert found.head() is None
    assert found.size == len(content or b"")


def test_keyframes_begin_intervals(stream: Stream) -> None:
    """Segments are grouped from one keyframe to the next; an interval's time is its keyframe's."""
    frames = chained(*(b"%d" % number for number in range(6)), keyframes=[0, 3, 5])
    for first, end in [(0, 2), (2, 3), (3, 5), (5, 6)]:
        write(stream, frames[first:end])
    intervals = stream.intervals()
    assert [[found.first for found in interval.segments] for interval in intervals] == [[0, 2], [3], [5]]
    assert [(interval.first, interval.time) for interval in intervals] == [(0, 0), (3, 3 * SECOND), (5, 5 * SECOND)]
    assert sum(interval.size for interval in intervals) == stream.size


def test_a_damaged_head_joins_the_interval_before(stream: Stream) -> None:
    """Where it can't be told whether a segment begins with a keyframe, it is kept as long as the one before it."""
    frames = chained(b"0", b"1", b"2", keyframes=[0, 1, 2])
    for each in frames:
        write(stream, [each])
    stream.segments()[1].path.write_bytes(b"\xff" * 300)
    assert [[found.first for found in interval.segments] for interval in stream.intervals()] == [[0, 1], [2]]


def test_the_first_segment_begins_an_interval_whatever_it_holds(stream: Stream) -> None:
    """Its keyframe may have been removed or damaged: the time is that of the frame there is, or 0."""
    write(stream, chained(b"0", first=4))
    assert [(found.first, found.time) for found in stream.intervals()] == [(4, 4 * SECOND)]
    stream.segments()[0].path.write_bytes(b"")
    assert [(found.first, found.time) for found in stream.intervals()] == [(4, 0)]


# What a segment's bytes are taken for


def test_a_segment_holds_its_frames(stream: Stream) -> None:
    """Frames come back equal, each with its place."""
    frames = chained(b"one", b"two" * 30, b"")
    file = write(stream, frames)
    pieces = list(scan(file, ID))
    assert [piece.found for piece in pieces] == frames
    assert_tiled(pieces, file.stat().st_size)


def test_scanning_begins_anywhere(stream: Stream) -> None:
    """From a frame's offset, from the end, and from the middle of a frame, which is damage."""
    file = segment(stream, range(3))
    size = len(frame(0).encode())
    for offset in range(3 * size + 1):
        pieces = list(scan(file, ID, offset))
        assert numbers(pieces) == list(range(-(-offset // size), 3))
        assert_tiled(pieces, 3 * size, offset)


def test_a_file_that_is_gone_holds_nothing(stream: Stream) -> None:
    """The agent removes old segments while readers look at the folder."""
    assert list(scan(stream.path / f"{0:020d}.seg", ID)) == []


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_is_damage(stream: Stream, what: Callable[[Path], None]) -> None:
    """A folder, a FIFO or a link to itself in a segment's place, and in that of the count: told, and nothing hangs."""
    file = stream.path / f"{0:020d}.seg"
    what(file)
    (piece,) = scan(file, ID)
    assert isinstance(piece.found, FrameError)
    assert stream.segments()[0].head() is None
    assert stream.size >= 0
    what(stream.path / COMMITTED)
    assert stream.told() is None
    assert stream.committed == 0


def test_a_bad_sector_hides_only_what_is_in_it(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames before it and far enough behind it are read; the disk's word is the reason."""
    frames = chained(*[bytes(100_000)] * 30)
    file = write(stream, frames)
    bad_sector(monkeypatch, 250_000)
    pieces = list(scan(file, ID))
    assert numbers(pieces)[:2] == [0, 1]
    assert numbers(pieces)[-1] == 29
    (damage,) = [piece for piece in pieces if isinstance(piece.found, FrameError)]
    assert str(damage.found) == "Input/output error"
    assert_tiled(pieces, file.stat().st_size)
    assert content(file, damage.offset, 200_000) == file.read_bytes()[damage.offset : 250_000][: 12 * 4096]


def test_rights_and_a_lack_of_memory_are_no_damage(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is whole must not be given up because it can't be opened now."""
    file = segment(stream, range(2))
    for number in (errno.EACCES, errno.EMFILE, errno.ENOMEM):

        def refuse(*_: object, number: int = number) -> BinaryIO:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(segments, "open_regular", refuse)
            for ask in (lambda: list(scan(file, ID)), stream.told, stream.segments()[0].head):
                with pytest.raises(OSError, match=os.strerror(number)):
                    ask()


def test_an_empty_segment_holds_nothing(stream: Stream) -> None:
    """A segment that was opened and not written yet is no error."""
    assert list(scan(segment(stream, range(2, 2)), ID)) == []


@pytest.mark.parametrize("length", range(1, len(frame(2).encode())))
def test_a_torn_tail_is_the_last_piece(stream: Stream, length: int) -> None:
    """The bytes behind the last whole frame are one piece, wherever they end."""
    file = segment(stream, range(2), tail=frame(2).encode()[:length])
    pieces = list(scan(file, ID))
    assert numbers(pieces) == [0, 1]
    assert isinstance(pieces[-1].found, TornFrameError)
    assert_tiled(pieces, file.stat().st_size)


def test_another_streams_frames_are_damage(stream: Stream) -> None:
    """A frame with another id is none of this stream's, and the message names it."""
    foreign = Frame(OTHER_ID, b"h" * 16, b"b" * 16, 1, 0, b"")
    file = segment(stream, range(1), tail=foreign.encode() + frame(1).encode())
    pieces = list(scan(file, ID))
    assert numbers(pieces) == [0, 1]
    assert str(pieces[1].found) == f"a frame of stream {OTHER_ID.hex()}"


@pytest.mark.parametrize("size", [128, 256, 512, 344])
def test_a_damaged_length_hides_no_frame(stream: Stream, size: int) -> None:
    """Frames of equal size: a flipped bit of a length may lead to the frame after the next. It is not believed."""
    frames = chained(*[bytes(size - HEADER_SIZE - PREFIX)] * 6)
    whole = b"".join(each.encode() for each in frames)
    file = write(stream, frames)
    for bit in range(32):
        damaged = bytearray(whole)
        damaged[8 + bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        assert numbers(list(scan(file, ID))) == [1, 2, 3, 4, 5]


def test_the_length_of_a_damaged_frame_is_believed(stream: Stream) -> None:
    """A frame's payload is passed over, not searched, when its header leads to the frame of the next number."""
    inner = frame(7).encode()  # with this stream's own id, which nobody can know
    frames = [frame(0, inner), frame(1)]
    file = write(stream, frames)
    data = bytearray(file.read_bytes())
    data[HEADER_SIZE - 1] ^= 1
    file.write_bytes(data)
    assert numbers(list(scan(file, ID))) == [1]


@pytest.mark.parametrize("distance", [0, 1, (1 << 20) - 5, (1 << 20) - 4, (1 << 20) - 1, 1 << 20, 3 << 20])
def test_frames_are_found_behind_much_damage(stream: Stream, distance: int) -> None:
    """However long the damaged stretch is, and wherever the next frame's first bytes lie."""
    file = segment(stream, range(1), tail=bytes(distance) + frame(1).encode())
    pieces = list(scan(file, ID))
    assert numbers(pieces) == [0, 1]
    assert_tiled(pieces, file.stat().st_size)


def test_many_forged_headers_are_passed_over(stream: Stream) -> None:
    """Damage full of forged headers, each with the longest payload, ends in the next frame."""
    forged = Frame(OTHER_ID, b"h" * 16, b"b" * 16, 1, 0, bytes(MAX_PAYLOAD)).encode()[:HEADER_SIZE]
    file = segment(stream, range(1), tail=forged * 3000 + frame(1).encode())
    assert numbers(list(scan(file, ID))) == [0, 1]


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_pieces(tmp_path_factory: pytest.TempPathFactory, content: bytes, magic: bool) -> None:
    """Whatever a file holds is told as pieces end to end; bytes from nowhere are no frames."""
    file = tmp_path_factory.mktemp("any") / "file"
    file.write_bytes(b"CGTF\x02\0\x78\0" + content if magic else content)
    pieces = list(scan(file, ID))
    assert all(isinstance(piece.found, FrameError) for piece in pieces)
    assert_tiled(pieces, file.stat().st_size)
