"""The past of a topic, read beside the group that reads it live, which never notices.

The topic is searched by the broker's times, and what is asked for is times of hosts. A host whose clock is wrong, or
that was cut off for hours, is found all the same: all that was taken since is looked at, and each stream is followed
back to a keyframe before the time, as far as the topic reaches.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping

from enrich.history import ReplayError, Stretch
from enrich.kafka import pieces
from enrich.kafka.keyframes import Search, Seen
from enrich.kafka.reading import Span, TopicReader
from enrich.refusals import untimely
from enrich.sources import Refused, Taken
from shipper.wire.broker import Broker
from shipper.wire.frame import KEYFRAME, Frame

MARGIN_NS = 600 * 1_000_000_000
"""So long before a time keyframes are looked for first: agents write one each five minutes."""


class KafkaHistory:
    """The raw topic. Its partitions are named as workers name them, its places are offsets."""

    def __init__(self, broker: Broker, stop: threading.Event) -> None:
        """`stop`: no more is to be read. Raises SourceError for settings that the client refuses."""
        self.name = f"topic {broker.topics.raw}"
        self._topic, self._stop = broker.topics.raw, stop
        self._reader = TopicReader(broker, self._topic)
        self._final: dict[bytes, int] = {}
        """Stream → the place behind its last piece."""

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()

    def stretches(self, since: int, until: int) -> list[Stretch]:
        """As History says."""
        spans = self._reader.spans()
        if not any(span.begin < span.end for span in spans.values()):
            message = f"{self.name} is empty, so nothing can be replayed: does `cgtrail publish` run on the hosts?"
            raise ReplayError(message)
        found = self._search(spans, since, until)
        chosen = {stream: seen for stream, seen in found.seen.items() if seen.wanted}
        self._final = {stream: seen.final for stream, seen in chosen.items()}
        return [self._stretch(stream, seen) for stream, seen in chosen.items()]

    def whole(self, origins: Mapping[str, str]) -> list[Stretch]:
        """As History says. An origin that names no partition makes all of them be looked at."""
        spans = self._reader.spans()
        named = [re.match(rf"{re.escape(self._topic)}-(\d+)\b", origin) for origin in origins.values()]
        if all(named):
            hinted = {int(match[1]) for match in named if match}
            spans = {number: span for number, span in spans.items() if number in hinted}
        self._final = {}
        search = Search(0, 0)
        missing = {bytes.fromhex(name) for name in origins}
        for number, taken in self._read(spans):
            if isinstance(taken, Taken) and taken.stream in missing:
                search.take(number, taken)
                self._final[taken.stream] = spans[number].end
                missing.discard(taken.stream)
                if not missing:
                    break
        return [self._stretch(stream, seen) for stream, seen in search.seen.items()]

    def oldest(self) -> int:
        """As History says: the oldest keyframe of a partition, as without one nobody can begin.

        Where something was removed it is the partition's that reaches back least far.
        """
        spans = self._reader.spans()
        times: dict[int, int] = {}
        for number, taken in self._read(spans):
            if not isinstance(taken, Taken) or not isinstance(piece := taken.piece, Frame):
                continue
            if (piece.flags & KEYFRAME or not piece.number) and not untimely(piece, taken):
                times.setdefault(number, piece.time)
                self._reader.leave(number)
        removed = [time for number, time in times.items() if spans[number].begin]
        return max(removed) if removed else min(times.values(), default=0)

    def read(self, stretches: list[Stretch]) -> Iterator[tuple[str, Taken | Refused]]:
        """As History says, up to the end that there was when the stretches were found."""
        of = {stretch.stream: stretch for stretch in stretches}
        spans: dict[int, Span] = {}
        for stretch in stretches:
            number = int(stretch.partition.rpartition("-")[2])
            span = spans.get(number, Span(stretch.place, 0))
            spans[number] = Span(min(span.begin, stretch.place), max(span.end, self._final[stretch.stream]))
        for number, taken in self._read(spans):
            stream, name = taken.stream if isinstance(taken, Taken) else taken.error.stream, self._name(number)
            mine = of.get(stream) if stream else None
            if not stream or (mine and not mine.over and taken.place >= mine.place):
                yield name, taken
                if mine and mine.over and all(each.over for each in stretches if each.partition == name):
                    self._reader.leave(number)

    def _search(self, spans: dict[int, Span], since: int, until: int) -> Search:
        """Look at all that was taken since a margin before a time, and further back where a stream has no beginning."""
        found, margin = Search(since, until), MARGIN_NS
        behind = {number: span.end for number, span in spans.items()}
        while True:
            begins = self._reader.since(spans, since - margin)
            search = Search(since, until)
            earlier = {number: Span(begins[number], end) for number, end in behind.items() if begins[number] < end}
            for number, taken in self._read(earlier):
                if isinstance(taken, Taken):
                    search.take(number, taken)
            found.further_back(search)
            headless = {seen.partition for seen in found.seen.values() if seen.headless}
            behind = {number: begins[number] for number in headless if begins[number] > spans[number].begin}
            if not behind or self._stop.is_set():
                return found
            margin *= 2

    def _read(self, spans: dict[int, Span]) -> Iterator[tuple[int, Taken | Refused]]:
        for message in self._reader.read(spans, self._stop):
            number = message.partition() or 0
            yield number, pieces.taken(self._name(number), message.offset() or 0, message)

    def _stretch(self, stream: bytes, seen: Seen) -> Stretch:
        place = seen.place if seen.begin is None else seen.begin
        return Stretch(self._name(seen.partition), stream, seen.opened, place, seen.last, seen.size)

    def _name(self, partition: int) -> str:
        return f"{self._topic}-{partition}"
