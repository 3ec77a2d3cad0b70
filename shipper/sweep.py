"""Compares what is known with the cgroups that there are: it finds births and deaths that nobody told of."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from shipper import cgroups

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """What a sweep found amiss."""

    unknown: dict[int, str]
    """Cgroups that nobody told of: id → path."""
    gone: set[int]
    """Cgroups that were known before it began, and are not there; none where some of the hierarchy was not seen."""


@dataclass(slots=True)
class Sweep:
    """Walks the hierarchy in a thread of its own, so that many cgroups hold up nobody."""

    root: Path
    """Of the cgroup2 hierarchy."""
    count: int = 0
    """Sweeps that have ended."""
    _known: set[int] = field(default_factory=set)
    _found: dict[int, str] | None = None
    _unread: list[str] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def begin(self, known: Iterable[int]) -> None:
        """Start one, unless one is under way. `known`: all that is thought to live now."""
        if self._thread is None:
            self._known = set(known)
            self._thread = threading.Thread(target=self._walk, name="sweep", daemon=True)
            self._thread.start()

    @property
    def under_way(self) -> bool:
        """It was begun, and what it found has not been taken."""
        return self._thread is not None

    def take(self, known: Iterable[int], ended: Iterable[int]) -> Found | None:
        """What it found, once it has ended. `known`: what lives now; `ended`: what was removed since it began."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread, found, self._found = None, self._found, None
        if found is None:  # the hierarchy could not be read
            return None
        self.count += 1
        unknown = found.keys() - set(known) - set(ended)
        gone = self._known - found.keys() if not self._unread else set()
        return Found({number: found[number] for number in unknown}, gone)

    def _walk(self) -> None:
        self._unread = []
        try:
            self._found = dict(cgroups.walk(self.root, self._unread))
        except OSError as error:
            _log.error("the cgroups can't be walked", error=str(error), next="it is tried again within a minute")
        if self._unread:
            _log.warning("some cgroups can't be read: whatever was known below them counts as living",
                         cgroup=self._unread[0], count=len(self._unread),
                         next="see the permissions of this folder")  # fmt: skip
