"""What a disk has after a power cut, made of a copy of a data folder: only what was synced is sure to be whole."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from enrich.statefile import own_file
from shipper.wire.frame import KEYFRAME, Frame
from shipper.wire.position import position_file
from shipper.wire.reader import Reader
from shipper.wire.segment import COMMITTED, Stream, count
from tests.faults.storm import HOST, Boot, Told
from tests.faults.writer import begun

STATE = ("state.db", "state.db-wal", "state.db-shm")


def cut_power(disk: Path, earlier: Path | None, boots: list[Boot], rng: random.Random) -> list[str]:
    """Leave of a copied data folder what may be on disk; `earlier` is an older copy. Returns what was done."""
    done = [tear(disk, boots, rng)]
    stream = begun(disk / "spool")[-1]
    done += [choice(stream, rng) for choice in rng.sample([_count_as_it_is, _count_older, _count_gone, _count_torn], 1)]
    position = position_file(Path("spool"), "sqlite").path.as_posix()
    mark = own_file(Path(), "mark").name
    for what in ([position], [own_file(Path(), name).name for name in STATE], [mark]):
        done.append(rng.choice((_keep, _older, _gone))(disk, earlier, what))
    if rng.random() < 0.5:  # a log's last part, of a transaction that had not been synced
        for log in (disk / "store").glob("*-wal"):
            with log.open("ab") as opened:
                opened.write(rng.randbytes(rng.randrange(20_000)))
        done.append("the store's log goes on with garbage")
    for shared in disk.rglob("*-shm"):
        shared.unlink()
    return done


def tear(disk: Path, boots: list[Boot], rng: random.Random, *, killed: bool = False) -> str:
    """The newest stream's writer was at work on the next frames: some of their bytes are there, or others instead."""
    known = begun(disk / "spool")
    stream, boot = known[-1], boots[len(known) - 1]
    number = stream.committed
    following = boot.frames[number : number + rng.randint(0, 2)]
    if not following:
        return "no torn frame"
    frames = _frames(stream, boot, number, following)
    data = b"".join(frame.encode() for frame in frames)
    at = rng.randrange(len(data) + 1)
    torn: list[Callable[[], bytes]] = [lambda: data[:at]]
    if not killed:
        torn += [lambda: data[:at].ljust(len(data), b"\0"), lambda: data[:at] + rng.randbytes(len(data) - at)]
        torn += [lambda: bytes(len(data)), lambda: bytes(at) + data[at:]]
    way = rng.randrange(len(torn))
    segment = stream.segments()[-1].path
    if frames[0].flags & KEYFRAME:
        segment = stream.path / f"{number:020d}.seg"
    with segment.open("ab") as opened:
        opened.write(torn[way]())
    return f"{len(frames)} frames torn at byte {at} in way {way}"


def _frames(stream: Stream, boot: Boot, number: int, following: list[Told]) -> list[Frame]:
    (last,) = [piece for piece in Reader(stream, number - 1).read() if isinstance(piece, Frame)]
    made: list[Frame] = []
    for at, told in enumerate(following):
        if told.keyframe and at:
            break  # it would stand in a segment of its own
        previous = made[-1].digest if made else last.digest
        flags = KEYFRAME if told.keyframe else 0
        ids = (stream.id, HOST, boot.id, number + at)
        made.append(Frame(*ids, len(told.records), told.payload, previous, told.time, flags))
    return made


def _count_as_it_is(_stream: Stream, _rng: random.Random) -> str:
    return "the count as it was"


def _count_older(stream: Stream, rng: random.Random) -> str:
    older = rng.randrange(stream.committed + 1)
    (stream.path / COMMITTED).write_bytes(count(older))
    return f"the count is {older} again"


def _count_gone(stream: Stream, _rng: random.Random) -> str:
    (stream.path / COMMITTED).unlink()
    return "the count is gone"


def _count_torn(stream: Stream, rng: random.Random) -> str:
    size = rng.randrange(16)
    os.truncate(stream.path / COMMITTED, size)
    return f"the count has {size} bytes"


def _keep(_disk: Path, _earlier: Path | None, what: list[str]) -> str:
    return f"{what[0]} as it was"


def _older(disk: Path, earlier: Path | None, what: list[str]) -> str:
    _gone(disk, earlier, what)
    for name in what:
        if earlier is not None and (earlier / name).exists():
            shutil.copy(earlier / name, disk / name)
    return f"{what[0]} older"


def _gone(disk: Path, _earlier: Path | None, what: list[str]) -> str:
    for name in what:
        (disk / name).unlink(missing_ok=True)
    return f"{what[0]} gone"
