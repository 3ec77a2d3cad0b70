"""The worker loses nothing and doubles nothing, whatever the sink answers and whatever records and streams do."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest
from structlog.testing import capture_logs

from enrich import render
from enrich.document import Document
from enrich.item import Item
from enrich.letters import LetterKind
from enrich.sinks import Outcome, Status
from enrich.sinks.memory import MemorySink
from enrich.sources import READ_BYTES
from enrich.steps.processes import ProcessTree
from shipper.wire.frame import Frame
from shipper.wire.position import position_file
from shipper.wire.records import State
from shipper.wire.segment import COMMITTED, count
from tests.unit import spooled
from tests.unit.fickle import Fickle, Mending
from tests.unit.spooled import FIVE, Spooled, garbage, letters, losses, no_position, position, programs, work
from tests.unit.stream import BOX, container, exec_

ID = spooled.ID.hex()


# What the sink says


def test_all_is_stored(spool: Spooled) -> None:
    """Every program is a document, and the position is behind the last frame."""
    assert programs(work(spool.data)) == FIVE
    assert position(spool).next == spool.number
    assert work(spool.data) == {}


def test_again_until_it_is_stored(spool: Spooled) -> None:
    """What the sink can't take now is sent again, nothing else is, and the position waits for it."""
    sink = Fickle(lambda document, call: Status.RETRY if "-3-" in document.id and call < 4 else None)
    stop = Mending(lambda _: no_position(spool))
    with spooled.worker(spool.data, sink, stop) as worker:
        worker.run(follow=False)
    assert sorted(programs(sink.documents)) == FIVE
    assert sink.asked.count(f"{ID}-3-0") == 4
    assert sink.asked.count(f"{ID}-2-0") == 1
    assert stop.waits == 3
    assert position(spool).next == spool.number


def test_a_refusal_is_said_once(spool: Spooled) -> None:
    """However often it is tried again, until all is taken; what is refused then is said again."""
    sink = Fickle(lambda document, call: Status.RETRY if "-3-" in document.id and call % 4 else None)
    with capture_logs() as logs, spooled.worker(spool.data, sink, Mending(lambda _: None)) as worker:
        worker.run(follow=False)
        assert sink.calls == 4
        assert [each["reason"] for each in logs if "can't take" in each["event"]] == ["because"]
        worker._tell("again")
        assert [each["reason"] for each in logs if "can't take" in each["event"]] == ["because", "again"]


def test_stopped_while_the_sink_refuses(spool: Spooled) -> None:
    """A stop leaves at once what can't be stored; the next worker stores it, and what was stored is only repeated."""
    sink = Fickle(lambda document, _: Status.RETRY if "-3-" in document.id else None)
    stop = Mending(lambda _: stop.set())
    with spooled.worker(spool.data, sink, stop) as worker:
        worker.run()
    assert "p4" not in programs(sink.documents)
    no_position(spool)
    again = MemorySink()
    again.documents = dict(sink.documents)
    with spooled.worker(spool.data, again) as worker:
        worker.run(follow=False)
        assert worker.counts["duplicate"] == 4
    assert sorted(programs(again.documents)) == FIVE


def test_a_write_is_bounded_in_bytes(spool: Spooled) -> None:
    """However long the arguments are, and however much is waiting, one write is of about a megabyte of frames."""
    sizes: list[int] = []

    class Measuring(MemorySink):
        """Says how much each write was."""

        def write(self, batch: Sequence[Document]) -> list[Outcome]:
            sizes.append(sum(len(document.encode()) for document in batch))
            return super().write(batch)

    for pid in range(100, 400):
        spool.add(*(exec_(pid, 1, b"/bin/x", b"x" * 60_000) for _ in range(4)))
    work(spool.data, Measuring())
    assert sum(sizes) > 4 * max(sizes)
    assert max(sizes) < 4 * READ_BYTES


def test_what_is_never_taken_is_kept(spool: Spooled) -> None:
    """A rejected document is a dead letter with its content and the reason, and holds up nothing."""
    sink = Fickle(lambda document, _: Status.REJECTED if "-3-" in document.id else None)
    documents = work(spool.data, sink)
    assert programs(documents) == ["p2", "p3", "p5", "p6"]
    (letter,) = letters(spool.data)
    assert (letter.id, letter.kind, letter.reason) == (f"{ID}-3-0", LetterKind.DOCUMENT, "because")
    assert orjson.loads(letter.body)["process"]["name"] == "p4"
    assert position(spool).next == spool.number


