"""A partition makes of its streams what each makes alone, whatever stands between them or is sent again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.letters import LetterKind
from enrich.partition import MAX_ENDED, Partition
from enrich.snapshot import SnapshotError
from enrich.sources import Refused, Taken
from shipper.wire.frame import Frame, wrap
from shipper.wire.message import End, MessageError
from shipper.wire.reader import Damage, Gap, GapCause
from shipper.wire.records import KeyframeBegin
from tests.unit.logged import NAME, Agent, bodies, merged, partition, placed, take
from tests.unit.spooled import losses
from tests.unit.stream import SECOND, UNIX

DAY = 24 * 3600 * SECOND


def lost(made: Partition) -> dict[str, object]:
    """What is told as lost, by id."""
    return losses({document.id: document for document in made.made.documents})


def programs(made: Partition) -> list[str]:
    """The programs that became documents."""
    return [each.source["process"]["name"] for each in made.made.documents if each.kind == "process"]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """A host's agent, and five programs."""
    return Agent(tmp_path, b"1" * 16).programs(2, 5)


@pytest.fixture
def agents(tmp_path: Path) -> list[Agent]:
    """Three hosts that have the same processes, and other programs."""
    return [Agent(tmp_path, b"%d" % n * 16, b"%dh" % n * 8).programs(n + 2, 3 + n) for n in range(3)]


def everything(agents: list[Agent]) -> list[Taken | Refused]:
    """Their streams in one partition, each with its end."""
    return merged(*(agent.taken([*agent.pieces, agent.end]) for agent in agents))


def test_each_as_if_alone(agents: list[Agent]) -> None:
    """Streams of several hosts in one partition make the documents that each makes alone."""
    together = bodies(take(partition(), everything(agents)).made.documents)
    for agent in agents:
        alone = take(partition(), merged(agent.taken([*agent.pieces, agent.end]))).made.documents
        assert alone
        assert [each for each in together if each[0].startswith(agent.id.hex())] == bodies(alone)


def test_saved_at_every_place(agents: list[Agent]) -> None:
    """Whoever goes on where another one saved makes what he would have made; damage, gap and refusals included."""
    agents[0].spooled.damage(3)
    clone = Agent(agents[1].folder, b"9" * 16, agents[1].host, b"c" * 16).programs(100, 2)
    log = merged(*(agent.taken([*agent.pieces, agent.end]) for agent in [*agents, clone]))
    log[9:9] = [Refused(0, 1, MessageError("nonsense"), b"nonsense")]
    log = placed(log)
    whole = take(partition(), log).made
    for place in range(len(log)):
        before = take(partition(), log[:place])
        after = partition(committed=place)
        after.restore(place, before.save())
        take(after, log[place:])
        assert bodies([*before.made.documents, *after.made.documents]) == bodies(whole.documents)
        assert [*before.made.letters, *after.made.letters] == whole.letters


def test_from_a_place_to_the_committed_one(agents: list[Agent]) -> None:
    """What lies before the committed place makes no documents; what comes behind it is what it always was."""
    log = everything(agents)
    whole = bodies(take(partition(), log).made.documents)
    for committed in range(len(log)):
        before = bodies(take(partition(), log[:committed]).made.documents)
        assert bodies(take(partition(committed=committed), log).made.documents) == whole[len(before) :]


@pytest.mark.parametrize("seed", range(8))
def test_sent_again(agents: list[Agent], seed: int) -> None:
    """However often an agent goes back and sends again, ends included, nothing changes, and it is counted."""
    rng, counts = Random(seed), Counter[str]()  # noqa: S311  no secrets are made
    agents[0].spooled.damage(4)
    streams = []
    for agent in agents:
        pieces = agent.taken([*agent.pieces, agent.end])
        sent, at = list[Taken](), 0
        while at < len(pieces):
            sent.append(pieces[at])
            at += 1
            if rng.random() < 0.3:
                at = rng.randrange(at)
        streams.append(sent)
    again = take(partition(counts=counts), merged(*streams)).made
    whole = take(partition(), everything(agents)).made
    assert sorted(bodies(again.documents)) == sorted(bodies(whole.documents))
    assert [letter.id for letter in again.letters] == [letter.id for letter in whole.letters]
    assert counts["resent"]


def test_forked(agent: Agent) -> None:
    """Another frame of a number that was taken: kept as a dead letter and told, and the stream goes on as it was."""
    counts = Counter[str]()
    pieces = agent.pieces
    other = pieces[3]
    assert isinstance(other, Frame)
    forged = Frame(other.stream, other.host, other.boot, 3, 1, wrap(b"another"), time=other.time)
    made = take(partition(counts=counts), merged(agent.taken([*pieces[:5], forged, *pieces[5:]])))
    assert programs(made) == ["p2", "p3", "p4", "p5", "p6"]
    assert lost(made) == {f"{agent.id.hex()}-3-forked": {"cause": "frame_forked", "frames": 1}}
    (letter,) = made.made.letters
    assert (letter.kind, letter.frame, letter.body) == (LetterKind.FRAME, 3, forged.encode())
    assert counts["frame_forked"] == 1


