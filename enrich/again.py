"""Streams of the past, enriched again as a worker does it, with nothing that outlives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from enrich.enricher import Enricher, Output
from enrich.history import Stretch
from enrich.letters import Letter
from enrich.partition import Partition
from enrich.secrets.rules import Rules
from enrich.sources import Refused, Taken

Place = tuple[str, int, int]
"""Stream in hexadecimal, frame and index of a record."""


def deadly(letters: Iterable[Letter]) -> set[Place]:
    """The records among dead letters that workers died of."""
    return {(letter.stream, letter.frame, letter.index) for letter in letters if letter.deadly}


@dataclass(frozen=True, slots=True)
class Making:
    """How documents are made, as the worker makes them."""

    forks: bool = False
    deadly: Collection[Place] = ()
    """Records to leave alone: workers died of them."""
    secrets: Rules | None = None
    """What is masked; None: what the built-in rules find."""
    output: str = "none"
    """What is kept of what commands show (`enrich.commands.output.KEPT`)."""

    def fresh(self, stream: bytes, opened: int) -> Enricher:
        """Who takes a stream from now on."""
        watch = _PassOver(stream, self.deadly)
        return Enricher(stream, opened=opened, forks=self.forks, output=self.output, secrets=self.secrets, watch=watch)


class Again:
    """The partitions in which some stretches lie, while they are read."""

    def __init__(self, stretches: list[Stretch], making: Making) -> None:
        self._partitions: dict[str, Partition] = {}
        for stretch in stretches:
            known = self._partitions.get(stretch.partition)
            place = min(stretch.place, known.place if known else stretch.place)
            self._partitions[stretch.partition] = Partition(stretch.partition, place, place, making.fresh, Counter())

    def take(self, name: str, taken: Taken | Refused) -> Output:
        """What comes of the next piece of a partition."""
        self._partitions[name].take(taken)
        return self._made(self._partitions[name])

    def enricher(self, stretch: Stretch) -> Enricher | None:
        """Who takes the stream of a stretch; None before its first piece, and when it is over."""
        standing = self._partitions[stretch.partition].streams.get(stretch.stream)
        return standing.enricher if standing else None

    def finish(self) -> Output:
        """What still waits in streams that have not ended."""
        output = Output()
        for partition in self._partitions.values():
            partition.end()
            output.add(self._made(partition))
        return output

    @staticmethod
    def _made(partition: Partition) -> Output:
        made, partition.made = partition.made, Output()
        return made


class _PassOver:
    """A worker's watch that leaves records alone of which workers died."""

    def __init__(self, stream: bytes, deadly: Collection[Place]) -> None:
        self._places = {place[1:] for place in deadly if place[0] == stream.hex()}

    def begins(self, frame: int, index: int) -> bool:
        """Nothing outlives a replay; True where the record is to be left alone."""
        return (frame, index) in self._places
