"""What workers keep to go on where any of them was: two snapshots a partition, and which records they died of.

In a compacted topic, partition P of the streams' topic in its partition P modulo their number. Each consumer group has
its own, for what is known at a place is of use only to who has stored what stands before it. Keys are text:

* `snapshot/<group>/<partition>/<slot>/<chunk>`: a piece of a compressed snapshot
* `snapshot/<group>/<partition>/<slot>`: what the pieces make, written once they are all there
* `death/<group>/<stream>`: how often workers died of which of its records

A slot is overwritten in place, so whoever is killed meanwhile leaves pieces that do not fit: they are left alone, and
the other slot serves.
"""

from __future__ import annotations

import threading
import time
import zlib
from dataclasses import dataclass

import msgspec
import structlog

from enrich.checkpoint import SLOTS, Snapshot
from enrich.kafka.compacted import ANSWER_SECONDS, Compacted, Known
from enrich.sources import SourceError
from shipper.wire.broker import Broker

_log = structlog.get_logger()

CHUNK = 512 << 10
"""Bytes: topics take messages of 1 MiB unless told otherwise."""
RETRY_SECONDS = 1.0
SHORT_SECONDS = 2.0
"""So long brokers have to answer what can do without: a worker that begins asks."""
COUNT_SECONDS = 30.0
"""How many partitions the topic has is asked at most so often."""
_SNAPSHOT, _DEATH = "snapshot", "death"


class _Manifest(msgspec.Struct):
    position: int
    schema: str
    chunks: int
    bytes: int
    """Of all chunks together."""
    crc: int
    """crc32 of them."""


@dataclass(frozen=True, slots=True)
class _Slot:
    number: int
    manifest: _Manifest | None


