"""`cgtrail spool ls` and `cat`: what the spool holds, who has read it, and its records as they were recorded."""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import click

import shipper.wire.records  # noqa: F401  declares its records
from bpf.schema import RecordError, decode
from cgtrail import records
from cgtrail.config import Config
from cgtrail.logs import notice
from enrich.printable import text
from shipper.wire.frame import Frame, FrameError
from shipper.wire.position import READERS, Position, position_file
from shipper.wire.reader import Damage, Gap, Reader
from shipper.wire.segment import Interval, Stream, streams

SHORT = 8
"""Digits of a stream's id that are shown to people."""
_INTERVALS = ("STREAM", "SINCE", "FRAMES", "COUNT", "BYTES", "STORED BY")
_READERS = ("READER", "STREAM", "NEXT", "NEEDS", "BEHIND")


class SpoolError(ValueError):
    """There is no such spool, stream or frame; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which frames: times are nanoseconds since 1970, `until` is not included; a prefix of the stream's id."""

    since: int | None = None
    until: int | None = None
    stream: str = ""
    frame: int | None = None
    content: bool = False
    """Also what terminals showed, and what was typed there."""


def of(config: Config) -> list[Stream]:
    """The spool's streams, oldest first. Raises SpoolError when there is no spool, OSError when it can't be read."""
    try:
        os.listdir(config.spool_folder)
    except FileNotFoundError as error:
        hint = "start `cgtrail up`, or name a folder with --data"
        raise SpoolError(f"{config.spool_folder}: there is no spool; {hint}") from error
    return streams(config.spool_folder)


def ls(config: Config, *, as_json: bool) -> None:
    """Print intervals, readers and the size. Raises SpoolError."""
    known = of(config)
    positions = _positions(config)
    intervals = [row for stream in known for row in _intervals(stream, positions)]
    readers = [_reader(name, positions[name], known, config) for name in positions]
    size, bound = sum(stream.size for stream in known), config.spool.max_bytes
    total = {"spool": str(config.spool_folder), "bytes": size, "max_bytes": bound}
    if as_json:
        for row in [*intervals, *readers, total]:
            records.write(row)
        sys.stdout.flush()
        return
    _table(_INTERVALS, [_interval_cells(row) for row in intervals])
    click.echo()
    _table(_READERS, [cells for row in readers for cells in _reader_cells(row)])
    click.echo(f"\n{size:,} bytes of {bound:,} ({size / bound:.1%})")


def cat(config: Config, chosen: Chosen) -> None:
    """Print the records of the chosen frames. Raises SpoolError for a stream or a frame that is not there."""
    for stream in _chosen(of(config), chosen):
        first, end = _range(stream, chosen)
        for found in Reader(stream, first).read():
            if found.number >= end:
                break
            for fields in _objects(found, chosen):
                records.write({"stream": stream.id.hex(), "frame": found.number} | fields)
    sys.stdout.flush()


def _chosen(known: list[Stream], chosen: Chosen) -> list[Stream]:
    """The streams that are meant. Raises SpoolError when there is none."""
    found = [stream for stream in known if stream.id.hex().startswith(chosen.stream.lower())]
    if chosen.stream and not found:
        there = ", ".join(stream.id.hex()[:SHORT] for stream in known) or "none"
        raise SpoolError(f"--stream {chosen.stream!r}: no stream's id begins so; there are: {there}")
    frame = chosen.frame
    if frame is not None and not any(frame < stream.committed for stream in found):
        there = ", ".join(f"{stream.id.hex()[:SHORT]} has {stream.committed}" for stream in found) or "there is none"
        raise SpoolError(f"--frame {frame}: no stream has so many frames, which are counted from 0: {there}")
    return found


def _range(stream: Stream, chosen: Chosen) -> tuple[int, int]:
    """The first frame that may be meant, and the one behind the last."""
    if chosen.frame is not None:
        return chosen.frame, chosen.frame + 1
    first, end = 0, stream.committed
    if chosen.since is None and chosen.until is None:
        return first, end
    wanted = [(at.first, behind) for at, behind, until in _spans(stream) if _overlaps(at.time, until, chosen)]
    if not wanted:
        return 0, 0
    return (0 if chosen.since is None else wanted[0][0]), wanted[-1][1]


