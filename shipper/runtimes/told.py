"""What was told of a runtime's containers so far: turns its events, lists and answers into news."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shipper.runtimes.news import Lived, Metadata, News
from shipper.wire.records import Life


@dataclass(frozen=True, slots=True)
class Change:
    """What an event says."""

    metadata: Metadata
    """As far as the event has it: for a removal the key, for a new name key and name."""
    life: Life | None = None
    """None: something else, and what is known of it may have changed."""
    realtime: int = 0


class Told:
    """Two threads use it: `event` one, the rest the other. A change that is to be asked for wakes who waits at `wake`.

    Nothing is told of a container before its Metadata, nor after its removal, and nothing twice.
    """

    def __init__(self) -> None:
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.wake = threading.Condition()
        self.events = 0
        """How many came."""
        self._known: dict[str, Metadata] = {}
        self._whole: set[str] = set()
        """Keys of those of which all was told."""
        self._open: dict[str, None] = {}
        """Keys of those to ask for, the newest last."""
        self._touched: set[str] | None = None
        """Keys of which events came while a list was awaited, which may be older than they are."""

    def event(self, change: Change) -> None:
        """An event came."""
        key = change.metadata.key
        with self.wake:
            self.events += 1
            if self._touched is not None:
                self._touched.add(key)
            if change.life is Life.REMOVED:
                self._remove(key, change.realtime)
                return
            known = self._known.get(key)
            if known is None and change.life is None:
                return  # what was never told of: a list will have it
            if known is None:
                self._tell(change.metadata)
            elif change.life is Life.RENAMED:
                self._tell(replace(known, name=change.metadata.name))
            if change.life is not None:
                self.news.put(Lived(key, change.life, change.realtime))
            self._ask(key)

    def listing(self) -> None:
        """A list will be asked for."""
        with self.wake:
            self._touched = set()

    def listed(self, found: Mapping[str, Metadata], *, whole: bool) -> bool:
        """The list came; `whole`: with all there is to know. True if containers came or went that no event told of."""
        with self.wake:
            touched, self._touched = self._touched or set(), None
            gone = [key for key in self._known if key not in found and key not in touched]
            new = [key for key in found if key not in self._known and key not in touched]
            for key in gone:
                self._remove(key, 0)
            for key, metadata in found.items():
                if key not in touched:
                    self._heal(key, metadata, whole=whole)
            return bool(gone or new)

    def inspected(self, metadata: Metadata) -> None:
        """The answer to what was `asked` came, and tells all there is to know."""
        with self.wake:
            # Gone meanwhile, or changed again since it was asked for: the next answer is the newer one.
            if metadata.key in self._known and metadata.key not in self._open:
                self._whole.add(metadata.key)
                self._tell(metadata)

    @property
    def waiting(self) -> bool:
        """Something is to be asked for."""
        return bool(self._open)

    def asked(self) -> Metadata | None:
        """What to ask for next: the newest first, since it will start soon; None: nothing."""
        with self.wake:
            return self._known[self._open.popitem()[0]] if self._open else None

    def _heal(self, key: str, metadata: Metadata, *, whole: bool) -> None:
        known = self._known.get(key)
        if whole:
            self._whole.add(key)
        elif known is not None:  # a list knows less than was told, and can't rename what an image was asked for as
            metadata = replace(known, name=metadata.name, labels=metadata.labels)
        self._tell(metadata)
        if key not in self._whole:
            self._ask(key)

    def _tell(self, metadata: Metadata) -> None:
        if self._known.get(metadata.key) != metadata:
            self._known[metadata.key] = metadata
            self.news.put(metadata)

    def _remove(self, key: str, realtime: int) -> None:
        self._whole.discard(key)
        self._open.pop(key, None)
        if self._known.pop(key, None) is not None:
            self.news.put(Lived(key, Life.REMOVED, realtime))

    def _ask(self, key: str) -> None:
        self._open.pop(key, None)
        self._open[key] = None
        self.wake.notify_all()
