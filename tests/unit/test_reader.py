"""Reading a stream: its committed frames in order, and what is told where some can't be read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.wire.frame import HEADER_SIZE, Frame, wrap
from shipper.wire.reader import MAX_DAMAGE, Damage, Gap, GapCause, Reader
from shipper.wire.segment import COMMITTED, Stream
from tests.unit.frames import (
    BOOT,
    HOST,
    ID,
    NO_FILES,
    OTHER_ID,
    assert_accounted,
    bad_sector,
    chained,
    commit,
    frame,
    frames_of,
    gaps_of,
    segment,
    stream_in,
    told,
    write,
)

MASKS = (0x01, 0x80, 0xFF)
FRAMES = chained(b"one", b"", b"three" * 9, b"four")
"""Two segments of two."""


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    """An empty stream."""
    return stream_in(tmp_path)


@pytest.fixture
def files(stream: Stream) -> list[Path]:
    """The two segments of FRAMES, committed."""
    commit(stream, 4)
    return [write(stream, FRAMES[:2]), write(stream, FRAMES[2:])]


def numbers(reader: Reader) -> list[int]:
    """The numbers of the frames that a reader gives now; nothing else is told."""
    found = told(reader)
    assert found == frames_of(found)
    return [read.number for read in frames_of(found)]


def missing(found: list[Frame | Damage | Gap]) -> list[int]:
    """The numbers that gaps cover."""
    return [number for gap in gaps_of(found) for number in range(gap.number, gap.end)]


def ends(frames: list[Frame]) -> list[int]:
    """Offsets behind each frame of a segment."""
    return list(accumulate(len(each.encode()) for each in frames))


# What is whole


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


def test_what_is_read_is_what_was_written(stream: Stream, files: list[Path]) -> None:
    """Frames come back equal."""
    assert told(Reader(stream)) == FRAMES


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
    assert [each.number for each in islice(reader.read(), 2)] == [0, 1]
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


def test_a_torn_tail_may_be_cut_while_it_is_read(stream: Stream) -> None:
    """What stands behind the committed frames is never looked at: a new agent may cut it off meanwhile."""
    file = segment(stream, range(2), tail=frame(2).encode() + b"CGTF" + bytes(100_000))
    commit(stream, 2)
    reading = Reader(stream).read()
    assert [next(reading).number, next(reading).number] == [0, 1]
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


def test_an_empty_segment_has_no_frames(stream: Stream) -> None:
    """A segment that was opened and not written yet is no error."""
    segment(stream, range(2))
    segment(stream, range(2, 2))
    commit(stream, 2)
    assert numbers(Reader(stream)) == [0, 1]


def test_a_stream_that_is_gone_has_nothing(stream: Stream, files: list[Path]) -> None:
    """Its folder may be removed under a reader."""
    reader = Reader(stream)
    assert next(reader.read()) == FRAMES[0]
    for file in [*files, stream.path / COMMITTED]:
        file.unlink()
    stream.path.rmdir()
    assert told(reader) == []


# Damage


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("number", [0, 1])
def test_any_changed_byte_costs_one_frame(stream: Stream, files: list[Path], number: int, mask: int) -> None:
    """Whichever byte changes: its frame is a gap, told with the bytes in its place, and all others are given."""
    file, frames = files[number], FRAMES[2 * number : 2 * number + 2]
    whole, behind = file.read_bytes(), ends(frames)
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= mask
        file.write_bytes(data)
        hit = next(index for index, end in enumerate(behind) if at < end)
        offset = behind[hit] - len(frames[hit].encode())
        reader = Reader(stream)
        found = told(reader)
        assert_accounted(found, 0, 4, FRAMES)
        (damage,) = [each for each in found if isinstance(each, Damage)]
        assert (damage.segment, damage.offset, damage.offset + damage.length) == (file.name, offset, behind[hit])
        assert damage.data == data[offset : behind[hit]]
        assert damage.number == frames[hit].number
        assert gaps_of(found) == [Gap(damage.number, damage.number + 1, GapCause.FRAME_DAMAGED)]
        assert told(reader) == []


@pytest.mark.parametrize("number", [0, 1])
def test_a_file_cut_anywhere_costs_what_was_cut(stream: Stream, files: list[Path], number: int) -> None:
    """Frames that are whole before the cut are given, and those of the other segment."""
    file, frames = files[number], FRAMES[2 * number : 2 * number + 2]
    whole, behind = file.read_bytes(), ends(frames)
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        reader = Reader(stream)
        found = told(reader)
        assert_accounted(found, 0, 4, FRAMES)
        assert missing(found) == [each.number for each, end in zip(frames, behind, strict=True) if end > length]
        cause = GapCause.FRAME_MISSING if length in {0, *behind} else GapCause.FRAME_DAMAGED
        assert [gap.cause for gap in gaps_of(found)] == [cause]
        assert told(reader) == []


@pytest.mark.parametrize("start", range(5))
def test_a_reader_that_begins_behind_damage_is_not_told_of_it(stream: Stream, files: list[Path], start: int) -> None:
    """It is told of frames from its own on."""
    files[0].write_bytes(b"\xff" + files[0].read_bytes()[1:])
    found = told(Reader(stream, start))
    assert_accounted(found, start, 4, FRAMES)
    assert missing(found) == [0][start:]
    assert any(isinstance(each, Damage) for each in found) == (start == 0)


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 16, bytes(16)], ids=["gone", "empty", "ones", "zeros"])
def test_without_a_count_a_whole_spool_is_read(stream: Stream, files: list[Path], content: bytes | None) -> None:
    """The count is a convenience: without it, everything that is whole is read."""
    file = stream.path / COMMITTED
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert told(Reader(stream)) == FRAMES


def test_with_any_damage_to_the_count_a_whole_spool_is_read(stream: Stream, files: list[Path]) -> None:
    """Whichever byte of the count changes or is cut off."""
    file = stream.path / COMMITTED
    whole = file.read_bytes()
    for at in range(len(whole)):
        for content in [whole[:at], *(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :] for mask in MASKS)]:
            file.write_bytes(content)
            assert told(Reader(stream)) == FRAMES


FORGED = Frame(OTHER_ID, HOST, BOOT, 1, 1, wrap(b"forged")).encode()
GARBAGE = {
    "zero": b"\0",
    "zeros": bytes(300),
    "ones": b"\xff" * 300,
    "magic": b"CGTF" * 40,
    "header": FRAMES[2].encode()[:HEADER_SIZE],
    "torn": FRAMES[1].encode()[:-1],
    "forged": FORGED,
    "repeated": FRAMES[0].encode(),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("place", range(4))
def test_garbage_between_frames_costs_none(stream: Stream, files: list[Path], garbage: bytes, place: int) -> None:
    """Whatever stands before a frame or behind a segment's last: no frame is missing, and none is made up."""
    file = files[place // 2]
    offset = 0 if place % 2 == 0 else ends(FRAMES[place - 1 : place])[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:offset] + garbage + whole[offset:])
    assert told(Reader(stream)) == FRAMES
    file.write_bytes(whole + garbage)
    assert told(Reader(stream)) == FRAMES


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_inside_a_frame_costs_it(stream: Stream, files: list[Path], garbage: bytes) -> None:
    """The frame that was torn apart is a gap, and the frame behind it is given."""
    whole = files[1].read_bytes()
    middle = len(FRAMES[2].encode()) // 2
    files[1].write_bytes(whole[:middle] + garbage + whole[middle:])
    found = told(Reader(stream))
    assert_accounted(found, 0, 4, FRAMES)
    assert gaps_of(found) == [Gap(2, 3, GapCause.FRAME_DAMAGED)]