def test_a_batch_in_which_all_happens(spool: Spooled) -> None:
    """Stored, repeated, refused and rejected in one batch: each document has the end that it was given."""
    said = {2: None, 3: Status.RETRY, 4: Status.REJECTED, 5: Status.DUPLICATE, 6: None}

    def answer(document: Document, call: int) -> Status | None:
        told = said[int(document.id.split("-")[1]) + 1]
        return None if told is Status.RETRY and call > 1 else told

    sink = Fickle(answer)
    with spooled.worker(spool.data, sink, Mending(lambda _: None)) as worker:
        worker.run(follow=False)
        assert dict(worker.counts) | {"frames": 0, "records": 0, "snapshots": 0} == {
            "frames": 0, "records": 0, "snapshots": 0, "ok": 3, "retry": 1, "rejected": 1, "duplicate": 1, "letters": 1,
            "exact": 5,
        }  # fmt: skip
    assert sorted(programs(sink.documents)) == ["p2", "p3", "p6"]


# What records do


def test_a_record_that_is_not_understood(spool: Spooled) -> None:
    """It is kept with its bytes and told as a loss once; its neighbours and the frames behind are documents."""
    numbered = exec_(7, 1, b"/bin/p7", owner=BOX, sequence=1)
    numbered.time = spool.now
    broken = bytearray(numbered.encode())
    broken[0] = 99
    spool.add(exec_(8, 1, b"/bin/p8"), bytes(broken), garbage(), exec_(9, 1, b"/bin/p9", owner=BOX, sequence=2))
    spool.tick(5)
    documents = work(spool.data)
    assert programs(documents) == [*FIVE, "p8", "p9"]
    frame = spool.number - 6
    lost = {"cause": "not_understood", "count": 1, "record": "99"}
    assert losses(documents) == {f"{ID}-{frame}-1-lost": lost, f"{ID}-{frame}-2-lost": lost}  # and not: not delivered
    kept = letters(spool.data)
    assert [letter.body for letter in kept] == [bytes(broken), garbage()]
    assert "record type 99 is not known" in kept[0].reason


