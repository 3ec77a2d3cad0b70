"""A small spool, byte by byte: which frame each belongs to, what depends on it, and what its loss must show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpf.events import CgroupMkdir, Header
from bpf.schema import decode
from shipper.wire.frame import Frame
from shipper.wire.records import FIRST, AgentStart, CgroupInfo, ContainerInfo, KeyframeEnd, Loss, Tick
from shipper.wire.segment import Segment, Stream, scan
from tests.faults.writer import begun

SETTLED = 3
"""Ticks behind a gap after which all that is missing has been told."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one frame stands."""

    stream: int
    segment: Path
    offset: int
    end: int
    number: int
    records: tuple[Header, ...]

    def has(self, *kinds: type[Header]) -> bool:
        """Whether it holds such a record."""
        return any(isinstance(record, kinds) for record in self.records)


class Small:
    """A small spool, as it was written."""

    def __init__(self, folder: Path) -> None:
        self.streams: list[Stream] = begun(folder)
        self.places = [
            place for at, stream in enumerate(self.streams) for each in stream.segments() for place in _read(at, each)
        ]
        self._by_name = {(place.stream, place.number): place for place in self.places}
        self._owners: dict[int, int] = {}
        self._starts = list(_starts(self.places))
        for place in self.places:
            for record in place.records:
                if isinstance(record, CgroupMkdir):
                    self._owners[record.cgroup_id] = record.owner

    def lost(self, segment: Path, byte: int, *, cut: bool) -> list[Place]:
        """The frames that a damaged byte takes, or a cut before it."""
        return [
            place
            for place in self.places
            if place.segment == segment and place.end > byte and (cut or place.offset <= byte)
        ]

    def affected(self, ident: str, body: str, lost: list[Place]) -> bool:
        """Whether a document's source or context stood in one of these frames."""
        stream, number, *index = ident.split("-")
        place = self._by_name[int(stream.removeprefix("stream")), int(number)]
        return any(
            place.stream == gone.stream and (place.number == gone.number or self._needed(place, index, body, gone))
            for gone in lost
        )

    def undelivered(self, stream: int, lost: list[Place]) -> Counter[int] | None:
        """Owner → records that the ledger must miss; None where it can't know all: the numbers' beginning is gone."""
        told: Counter[int] = Counter()
        missing: Counter[int] = Counter()
        highest: Counter[int] = Counter()
        ticks = 0
        for place in self.places:
            if place.stream == stream and place in lost:
                if place.has(AgentStart):
                    return None
                ticks = 0
            elif place.stream == stream:
                ticks += place.has(Tick)
                for record in place.records:
                    if isinstance(record, AgentStart):  # the kernel counts anew
                        told += missing
                        missing.clear()
                        highest.clear()
                    _count(record, missing, highest)
        settled = ticks >= SETTLED or stream < len(self.streams) - 1
        return told + missing if settled else None

    def _needed(self, place: Place, index: list[str], body: str, gone: Place) -> bool:
        """The stream's beginning, a tick that releases what waits, or anything of the document's container."""
        if gone in self._starts and place.number > gone.number:  # nobody says what ended while there was no agent
            return True
        if not gone.number:  # the host's name and clock; ids are made of its boot, and live on
            return True
        attribution = json.loads(body).get("cgtrail", {}).get("attribution")
        if gone.has(Tick) and attribution in {"late", "unknown"}:
            return True
        owner = self._owner(place.records[int(index[0])])
        return owner in {self._owner(record) for record in gone.records}

    def _owner(self, record: Header) -> int:
        """Whose record it is; its own kind of nobody's for those of no cgroup."""
        if isinstance(record, ContainerInfo):  # tests.faults.boxes makes its keys of owners
            return int(record.key.partition(b"/")[2], 16)
        if isinstance(record, (CgroupInfo, Loss)):
            return self._owners.get(record.cgroup_id, record.cgroup_id)
        return record.owner or -1


def _starts(places: list[Place]) -> Iterator[Place]:
    """The frames of keyframes with which agents begin."""
    inside = False
    for place in places:
        inside = inside or place.has(AgentStart)
        if inside:
            yield place
        inside = inside and not place.has(KeyframeEnd)


def _count(record: Header, missing: Counter[int], highest: Counter[int]) -> None:
    """Keep what is missing of each owner: up to its highest number, and neither there nor told as a loss."""
    if isinstance(record, Loss):
        missing[record.cgroup_id] -= record.count
    elif record.layout.number and record.layout.number < FIRST:
        missing[record.owner] += max(record.sequence - highest[record.owner], 0) - 1
        highest[record.owner] = max(highest[record.owner], record.sequence)


def undelivered(documents: dict[str, str], stream: int) -> Counter[int]:
    """Owner → records that documents say were not delivered."""
    found: Counter[int] = Counter()
    for ident, body in documents.items():
        told: dict[str, Any] = json.loads(body).get("cgtrail", {})
        if ident.startswith(f"stream{stream}-") and told.get("loss", {}).get("cause") == "not_delivered":
            found[told["cgroup"]["id"]] += told["loss"]["count"]
    return found


def _read(stream: int, segment: Segment) -> Iterator[Place]:
    ident = bytes.fromhex(segment.path.parent.name.partition("-")[2])
    for piece in scan(segment.path, ident):
        assert isinstance(piece.found, Frame)
        payload = piece.found.payload
        records = [decode(payload, offset, length) for _, offset, length in piece.found.records()]
        headers = tuple(record for record in records if isinstance(record, Header))
        yield Place(stream, segment.path, piece.offset, piece.end, piece.found.number, headers)
