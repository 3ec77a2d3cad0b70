"""`cgtrail deadletters` and `cgtrail enrich --from` where workers read Kafka: on the topics, as on the spool."""

from __future__ import annotations

import base64
import json
import os
import re
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from enrich.document import Document
from enrich.item import Item
from enrich.kafka.letters import KafkaLetters
from enrich.letters import Letter, LetterKind
from enrich.sinks import Status
from enrich.sinks.memory import MemorySink
from enrich.sinks.sqlite import SqliteSink
from enrich.steps.processes import ProcessTree
from enrich.stores.query import All
from enrich.stores.sqlite import SqliteStore
from shipper.wire.broker import Broker
from shipper.wire.message import Message, encode
from shipper.wire.reader import Reader
from shipper.wire.records import State
from tests.servers.kafka import Kafka, topics
from tests.servers.published import Writer, letters, reached, work, worker
from tests.unit import spooled
from tests.unit.fickle import Fickle
from tests.unit.ran import Run, runner, stored
from tests.unit.spooled import Spooled, garbage
from tests.unit.stream import SECOND, UNIX, container, exec_

ID = spooled.ID.hex()
HOSTILE = "\x1b]0;x\x07\x9b\u202e"


@pytest.fixture
def told(broker: Kafka) -> dict[str, str]:
    """The environment with topics of this test's own."""
    return topics(broker, partitions=3)


@pytest.fixture
def own(told: dict[str, str]) -> Broker:
    """The same for who reads and writes them."""
    return reached(told)


