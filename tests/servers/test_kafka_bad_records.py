"""What stands in the raw topic and is no piece of a stream: a dead letter each, once, and the partition goes on."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enrich.document import Document
from enrich.kafka.letters import MAX_BODY
from enrich.letters import Letter, LetterKind
from shipper.wire.broker import Broker
from shipper.wire.frame import Frame
from shipper.wire.message import KIND, NUMBER, STREAM, Message, encode
from shipper.wire.reader import Reader
from tests.servers.kafka import Kafka, topics
from tests.servers.published import Writer, letters, reached, work
from tests.unit import spooled
from tests.unit.spooled import Spooled
from tests.unit.stream import container, exec_

HOST = b"h" * 16
NOW = time.time_ns()
DAY = 24 * 3600 * 1_000_000_000
Spoil = Callable[[Frame], Message]


@pytest.fixture
def own(broker: Kafka) -> Broker:
    """Topics of this test's own."""
    return reached(topics(broker))


@pytest.fixture
def spool(tmp_path: Path) -> Spooled:
    """A container and thirty programs, a frame each."""
    stream = Spooled(tmp_path)
    stream.keyframe(*container(), first=True)
    for pid in range(2, 32):
        stream.add(exec_(pid, 1, b"/bin/p%d" % pid))
    stream.tick(8)
    return stream


def told(frame: Frame) -> Message:
    """A frame's message."""
    return encode(frame.host, frame.stream, 17, frame)


def value(change: Callable[[bytes], bytes]) -> Spoil:
    """A frame's message with another value."""
    return lambda frame: replace(told(frame), value=change(told(frame).value))


def headers(**other: bytes | None) -> Spoil:
    """A frame's message whose headers say something else, or nothing."""
    names = {"stream": STREAM, "number": NUMBER, "kind": KIND}
    changed = {names[name]: told for name, told in other.items()}

    def spoil(frame: Frame) -> Message:
        known = dict(told(frame).headers) | changed
        return replace(told(frame), headers=[(name, each) for name, each in known.items() if each is not None])

    return spoil


IN_PLACE: dict[str, tuple[Spoil, str]] = {
    "unknown version": (value(lambda data: data[:4] + struct.pack("<H", 99) + data[6:]), "frame version 99"),
    "wrong crc": (value(lambda data: data[:-1] + bytes([data[-1] ^ 1])), "crc32 differs"),
    "cut frame": (value(lambda data: data[:-5]), "bytes"),
    "cut header": (value(lambda data: data[:50]), "a frame's header has"),
    "random bytes": (value(lambda _: os.urandom(3000)), "instead of b'CGTF'"),
    "empty": (value(lambda _: b""), "0 bytes left"),
    "more behind": (value(lambda data: data + b"more"), "4 bytes behind the frame"),
    "the future": (lambda frame: told(replace(frame, time=NOW + 2 * DAY)), "and the log took it at"),
    "1970": (lambda frame: told(replace(frame, time=5)), "1970-01-01"),
    "unknown kind": (headers(kind=b"haiku"), "'haiku' are not known"),
    "another frame": (lambda frame: replace(told(replace(frame, number=7)), headers=told(frame).headers), "it is 7"),
}
"""What stands where a frame should: what it is, and what is said of it. The frame is lost, exactly."""
BETWEEN: dict[str, tuple[Spoil, str]] = {
    "no headers": (lambda frame: replace(told(frame), headers=[]), "not a message of cgtrail's"),
    "no stream": (headers(stream=None), "not a message of cgtrail's"),
    "odd number": (headers(number=b"-1"), "make no sense"),
    "no number": (headers(number=b"\xff"), "make no sense"),
    "another number": (headers(number=b"1000000"), "headers say frame 1000000"),
    "another stream": (headers(stream=b"ff" * 16), "headers say frame"),
    "another host": (lambda frame: replace(told(frame), key=b"00" * 16), "and the frame is of host"),
    "large": (lambda _: Message(b"key", os.urandom(1_000_000), []), "kept: the first 900000 of 1000000 bytes"),
}
"""What stands between frames, of which none is lost."""


def bodies(documents: dict[str, Document]) -> dict[str, Any]:
    """Documents as they would be stored."""
    return {name: json.loads(document.encode()) for name, document in documents.items()}


def frames(spool: Spooled) -> list[Frame]:
    """Its frames."""
    return [piece for piece in Reader(spool.stream).read() if isinstance(piece, Frame)]


def test_each_is_a_dead_letter_once_and_the_partition_goes_on(own: Broker, spool: Spooled, tmp_path: Path) -> None:
    """All at once: letters tell body, reason and origin, what is lost is told, and all else is as if nothing was."""
    undisturbed = bodies(spooled.work(spool.data))
    places, spoilt = dict(zip(range(3, 30, 2), IN_PLACE.items(), strict=False)), iter(BETWEEN.items())
    wanted: dict[str, tuple[bytes, str]] = {}
    lost: list[int] = []
    writer, offset = Writer(own), 0
    for frame in frames(spool):
        if found := places.get(frame.number):
            sent = [found[1][0](frame)]
            lost.append(frame.number)
            wanted[f"{own.topics.raw}-0-{offset}"] = sent[0].value, found[1][1]
        else:
            sent = [told(frame)]
            if frame.number > 5 and (more := next(spoilt, None)):
                sent.append(more[1][0](frame))
                wanted[f"{own.topics.raw}-0-{offset + 1}"] = sent[1].value, more[1][1]
        for message in sent:
            writer.put(message)
        offset += len(sent)
    writer.done()
    assert len(wanted) == len(IN_PLACE) + len(BETWEEN)

    made = bodies(work(own, tmp_path))
    stream = spool.id.hex()
    gaps = {f"{stream}-{number}-gap" for number in lost}
    assert all(made[name]["cgtrail"]["loss"] == {"cause": "frame_damaged", "frames": 1} for name in gaps)
    gone = {name for name in undisturbed if int(name.split("-")[1]) in lost}
    assert len(gone) == len(lost)
    assert {name: body for name, body in made.items() if name not in gaps} == {
        name: body for name, body in undisturbed.items() if name not in gone
    }
    assert_letters(own, letters(own), wanted)

    other = replace(own, group=f"{own.group}.other")
    assert bodies(work(other, tmp_path)) == made
    assert_letters(own, letters(own), wanted)


def assert_letters(own: Broker, found: list[Letter], wanted: dict[str, tuple[bytes, str]]) -> None:
    """Each wanted letter is there once, whole, and says why and from where."""
    assert sorted(letter.id for letter in found) == sorted(wanted)
    for letter in found:
        body, reason = wanted[letter.id]
        assert letter.body == body[:MAX_BODY]
        assert reason in letter.reason, letter
        assert letter.origin.startswith(f"{own.topics.raw}-0, "), letter
        assert letter.kind is LetterKind.FRAME
        assert abs(letter.time - NOW) < DAY


@pytest.mark.parametrize("what", ["gone", "first", "last"])
def test_where_nothing_stands_before_or_behind(own: Broker, spool: Spooled, tmp_path: Path, what: str) -> None:
    """Garbage alone, at the beginning and at the end of a partition stops nobody either."""
    garbage = Message(b"", b"garbage", [])
    writer = Writer(own)
    if what != "last":
        writer.put(garbage)
    if what != "gone":
        for frame in frames(spool):
            writer.put(told(frame))
    if what == "last":
        writer.put(garbage)
    writer.done()
    made = work(own, tmp_path)
    assert bodies(made) == ({} if what == "gone" else bodies(spooled.work(spool.data)))
    assert [letter.body for letter in letters(own)] == [b"garbage"]