class KafkaCheckpoints:
    """As enrich.checkpoint.Checkpoints, for workers on many machines. A state that is lost makes a restart slower."""

    def __init__(self, broker: Broker, stop: threading.Event) -> None:
        """Ask nobody yet."""
        self._own, self._death = (f"{kind}/{broker.group}/" for kind in (_SNAPSHOT, _DEATH))
        self._table = Compacted(broker, broker.topics.state, "keeping workers' state", self._small)
        self._stop = stop
        self._count, self._counted = 0, 0.0
        self._away = 0.0
        """Until then nothing is stored: it takes long to find that brokers do not answer."""
        self._again = 0.0
        """When what others died of is asked again, after nobody answered."""
        self._void: set[bytes] = set()
        """Slots of places that were lost: nothing may be built on them."""
        self._deaths: dict[str, dict[tuple[int, int], int]] = {}

    def store(self, partition: str, schema: str, snapshot: Snapshot) -> int:
        """As Checkpoints. Raises SourceError."""
        if time.monotonic() < self._away:
            raise SourceError("the state can't be kept: brokers did not answer a moment ago; it is tried again soon")
        began = time.monotonic()
        try:
            return self._store(partition, schema, snapshot)
        except SourceError:
            if time.monotonic() - began > SHORT_SECONDS:  # who stops, or leaves, has many to store: once is enough
                self._away = time.monotonic() + COUNT_SECONDS
            raise

    def _store(self, partition: str, schema: str, snapshot: Snapshot) -> int:
        number = self._number(partition)
        slots = self._slots(self._table.known(number), partition, schema, snapshot.position)
        slot, other = slots
        body = zlib.compress(snapshot.body, level=1)
        chunks = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
        key = self._key(partition, slot.number)
        self._table.write(number, {key + b"/%d" % at: chunk for at, chunk in enumerate(chunks)})
        manifest = _Manifest(snapshot.position, schema, len(chunks), len(body), zlib.crc32(body))
        self._table.write(number, {key: msgspec.json.encode(manifest)})
        places = self._table.known(number).places
        pieces = {each: each[len(key) + 1 :] for each in places if each.startswith(key + b"/")}
        rest = {each for each, nth in pieces.items() if nth.isdigit() and int(nth) >= len(chunks)}
        if other.manifest is None:
            rest |= {self._key(partition, other.number)} & places.keys()
        self._table.write(number, dict.fromkeys(rest))
        self._void -= {key, self._key(partition, other.number)}
        return other.manifest.position if other.manifest else 0

    def load(self, partition: str, schema: str, position: int) -> list[Snapshot]:
        """As Checkpoints. Raises SourceError."""
        self._deaths.clear()
        number = self._number(partition, anew=True)
        known = self._table.scan(number)
        self._again = 0.0
        found: list[tuple[int, bytes]] = []
        manifests = [
            (self._key(partition, slot), _manifest(known, self._key(partition, slot))) for slot in range(SLOTS)
        ]
        for key, manifest in sorted(manifests, key=lambda each: each[1].position if each[1] else -1, reverse=True):
            if manifest is None:
                continue
            if manifest.position > position:
                self._void.add(key)
                _log.warning("the group's place is lost, or the log: what was stored before is made again, with the"
                             " same ids", partition=partition, committed=position, snapshot=manifest.position,
                             next="was topic or group deleted, or idle for offsets.retention.minutes?")  # fmt: skip
            elif manifest.schema != schema:
                _log.info("a snapshot of another version or configuration is left alone", partition=partition,
                          position=manifest.position, next="none; the state is made again from Kafka")  # fmt: skip
            elif (body := self._body(number, known, key, manifest)) is None:
                _log.warning("a damaged snapshot is left alone", partition=partition, position=manifest.position,
                             next="none; an older one serves")  # fmt: skip
            else:
                found.append((manifest.position, body))
        return [Snapshot(place, body) for place, body in found]

    def died(self, stream: str, frame: int, index: int) -> None:
        """As Checkpoints; it insists until it is stopped, for what is not told kills again. Raises SourceError."""
        while True:
            try:
                number = int(stream[:8], 16) % self._partitions()
                told = self._died(self._table.scan(number), stream)
                told[frame, index] = told.get((frame, index), 0) + 1
                value = msgspec.json.encode([(*place, count) for place, count in told.items()])
                self._table.write(number, {(self._death + stream).encode(): value})
            except SourceError as error:
                _log.warning("what the worker died of can't be kept; trying again", error=str(error))
                if self._stop.wait(RETRY_SECONDS):
                    raise
            else:
                self._deaths.pop(stream, None)
                return

    def deaths(self, stream: str) -> dict[tuple[int, int], int]:
        """As Checkpoints, as of when a snapshot was loaded last; where nobody answers, as far as is known."""
        if stream not in self._deaths:
            if time.monotonic() < self._again:
                return {}
            try:
                found = self._table.scan(int(stream[:8], 16) % self._partitions(seconds=SHORT_SECONDS))
            except SourceError as error:
                _log.warning("what workers died of can't be asked", error=str(error), next="none, if it passes")
                self._again = time.monotonic() + COUNT_SECONDS
                return {}
            self._deaths[stream] = self._died(found, stream)
        return self._deaths[stream]

    def close(self) -> None:
        """Let go of the brokers."""
        self._table.close()

    def _partitions(self, *, anew: bool = False, seconds: float = ANSWER_SECONDS) -> int:
        if not self._count or (anew and time.monotonic() - self._counted > COUNT_SECONDS):
            self._count, self._counted = self._table.partitions(seconds), time.monotonic()
        return self._count

    def _number(self, partition: str, *, anew: bool = False) -> int:
        """In which partition of the state topic a partition's state is."""
        return int(partition.rpartition("-")[2]) % self._partitions(anew=anew)

    def _slots(self, known: Known, partition: str, schema: str, position: int) -> tuple[_Slot, _Slot]:
        """The slot to write, and the one that stays: what is of no use any more counts as empty."""
        found = []
        for slot in range(SLOTS):
            key = self._key(partition, slot)
            manifest = _manifest(known, key)
            of_use = manifest and manifest.schema == schema and manifest.position <= position and key not in self._void
            found.append(_Slot(slot, manifest if of_use else None))
        first, second = sorted(found, key=lambda each: each.manifest.position if each.manifest else -1)
        if second.manifest is not None and second.manifest.position == position:
            return second, first
        return first, second

    def _body(self, number: int, known: Known, key: bytes, manifest: _Manifest) -> bytes | None:
        if manifest.chunks > len(known.places):
            return None
        places = [known.places.get(key + b"/%d" % at) for at in range(manifest.chunks)]
        if None in places:
            return None
        values = self._table.fetch(number, [place for place in places if place is not None])
        body = b"".join(values.get(place or 0, b"") for place in places)
        try:
            sound = len(body) == manifest.bytes and zlib.crc32(body) == manifest.crc
            return zlib.decompress(body) if sound else None
        except zlib.error:
            return None

    def _key(self, partition: str, slot: int) -> bytes:
        return f"{self._own}{partition}/{slot}".encode()

    def _small(self, key: bytes) -> bool:
        """Whether a value is kept in memory: manifests and deaths of this group, no chunks and nothing of others."""
        own, death = self._own.encode(), self._death.encode()
        return key.startswith(death) or (key.startswith(own) and key.count(b"/", len(own)) == 1)

    def _died(self, known: Known, stream: str) -> dict[tuple[int, int], int]:
        value = known.values.get((self._death + stream).encode())
        try:
            told = msgspec.json.decode(value, type=list[tuple[int, int, int]]) if value else []
        except (ValueError, RecursionError):
            told = []
        return {(frame, index): count for frame, index, count in told}


def _manifest(known: Known, key: bytes) -> _Manifest | None:
    value = known.values.get(key)
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=_Manifest)
    except (ValueError, RecursionError) as error:
        _log.warning("a damaged snapshot is left alone", key=key.decode(errors="replace"), error=str(error),
                     next="none; an older one serves")  # fmt: skip
        return None
