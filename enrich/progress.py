"""What a worker keeps of how far it is: dead letters, then places that are committed, now and then a snapshot."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from enrich.checkpoint import Checkpoints, Snapshot
from enrich.letters import Letters
from enrich.partition import Partition
from enrich.sources import Source, SourceError
from enrich.statefile import UNWRITABLE

_log = structlog.get_logger()
_ROOM = "see that the data folder has room, and that nobody else locks its files; `cgtrail check` tells"
_AGAIN = "none, if it passes; else `cgtrail check` tells what is wrong with Kafka"


@dataclass
class Progress:
    """Notes down what is done. `schema` says which snapshots can be read again."""

    source: Source
    checkpoints: Checkpoints
    letters: Letters
    counts: Counter[str]
    schema: str
    committed: float = 0.0
    """Of time.monotonic: when all was noted down last."""
    unsure: set[str] = field(default_factory=set)
    """Partitions whose place nobody waited for to be committed."""
    unwritable: str = ""
    """Why nothing can be noted down; empty when it can."""
    snapshot_bytes: int = 0
    snapshot_took: float = 0.0
    """Seconds."""

    def note(
        self, partitions: Iterable[Partition], places: dict[str, int], needs: dict[str, int], *, surely: bool
    ) -> bool:
        """Keep the dead letters, and commit. `needs`: places from which a restart reads again, where they change.

        False, with the reason in `unwritable`, when that can't be done now.
        """
        every = list(partitions)
        again = self.unsure if surely else set()
        moved = {
            each.name: places[each.name] for each in every if places[each.name] != each.committed or each.name in again
        }
        try:
            self._add_letters(every)
            if moved:
                own = {each.name: each.needs for each in every if each.needs is not None}
                self.source.commit(moved, own | needs, surely=surely)
        except UNWRITABLE as error:
            self.unwritable = str(error)
            _log.warning("what is stored can't be noted down; trying again", error=str(error), next=_advice(error))
            return False
        for each in every:
            each.committed = places[each.name]
        self.unsure = set() if surely else self.unsure | moved.keys()
        self.unwritable, self.committed = "", time.monotonic()
        return True

    def _add_letters(self, partitions: list[Partition]) -> None:
        if letters := [letter for each in partitions for letter in each.made.letters]:
            self.letters.add(letters)
            self.counts["letters"] += len(letters)
            for partition in partitions:
                partition.made.letters.clear()

    def snapshot(self, partition: Partition) -> None:
        """Keep what is known now of a partition; everything before its place is committed."""
        began = partition.kept = time.monotonic()
        partition.kept_place = partition.place
        body = partition.save()
        try:
            partition.needs = self.checkpoints.store(partition.name, self.schema, Snapshot(partition.place, body))
            self.source.commit({partition.name: partition.committed}, {partition.name: partition.needs}, surely=False)
        except UNWRITABLE as error:
            _log.warning("no snapshot could be kept; a restart will take longer", error=str(error), next=_advice(error))
        else:
            self.counts["snapshots"] += 1
        self.snapshot_bytes, self.snapshot_took = len(body), time.monotonic() - began


def _advice(error: Exception) -> str:
    return _AGAIN if isinstance(error, SourceError) else _ROOM