def test_a_hole(agent: Agent) -> None:
    """Numbers that are left out are a gap."""
    pieces = agent.pieces
    made = take(partition(), merged(agent.taken([*pieces[:2], *pieces[4:]])))
    assert programs(made) == ["p2", "p5", "p6"]
    assert lost(made) == {f"{agent.id.hex()}-2-gap": {"cause": "frame_missing", "frames": 2}}


def test_a_hole_at_the_end(agent: Agent) -> None:
    """What a stream had written and never came is told by its End."""
    made = take(partition(), merged(agent.taken([*agent.pieces[:4], agent.end])))
    assert lost(made) == {f"{agent.id.hex()}-4-gap": {"cause": "frame_missing", "frames": 5}}


def test_a_gap_in_parts(agent: Agent) -> None:
    """A gap that is told twice, the second time longer, is told to its end, once."""
    pieces = agent.pieces
    gaps = [Gap(2, 3, GapCause.FRAME_MISSING), Gap(2, 4, GapCause.FRAME_MISSING)]
    made = take(partition(), merged(agent.taken([*pieces[:2], *gaps, *pieces[4:]])))
    assert lost(made) == {f"{agent.id.hex()}-2-gap": {"cause": "frame_missing", "frames": 2}}


def test_what_the_log_has_not_kept(agent: Agent) -> None:
    """A stream of which the beginning is gone, or what lies behind the committed place: the loss is told as such."""
    log = merged(agent.taken())
    expired = {"cause": "frame_expired", "frames": 4}
    assert lost(take(partition(oldest=4), log[4:])) == {f"{agent.id.hex()}-0-gap": expired}
    before = take(partition(), log[:2])
    after = partition(committed=2, oldest=6)
    after.restore(2, before.save())
    after.expire(6)
    assert lost(take(after, log[6:])) == {f"{agent.id.hex()}-2-gap": expired}


def test_stored_and_not_kept_is_no_loss(agent: Agent) -> None:
    """Without a snapshot, a stream that begins in the middle before the committed place has lost nothing."""
    log = merged(agent.taken())
    assert lost(take(partition(committed=5, oldest=3), log[3:])) == {}


def test_a_stream_that_fell_silent(agents: list[Agent]) -> None:
    """One that has only spoken where nothing is kept any more is over; when it speaks again it goes on."""
    silent, speaks = agents[:2]
    made = take(partition(), placed([*silent.taken()[:3], *speaks.taken()]))
    made.expire(2)
    assert len(made.streams) == 2
    made.expire(5)
    assert list(made.streams) == [speaks.id]
    take(made, placed(silent.taken()[2:5], made.place))
    assert programs(made).count("p3") == 2  # the second stream's too
    assert lost(made) == {}


def test_many_ended_streams(tmp_path: Path) -> None:
    """What is known of streams that are over is bounded."""
    made = partition()
    for number in range(MAX_ENDED + 10):
        made.take(Taken(number, number + 1, number.to_bytes(16), End(0)))
    assert (len(made.streams), len(made.ended)) == (0, MAX_ENDED)


def test_bad_messages(agent: Agent) -> None:
    """Bytes that are no piece are dead letters; the loss is exact where headers or the next number tell it."""
    counts = Counter[str]()
    pieces = agent.taken()
    named = Refused(0, 1, MessageError("crc32 differs", agent.id, 2), b"damaged", 7, "topic cgtrail.raw, offset 2")
    nameless = Refused(0, 1, MessageError("no header"), b"garbage", 8)
    log = placed([*pieces[:2], named, nameless, *pieces[3:5], nameless, *pieces[6:]])
    made = take(partition(counts=counts), log)
    assert programs(made) == ["p2", "p4", "p5"]
    told = {cause: {"cause": cause, "frames": 1} for cause in ("frame_damaged", "frame_missing")}
    assert lost(made) == {
        f"{agent.id.hex()}-2-gap": told["frame_damaged"],
        f"{agent.id.hex()}-5-gap": told["frame_missing"],
    }
    assert [(each.id, each.body) for each in made.made.letters] == [
        (f"{NAME}-2", b"damaged"), (f"{NAME}-3", b"garbage"), (f"{NAME}-6", b"garbage")
    ]  # fmt: skip
    assert made.made.letters[0].origin == "topic cgtrail.raw, offset 2"
    assert counts["refused_messages"] == 3


@pytest.mark.parametrize(("time", "taken"), [(0, True), (None, True), (2 * DAY, True), (2 * DAY, False)])
def test_times_that_can_not_be(agent: Agent, time: int | None, *, taken: bool) -> None:
    """A frame of 1970 or of tomorrow is a dead letter where the log tells the time, and its loss is exact."""
    pieces = agent.taken()
    frame, now = pieces[3].piece, pieces[3].time
    assert isinstance(frame, Frame)
    odd = replace(frame, time=0 if time == 0 else now - 3600 * SECOND if time is None else now + 2 * DAY)
    pieces[3] = replace(pieces[3], piece=odd, time=now if taken else 0)
    made = take(partition(), placed(pieces))
    refused = taken and time is not None
    assert lost(made) == ({f"{agent.id.hex()}-3-gap": {"cause": "frame_damaged", "frames": 1}} if refused else {})
    assert [letter.body for letter in made.made.letters] == ([odd.encode()] if refused else [])