@pytest.mark.parametrize("missing_file", [0, 1, 2])
def test_a_missing_segment_is_a_gap(stream: Stream, missing_file: int) -> None:
    """Committed frames whose segment is gone are told, not waited for. The oldest may have been removed for age."""
    segments = [segment(stream, span) for span in (range(2), range(2, 4), range(4, 6))]
    commit(stream, 6)
    segments[missing_file].unlink()
    reader = Reader(stream)
    found = told(reader)
    assert_accounted(found, 0, 6, [frame(number) for number in range(6)])
    cause = GapCause.FRAME_EXPIRED if missing_file == 0 else GapCause.FRAME_MISSING
    assert gaps_of(found) == [Gap(2 * missing_file, 2 * missing_file + 2, cause)]
    assert told(reader) == []


def test_without_any_segment_all_is_a_gap(stream: Stream) -> None:
    """Nothing stands where committed frames should be."""
    commit(stream, 6)
    assert told(Reader(stream, 2)) == [Gap(2, 6, GapCause.FRAME_MISSING)]


def test_a_skipped_number_is_a_gap(stream: Stream) -> None:
    """Numbers are dense: one that was left out is missing, not damaged."""
    segment(stream, range(2), tail=frame(3).encode())
    commit(stream, 4)
    found = told(Reader(stream))
    assert gaps_of(found) == [Gap(2, 3, GapCause.FRAME_MISSING)]
    assert [each.number for each in frames_of(found)] == [0, 1, 3]


