"""What a worker's source gives of a topic on a real broker, with a taker that only remembers."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog
from confluent_kafka import Producer, TopicPartition

from enrich.kafka import source as sources
from enrich.kafka.member import QUEUE_KIB, FencedError
from shipper.wire.message import End, encode
from tests.servers.kafka import Kafka, topics
from tests.servers.recording import PATIENCE, Member, messages, reach, send, until


def _name(settings: dict[str, str], number: int) -> str:
    return f"{settings['CGTRAIL_KAFKA_TOPIC']}-{number}"


def _taken(member: Member) -> set[tuple[bytes, int]]:
    return {(each.stream, each.piece.number) for each in list(member.recorder.taken)}


def test_once_gives_every_message_of_many_partitions_in_order(broker: Kafka) -> None:
    """A hundred partitions, some empty: all is given, in order, with the broker's time, and then it ends."""
    settings = topics(broker, 100)
    send(broker, settings["CGTRAIL_KAFKA_TOPIC"], {n: messages(n, range(20)) for n in range(0, 100, 3)})
    stored: dict[str, list[int]] = {}
    member = Member(reach(settings), "", stored, flush=50, once=True)
    member.join()
    assert stored == {_name(settings, n): list(range(20)) if n % 3 == 0 else [] for n in range(100)}
    assert all(taken.time > 0 and taken.opened == 7 for taken in member.recorder.taken)
    again = Member(reach(settings), "", stored, once=True)
    again.join()
    assert not again.recorder.taken, "what is committed is not given again"
    assert {committed for _, committed, _ in again.recorder.begun} == {0, 20}


def test_what_is_none_of_ours_is_refused_and_passed(broker: Kafka) -> None:
    """Garbage, foreign headers, damage: told as what they are, between the pieces that are sound."""
    settings = topics(broker)
    topic = settings["CGTRAIL_KAFKA_TOPIC"]
    good = messages(1, range(3))
    send(broker, topic, {0: good[:1]})
    producer = Producer({"bootstrap.servers": broker.servers})
    producer.produce(topic, b"garbage", partition=0)
    producer.produce(topic, None, key=b"\xff\0", headers=[("cgtrail.stream", None)], partition=0)
    producer.produce(topic, good[1].value[:-1] + b"!", good[1].key, 0, headers=list(good[1].headers))
    producer.flush(30)
    send(broker, topic, {0: good[2:]})
    member = Member(reach(settings), "", {}, once=True)
    member.join()
    assert [taken.piece.number for taken in member.recorder.taken] == [0, 2]
    assert [each.place for each in member.recorder.refused] == [1, 2, 3]
    assert member.recorder.refused[0].body == b"garbage"
    assert member.recorder.refused[2].error.number == 1
    assert all(each.origin.startswith(f"{topic}-0, offset ") for each in member.recorder.refused)


def test_members_that_come_and_go_leave_nothing_out(broker: Kafka) -> None:
    """A storm of rebalances while messages flow: no message is left out."""
    rng = random.Random(7)  # noqa: S311  chance, no secret
    settings = topics(broker, 8)
    topic = settings["CGTRAIL_KAFKA_TOPIC"]
    stored: dict[str, list[int]] = {}
    done = threading.Event()

    def feed() -> None:
        for start in range(0, 600, 30):
            send(broker, topic, {n: messages(n, range(start, start + 30)) for n in range(8)})
            done.wait(0.3)

    feeding = threading.Thread(target=feed)
    feeding.start()
    # Without names: they leave at once. With names, a partition waits for its owner until the session is over.
    members = [Member(reach(settings), "", stored, flush=20)]
    for _ in range(10):
        members.append(Member(reach(settings), "", stored, flush=20))
        done.wait(rng.random())
        if len(members) > 3 or rng.random() < 0.4:
            members.pop(rng.randrange(len(members))).stop()
    feeding.join()
    for member in members[1:]:
        member.stop()
    members[0].stop()
    last = Member(reach(settings), "", stored, flush=20, once=True)
    last.join()
    for number in range(8):
        assert sorted(set(stored[_name(settings, number)])) == list(range(600)), number


