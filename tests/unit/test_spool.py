"""The spool's writer, and its reader beside it."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from bpf.events import CgroupRmdir
from shipper import spool as writer
from shipper.spool import Before, Spool
from shipper.wire.frame import KEYFRAME, MAX_PAYLOAD, Frame, stride, wrap
from shipper.wire.reader import Damage, Gap, Reader
from shipper.wire.records import AgentStop, End, Tick
from shipper.wire.segment import COMMITTED, count, streams
from tests.unit.frames import commit, frames_of, told

HOST, BOOT, NEXT_BOOT = b"h" * 16, b"b" * 16, b"c" * 16


def spool_of(folder: Path, boot: bytes = BOOT) -> Spool:
    """The spool that an agent would open."""
    return Spool(folder / "spool", HOST, boot)


def read(spool: Spool) -> list[Frame]:
    """Every readable frame of a spool's stream, none of which is missing."""
    found = told(Reader(spool.stream))
    frames = frames_of(found)
    assert found == frames
    return frames


def put(spool: Spool, *contents: bytes) -> None:
    """Add records and commit them: one frame."""
    for content in contents:
        spool.add(wrap(content), 1)
    spool.commit()


def assert_chained(frames: list[Frame]) -> None:
    """Numbers are dense from 0, and each frame names the digest of the one before."""
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert [frame.previous for frame in frames] == [bytes(16), *(frame.digest for frame in frames)][: len(frames)]


def test_records_are_read_as_they_were_added(tmp_path: Path) -> None:
    """A frame holds the records in order, how many they are, and whose they are."""
    with spool_of(tmp_path) as spool:
        spool.add(wrap(b"one") + wrap(b"two"), 2)
        spool.add(wrap(b"three"), 1)
        spool.commit()
        (frame,) = read(spool)
    assert [frame.payload[offset : offset + length] for _, offset, length in frame.records()] == [
        b"one",
        b"two",
        b"three",
    ]
    assert (frame.stream, frame.host, frame.boot) == (spool.stream.id, HOST, BOOT)
    assert (frame.number, frame.count, frame.previous) == (0, 3, bytes(16))


def test_nothing_is_readable_before_it_is_committed(tmp_path: Path) -> None:
    """What was added is in memory, and on disk once it is committed."""
    with spool_of(tmp_path) as spool:
        for _ in range(3):
            spool.add(wrap(bytes(MAX_PAYLOAD - 8)), 1)
        assert (read(spool), spool.stream.size, spool.number) == ([], 0, 0)
        assert spool.commit() == []
        assert len(read(spool)) == spool.number == 3


def test_frames_are_synced_before_they_are_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each fdatasync the new frames are written and not yet committed."""
    seen: list[tuple[int, int]] = []
    with spool_of(tmp_path) as spool:
        real = os.fdatasync

        def fdatasync(fd: int) -> None:
            seen.append((os.fstat(fd).st_size, spool.stream.committed))
            real(fd)

        monkeypatch.setattr(os, "fdatasync", fdatasync)
        put(spool, b"one")
        put(spool, b"two")
        size = len(read(spool)[0].encode())
    assert seen == [(size, 0), (2 * size, 1)]


def test_an_empty_commit_does_nothing(tmp_path: Path) -> None:
    """Without records there is no frame, no file and no sync."""
    with spool_of(tmp_path) as spool:
        spool.commit()
        assert spool.stream.segments() == []
        put(spool, b"one")
        before = spool.stream.size
        spool.commit()
        assert (spool.stream.size, spool.number) == (before, 1)


def test_leaving_commits(tmp_path: Path) -> None:
    """What was added is readable after a graceful end."""
    with spool_of(tmp_path) as spool:
        spool.add(wrap(b"one"), 1)
    assert len(read(spool)) == 1


def test_leaving_on_an_error_does_not_commit(tmp_path: Path) -> None:
    """After a failed write nothing is declared durable that may not be."""
    spool = spool_of(tmp_path)
    spool.add(wrap(b"one"), 1)
    spool.__exit__(OSError, OSError("disk full"), None)
    assert read(spool) == []


def test_a_frame_takes_no_more_than_its_maximum(tmp_path: Path) -> None:
    """Records that don't fit one frame go into the next; none is split or lost."""
    record = wrap(bytes(60_000))
    with spool_of(tmp_path) as spool:
        for _ in range(10):
            spool.add(record, 1)
        spool.commit()
        frames = read(spool)
    per_frame = MAX_PAYLOAD // stride(60_000)
    assert [frame.count for frame in frames] == [per_frame, per_frame, 10 - 2 * per_frame]
    assert max(len(frame.payload) for frame in frames) <= MAX_PAYLOAD
    assert_chained(frames)