@pytest.mark.parametrize("number", [4, 2**64 - 1])
def test_a_frame_of_a_later_segment_is_damage(stream: Stream, number: int) -> None:
    """A number that belongs behind the segment is nobody's: what stands behind such a frame is read."""
    segment(stream, range(1), tail=frame(number).encode() + frame(1).encode() + frame(3).encode())
    segment(stream, range(4, 6))
    commit(stream, 6)
    found = told(Reader(stream))
    assert [each.number for each in frames_of(found)] == [0, 1, 3, 4, 5]
    assert gaps_of(found) == [Gap(2, 3, GapCause.FRAME_MISSING)]


def test_a_misplaced_frame_explains_a_gap(stream: Stream) -> None:
    """Where nothing else stands in the place of frames, it is what damaged them."""
    segment(stream, range(1), tail=frame(9).encode())
    segment(stream, range(2, 4))
    commit(stream, 4)
    found = told(Reader(stream))
    assert gaps_of(found) == [Gap(1, 2, GapCause.FRAME_DAMAGED)]
    assert [each.reason for each in found if isinstance(each, Damage)] == [
        "frame 9, and the next segment begins with 2"
    ]


def test_a_gap_ends_with_what_is_committed(stream: Stream) -> None:
    """A frame behind the gap that is not committed yet is given once it is."""
    segment(stream, range(1), tail=b"\xff" * 200 + frame(4).encode())
    commit(stream, 3)
    reader = Reader(stream)
    assert gaps_of(told(reader)) == [Gap(1, 3, GapCause.FRAME_DAMAGED)]
    commit(stream, 5)
    found = told(reader)
    assert gaps_of(found) == [Gap(3, 4, GapCause.FRAME_DAMAGED)]
    assert frames_of(found) == [frame(4)]


def test_damage_is_kept_up_to_a_maximum(stream: Stream) -> None:
    """Of a long damaged stretch the length is told and the first bytes are kept."""
    file = segment(stream, range(1), tail=b"\xff" * (2 * MAX_DAMAGE) + frame(2).encode())
    commit(stream, 3)
    (damage,) = [each for each in told(Reader(stream)) if isinstance(each, Damage)]
    offset = len(frame(0).encode())
    assert (damage.number, damage.segment, damage.offset) == (1, file.name, offset)
    assert (damage.length, damage.data) == (2 * MAX_DAMAGE, b"\xff" * MAX_DAMAGE)


@pytest.mark.parametrize("taken", range(1, 5))
def test_a_reader_that_stops_at_damage_is_told_the_rest(stream: Stream, files: list[Path], taken: int) -> None:
    """Wherever its caller stops, frames and gaps come once, and a gap keeps its cause."""
    data = files[0].read_bytes()
    files[0].write_bytes(data[:-1])
    reader = Reader(stream)
    found = [*islice(reader.read(), taken), *told(reader)]
    assert_accounted(found, 0, 4, FRAMES)
    assert gaps_of(found) == [Gap(1, 2, GapCause.FRAME_DAMAGED)]


def test_a_segment_removed_while_it_is_read_is_expired(stream: Stream, files: list[Path]) -> None:
    """The agent removes old segments whether or not an undeclared reader has one open."""
    reader = Reader(stream)
    assert next(reader.read()) == FRAMES[0]
    files[0].unlink()
    assert told(reader) == [Gap(1, 2, GapCause.FRAME_EXPIRED), *FRAMES[2:]]


# What containers wrote is never taken for frames


def hostile(number: int) -> list[Frame]:
    """Three frames; the payload of the middle one is full of forged frames, right in every way but their stream."""
    forged = [Frame(OTHER_ID, HOST, BOOT, forged, 1, wrap(b"forged")) for forged in (number, 1, 2)]
    return chained(b"one", b"".join(each.encode() for each in forged), b"three")


@pytest.mark.parametrize("number", [0, 1, 2, 2**64 - 1])
def test_forged_frames_in_a_damaged_payload_are_not_believed(stream: Stream, number: int) -> None:
    """Whichever byte of the frame around them is damaged."""
    frames = hostile(number)
    file = write(stream, frames)
    commit(stream, 3)
    whole, behind = file.read_bytes(), ends(frames)
    for at in range(behind[0], behind[1]):
        for mask in MASKS:
            data = bytearray(whole)
            data[at] ^= mask
            file.write_bytes(data)
            found = told(Reader(stream))
            assert frames_of(found) == [frames[0], frames[2]]
            assert gaps_of(found) == [Gap(1, 2, GapCause.FRAME_DAMAGED)]


