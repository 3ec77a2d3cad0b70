"""One stream speaks for a host: a new boot or a new spool takes over, a clone is refused and reported."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from enrich import claims
from enrich.claims import booted
from enrich.partition import Partition
from enrich.sources import Taken
from shipper.wire.frame import Frame
from shipper.wire.message import End
from tests.unit.logged import Agent, merged, partition, placed, take
from tests.unit.spooled import losses
from tests.unit.stream import SECOND, UNIX

A, B = b"a" * 16, b"b" * 16
MINUTE = 60 * SECOND


def lost(made: Partition) -> dict[str, object]:
    """What is told as lost, by id."""
    return losses({document.id: document for document in made.made.documents})


def programs(made: Partition) -> list[str]:
    """The programs that became documents."""
    return [each.source["process"]["name"] for each in made.made.documents if each.kind == "process"]


def first(folder: Path) -> Agent:
    """An agent whose host was booted at UNIX, and what it said from 10 s on."""
    return Agent(folder, A, boot=b"1" * 16).programs(2, 3)


def refused(made: Partition, agent: Agent) -> bool:
    """Whether nothing of a stream was taken, and that was told."""
    told = {
        each["cause"] for name, each in losses({d.id: d for d in made.made.documents}).items() if agent.id.hex() in name
    }
    own = [each for each in made.made.letters if each.stream == agent.id.hex()]
    assert bool(told) == bool(own)
    return told == {"host_claimed"} and agent.id not in made.streams


def test_when_a_host_was_booted(tmp_path: Path) -> None:
    """The first record of a frame tells; one that has none tells nothing."""
    frame = first(tmp_path).pieces[0]
    assert isinstance(frame, Frame)
    assert abs(booted(frame) - UNIX) < SECOND
    for payload in (b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0\x01\0"):
        assert booted(replace(frame, payload=payload)) == 0


def test_a_clone(tmp_path: Path) -> None:
    """While one speaks, a machine with the same id that was booted before is refused: counted, told, kept once."""
    counts = Counter[str]()
    agent, clone = first(tmp_path), Agent(tmp_path, B, boot=b"2" * 16, booted=UNIX + 5 * SECOND, up=5 * SECOND)
    clone.programs(100, 3)
    made = take(partition(counts=counts), merged(agent.taken(), clone.taken()))
    assert programs(made) == ["p2", "p3", "p4"]
    (letter,) = made.made.letters
    assert (letter.id.rpartition("-")[0], letter.frame) == (f"{B.hex()}-0-claimed", 0)
    assert lost(made) == {f"{B.hex()}-0-claimed": {"cause": "host_claimed", "frames": 1}}  # the others are not due yet
    assert counts["refused_frames"] == len(clone.pieces)
    (told,) = [each for each in made.made.documents if each.kind == "loss"]
    assert told.source["host"] == {"id": agent.host.hex()}
    take(made, placed(clone.taken([clone.end]), made.place))
    last = {"cause": "host_claimed", "frames": len(clone.pieces) - 1}
    assert lost(made)[f"{B.hex()}-{len(clone.pieces) - 1}-claimed"] == last


def test_told_each_minute(tmp_path: Path) -> None:
    """However much a clone says, it is told once a minute, and every frame is in one of those documents."""
    agent, clone = first(tmp_path), Agent(tmp_path, B, boot=b"2" * 16)
    agent.spooled.tick(1000)
    clone.spooled.keyframe()
    clone.spooled.tick(1000)
    made = take(partition(), merged(agent.taken(), clone.taken([*clone.pieces, clone.end])))
    told = [each["frames"] for each in losses({d.id: d for d in made.made.documents}).values()]
    assert sum(told) == 1001
    assert 4 <= len(told) <= 5


def test_a_reboot(tmp_path: Path) -> None:
    """Who was booted after the last frame speaks; the old stream is over, and what waited in it left."""
    agent = first(tmp_path)
    again = Agent(tmp_path, B, boot=b"2" * 16, booted=UNIX + 11 * SECOND, up=4 * SECOND).programs(100, 2)
    made = take(partition(), placed([*agent.taken(), *again.taken()]))
    assert programs(made) == ["p2", "p3", "p4", "p100", "p101"]
    assert list(made.streams) == [B]
    assert lost(made) == {}


def test_a_spool_that_was_removed(tmp_path: Path) -> None:
    """A new stream of the same boot speaks at once; the one before never takes the host back that way."""
    agent, anew = first(tmp_path), Agent(tmp_path, B, boot=b"1" * 16).programs(100, 2)
    made = take(partition(), placed([*agent.taken()[:3], *anew.taken(), *agent.taken()[3:]]))
    assert programs(made) == ["p2", "p3", "p100", "p101"]
    assert refused(made, agent)


def test_an_end_frees_the_host(tmp_path: Path) -> None:
    """Behind an End whoever comes speaks, whatever its clock says."""
    agent = first(tmp_path)
    hour = Agent(tmp_path, B, boot=b"2" * 16, booted=UNIX - 3600 * SECOND).programs(100, 2)
    made = take(partition(), placed([*agent.taken([*agent.pieces, agent.end]), *hour.taken()]))
    assert programs(made) == ["p2", "p3", "p4", "p100", "p101"]


def test_silence_frees_the_host(tmp_path: Path) -> None:
    """A holder that is silent for a minute, by the hosts' clocks or by the log's, has lost its host."""
    agent = first(tmp_path)
    late = Agent(tmp_path, B, boot=b"2" * 16, up=12 * SECOND + MINUTE).programs(100, 2)
    assert programs(take(partition(), placed([*agent.taken(), *late.taken()])))[-1] == "p101"
    behind = Agent(tmp_path / "x", B, boot=b"2" * 16, booted=UNIX - 3600 * SECOND).programs(100, 2)
    for seconds, taken in ((30, False), (61, True)):
        heard = agent.spooled.unix + seconds * SECOND
        log = placed([*agent.taken(), *(replace(each, time=heard) for each in behind.taken())])
        made = take(partition(), log)
        assert refused(made, behind) is not taken


def test_let_in_later(tmp_path: Path) -> None:
    """A clone whose original falls silent is let in; what was refused is told to the frame, and nothing twice."""
    agent, clone = first(tmp_path), Agent(tmp_path, B, boot=b"2" * 16).programs(100, 1)
    clone.spooled.now += 2 * MINUTE
    clone.programs(200, 2)
    made = take(partition(), placed([*agent.taken(), *clone.taken()]))
    assert programs(made) == ["p2", "p3", "p4", "p200", "p201"]
    told = list(losses({d.id: d for d in made.made.documents}).values())
    assert [(each["cause"], each["frames"]) for each in told] == [("host_claimed", 1), ("host_claimed", 4)]
    assert not made.claims.refused


def test_a_clock_an_hour_off(tmp_path: Path) -> None:
    """A stream whose clock is set on or back goes on; nobody else is asked."""
    agent = Agent(tmp_path, A).programs(2, 2)
    agent.spooled.set_back = 3600 * SECOND
    agent.programs(10, 2)
    agent.spooled.set_back = -3600 * SECOND
    agent.programs(20, 2)
    now = agent.spooled.unix
    made = take(partition(), placed(replace(each, time=now) for each in agent.taken()))
    assert programs(made) == ["p2", "p3", "p10", "p11", "p20", "p21"]
    assert not made.made.letters


def test_many_clones(tmp_path: Path) -> None:
    """What is known of streams that are refused is bounded."""
    agent = first(tmp_path)
    made = take(partition(), merged(agent.taken()))
    clone = Agent(tmp_path, B, boot=b"2" * 16).programs(100, 1).pieces[0]
    assert isinstance(clone, Frame)
    for number in range(claims.MAX_REFUSED + 5):
        stream = number.to_bytes(16)
        made.take(Taken(made.place, made.place + 1, stream, replace(clone, stream=stream), clone.time))
    assert len(made.claims.refused) == claims.MAX_REFUSED
    assert list(made.streams) == [A]


def test_each_refused_frame_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a clone that is forgotten for another one: every frame is in one document."""
    monkeypatch.setattr(claims, "MAX_REFUSED", 2)
    agent = first(tmp_path)
    made = take(partition(), merged(agent.taken()))
    before = len(made.made.documents)
    clone = Agent(tmp_path, B, boot=b"2" * 16).programs(100, 1).pieces[0]
    assert isinstance(clone, Frame)
    for stream in (bytes([number]) * 16 for number in range(1, 8)):
        for number in range(3):
            frame = replace(clone, stream=stream, number=number)
            made.take(Taken(made.place, made.place + 1, stream, frame, clone.time))
    for stream in list(made.claims.refused):
        made.take(Taken(made.place, made.place + 1, stream, End(3), clone.time))
    told = [each.source["cgtrail"]["loss"] for each in made.made.documents[before:]]
    assert sum(each["frames"] for each in told if each["cause"] == "host_claimed") == 21
