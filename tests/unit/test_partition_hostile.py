"""A partition in which somebody writes who is no agent: it stays small, and no other host's documents change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enrich.enricher import MAX_BAD
from enrich.letters import LetterKind
from enrich.partition import Partition
from enrich.sources import Taken
from shipper.wire.frame import MAX_PAYLOAD, PREFIX, Frame
from shipper.wire.reader import Damage, Gap, GapCause
from tests.unit.logged import Agent, bodies, merged, partition, placed, take
from tests.unit.spooled import losses
from tests.unit.stream import SECOND


def lost(made: Partition) -> dict[str, object]:
    """What is told as lost, by id."""
    return losses({document.id: document for document in made.made.documents})


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """A host's agent, and five programs."""
    return Agent(tmp_path, b"1" * 16).programs(2, 5)


def test_another_host_with_the_id_of_a_stream(agent: Agent) -> None:
    """Whoever knows a stream's id and its next number takes none of its frames away by it."""
    pieces = agent.taken()
    frame = pieces[3].piece
    assert isinstance(frame, Frame)
    foreign = replace(pieces[3], piece=replace(frame, host=b"x" * 16))
    made = take(partition(), placed([*pieces[:3], foreign, *pieces[3:]]))
    assert bodies(made.made.documents) == bodies(take(partition(), merged(pieces)).made.documents)
    assert [letter.body for letter in made.made.letters] == [replace(frame, host=b"x" * 16).encode()]


def crowd(agent: Agent, streams: int, time: int) -> list[Taken]:
    """So many streams, each of a host of its own and with one frame, which the log took at a time."""
    frame = agent.pieces[0]
    assert isinstance(frame, Frame)
    ids = [number.to_bytes(16) for number in range(1, streams + 1)]
    frames = [replace(frame, stream=each, host=each, time=time, payload=b"") for each in ids]
    return [Taken(0, 1, each.stream, each, time) for each in frames]


def test_more_streams_than_are_let_in(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """While all that stand speak, one more is refused, whole; no other host's documents change."""
    monkeypatch.setattr("enrich.partition.MAX_STREAMS", 5)
    told = agent.taken()
    made = take(partition(), placed([*told[:3], *crowd(agent, 20, told[2].time), *told[3:]]))
    assert len(made.streams) == 5
    assert len(made.claims.holders) == 5
    assert [letter.stream for letter in made.made.letters] == [each.to_bytes(16).hex() for each in range(5, 21)]
    own = [each for each in made.made.documents if each.id.startswith(agent.id.hex())]
    assert bodies(own) == bodies(take(partition(), merged(told)).made.documents)


def test_silent_streams_make_room(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that spoke longest ago goes, once it has been silent for a minute; it goes on where it was."""
    monkeypatch.setattr("enrich.partition.MAX_STREAMS", 5)
    told = agent.taken()
    crowded = [*crowd(agent, 5, told[2].time), *crowd(agent, 10, told[2].time + 61 * SECOND)[5:]]
    made = take(partition(), placed([*told[:3], *crowded]))
    assert list(made.streams) == [each.to_bytes(16) for each in range(6, 11)]
    assert made.ended[agent.id] == 3
    gone_on = take(made, placed([replace(each, time=each.time + 200 * SECOND) for each in told[3:]], made.place))
    assert not lost(gone_on).keys() & {f"{agent.id.hex()}-{number}-gap" for number in range(9)}


def test_many_pieces_that_wait(agent: Agent) -> None:
    """Damage without its gap, and gaps without a frame: what waits is bounded, and all of it is told."""
    told = agent.taken()
    damages = [Damage(1, "x.seg", offset, 9, b"\xff" * 99_999, "crc32 differs") for offset in range(100)]
    causes = list(GapCause)[:2]
    gaps = [Gap(number, number + 1, causes[number % 2]) for number in range(1, 1000)]
    made = take(partition(), merged(told[:1], []))
    made = take(made, placed(agent.taken(damages), made.place))
    assert len(made.save()) < 3 << 20
    made = take(made, placed(agent.taken(gaps), made.place))
    assert len(made.save()) < 1 << 20
    made.end()
    assert {letter.id for letter in made.made.letters} == {f"{agent.id.hex()}-1-byte{offset}" for offset in range(100)}
    assert sum(each["frames"] for each in lost(made).values()) == 999  # type: ignore[index]


def test_a_frame_of_nothing_but_tiny_records(agent: Agent) -> None:
    """Thousands of records that nobody understands, in a few bytes on the wire, are few letters and documents."""
    told = agent.taken()
    frame = told[2].piece
    assert isinstance(frame, Frame)
    tiny = replace(frame, payload=bytes(MAX_PAYLOAD), digest=b"")
    made = take(partition(), placed([*told[:2], replace(told[2], piece=tiny), *told[3:]]))
    *some, whole = made.made.letters
    assert {letter.kind for letter in some} == {LetterKind.RECORD}
    assert (len(some), whole.kind, whole.body) == (MAX_BAD, LetterKind.FRAME, tiny.payload)
    losses_ = [each.source["cgtrail"]["loss"] for each in made.made.documents if each.kind == "loss"]
    counts = [each["count"] for each in losses_ if each["cause"] == "not_understood"]
    assert len(counts) == MAX_BAD + 1
    assert sum(counts) == MAX_PAYLOAD // PREFIX