def test_a_record_that_a_step_fails_on(spool: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a step raises, the stream goes on; the letter says what was raised and where."""
    taken = ProcessTree.__call__

    def fail(self: ProcessTree, item: Item) -> None:
        if getattr(item.record, "tgid", 0) == 4:
            raise RecursionError("too deep")
        taken(self, item)

    monkeypatch.setattr(ProcessTree, "__call__", fail)
    documents = work(spool.data)
    assert programs(documents) == ["p2", "p3", "p5", "p6"]
    assert losses(documents) == {f"{ID}-3-0-lost": {"cause": "failed", "count": 1, "record": "Exec"}}
    (letter,) = letters(spool.data)
    assert letter.reason.startswith("failed: RecursionError: too deep (fail, line ")
    assert not letter.deadly


def test_a_frame_whose_records_do_not_add_up(spool: Spooled) -> None:
    """What comes before the torn record is a document; the frame is a dead letter, and a loss."""
    spool.now += 1
    whole = spool.frame(exec_(8, 1, b"/bin/p8"))
    torn = Frame(whole.stream, whole.host, whole.boot, whole.number, 2, whole.payload + b"\xff" * 8, time=whole.time)
    with spool.segment(0).path.open("ab") as opened:
        opened.write(torn.encode())
    spool.number += 1
    spool.tick()
    documents = work(spool.data)
    assert programs(documents) == [*FIVE, "p8"]
    assert losses(documents) == {f"{ID}-{torn.number}-gap": {"cause": "frame_damaged", "frames": 1}}
    (letter,) = letters(spool.data)
    assert (letter.id, letter.kind, letter.body) == (f"{ID}-{torn.number}", LetterKind.FRAME, torn.payload)


def test_a_damaged_frame(spool: Spooled) -> None:
    """Its bytes are a dead letter that tells which frames they hid, and its documents are told as lost."""
    spool.damage(3)
    documents = work(spool.data)
    assert programs(documents) == ["p2", "p3", "p5", "p6"]
    assert losses(documents) == {f"{ID}-3-gap": {"cause": "frame_damaged", "frames": 1}}
    (letter,) = letters(spool.data)
    assert (letter.kind, letter.frame, letter.behind) == (LetterKind.FRAME, 3, 4)
    assert "crc32 differs" in letter.reason


def test_a_gap_is_one_however_it_was_met(spool: Spooled) -> None:
    """Frames that go missing while they are read are told as one gap, as to somebody who reads them later."""
    path = spool.segment(0).path
    whole = path.read_bytes()
    sink = MemorySink()
    with spooled.worker(spool.data, sink) as worker:
        worker.run(follow=False)
        first = spool.number
        for _ in range(3):  # the disk loses each of these frames
            spool.add(exec_(8, 1, b"/bin/p8"))
            path.write_bytes(whole)
        (spool.stream.path / COMMITTED).write_bytes(count(first + 1))
        worker._round()
        (spool.stream.path / COMMITTED).write_bytes(count(spool.number))
        worker._round()
        spool.tick()
        worker._round()
    assert losses(sink.documents) == {f"{ID}-{first}-gap": {"cause": "frame_missing", "frames": 3}}
    assert losses(work(spool.data)) == {}
    position_file(spool.data / "spool", "sqlite").path.unlink()
    assert losses(work(spool.data)) == losses(sink.documents)


# Several streams


def test_stream_after_stream(spool: Spooled) -> None:
    """Streams are read in order; one that has ended is done when all of it is stored."""
    second = Spooled(spool.data, b"2" * 16, spool.opened + 1)
    second.keyframe(*container(), first=True)
    second.add(exec_(2, 1, b"/bin/second"))
    assert programs(work(spool.data)) == [*FIVE, "second"]
    assert position(spool).next > spool.number
    assert position(second).next == second.number
    second.add(exec_(3, 1, b"/bin/more"))
    assert programs(work(spool.data)) == ["more"]


def test_what_waits_leaves_with_its_stream(spool: Spooled) -> None:
    """While a stream goes on, a document waits for its container; when it has ended, nothing more will be told."""
    spool.add(*container(99, state=State.PENDING), exec_(9, 1, b"/bin/waits", cgroup_id=99))
    assert programs(work(spool.data)) == FIVE
    later = Spooled(spool.data, b"2" * 16, spool.opened + 1)
    assert work(spool.data) == {}  # a folder is no stream yet
    later.keyframe()
    waited = work(spool.data)
    assert programs(waited) == ["waits"]
    assert [document.source["cgtrail"]["attribution"] for document in waited.values()] == ["unknown"]
    assert work(spool.data) == {}


def test_a_later_folder_without_a_segment(spool: Spooled) -> None:
    """Whoever made it, the stream that is written is not left for it."""
    Spooled(spool.data, b"9" * 16, spool.opened + 10**17)
    assert programs(work(spool.data)) == FIVE
    spool.add(exec_(8, 1, b"/bin/p8"))
    assert programs(work(spool.data)) == ["p8"]
    assert position(spool).next == spool.number


def test_a_stream_of_which_nothing_can_be_read(spool: Spooled) -> None:
    """Its gap lasts from when it was opened."""
    spool.segment(0).path.write_bytes(b"")
    Spooled(spool.data, b"2" * 16, spool.opened + 1).keyframe()
    (document,) = [each for each in work(spool.data).values() if each.id == f"{ID}-0-gap"]
    opened = render.timestamp(spool.opened)
    assert document.time == spool.opened
    assert (document.source["event"]["start"], document.source["@timestamp"]) == (opened, opened)


def test_a_gap_before_the_first_frame(spool: Spooled) -> None:
    """It lasts from when the stream was opened to that frame."""
    spool.damage(0)
    document = work(spool.data)[f"{ID}-0-gap"]
    assert document.source["event"]["start"] == render.timestamp(spool.opened)
    assert document.time > spool.opened


def test_a_segment_that_is_a_folder(spool: Spooled) -> None:
    """Its frames are a gap and a dead letter; the worker goes on."""
    spool.keyframe(*container())
    spool.add(exec_(9, 1, b"/bin/p9"))
    path = spool.segment(0).path
    path.unlink()
    path.mkdir()
    assert programs(work(spool.data)) == ["p9"]
    (letter,) = letters(spool.data)
    assert (letter.kind, letter.frame, letter.body) == (LetterKind.FRAME, 0, b"")
    assert letter.reason.startswith("Is a directory")


def test_what_waits_is_told_after_a_restart(spool: Spooled) -> None:
    """A document that waited in one worker leaves from the next with what was told meanwhile, once."""
    spool.add(*container(99, state=State.PENDING), exec_(9, 1, b"/bin/waits", cgroup_id=99))
    assert programs(work(spool.data)) == FIVE
    spool.add(*container(99))
    told = work(spool.data)
    assert programs(told) == ["waits"]
    assert [document.source["cgtrail"]["attribution"] for document in told.values()] == ["late"]