def test_forged_frames_in_a_cut_payload_are_not_believed(stream: Stream) -> None:
    """Wherever the file ends within the frame around them."""
    frames = hostile(1)
    file = write(stream, frames)
    commit(stream, 3)
    whole, behind = file.read_bytes(), ends(frames)
    for length in range(behind[0] + 1, behind[1]):
        file.write_bytes(whole[:length])
        found = told(Reader(stream))
        assert frames_of(found) == [frames[0]]
        assert gaps_of(found) == [Gap(1, 3, GapCause.FRAME_DAMAGED)]


# Whatever happens

Change = Callable[[bytes], bytes]
places = st.integers(0, 700)


def _overwritten(at: int, content: bytes) -> Change:
    return lambda data: data[:at] + content[: len(data) - at] + data[at + len(content) :]


def _inserted(at: int, content: bytes) -> Change:
    return lambda data: data[:at] + content + data[at:]


def _left_out(at: int, length: int) -> Change:
    return lambda data: data[:at] + data[at + length :]


contents = st.one_of(st.binary(min_size=1, max_size=200), st.sampled_from(list(GARBAGE.values())))
changes = st.one_of(
    st.builds(_overwritten, places, contents),
    st.builds(_inserted, places, contents),
    st.builds(_left_out, places, st.integers(1, 300)),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1), changes), max_size=5), st.integers(0, 5))
def test_a_reader_survives_anything(
    tmp_path_factory: pytest.TempPathFactory, changed: list[tuple[int, Change]], start: int
) -> None:
    """However its files were changed, a reader ends, and accounts for every number once."""
    stream = stream_in(tmp_path_factory.mktemp("spool"))
    files = [write(stream, FRAMES[:2]), write(stream, FRAMES[2:])]
    commit(stream, 4)
    for number, change in changed:
        files[number].write_bytes(change(files[number].read_bytes()))
    reader = Reader(stream, start)
    assert_accounted(told(reader), start, max(start, 4), FRAMES)
    assert told(reader) == []


@settings(max_examples=300)
@given(st.lists(st.tuples(places, st.binary(min_size=1, max_size=60)), max_size=4))
def test_what_was_not_overwritten_is_read(
    tmp_path_factory: pytest.TempPathFactory, overwritten: list[tuple[int, bytes]]
) -> None:
    """Every frame of which no byte changed is given, however much is damaged around it."""
    stream = stream_in(tmp_path_factory.mktemp("spool"))
    file = write(stream, FRAMES)
    commit(stream, 4)
    whole = file.read_bytes()
    data = whole
    for at, content in overwritten:
        data = _overwritten(at, content)(data)
    file.write_bytes(data)
    spans = zip([0, *ends(FRAMES)], ends(FRAMES), FRAMES, strict=False)
    intact = [each for start, end, each in spans if data[start:end] == whole[start:end]]
    found = told(Reader(stream))
    assert frames_of(found) == intact
    assert_accounted(found, 0, 4, FRAMES)
    assert all(each.stream == ID for each in frames_of(found))


# Files that can't be read


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("what", [*NO_FILES, lambda path: path.symlink_to("nowhere")])
def test_a_segment_that_is_no_file(stream: Stream, files: list[Path], what: Callable[[Path], None], at: int) -> None:
    """Its frames are a gap, and the other segment's are read."""
    files[at].unlink()
    what(files[at])
    found = told(Reader(stream))
    assert missing(found) == [2 * at, 2 * at + 1]
    assert_accounted(found, 0, 4, FRAMES)
    damage = [each for each in found if isinstance(each, Damage)]
    cause = GapCause.FRAME_DAMAGED if damage else GapCause.FRAME_MISSING
    assert [gap.cause for gap in gaps_of(found)] == [cause]
    assert all(each.reason and not each.data for each in damage)


@pytest.mark.parametrize("what", NO_FILES)
def test_a_count_that_is_no_file(stream: Stream, files: list[Path], what: Callable[[Path], None]) -> None:
    """What is whole on disk is read."""
    (stream.path / COMMITTED).unlink()
    what(stream.path / COMMITTED)
    assert numbers(Reader(stream)) == [0, 1, 2, 3]
    assert files


def test_a_bad_sector_is_damage(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is before it in its frame is kept; frames of other segments are read."""
    frames = chained(b"one", bytes(100_000), b"three")
    write(stream, frames[:2])
    write(stream, frames[2:])
    commit(stream, 3)
    bad_sector(monkeypatch, 50_000)
    found = told(Reader(stream))
    (damage,) = [each for each in found if isinstance(each, Damage)]
    assert (damage.number, damage.reason) == (1, "Input/output error")
    assert damage.data
    assert frames[1].encode().startswith(damage.data)
    assert gaps_of(found) == [Gap(1, 2, GapCause.FRAME_DAMAGED)]
    assert_accounted(found, 0, 3, frames)
