"""Writes the seeds of the corpus, made by the code itself: `python -m tests.fuzz.seeds` after a format has changed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from bpf.events import CgroupMkdir
from bpf.schema import RECORDS
from cgtrail.config import Config
from enrich.enricher import Enricher
from enrich.letters import DeadLetters, Letter, LetterKind
from enrich.sinks import OK
from enrich.sinks.sqlite import SqliteSink
from shipper.wire.frame import KEYFRAME, Frame, wrap
from shipper.wire.message import End, Piece, encode
from shipper.wire.position import Position, PositionFile
from shipper.wire.reader import Damage, Gap, GapCause
from shipper.wire.records import AgentStart, Clock, HostInfo, KeyframeBegin, KeyframeEnd, Tick
from tests.fuzz.partition import packed
from tests.fuzz.targets import CORPUS
from tests.fuzz.worker import NEXT_FRAME, gap, pieces
from tests.unit.containerd_daemon import Box
from tests.unit.frames import ID, chained, frame
from tests.unit.meaning import DOCUMENTS, NOON, SECOND
from tests.unit.stream import BOOT, BOX, UNIX, container, end, exec_, fork, removed, running
from tests.unit.test_cgroups import CONTAINERS
from tests.unit.test_terminals_sessions import frames

QUERIES = [
    'process.name:ls AND NOT (container.name:web-? OR process.args:"--all")',
    "@timestamp:[2026-11-22 TO 2026-11-23T01:30:00.5+01:30} && process.pid:>=100",
    "container.labels.com.docker.project:* || -event.id:x +user.id:0",
    r"process.command_line:*rm\ -rf* OR passwd OR \"quoted\"",
]
DOCKER = {
    "Id": "c" * 64,
    "Names": ["/lab"],
    "Image": "debian:12",
    "Labels": {"a": "b", "\ud800": "\0"},
    "Action": "create",
    "Actor": {"ID": "c" * 64, "Attributes": {"name": "lab", "image": "debian:12", "a": "b"}},
}
USERS = {
    "passwd": b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/tmp:/bin/sh\nbob:x:1000:1::/:\n",
    "group": b"wheel:x:10:root,alice\nusers:x:100:\nlast:x:4294967295",
    "odd": b"+::::::\n# no\n \n-a::0:0:::\na\0b:x:5:5\nb:x:5:5\nc:x:-1:5\n:x:9:9:\r\nd:x:4294967296:5\n\xff:x:07:7",
}


def stream() -> bytes:
    """A container's life, as tests.fuzz.worker.pieces takes it."""
    now = 10 * SECOND
    told = [
        [KeyframeBegin(), HostInfo(host_name=b"node", boot_id=BOOT), Clock(realtime=UNIX + now), AgentStart()],
        [running(2, 1, b"/bin/sleep"), KeyframeEnd(), CgroupMkdir(cgroup_id=BOX, path=b"/docker"), *container()],
        [exec_(3, 2, b"/bin/sh", b"-c", b"\xff", owner=BOX, sequence=1), fork(4, 3), end(4, 3), Tick()],
        [end(3, 2, status=256), removed(), Tick(), KeyframeBegin(), KeyframeEnd(), Tick()],
    ]
    frames = []
    for records in told:
        for record in records:
            record.time, now = now, now + SECOND // 5
        frames.append(b"".join(wrap(record.encode()) for record in records))
    return NEXT_FRAME.join(frames[:3]) + gap(2) + frames[3]


def terminals() -> bytes:
    """Sessions with all that they can have, each record in a frame of its own."""
    return NEXT_FRAME.join(each.payload for each in frames())


Wire = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], int]


def wire(piece: Piece, host: bytes = b"x" * 16, stream: bytes = b"y" * 16, late: int = 0) -> Wire:
    """A piece as somebody sends it, whom the log hears so many seconds late."""
    message = encode(host, stream, UNIX, piece)
    return message.key, message.value, [*message.headers], late


