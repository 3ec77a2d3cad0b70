"""Listens to one runtime, whichever it is: tries again, lists all again now and then, notices when it hangs.

One thread reads the runtime's events and tells them at once. Another lists, and asks for what events leave out, one
container after the other on connections of its own: an answer that does not come holds up no news.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import structlog

from shipper.runtimes import sockets
from shipper.runtimes.news import Heard, Metadata, News
from shipper.runtimes.told import Change, Told

RESYNC_SECONDS = 60.0
"""After so long a lost event is made up for, and a runtime that hangs is noticed, or sooner."""
DEAF_SECONDS = 5.0
"""So long after a list told what no event had, an event must come; otherwise the stream of events hangs."""
DOUBT_SECONDS = 10.0
"""So long after a list another is asked for at the earliest, when one container's answer does not come."""
RETRY_SECONDS = (0.5, 1, 2, 5, 10)
STEADY_SECONDS = 30.0
"""A connection that lasted so long was one: what ends sooner is tried again ever more rarely."""
LISTED_SECONDS = 2.0
_log = structlog.get_logger()


class Feed(Protocol):
    """A runtime that answered: its events are heard from when this was made."""

    runtime: str
    """As in `Metadata.runtime`."""
    whole: bool
    """A list tells all there is to know of each container."""

    def changes(self) -> Iterator[Change]:
        """Events as they come; ends or raises when the runtime goes away, or after `close` in another thread."""

    def list(self) -> Mapping[str, Metadata]:
        """All containers there are, by key. Raises whatever it trips over, within a bounded time."""

    def inspect(self, known: Metadata) -> Metadata | None:
        """All there is to know of a container; None: it is gone. Raises as `list` does."""

    def close(self) -> None:
        """Hang up."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a runtime is."""

    runtime: str
    """What is expected there."""
    address: str
    open: Callable[[str], Feed]
    """Connects to this address. Raises whatever it trips over, within a bounded time."""

    def connect(self) -> Feed:
        """Connect. Raises as `open` does, and FileNotFoundError before it when nothing can be there."""
        path = sockets.path_of(self.address)
        if path is not None:
            os.stat(path)
        return self.open(self.address)

    def reachable(self) -> bool:
        """Its socket is there, so that something could answer soon; of an address on a network only asking tells."""
        path = sockets.path_of(self.address)
        return path is not None and os.path.exists(path)


class Listener:
    """Implements `news.Runtime` for any source."""

    def __init__(self, source: Source) -> None:
        self.name = source.runtime
        self.address = source.address
        self.error: str | None = "not connected yet"
        self.expected = source.reachable()
        self._source = source
        self._told = Told()
        self.updates: queue.SimpleQueue[News] = self._told.news
        self._connected_ever = False
        self._since = 0.0
        self._stopping = False
        self._listed = threading.Event()
        self._slow: set[str] = set()
        """Keys of containers whose answer did not come."""
        self._feed: Feed | None = None
        self._ended: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=source.runtime, daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def wait_listed(self) -> None:
        """Wait until the containers there are have been told, or it proved unreachable; at most 2 s."""
        self._listed.wait(LISTED_SECONDS)

    def stop(self) -> None:
        """Stop trying; the threads end once an answer that they wait for has come, or timed out."""
        with self._told.wake:
            self._stopping = True
            self._told.wake.notify_all()

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            try:
                self._listen()
            # Sockets, http.client, h2 and json raise their own, and an answer that makes no sense raises whatever it
            # trips over: nothing of that may end this thread.
            except Exception as error:  # noqa: BLE001
                failures = self._failed(error, failures)
            with self._told.wake:
                pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                self._told.wake.wait_for(lambda: self._stopping, pause)
            failures += 1

    def _failed(self, error: Exception, failures: int) -> int:
        lost = self.error is None
        if lost:
            failures = 0 if time.monotonic() - self._since >= STEADY_SECONDS else failures
            self.updates.put(Heard(self.name, connected=False))
        self.error = reason(error)
        self.expected = self._connected_ever or self._source.reachable()
        if lost or failures == 0:
            _log.info(
                f"{self.name} is not reachable",
                address=self.address,
                error=self.error,
                next="recording goes on, and names wait for it; `cgtrail check` asks it again",
            )
        self._listed.set()
        return failures

    def _listen(self) -> None:
        with closing(self._source.connect()) as feed:
            self.name, self._feed, self._ended = feed.runtime, feed, None
            reading = threading.Thread(target=self._read, args=(feed,), name=f"{self.name} events", daemon=True)
            reading.start()
            try:
                self._resync(feed)
                self._since = time.monotonic()
                self.error, self.expected, self._connected_ever = None, True, True
                self.updates.put(Heard(self.name, connected=True))
                self._listed.set()
                _log.info(f"{self.name} connected", address=self.address)
                while not self._stopping:
                    self._until_resync(feed)
                    self._resync(feed)
            finally:
                self._feed = None
                feed.close()
                reading.join(1)

    def _read(self, feed: Feed) -> None:
        try:
            for change in feed.changes():
                if self._feed is not feed:
                    return
                self._told.event(change)
            ended: Exception = EOFError("it ended its stream of events")
        except Exception as error:  # noqa: BLE001  as in `_run`
            ended = error
        with self._told.wake:
            if self._feed is feed:
                self._ended = ended
                self._told.wake.notify_all()

    def _resync(self, feed: Feed) -> None:
        if self._stopping:
            return
        self._told.listing()
        missed = self._told.listed(feed.list(), whole=feed.whole)
        if missed and self.error is None:  # not the first
            self._hear(self._told.events)

    def _hear(self, events: int) -> None:
        """Containers came or went: an event of that may be on its way, but not for long."""
        self._wait(DEAF_SECONDS, lambda: self._told.events != events)
        if self._told.events == events and not self._stopping:
            raise TimeoutError("it lists containers of which no event told")

    def _until_resync(self, feed: Feed) -> None:
        listed = time.monotonic()
        due = listed + RESYNC_SECONDS
        while (left := due - time.monotonic()) > 0 and not self._stopping:
            self._wait(left, lambda: self._told.waiting)
            asked = self._told.asked()
            if asked is not None and not self._answered(feed, asked) and asked.key not in self._slow:
                self._slow.add(asked.key)
                due = min(due, listed + DOUBT_SECONDS)  # does only this one hang, or all of it?

    def _answered(self, feed: Feed, asked: Metadata) -> bool:
        """False: not in time. Any other failure is of this container only, which is asked for after the next list."""
        try:
            metadata = feed.inspect(asked)
        except TimeoutError:
            return False
        except Exception as error:  # noqa: BLE001  as in `_run`
            _log.debug(f"{self.name} does not describe a container", container=asked.key, error=reason(error))
            return True
        if metadata is not None:
            self._told.inspected(metadata)
        self._slow.discard(asked.key)
        return True

    def _wait(self, seconds: float, done: Callable[[], bool]) -> None:
        with self._told.wake:
            self._told.wake.wait_for(lambda: done() or self._stopping or self._ended is not None, seconds)
        if self._ended is not None:
            raise self._ended


def reason(error: BaseException) -> str:
    """The operating system's own words, where they are: libraries wrap them several times."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__context__
    return str(error) or repr(error)