def _spans(stream: Stream) -> Iterator[tuple[Interval, int, int | None]]:
    """Each interval, the frame behind its last, and when it ended; None for the newest."""
    end = stream.committed  # first: what is committed later may begin another interval
    intervals = stream.intervals()
    for interval, following in zip_longest(intervals, intervals[1:]):
        yield interval, min(following.first, end) if following else end, following.time if following else None


def _overlaps(begin: int, end: int | None, chosen: Chosen) -> bool:
    """Whether an interval may hold a frame of the chosen time; the clock may have been set back within it."""
    late = chosen.until is not None and min(begin, begin if end is None else end) >= chosen.until
    early = chosen.since is not None and end is not None and max(begin, end) < chosen.since
    return not late and not early


def _objects(found: Frame | Damage | Gap, chosen: Chosen) -> Iterator[dict[str, Any]]:
    match found:
        case Damage():
            place = {"segment": found.segment, "offset": found.offset, "length": found.length}
            yield {"damage": place | {"reason": found.reason}}
        case Gap():
            yield {"gap": {"end": found.end, "cause": found.cause.value}}
        case Frame():
            if (chosen.since is None or found.time >= chosen.since) and (
                chosen.until is None or found.time < chosen.until
            ):
                yield from _records(found, chosen)


def _records(frame: Frame, chosen: Chosen) -> Iterator[dict[str, Any]]:
    try:
        for index, offset, length in frame.records():
            try:
                yield {"index": index} | records.shown(decode(frame.payload, offset, length), content=chosen.content)
            except RecordError as error:
                raw = base64.b64encode(frame.payload[offset : offset + length]).decode()
                yield {"index": index, "problem": str(error), "base64": raw}
    except FrameError as error:
        yield {"problem": str(error)}


def _positions(config: Config) -> dict[str, dict[str, Position]]:
    """The positions of every reader that has stored some, or is declared."""
    stored = {file.stem for file in (config.spool_folder / READERS).glob("*.json")}
    positions = {}
    for name in sorted(stored | set(config.readers)):
        file = position_file(config.spool_folder, name)
        decoded = not any("\ud800" <= char <= "\udfff" for char in name)  # what is no UTF-8 can't be shown as JSON
        if os.path.lexists(file.path) and not (decoded and file.path.is_file()):  # a pipe would be waited for
            notice(f"cgtrail: {text(str(file.path))} is no reader's file: passed over")
            continue
        positions[name] = file.load()
    return positions


def _intervals(stream: Stream, positions: dict[str, dict[str, Position]]) -> Iterator[dict[str, Any]]:
    known = {name: of_streams.get(stream.id.hex(), Position(0)) for name, of_streams in positions.items()}
    for interval, end, _ in _spans(stream):
        yield {
            "stream": stream.id.hex(),
            "time": interval.time,
            "first": interval.first,
            "end": end,
            "bytes": interval.size,
            "stored_by": [name for name, position in known.items() if position.next >= end],
            "needed_by": [name for name, position in known.items() if position.needs < end],
        }


def _reader(name: str, known: dict[str, Position], there: list[Stream], config: Config) -> dict[str, Any]:
    places: list[dict[str, Any]] = []
    for stream in there:
        position, end = known.get(stream.id.hex(), Position(0)), stream.committed
        first = min((segment.first for segment in stream.segments()), default=end)
        behind = max(end - max(position.next, first), 0)
        place = {"stream": stream.id.hex(), "next": min(position.next, end), "needs": min(position.needs, end)}
        places.append(place | {"behind": behind})
    behind = sum(place["behind"] for place in places)
    return {"reader": name, "declared": name in config.readers, "behind": behind, "streams": places}


def _interval_cells(row: dict[str, Any]) -> tuple[str, ...]:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["time"] // 10**9)) if row["time"] else "?"
    count = row["end"] - row["first"]
    frames = f"{row['first']}..{row['end'] - 1}" if count > 0 else "-"
    stored = text(", ".join(row["stored_by"])) or "-"
    return row["stream"][:SHORT], since, frames, f"{max(count, 0):,}", f"{row['bytes']:,}", stored


def _reader_cells(row: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    name = text(row["reader"]) + ("" if row["declared"] else " (not declared)")
    for place in row["streams"]:
        numbers = (f"{place[key]:,}" for key in ("next", "needs", "behind"))
        yield name, place["stream"][:SHORT], *numbers
    if not row["streams"]:
        yield name, "-", "-", "-", "0"


def _table(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for number, row in enumerate([names, *rows]):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(line, bold=number == 0))