def test_a_slow_store_keeps_its_place_in_the_group(broker: Kafka) -> None:
    """It waits for longer than `max.poll.interval.ms`: nothing is fetched beyond the bound, and nobody takes over."""
    settings = topics(broker, 2)
    topic = settings["CGTRAIL_KAFKA_TOPIC"]
    send(broker, topic, {n: messages(n, range(400), 100_000) for n in range(2)})
    stored: dict[str, list[int]] = {}
    slow = threading.Event()
    member = Member(
        reach(settings, max_poll_interval_ms="6500"), "a-0", stored, flush=10, stall=lambda: not slow.is_set()
    )
    until(lambda: member.recorder.taken != [], "the first message")
    rounds = member.source.facts()["rebalances"]
    other = Member(reach(settings), "b-0", stored, flush=10)
    until(lambda: other.recorder.begun != [], "the other member's partition")
    threading.Event().wait(9)
    assert member.source.facts()["queue"] <= (QUEUE_KIB + (8 << 10)) << 10
    assert not any(lost for _, lost in member.recorder.left)
    assert member.source.facts()["rebalances"] <= rounds + 4
    slow.set()
    until(lambda: len(_taken(member) | _taken(other)) == 800, "everything")  # some of it by both, perhaps
    member.stop()
    other.stop()
    assert {name: sorted(set(places)) for name, places in stored.items()} == {
        _name(settings, number): list(range(400)) for number in range(2)
    }


def test_a_partition_that_moves_is_committed_where_it_is_stored(broker: Kafka) -> None:
    """Who had it commits while it is told to give it up: the next owner stores nothing once more."""
    settings = topics(broker, 2)
    send(broker, settings["CGTRAIL_KAFKA_TOPIC"], {n: messages(n, range(400)) for n in range(2)})
    stored: dict[str, list[int]] = {}
    first = Member(reach(settings), "a-0", stored, flush=1000)  # it stores when it has to
    until(lambda: len(_taken(first)) == 800, "everything")
    second = Member(reach(settings), "b-0", stored, flush=1000)
    until(lambda: second.recorder.begun != [], "the other member's partition")
    second.stop()
    first.stop()
    assert [committed for _, committed, _ in second.recorder.begun] == [400]
    assert stored == {_name(settings, number): list(range(400)) for number in range(2)}


def test_once_ends_although_more_comes(broker: Kafka) -> None:
    """All that stood there at the beginning is taken; what comes all the time keeps nobody from his end."""
    settings = topics(broker, 2)
    topic = settings["CGTRAIL_KAFKA_TOPIC"]
    send(broker, topic, {0: messages(1, range(50)), 1: messages(2, range(50))})
    done = threading.Event()

    def more() -> None:
        number = 50
        while not done.is_set():
            send(broker, topic, {0: messages(1, [number]), 1: messages(2, [number])})
            number += 1

    sender = threading.Thread(target=more)
    sender.start()
    try:
        member = Member(reach(settings), "", {}, once=True)
        member.join()
    finally:
        done.set()
        sender.join()
    taken = [(each.stream, each.piece.number) for each in member.recorder.taken]
    assert {(bytes([stream]) * 16, number) for stream in (1, 2) for number in range(50)} <= set(taken)