def test_a_full_frame_is_used_to_its_last_byte(tmp_path: Path) -> None:
    """Exactly MAX_PAYLOAD bytes are one frame."""
    with spool_of(tmp_path) as spool:
        spool.add(wrap(bytes(MAX_PAYLOAD // 2 - 8)), 1)
        spool.add(wrap(bytes(MAX_PAYLOAD // 2 - 8)), 1)
        spool.commit()
        assert [len(frame.payload) for frame in read(spool)] == [MAX_PAYLOAD]


def test_what_no_frame_takes_is_refused(tmp_path: Path) -> None:
    """A record that no reader could read back is refused before it is written."""
    with spool_of(tmp_path) as spool:
        with pytest.raises(ValueError, match="a frame takes 262144"):
            spool.add(bytes(MAX_PAYLOAD + 8), 1)
        put(spool, b"one")
        assert len(read(spool)) == 1


def test_counts_are_kept(tmp_path: Path) -> None:
    """The writer says how many frames, records and bytes it wrote."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one", b"two")
        put(spool, b"three")
        assert (spool.number, spool.records, spool.bytes) == (2, 3, 2 * stride(3) + stride(5))


def test_segments_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment ends before it would pass its size; the next is named by its first frame, and the chain goes on."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 1000)
    with spool_of(tmp_path) as spool:
        for number in range(20):
            put(spool, b"record %d" % number)
        frames = read(spool)
        segments = spool.stream.segments()
    assert_chained(frames)
    assert len(frames) == 20
    assert len(segments) > 2
    assert all(segment.size <= 1000 for segment in segments)
    assert [segment.first for segment in segments] == [
        number for number in range(20) if number % (1000 // len(frames[0].encode())) == 0
    ]


def test_a_commit_covers_segments_that_were_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of one commit may lie in several segments."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", MAX_PAYLOAD + 200)
    with spool_of(tmp_path) as spool:
        reader = Reader(spool.stream)
        for _ in range(4):
            spool.add(wrap(bytes(MAX_PAYLOAD - 8)), 1)
        assert list(reader.read()) == []
        spool.commit()
        assert [frame.number for frame in reader.read()] == [0, 1, 2, 3]
        assert len(spool.stream.segments()) == 4


def test_an_agent_that_starts_again_goes_on(tmp_path: Path) -> None:
    """In the same boot the stream, its numbers and its digests continue."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
        put(spool, b"two")
    with spool_of(tmp_path) as again:
        put(again, b"three")
        assert again.stream == spool.stream
        assert_chained(read(again))
        assert len(read(again)) == 3
    assert len(streams(tmp_path / "spool")) == 1


def test_a_stream_that_was_never_written_is_left_alone(tmp_path: Path) -> None:
    """An agent that ended before its first frame leaves nothing to go on with."""
    with spool_of(tmp_path):
        pass
    with spool_of(tmp_path) as again:
        put(again, b"one")
        assert_chained(read(again))
    assert [stream.committed for stream in streams(tmp_path / "spool")] == [0, 1]


def test_a_new_boot_opens_a_new_stream(tmp_path: Path) -> None:
    """A stream belongs to one boot; the new one sorts behind it and counts from 0."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
    with spool_of(tmp_path, NEXT_BOOT) as following:
        put(following, b"two")
        assert_chained(read(following))
    assert [stream.id for stream in streams(tmp_path / "spool")] == [spool.stream.id, following.stream.id]


def test_a_clock_that_was_set_back_hides_no_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream opened in the past of its predecessor still sorts behind it."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
    monkeypatch.setattr("time.time_ns", lambda: 1_000)
    with spool_of(tmp_path, NEXT_BOOT) as following:
        put(following, b"two")
    with spool_of(tmp_path, NEXT_BOOT) as again:
        assert again.stream == following.stream
    assert [stream.id for stream in streams(tmp_path / "spool")] == [spool.stream.id, following.stream.id]


def test_another_hosts_spool_is_not_continued(tmp_path: Path) -> None:
    """A copied data folder doesn't mix two hosts in one stream."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
    with Spool(tmp_path / "spool", b"x" * 16, BOOT) as other:
        assert other.stream != spool.stream


@pytest.mark.parametrize("tail", [b"C", b"CGTF" + bytes(12), bytes(300), None], ids=["byte", "guard", "zeros", "frame"])
def test_a_torn_tail_is_cut(tmp_path: Path, tail: bytes | None) -> None:
    """What a killed agent left unfinished is cut off, and the chain goes on behind the last whole frame."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
        put(spool, b"two")
        whole = read(spool)
    segment = spool.stream.segments()[0].path
    size = segment.stat().st_size
    with segment.open("ab") as opened:
        opened.write(whole[1].encode()[:-1] if tail is None else tail)
    with spool_of(tmp_path) as again:
        assert segment.stat().st_size == size
        put(again, b"three")
        assert_chained(read(again))
        assert len(read(again)) == 3


def test_whole_frames_of_a_killed_agent_become_readable(tmp_path: Path) -> None:
    """A frame that was written and not committed is made durable and read, when the same boot goes on."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
        put(spool, b"two")
        commit(spool.stream, 1)
        assert len(read(spool)) == 1
    with spool_of(tmp_path) as again:
        assert len(read(again)) == 2


def test_a_killed_agent_may_leave_an_empty_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent killed between opening a segment and its first whole frame is still the same stream."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 200)
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
        put(spool, b"two")
    commit(spool.stream, 1)
    os.truncate(spool.stream.segments()[1].path, 100)
    with spool_of(tmp_path) as again:
        assert again.stream == spool.stream
        put(again, b"again")
        assert_chained(read(again))
        assert len(read(again)) == 2


@pytest.mark.parametrize(
    "content", [b"", bytes(16), count(0), count(1), None], ids=["empty", "zeros", "none", "one", "gone"]
)
def test_a_power_cut_hides_no_whole_frame(tmp_path: Path, content: bytes | None) -> None:
    """The count may be older than the frames after a power cut: the next boot's agent counts them anew."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
        put(spool, b"two")
    with spool.stream.segments()[0].path.open("ab") as opened:
        opened.write(bytes(5000))
    file = spool.stream.path / COMMITTED
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with spool_of(tmp_path, NEXT_BOOT) as following:
        assert following.stream != spool.stream
    assert spool.stream.told() == 2
    assert len(read(spool)) == 2


def test_damage_below_the_count_is_left_to_its_readers(tmp_path: Path) -> None:
    """A committed frame that is damaged is never cut off in silence: the agent begins another stream."""
    with spool_of(tmp_path) as spool:
        put(spool, b"one")
        put(spool, b"two")
    segment = spool.stream.segments()[0].path
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    with spool_of(tmp_path) as following:
        assert following.stream != spool.stream
    assert segment.read_bytes() == data


def test_only_root_can_read_it(tmp_path: Path) -> None:
    """What people type is in it: folders are 0700, files 0600, whatever the umask allows."""
    umask = os.umask(0)
    try:
        with spool_of(tmp_path) as spool:
            put(spool, b"one")
    finally:
        os.umask(umask)
    folder = tmp_path / "spool"
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_reader_follows_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader beside a writer that rotates sees every frame, once and in order, and never half of one."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 2000)
    total = 300
    with spool_of(tmp_path) as spool:

        def write() -> None:
            for number in range(total):
                put(spool, b"x" * (number % 50))

        thread = threading.Thread(target=write)
        thread.start()
        reader, found = Reader(spool.stream), list[Frame | Damage | Gap]()
        while thread.is_alive() or reader.number < spool.stream.committed:
            found += reader.read()
        thread.join()
    frames = frames_of(found)
    assert len(frames) == len(found) == total
    assert_chained(frames)


# Keyframes and times


def test_a_keyframe_begins_a_frame_and_a_segment(tmp_path: Path) -> None:
    """What was added before it is not in its frame; its frame is flagged; the chain goes on."""
    with spool_of(tmp_path) as spool:
        for content in (b"one", b"two", b"three"):
            spool.add(wrap(b"before"), 1)
            spool.keyframe()
            put(spool, content)
        frames = read(spool)
        assert_chained(frames)
        assert [frame.flags for frame in frames] == [0, KEYFRAME] * 3
        assert [segment.first for segment in spool.stream.segments()] == [0, 1, 3, 5]
        assert [interval.first for interval in spool.stream.intervals()] == [0, 1, 3, 5]


def test_only_a_keyframes_first_frame_is_flagged(tmp_path: Path) -> None:
    """A keyframe that needs several frames begins once."""
    with spool_of(tmp_path) as spool:
        spool.keyframe()
        for _ in range(3):
            spool.add(wrap(bytes(MAX_PAYLOAD - 8)), 1)
        spool.commit()
        assert [frame.flags for frame in read(spool)] == [KEYFRAME, 0, 0]


def test_a_keyframe_without_records_is_none(tmp_path: Path) -> None:
    """There is no empty frame; what comes next begins it."""
    with spool_of(tmp_path) as spool:
        spool.keyframe()
        spool.keyframe()
        spool.commit()
        assert spool.stream.segments() == []
        put(spool, b"one")
        assert [frame.flags for frame in read(spool)] == [KEYFRAME]


def test_frames_say_when_they_were_asked_for(tmp_path: Path) -> None:
    """The time is the caller's."""
    with spool_of(tmp_path) as spool:
        for time in (1, 2**63):
            spool.time = time
            put(spool, b"x")
        assert [frame.time for frame in read(spool)] == [1, 2**63]


# How the recording before ended


def test_the_first_spool_has_nothing_before(tmp_path: Path) -> None:
    """Nothing was recorded, so that nothing was missed."""
    with spool_of(tmp_path) as spool:
        assert spool.before == Before(0, End.NONE)
    with spool_of(tmp_path) as again:
        assert again.before == Before(0, End.NONE)


@pytest.mark.parametrize("boot", [BOOT, NEXT_BOOT], ids=["same boot", "next boot"])
@pytest.mark.parametrize(
    ("last", "end"),
    [
        ([AgentStop().encode()], End.STOPPED),
        ([Tick().encode(), b"another version's", AgentStop().encode()], End.STOPPED),
        ([AgentStop().encode(), Tick().encode()], End.KILLED),
        ([b"another version's"], End.KILLED),
        ([b""], End.KILLED),
    ],
)
def test_the_last_record_tells_how_it_ended(tmp_path: Path, boot: bytes, last: list[bytes], end: End) -> None:
    """Stopped only if AgentStop was the last; records of another version around it don't matter."""
    with spool_of(tmp_path) as spool:
        spool.time = 5
        put(spool, AgentStop().encode())
        spool.time = 9
        put(spool, *last)
    with spool_of(tmp_path, boot) as again:
        assert again.before == Before(9, end)


def test_a_payload_that_is_none_ends_no_agent(tmp_path: Path) -> None:
    """A last frame whose records make no sense counts as a kill, and the next agent starts."""
    with spool_of(tmp_path) as spool:
        spool.add(b"\xff" * 16, 1)
    with spool_of(tmp_path) as again:
        assert again.before.end == End.KILLED


def test_a_torn_end_is_passed_over(tmp_path: Path) -> None:
    """The newest whole frame tells; one that is damaged does not."""
    with spool_of(tmp_path) as spool:
        spool.time = 7
        put(spool, AgentStop().encode())
        spool.time = 9
        put(spool, b"torn")
    segment = spool.stream.segments()[0].path
    segment.write_bytes(segment.read_bytes()[:-1])
    with spool_of(tmp_path) as again:
        assert again.before == Before(7, End.STOPPED)


# Going on after damage


def spool_with_segments(tmp_path: Path) -> Spool:
    """A closed spool: four frames in two segments."""
    with spool_of(tmp_path) as spool:
        for number in range(4):
            if number % 2 == 0:
                spool.keyframe()
            put(spool, CgroupRmdir(cgroup_id=number).encode())
    return spool


def content(spool: Spool) -> dict[str, bytes]:
    """What the segments hold."""
    return {segment.path.name: segment.path.read_bytes() for segment in spool.stream.segments()}


def assert_goes_on(tmp_path: Path, spool: Spool, *, same: bool) -> None:
    """The next agent leaves every byte of the segments alone, and writes behind them or into another stream."""
    before = content(spool)
    with spool_of(tmp_path) as again:
        assert (again.stream == spool.stream) == same
        assert again.number == (4 if same else 0)
        assert again.used == sum(stream.size for stream in streams(tmp_path / "spool"))
        put(again, b"more")
        (found,) = [frame for frame in frames_of(told(Reader(again.stream))) if frame.payload == wrap(b"more")]
        assert found.number == (4 if same else 0)
    for name, data in content(spool).items():
        assert data.startswith(before[name])
    if not same:
        assert content(spool) == before


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("damaged", [0, 1])
def test_after_any_changed_byte_the_agent_goes_on(tmp_path: Path, damaged: int, mask: int) -> None:
    """In the last segment it means another stream; before it, the stream goes on. No committed byte is touched."""
    spool = spool_with_segments(tmp_path / "whole")
    whole = spool.stream.segments()[damaged].path.read_bytes()
    for at in range(len(whole)):
        folder = tmp_path / str(at)
        shutil.copytree(tmp_path / "whole", folder)
        spool.stream = streams(folder / "spool")[0]
        data = bytearray(whole)
        data[at] ^= mask
        spool.stream.segments()[damaged].path.write_bytes(data)
        assert_goes_on(folder, spool, same=damaged == 0)


@pytest.mark.parametrize("damaged", [0, 1])
def test_after_any_cut_the_agent_goes_on(tmp_path: Path, damaged: int) -> None:
    """Wherever a segment ends too early."""
    spool = spool_with_segments(tmp_path / "whole")
    whole = spool.stream.segments()[damaged].path.read_bytes()
    for length in range(len(whole)):
        folder = tmp_path / str(length)
        shutil.copytree(tmp_path / "whole", folder)
        spool.stream = streams(folder / "spool")[0]
        spool.stream.segments()[damaged].path.write_bytes(whole[:length])
        assert_goes_on(folder, spool, same=damaged == 0)


@pytest.mark.parametrize(
    "content",
    [None, *(count(4)[:n] for n in range(16)), *(count(4)[:n] + b"\xa5" + count(4)[n + 1 :] for n in range(16))],
)
def test_after_damage_to_the_count_the_agent_goes_on(tmp_path: Path, content: bytes | None) -> None:
    """The frames themselves tell how many there are."""
    spool = spool_with_segments(tmp_path)
    file = spool.stream.path / COMMITTED
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert_goes_on(tmp_path, spool, same=True)
    assert spool.stream.told() == 5
    assert_chained(read(spool))


@pytest.mark.parametrize("damaged", [0, 1])
def test_after_a_removed_segment_the_agent_goes_on(tmp_path: Path, damaged: int) -> None:
    """No number is used a second time when the last segment is gone."""
    spool = spool_with_segments(tmp_path)
    spool.stream.segments()[damaged].path.unlink()
    assert_goes_on(tmp_path, spool, same=damaged == 0)


def test_garbage_between_frames_is_left_to_readers(tmp_path: Path) -> None:
    """Nothing is missing, but frames stand behind what can't be read: the agent cuts nothing."""
    spool = spool_with_segments(tmp_path)
    segment = spool.stream.segments()[1].path
    data = segment.read_bytes()
    segment.write_bytes(data[: len(data) // 2] + b"garbage" + data[len(data) // 2 :])
    assert_goes_on(tmp_path, spool, same=False)
    assert len(read(spool)) == 4