def test_a_frame_of_another_host(agent: Agent) -> None:
    """A stream is of one host: what says otherwise is a dead letter, and nobody's claim changes."""
    pieces = agent.pieces
    assert isinstance(pieces[3], Frame)
    pieces[3] = replace(pieces[3], host=b"x" * 16)
    made = take(partition(), merged(agent.taken(pieces)))
    assert [letter.id for letter in made.made.letters] == [f"{NAME}-3"]
    assert made.claims.holders.keys() == {agent.host}


def test_damage_waits_for_its_gap(agent: Agent) -> None:
    """Saved between the two, the letter still tells which frames the damage hid."""
    pieces = agent.pieces
    damage = Damage(2, "x.seg", 5, 9, b"\xff" * 9, "crc32 differs")
    log = merged(agent.taken([*pieces[:2], damage, Gap(2, 4, GapCause.FRAME_DAMAGED), *pieces[4:]]))
    before = take(partition(), log[:3])
    after = partition(committed=3)
    after.restore(3, before.save())
    (letter,) = take(after, log[3:]).made.letters
    assert (letter.frame, letter.behind, letter.body) == (2, 4, b"\xff" * 9)


@pytest.mark.parametrize("body", [b"", b"\x93", b"nonsense" * 100, bytes(1000)])
def test_a_snapshot_that_is_none(body: bytes) -> None:
    """It is refused by one error, whatever it holds."""
    with pytest.raises(SnapshotError):
        partition().restore(1, body)


def test_a_damaged_snapshot(agents: list[Agent]) -> None:
    """A byte that flips is noticed, or harmless: it raises nothing else."""
    saved = bytearray(take(partition(), everything(agents)[:12]).save())
    rng = Random(1)  # noqa: S311  no secrets are made
    for at in rng.sample(range(len(saved)), 200):
        damaged = saved.copy()
        damaged[at] ^= 1 << rng.randrange(8)
        try:
            partition().restore(12, bytes(damaged))
        except SnapshotError:
            continue


IDS = st.sampled_from([b"1" * 16, b"2" * 16, b"3" * 16])
NUMBERS, TIMES = st.integers(0, 6), st.sampled_from([0, UNIX, UNIX + 30 * SECOND, UNIX + 200 * SECOND, UNIX + 3 * DAY])
FRAMES = st.builds(
    lambda number, host, boot, body, time: Frame(b"", host, boot, number, 1, body, time=time),
    NUMBERS, st.sampled_from([b"h" * 16, b"g" * 16]), st.sampled_from([b"b" * 16, b"c" * 16]),
    st.sampled_from([b"", b"\xff" * 20, wrap(b"none"), wrap(KeyframeBegin(time=5 * SECOND).encode())]), TIMES,
)  # fmt: skip
GAPS = st.builds(
    lambda number, length: Gap(number, number + length, GapCause.FRAME_MISSING), NUMBERS, st.integers(1, 4)
)
DAMAGES = st.builds(lambda number: Damage(number, "x.seg", 1, 1, b"x", "crc32 differs"), NUMBERS)
ENDS = st.builds(End, NUMBERS)
ANY = st.lists(
    st.tuples(IDS, FRAMES | GAPS | DAMAGES | ENDS | NUMBERS, st.sampled_from([0, UNIX, UNIX + 90 * SECOND])),
    max_size=25,
)


@given(ANY, st.integers(0, 25))
def test_whatever_comes(told: list[tuple[bytes, Any, int]], place: int) -> None:
    """No order of pieces ends a partition; each frame is taken once or told, and a save anywhere changes nothing."""
    log: list[Taken | Refused] = []
    for stream, what, time in told:
        if isinstance(what, int):
            log.append(Refused(0, 1, MessageError("garbage", stream, what), b"x", time))
        else:
            piece = replace(what, stream=stream) if isinstance(what, Frame) else what
            log.append(Taken(0, 1, stream, piece, time, UNIX))
    log = placed(log)
    counts = Counter[str]()
    whole = take(partition(counts=counts), log)
    before = take(partition(), log[:place])
    after = partition(committed=min(place, len(log)))
    after.restore(min(place, len(log)), before.save())
    take(after, log[place:])
    assert bodies([*before.made.documents, *after.made.documents]) == bodies(whole.made.documents)
    assert [*before.made.letters, *after.made.letters] == whole.made.letters
    frames = sum(isinstance(each, Taken) and isinstance(each.piece, Frame) for each in log)
    others = sum(isinstance(each, Refused) for each in log)
    told_of = ("frames", "frame_forked", "refused_frames", "refused_messages", "resent")
    assert sum(counts[name] for name in told_of) >= frames + others
    for host, holder in whole.claims.holders.items():
        assert whole.streams[holder.stream].host == host
    whole.end()
    assert not whole.streams
    assert not whole.claims.holders