def test_what_comes_while_the_store_is_slow_is_told(broker: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read meanwhile; how much waits is known all the same."""
    monkeypatch.setattr(sources, "ASK_SECONDS", 0.5)
    settings = topics(broker, 1)
    topic = settings["CGTRAIL_KAFKA_TOPIC"]
    send(broker, topic, {0: messages(1, range(10))})
    slow = threading.Event()
    member = Member(reach(settings), "", {}, flush=10, stall=lambda: not slow.is_set())
    until(lambda: member.source._paused, "the wait")
    send(broker, topic, {0: messages(1, range(10, 60))})
    until(lambda: member.source.facts()["lag"] == {_name(settings, 0): 50}, "what waits to be told")
    slow.set()
    until(lambda: member.source.facts()["lag"] == {_name(settings, 0): 0}, "everything to be taken")
    member.stop()


def test_a_member_that_is_back_gets_its_partitions_at_once(broker: Kafka) -> None:
    """With a name: the others notice nothing of its restart."""
    settings = topics(broker, 4)
    stored: dict[str, list[int]] = {}
    first = Member(reach(settings), "a-0", stored)
    until(lambda: len(first.recorder.places) == 4, "all partitions")
    second = Member(reach(settings), "a-1", stored)
    until(lambda: len(second.recorder.places) == 2, "half of them")
    had, moved = set(second.recorder.places), (list(first.recorder.begun), list(first.recorder.left))
    second.stop()
    again = Member(reach(settings), "a-1", stored)
    until(lambda: len(again.recorder.places) == 2, "the same ones")
    assert set(again.recorder.places) == had
    assert (first.recorder.begun, first.recorder.left) == moved
    first.stop()
    again.stop()


def test_who_is_not_let_in_says_so_once(broker: Kafka) -> None:
    """A group that does not take this member is asked again and again: it does not work again in between."""
    settings = topics(broker, 2)
    with structlog.testing.capture_logs() as logs:
        member = Member(reach(settings, session_timeout_ms="1"), "a-0", {})
        until(lambda: member.source.facts()["error"] is not None, "the refusal")
        threading.Event().wait(4)
        error = member.source.facts()["error"]
        member.stop()
    assert "do not allow a session so short" in error
    said = [each["event"] for each in logs if each["event"].startswith("reading Kafka")]
    assert said == ["reading Kafka is not possible now; trying again"]


def test_two_with_one_name(broker: Kafka) -> None:
    """The one who came first is told, and ends."""
    settings = topics(broker, 2)
    first = Member(reach(settings), "a-0", {})
    until(lambda: len(first.recorder.places) == 2, "all partitions")
    second = Member(reach(settings), "a-0", {})
    with pytest.raises(FencedError, match=r"'a-0' too, give each machine a kafka\.instance"):
        first.join()
    until(lambda: len(second.recorder.places) == 2, "all partitions")
    second.stop()


def test_what_is_gone_from_the_log_is_passed(broker: Kafka) -> None:
    """The topic's retention was faster than the worker: it goes on with the oldest message."""
    settings = topics(broker, 1)
    topic = settings["CGTRAIL_KAFKA_TOPIC"]
    send(broker, topic, {0: messages(1, range(10))})
    Member(reach(settings), "", {}, once=True).join()
    send(broker, topic, {0: messages(1, range(10, 20))})
    admin = broker.admin()
    for removed in admin.delete_records([TopicPartition(topic, 0, 15)]).values():
        removed.result(30)
    member = Member(reach(settings), "", {}, once=True)
    member.join()
    assert member.recorder.begun == [(_name(settings, 0), 10, 15)]
    assert [taken.place for taken in member.recorder.taken] == list(range(15, 20))


def test_a_place_beyond_the_end(broker: Kafka) -> None:
    """What was committed is not there, as after a wipe: it begins with the oldest."""
    settings = topics(broker, 1)
    topic = settings["CGTRAIL_KAFKA_TOPIC"]
    send(broker, topic, {0: messages(1, range(10))})
    first = Member(reach(settings), "", {}, once=True)
    first.join()
    extra = Member(reach(settings), "", {})
    until(lambda: extra.recorder.places != {}, "its partition")
    extra.recorder.places[_name(settings, 0)] = 1000
    extra.stop()
    member = Member(reach(settings), "", {}, once=True)
    member.join()
    assert [taken.place for taken in member.recorder.taken] == list(range(10))


def test_ends_and_keyframes_come_as_they_are(broker: Kafka) -> None:
    """An End is given like any other piece."""
    settings = topics(broker)
    send(broker, settings["CGTRAIL_KAFKA_TOPIC"], {0: [encode(b"h" * 16, b"s" * 16, 3, End(5))]})
    member = Member(reach(settings), "", {}, once=True)
    member.join()
    assert [taken.piece for taken in member.recorder.taken] == [End(5)]


def test_a_long_backlog_takes_no_memory(broker: Kafka) -> None:
    """Hundreds of megabytes wait in several partitions: what is read ahead has its bound."""
    settings = topics(broker, 4)
    topic = settings["CGTRAIL_KAFKA_TOPIC"]
    some = messages(1, range(50), 250_000)
    for _ in range(8):
        send(broker, topic, dict.fromkeys(range(4), some))
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers.drain", broker.servers, topic, settings["CGTRAIL_KAFKA_GROUP"]],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    taken, before, most = map(int, done.stdout.split()[-3:])
    print(f"{taken} messages, {before >> 20} MiB before, {most >> 20} MiB at the most")
    assert taken == 1600
    assert most - before < 160 << 20
