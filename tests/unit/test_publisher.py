"""How the publisher goes on: what it sends again, where it sends it, what counts as published, when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shipper.publish import publisher as publishing
from shipper.publish.client import ClientError, RefusedError
from shipper.publish.publisher import Publisher
from shipper.wire.broker import Broker
from shipper.wire.message import Message, read
from shipper.wire.position import Position, PositionFile, position_file
from tests.unit.spooled import ID, Spooled, five
from tests.unit.stream import UNIX

LATER = bytes(range(16, 32))


@dataclass
class Topic:
    """What brokers took, and what they do next. It stands for the client: the real one is in tests/servers."""

    partitions: int = 5
    taken: list[tuple[int, Message]] = field(default_factory=list)
    refuse: list[int] = field(default_factory=list)
    """Numbers of messages, counted over all, at which a client is refused, once each; what is behind it is too."""
    silent: int = 0
    """So many clients' messages are taken and never acknowledged."""
    backwards: bool = False
    """Acknowledgements come in the wrong order."""
    idle: list[Callable[[], None]] = field(default_factory=list)
    """What happens while the publisher waits for news, one thing at a time."""
    clients: int = 0

    def client(self, _: Broker) -> Client:
        """Another life of the client."""
        self.clients += 1
        return Client(self)

    @property
    def numbers(self) -> list[tuple[str, int]]:
        """Kinds and numbers of what was taken."""
        told = [read(message.key, message.value, message.headers) for _, message in self.taken]
        return [(type(each.piece).__name__, each.piece.number) for each in told]


class Client:
    """`shipper.publish.client.Client`, as the publisher uses it."""

    throttled = 0.0

    def __init__(self, topic: Topic) -> None:
        self.topic, self.heard, self.waiting = topic, dict[str, str](), list[Callable[[], None]]()
        self.failed, self.silent = False, topic.clients <= topic.silent

    def partitions(self, seconds: float) -> int:
        """How many there are."""
        assert seconds > 0
        return self.topic.partitions

    def send(self, message: Message, partition: int, arrived: Callable[[], None]) -> bool:
        """Takes it, unless it is to be refused."""
        self.failed = self.failed or len(self.topic.taken) in self.topic.refuse
        if not self.failed:
            self.topic.taken.append((partition, message))
            self.waiting.append(arrived)
        return True

    def poll(self, seconds: float) -> None:
        """Acknowledges what was taken, then tells of a refusal."""
        acknowledged, self.waiting = self.waiting, []
        for arrived in acknowledged[::-1] if self.topic.backwards else acknowledged:
            if not self.silent:
                arrived()
        if self.failed:
            self.topic.refuse.remove(len(self.topic.taken))
            raise RefusedError("NOT_ENOUGH_REPLICAS")
        if seconds and self.topic.idle:
            self.topic.idle.pop(0)()

    def close(self) -> None:
        """Nothing is left of it."""


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    """The publisher's cluster."""
    made = Topic()
    monkeypatch.setattr(publishing, "Client", made.client)
    monkeypatch.setattr(publishing, "BACKOFF_SECONDS", (0.001, 0.01))
    return made


def publish(data: Path, stop: threading.Event | None = None, *, follow: bool = False) -> tuple[bool, Publisher]:
    """A publisher's whole life."""
    made = Publisher(Broker(("nowhere:9092",)), data / "spool", stop or threading.Event())
    return made.run(follow=follow), made


def positions(data: Path) -> dict[str, Position]:
    """As they are stored."""
    return position_file(data / "spool", "kafka").load()


def boots(data: Path) -> tuple[int, int]:
    """Two streams; how many frames each has."""
    first, later = five(data), Spooled(data, LATER, UNIX + 1)
    later.keyframe(first=True)
    later.tick(2)
    return first.number, later.number