def hostile() -> dict[str, list[Wire]]:
    """What others write into the log, by what is wrong with it."""

    def framed(number: int, stream: bytes = b"y" * 16, host: bytes = b"x" * 16, boot: bytes = b"z" * 16, at: int = 9,
               payload: bytes = b"") -> Frame:  # fmt: skip
        return Frame(stream, host, boot, number, 1, payload, time=UNIX + at * SECOND)

    def send(*made: Frame) -> list[Wire]:
        return [wire(each, each.host, each.stream) for each in made]

    key, value, headers, _ = wire(framed(0))
    heads = dict(headers)
    odd = [b"", b"-1", b"9" * 5000, b"4611686018427387903", b"\xff", b"1_0", None]
    holes = ((1, 1 << 41), (5, 9), (0, 1 << 40))
    times = (9, -9999, 9999, 86400 * 9, -(UNIX // SECOND), 9)
    missing, damaged = GapCause.FRAME_MISSING, GapCause.FRAME_DAMAGED
    return {
        "headers-left-out": [(key, value, [each for each in headers if each[0] != name], 0) for name in heads],
        "headers-twice": [(key, value, headers * 2, 0), (key, value, [*headers, *reversed(headers)], 0)],
        "headers-odd": [
            (key, value, [*(heads | {name: other}).items()], 0) for name in heads for other in odd
        ],
        "keys": [(other, value, headers, 0) for other in (None, b"", b"\xff" * 999, b"x" * 32)],
        "values": [(key, other, headers, 0) for other in (None, b"", b"{}", (value or b"")[:-1])],
        "other-producers": [(None, b'{"a":1}', [], 0), (b"k", None, [], 0), (b"", b"\0" * 5000, [("\x1b[2J", b"")], 0)],
        "ends": [wire(End(number)) for number in (1 << 41, 0, 5)] + send(framed(3), framed(0)),
        "gaps": send(framed(0)) + [wire(Gap(number, end, missing)) for number, end in holes],
        "damage": [wire(Damage(7, "\x1b", -1, 1 << 60, b"\xff", "\x1b[2J"))] * 2 + [wire(Gap(7, 8, damaged))],
        "jumps": send(*(framed(number << 40) for number in (0, 1, 3, 2))),
        "times": send(*(framed(number, at=at) for number, at in enumerate(times))),
        "one-stream-two-hosts": send(framed(0), framed(1, host=b"v" * 16), framed(1), framed(2, host=b"v" * 16)),
        "forked": send(framed(0), framed(0, payload=wrap(Tick().encode())), framed(0, at=30)),
        "clones": send(*(framed(number, bytes([clone]) * 16, boot=bytes([clone]) * 16, at=9 + number)
                         for number in range(5) for clone in range(1, 5))),
        "hosts": send(*(framed(0, bytes([other]) * 16, bytes([other]) * 16) for other in range(1, 40))),
        "restarted": [*send(framed(0), framed(1)), wire(End(2)), *send(framed(0), framed(1), framed(2), framed(0))],
        "nested": [(key, b"\x81\xa1x" + b"\x91" * 5000 + b"\xc0", [*(heads | {"cgtrail.kind": b"gap"}).items()], 0)],
        "tiny-records": send(framed(0, payload=bytes(4096)), framed(1, payload=b"\xff" * 99)),
        "late": [wire(framed(number), late=late) for number, late in enumerate((0, 999, -999, 1 << 40, -(1 << 40)))],
    }  # fmt: skip


def seeds() -> Iterator[tuple[str, str, bytes]]:
    """(target, name, input) of each."""
    for number, kind in RECORDS.items():
        tails = {name: b"text" for _, name in kind.layout.tails}
        yield "decoder", f"{number}-{kind.__name__}", kind(**tails).encode()
    for name, raw in (("escape", b"\x1b[2J\xe2\x80\xae"), ("stray", b"a\0\xff\0"), ("plain", "é 漢 😀\\".encode())):
        yield "shown", name, raw
    whole = b"".join(each.encode() for each in chained(*(b"%d" % n * 9 for n in range(6)), keyframes=[0, 3]))
    size = len(whole) // 6
    yield "frame", "two-records", frame(3, b"one", b"two", flags=KEYFRAME).encode()
    for target in ("segment", "sealed"):
        yield target, "whole", whole
        yield target, "torn", whole[:-9]
        yield target, "cut-inside", whole[: size * 2 + 7] + whole[size * 2 + 30 :]
        yield target, "swapped", whole[size : 2 * size] + whole[:size] + whole[2 * size :]
        yield target, "twice", whole[: 2 * size] * 2 + whole[2 * size :]
    yield "worker", "life", stream()
    yield "worker", "terminals", terminals()
    for name, messages in hostile().items():
        yield "partition", name, packed(messages)
    for number, text in enumerate(QUERIES):
        yield "query", f"{number}", text.encode()
    enricher = Enricher(ID)
    for piece in pieces(stream()):
        enricher.take(piece)
    yield "snapshot", "life", enricher.save()
    for name, raw in USERS.items():
        yield "users", name, raw
    yield "docker", "container", json.dumps(DOCKER).encode()
    yield "containerd", "container", Box("web", labels={"nerdctl/name": "shop"}).encode()
    for number, (cgroup, *_) in enumerate(CONTAINERS.values()):
        yield "cgroup", f"{number}", cgroup.encode()
    yield (
        "status",
        "worker",
        b'{"stream":"00","counts":{"letters":2},"accounts":{"7":{"container":"lab","seen":9,"received":7,"lost":{"disk":1}}}}',
    )
    yield (
        "status",
        "partitions",
        (
            b'{"partitions":{"raw-0":{"streams":{"00":{"host":"11","name":"lab","frame":7,"frame_time":9}}}},"lag":{"raw-0":4},'
            b'"accounts":{"00":{"7":{"container":"lab","seen":9,"received":7,"lost":{"disk":1}}}},"store_error":"full"}'
        ),
    )
    yield (
        "status",
        "agent",
        b'{"stream":"00","seen":{"7":9},"records":9,"containers":1,"lost":{"disk":1},"docker":null,"not_recorded":["fork"]}',
    )
    yield "configuration", "all-keys", _configuration()
    with tempfile.TemporaryDirectory() as folder:
        positions = PositionFile(Path(folder) / "readers" / "sqlite.json")
        positions.store({ID.hex(): Position(12, 7)})
        yield "position", "one", positions.path.read_bytes()
        path = Path(folder) / "letters.db"
        with closing(DeadLetters(path)) as kept:
            kept.add([Letter("00-1-2", LetterKind.RECORD, "00", 1, 2, 2, UNIX, "failed: why", b"body")])
        yield "letters", "one", path.read_bytes()
        with closing(SqliteSink(Path(folder) / "store", 7, clock=lambda: NOON / SECOND)) as sink:
            assert set(sink.write([each for each in DOCUMENTS if each.time < NOON + 4][:3])) == {OK}
        (day,) = (Path(folder) / "store").glob("*.db")
        yield "store", "three-documents", day.read_bytes()


def _configuration() -> bytes:
    lines = []
    for section, value in msgspec.to_builtins(Config()).items():
        if isinstance(value, dict):
            lines.append(f"[{section}]")
            lines += [f"{key} = {json.dumps(each)}" for key, each in value.items()]
        else:
            lines.insert(0, f"{section} = {json.dumps(value)}")
    return "\n".join(lines).encode()


def main() -> None:
    """Write them all."""
    for target, name, data in seeds():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