@pytest.fixture
def run(
    told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Runs the command on a data folder without a spool."""
    found = runner(monkeypatch, capfd, tmp_path)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def spool(tmp_path: Path) -> Spooled:
    """A container and five programs, elsewhere: on a host."""
    return spooled.five(tmp_path / "host")


def publish(own: Broker, spool: Spooled, *, since: int = 0) -> None:
    """Bring frames from a number on into the second partition."""
    writer = Writer(own, 1)
    for piece in Reader(spool.stream, since).read():
        writer.put(encode(b"h" * 16, spool.id, spool.opened, piece))
    writer.done()


def reasons(own: Broker) -> dict[str, str]:
    """The dead letters that there are, and why."""
    return {letter.id: letter.reason for letter in letters(own)}


def names(folder: Path) -> dict[str, str]:
    """What the local store has: id → program's name or cause of loss."""
    return stored(Spooled(folder))


# Looking


def test_there_are_none(run: Run, tmp_path: Path) -> None:
    """Without letters nothing is printed, and nothing is made."""
    for arguments in (["list"], ["list", "--json"], ["replay", "--all"]):
        result = run("deadletters", *arguments)
        assert (result.code, result.out) == (0, ""), result.err
    assert not list(tmp_path.glob("enrich.*"))


def test_list_and_show(run: Run, own: Broker, tmp_path: Path) -> None:
    """A letter is listed, shown with where it came from, and given as bytes; nothing of it is raw."""
    body = b"garbage" + HOSTILE.encode()
    writer = Writer(own, 2)
    writer.put(Message(HOSTILE.encode(), body, []))
    writer.done()
    work(own, tmp_path)
    name = f"{own.topics.raw}-2-0"
    lines = run("deadletters", "list").out.splitlines()
    assert lines[1].split()[:2] == [name, "frame"]
    (listed,) = map(json.loads, run("deadletters", "list", "--json").out.splitlines())
    assert (listed["id"], base64.b64decode(listed["body"])) == (name, body)
    assert listed["origin"].startswith(f"{own.topics.raw}-2, ")
    shown = run("deadletters", "show", name).out
    assert re.search(rf"^origin  {re.escape(own.topics.raw)}-2, ", shown, re.MULTILINE)
    assert "|garbage.]0;x" in shown
    assert not set("\x07\x1b\x9b\u202e") & set(shown)
    assert run("deadletters", "show", "nothing").code == 2


def test_no_broker(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can't be reached is one line that says so and what to do, and no wait for ever."""
    monkeypatch.setenv("CGTRAIL_KAFKA_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr("enrich.kafka.reading.SECONDS", 3.0)
    for arguments in (["deadletters", "list"], ["enrich", "--from", "1h"]):
        result = run(*arguments)
        assert result.code == 1
        assert "can't be read: no broker can be reached" in result.err
        assert "kafka.servers" in result.err


# Trying again


def test_documents_are_sent_again(run: Run, own: Broker, tmp_path: Path) -> None:
    """A document that the store takes now is stored, and its letter has a tombstone; another one stays, blamed."""
    good = {"event": {"id": f"{ID}-0-0", "dataset": "cgtrail.process"}, "process": {"name": "ls"}}
    bad = {"event": {"id": f"{ID}-1-0", "dataset": "cgtrail.process", "sequence": "no number"}}
    with closing(KafkaLetters(own)) as kept:
        for number, source in enumerate((good, bad)):
            place = (f"{ID}-{number}-0", LetterKind.DOCUMENT, ID, number, 0, number + 1)
            kept.add([Letter(*place, UNIX, "full", json.dumps(source).encode())])
    result = run("deadletters", "replay", "--all")
    assert result.code == 1, result.err
    assert "1 dead letters done, 1 stay" in result.err
    assert names(tmp_path) == {f"{ID}-0-0": "ls"}
    ((name, reason),) = reasons(own).items()
    assert (name, "event.sequence" in reason) == (f"{ID}-1-0", True)


def test_records_are_tried_again(
    run: Run, own: Broker, spool: Spooled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a newer version can do is delivered with all that the topic tells of it; what none can, stays."""
    taken = ProcessTree.__call__

    def fail(self: ProcessTree, item: Item) -> None:
        if getattr(item.record, "tgid", 0) in {3, 20, 40}:
            raise ValueError("a bug")
        taken(self, item)

    frame = spool.add(*(exec_(pid, 6, b"/bin/p%d" % pid) for pid in range(10, 22)), garbage())
    waiting = spool.add(*container(99, state=State.PENDING), exec_(40, 1, b"/bin/p40", cgroup_id=99))
    publish(own, spool)
    other = Spooled(tmp_path / "other", b"2" * 16, now=20 * SECOND)
    other.keyframe(*container(), first=True)
    lost = other.add(exec_(3, 1, b"/bin/other"))
    writer = Writer(own, 0)
    for piece in Reader(other.stream).read():
        writer.put(encode(b"h" * 16, other.id, other.opened, piece))
    writer.put(Message(b"", b"garbage", []))
    writer.done()
    with monkeypatch.context() as patched:
        patched.setattr(ProcessTree, "__call__", fail)
        work(own, tmp_path)
    failed = {f"{ID}-2-0", f"{ID}-{frame}-10", f"{ID}-{waiting}-2", f"{other.id.hex()}-{lost}-0"}
    never = {f"{ID}-{frame}-12", f"{own.topics.raw}-0-2"}
    (origin,) = (letter.origin for letter in letters(own) if letter.id == f"{ID}-{frame}-10")
    assert origin.startswith(f"{own.topics.raw}-1, offset {frame}, ")
    assert set(reasons(own)) == failed | never
    result = run("deadletters", "replay", "--all")
    assert result.code == 1
    assert f"{ID}-{frame}-12 stays: not_understood: " in result.err
    assert f"{own.topics.raw}-0-2 stays: it names no stream" in result.err
    assert f"{ID}-{waiting}-2 stays: its container is not told yet" in result.err
    assert set(reasons(own)) == never | {f"{ID}-{waiting}-2"}
    assert names(tmp_path) == {f"{ID}-2-0": "p3", f"{ID}-{frame}-10": "p20", f"{other.id.hex()}-{lost}-0": "other"}
    since = spool.add(*container(99))
    publish(own, spool, since=since)
    assert run("deadletters", "replay", f"{ID}-{waiting}-2").code == 0
    assert names(tmp_path)[f"{ID}-{waiting}-2"] == "p40"


def test_what_the_topic_does_not_hold(run: Run, own: Broker, spool: Spooled) -> None:
    """A record whose stream the topic does not hold stays, with that as its reason."""
    place = (f"{ID}-1-0", LetterKind.RECORD, ID, 1, 0, 2)
    with closing(KafkaLetters(own)) as kept:
        kept.add([Letter(*place, UNIX, "failed: KeyError", b"body", f"{own.topics.raw}-1, 7")])
    assert run("deadletters", "replay", "--all").code == 1
    assert reasons(own) == {f"{ID}-1-0": f"topic {own.topics.raw} does not hold it any more"}
    assert spool.number


def test_a_document_that_was_rejected(run: Run, own: Broker, spool: Spooled, tmp_path: Path) -> None:
    """A worker's store rejects a document: its letter is kept, shown as JSON, and delivered later."""
    name = f"{ID}-3-0"
    publish(own, spool)
    work(own, tmp_path, Fickle(lambda document, _: Status.REJECTED if document.id == name else None))
    assert list(reasons(own)) == [name]
    assert json.loads(run("deadletters", "show", name).out.partition("\n\n")[2])["process"]["pid"] == 4
    assert run("deadletters", "replay", name).code == 0
    assert (names(tmp_path), reasons(own)) == ({name: "p4"}, {})


def test_a_deadly_record_kills_only_a_child(
    run: Run, own: Broker, spool: Spooled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--all leaves it alone; by its name it is tried, in a process of its own, and delivered once it kills no more."""
    frame = spool.add(exec_(666, 1, b"/bin/deadly"))
    spool.tick(3)
    publish(own, spool)
    name, taken = f"{ID}-{frame}-0", ProcessTree.__call__
    with worker(own, tmp_path, MemorySink()) as made:
        for _ in range(3):
            made.checkpoints.died(ID, frame, 0)
    work(own, tmp_path)

    def die(self: ProcessTree, item: Item) -> None:
        if getattr(item.record, "tgid", 0) == 666:
            os._exit(9)
        taken(self, item)

    with monkeypatch.context() as patched:
        patched.setattr(ProcessTree, "__call__", die)
        assert "1 more are records that a worker died of" in run("deadletters", "replay", "--all").err
        assert run("enrich", "--from", "2023-11-14").code == 0
        assert "process died of it again (exit code 9)" in run("deadletters", "replay", name).err
        assert reasons(own) == {name: "deadly: a process died of it again (exit code 9)"}
    result = run("deadletters", "replay", name)
    assert (result.code, "1 dead letters done, 0 stay" in result.err) == (0, True)
    assert (names(tmp_path)[name], reasons(own)) == ("deadly", {})


# History


def committed(broker: Kafka, own: Broker) -> list[tuple[int, int]]:
    """Partition and place of all that the group has committed."""
    admin = broker.admin()
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(own.group)])
    found = asked[own.group].result(30).topic_partitions or []
    return sorted((each.partition, each.offset) for each in found)


def test_enrich_from(run: Run, broker: Kafka, own: Broker, spool: Spooled, tmp_path: Path) -> None:
    """The past goes where the sink says; the live group's places stay what they are, and so do its letters."""
    publish(own, spool)
    with closing(SqliteSink(tmp_path / "store", 36500)) as sink:
        work(own, tmp_path, _Through(sink))
    before, places = names(tmp_path), committed(broker, own)
    assert list(before.values()) == spooled.FIVE
    assert (1, spool.number) in places
    result = run("enrich", "--from", "2023-11-14")
    assert (result.code, result.out) == (0, ""), result.err
    assert re.search(r"cgtrail: 5 documents, 0 of them new; 2023-.*Z to .*Z; \d+\.\d s\n", result.err)
    assert "5 documents, 5 of them new" in run("enrich", "--from", "2023-11-14", "--into", tmp_path / "into").err
    assert len(SqliteStore(tmp_path / "into").after({}, All(), limit=100)[0]) == 5
    printed = run("enrich", "--from", "2023-11-14", "--sink", "stdout")
    assert [json.loads(line)["process"]["name"] for line in printed.out.splitlines()] == spooled.FIVE
    assert (names(tmp_path), committed(broker, own)) == (before, places)
    publish(own, spool)  # the group goes on where it was: all of this was sent before
    assert work(own, tmp_path) == {}


class _Through(MemorySink):
    """Gives what it takes to another sink too."""

    def __init__(self, behind: SqliteSink) -> None:
        super().__init__()
        self._behind = behind

    def write(self, documents: list[Document]) -> list[object]:  # type: ignore[override]
        """As Sink."""
        self._behind.write(documents)
        return super().write(documents)  # type: ignore[return-value]


def test_how_far_the_topic_reaches(run: Run, own: Broker, spool: Spooled) -> None:
    """Who asks for more than there is is told what there is, and gets that."""
    empty = run("enrich", "--from", "1h")
    assert (empty.code, f"topic {own.topics.raw} is empty" in empty.err) == (1, True)
    publish(own, spool)
    result = run("enrich", "--from", "2020-01-01")
    assert f"topic {own.topics.raw} reaches back to 2023-11-14T22:13:30.0" in result.err
    assert "5 documents" in result.err
    later = run("enrich", "--from", "2023-11-15")
    assert ("reaches" in later.err, "0 documents" in later.err) == (False, True)


def test_a_topic_that_was_cut(run: Run, broker: Kafka, own: Broker, spool: Spooled, tmp_path: Path) -> None:
    """Where the beginning was removed, replays begin at the oldest keyframe, and say so; that is no loss."""
    spool.now += 3600 * SECOND
    spool.keyframe(*container())
    for pid in range(50, 53):
        spool.add(exec_(pid, 1, b"/bin/p%d" % pid))
    spool.tick(8)
    publish(own, spool)
    live = work(own, tmp_path)
    cut = TopicPartition(own.topics.raw, 1, 4)
    admin = broker.admin()
    admin.delete_records([cut])[cut].result(30)
    result = run("enrich", "--from", "2023-11-14", "--sink", "stdout")
    assert f"topic {own.topics.raw} reaches back to 2023-11-14T23:13:3" in result.err
    made = [json.loads(line) for line in result.out.splitlines()]
    assert [each["process"]["name"] for each in made] == ["p50", "p51", "p52"]
    assert {each["event"]["id"] for each in made} < live.keys()