@pytest.mark.parametrize("at", [0, 1, 4, 8, 9, 11])
def test_a_refusal_leaves_nothing_out_and_nothing_before_its_time(topic: Topic, tmp_path: Path, at: int) -> None:
    """With a new client it goes on at the first piece that was not acknowledged, wherever that is."""
    first, later = boots(tmp_path)
    topic.refuse = [at]
    done, publisher = publish(tmp_path)
    wanted = [("Frame", number) for number in range(first)] + [("End", first)]
    assert topic.numbers == wanted + [("Frame", number) for number in range(later)]
    assert done
    assert topic.clients == 2
    assert publisher.facts()["errors"] == {"NOT_ENOUGH_REPLICAS": 1}
    assert publisher.facts()["error"] is None


def test_what_is_not_acknowledged_is_sent_again(topic: Topic, tmp_path: Path) -> None:
    """A client that dies without a word on what it sent: all of that comes twice, in order."""
    first = five(tmp_path).number
    topic.silent, topic.refuse = 1, [first - 1]
    assert publish(tmp_path)[0]
    assert topic.numbers == [("Frame", n) for n in range(first - 1)] + [("Frame", n) for n in range(first)]


def test_positions_are_behind_the_end_of_an_old_stream_and_the_frames_of_the_newest(
    topic: Topic, tmp_path: Path
) -> None:
    """Of the newest the last frame is kept, so that its end can be told; acknowledgements may come in any order."""
    first, later = boots(tmp_path)
    topic.backwards = True
    assert publish(tmp_path)[0]
    partition = topic.taken[0][0]
    assert positions(tmp_path) == {
        ID.hex(): Position(first + 1, first + 1, partition),
        LATER.hex(): Position(later, later - 1, partition),
    }
    assert publish(tmp_path)[0]
    assert len(topic.taken) == first + 1 + later


def test_a_stream_stays_in_its_partition_when_the_topic_grows(topic: Topic, tmp_path: Path) -> None:
    """Also across restarts; it is the partition that librdkafka's `consistent` gives the key, so hosts spread."""
    stream = five(tmp_path)
    publish(tmp_path)
    (chosen,) = {partition for partition, _ in topic.taken}
    topic.partitions = 1000
    stream.tick(3)
    publish(tmp_path)
    assert {partition for partition, _ in topic.taken} == {chosen}
    Spooled(tmp_path, LATER, UNIX + 1).tick()
    publish(tmp_path)
    assert {partition for partition, _ in topic.taken[-1:]} != {chosen}, "the next stream is chosen among all"
    assert topic.taken[-2][0] == chosen, "and the end of the one before it is where it was"


def test_a_stream_whose_partition_is_gone_goes_on_in_another(topic: Topic, tmp_path: Path) -> None:
    """A topic made anew with fewer partitions: from the position on, nothing from before it."""
    stream = five(tmp_path)
    before = stream.number
    publish(tmp_path)
    assert topic.taken[0][0] > 0
    topic.partitions, topic.taken = 1, []
    stream.tick(2)
    publish(tmp_path)
    assert topic.numbers == [("Frame", before), ("Frame", before + 1)]
    assert {partition for partition, _ in topic.taken} == {0}
    assert positions(tmp_path)[ID.hex()].partition == 0


def test_the_partition_is_stored_before_the_first_piece_is_sent(topic: Topic, tmp_path: Path) -> None:
    """A publisher that is killed at once, and a topic that grows then, do not move the stream."""
    five(tmp_path)
    topic.silent = 1
    stored: list[Position] = []
    stop = threading.Event()
    topic.idle = [lambda: stored.append(positions(tmp_path)[ID.hex()]), stop.set]
    publish(tmp_path, stop, follow=True)
    assert stored == [Position(0, 0, topic.taken[0][0])]


def test_what_was_written_right_before_a_stop_is_sent(topic: Topic, tmp_path: Path) -> None:
    """The agent's last frame comes between two looks into the spool, and the stop with it."""
    stream, stop = five(tmp_path), threading.Event()

    def last() -> None:
        stream.tick()
        stop.set()

    topic.idle = [lambda: None, last]
    assert publish(tmp_path, stop, follow=True)[0]
    assert topic.numbers[-1] == ("Frame", stream.number - 1)
    assert positions(tmp_path)[ID.hex()].next == stream.number


def test_a_stop_does_not_wait_for_brokers_for_ever(
    topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is acknowledged: it ends all the same, and what was not acknowledged does not count."""
    five(tmp_path)
    monkeypatch.setattr(publishing, "DRAIN_SECONDS", 0.2)
    topic.silent = 1
    stop = threading.Event()
    topic.idle = [stop.set]
    assert not publish(tmp_path, stop, follow=True)[0]
    assert positions(tmp_path)[ID.hex()].next == 0


def test_a_position_that_can_not_be_stored_stops_nothing(
    topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk of the host: all is sent; a later publisher sends it again, and workers drop it."""
    stream = five(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(PositionFile, "store", refuse)
        assert publish(tmp_path)[0]
    assert positions(tmp_path) == {}
    assert publish(tmp_path)[0]
    assert topic.numbers == [("Frame", number) for number in range(stream.number)] * 2


def test_facts_tell_how_far_it_is(topic: Topic, tmp_path: Path) -> None:
    """Before anything is acknowledged, and after all is."""
    stream = five(tmp_path)
    waiting = Publisher(Broker(("nowhere:9092",)), tmp_path / "spool", threading.Event())
    facts = waiting.facts()
    assert (facts["backlog_frames"], facts["sent_frames"], facts["stream"]) == (stream.number, 0, None)
    assert facts["lag_seconds"] > 0
    assert waiting.run(follow=False)
    facts = waiting.facts()
    assert (facts["backlog_frames"], facts["sent_frames"], facts["stream"]) == (0, stream.number, ID.hex())
    assert (facts["number"], facts["acknowledged"]) == (stream.number, stream.number)
    assert facts["partition"] == topic.taken[0][0]
    assert facts["sent_bytes"] == sum(len(message.value) for _, message in topic.taken)
    assert (facts["lag_seconds"], facts["in_flight"], facts["in_flight_age_seconds"]) == (0, 0, 0)


def test_a_password_that_was_changed_is_read_again(
    topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that brokers let in no more is given up while it waits; the next one is made of what files hold then."""
    five(tmp_path)
    topic.silent = 1
    monkeypatch.setattr(publishing, "HINT_SECONDS", 0.0)
    made: list[Broker] = []

    def client(broker: Broker) -> Client:
        made.append(broker)
        own = topic.client(broker)
        own.heard |= {"_ALL_BROKERS_DOWN": "1/1", "_AUTHENTICATION": "no"} if len(made) == 1 else {}
        return own

    monkeypatch.setattr(publishing, "Client", client)
    old, new = Broker(("nowhere:9092",)), Broker(("nowhere:9092",), security={"sasl.password": "new"})
    publisher = Publisher(old, tmp_path / "spool", threading.Event(), lambda: new)
    assert publisher.run(follow=False)
    assert made == [old, new]
    assert publisher.facts()["errors"] == {"_AUTHENTICATION": 1}


def test_settings_that_are_wrong_for_a_while_end_nothing(
    topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key whose certificate is not there yet: wrong from the beginning it ends the publisher, later it is told."""
    five(tmp_path)
    topic.refuse = [1]

    def client(broker: Broker) -> Client:
        if topic.clients == 1 and not wrong:
            wrong.append(True)
            message = "key and certificate do not match"
            raise ClientError(message)
        return topic.client(broker)

    wrong: list[bool] = []
    monkeypatch.setattr(publishing, "Client", client)
    done, publisher = publish(tmp_path)
    assert done
    assert publisher.facts()["errors"] == {"NOT_ENOUGH_REPLICAS": 1, "_INVALID_ARG": 1}
    topic.clients, wrong[:] = 1, []
    with pytest.raises(ClientError):
        publish(tmp_path)
