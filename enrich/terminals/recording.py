"""What a terminal showed, as it becomes `text_output` documents: text, and when each part of it came.

`timing` is tlog's notation (github.com/Scribery/tlog, 2.3): `+ms` passed, `>n` characters were shown, `=WxH` is the
window from here on.
"""

from __future__ import annotations

from codecs import utf_8_decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from enrich.secrets.scrub import Scrubber, Stream

if TYPE_CHECKING:
    from enrich.item import Epoch, Process

FULL = 16384
"""Bytes from which on a document is full."""
_MILLISECOND = 1_000_000
_LONG = (1 << 63) - 1
"""The largest number a document takes; counts of damaged records may be anything."""


def long(count: int) -> int:
    """A count as far as a document takes it."""
    return min(count, _LONG)


@dataclass(slots=True, eq=False)
class Draft:
    """A document in the making. `time` is boot time in ns, of what came first; `stamp` its @timestamp."""

    id: str
    time: int
    stamp: int
    offset: int
    """Bytes that the terminal had shown before."""
    pid: int
    """Who wrote it."""
    process: Process | None
    epoch: Epoch | None
    unasked: bool
    rows: int
    columns: int
    partial: bool = False
    """What stands before it is not known: the agent was stopped."""
    text: list[str] = field(default_factory=list)
    timing: list[str] = field(default_factory=list)
    run: int = 0
    """Characters shown since the last delay or window."""
    elapsed: int = 0
    """Milliseconds that `timing` has told."""
    captured: int = 0
    """Bytes that were shown, and that are recorded."""
    skips: list[tuple[int, int]] = field(default_factory=list)
    """Bytes of `text` before, and bytes skipped."""
    writers: list[int] = field(default_factory=list)

    def at(self, time: int) -> None:
        """Time has passed before what comes next."""
        passed = (time - self.time) // _MILLISECOND - self.elapsed
        if passed > 0:
            self._end_run()
            self.timing.append(f"+{passed}")
            self.elapsed += passed

    def resize(self, rows: int, columns: int) -> None:
        """The window has another size from here on."""
        self._end_run()
        self.timing.append(f"={columns}x{rows}")

    def add(self, text: str) -> None:
        """More is shown."""
        if text:
            self.text.append(text)
            self.run += len(text)

    def skip(self, count: int) -> None:
        """Bytes were shown here that no record holds."""
        offset = sum(len(text.encode()) for text in self.text)
        if self.skips and self.skips[-1][0] == offset:
            count += self.skips.pop()[1]
        self.skips.append((offset, long(count)))

    def wrote(self, *pids: int) -> None:
        """Who wrote is one of these too, as far as there is room to tell."""
        for pid in pids:
            if pid and pid not in self.writers and len(self.writers) < 16:
                self.writers.append(pid)

    def finish(self) -> str:
        """What `timing` is when nothing more comes."""
        self._end_run()
        return "".join(self.timing)

    def _end_run(self) -> None:
        if self.run:
            self.timing.append(f">{self.run}")
            self.run = 0


@dataclass(slots=True, eq=False)
class Recording:
    """The stream of what one terminal shows. `captured` and `skipped` are bytes, and together all that was shown."""

    draft: Draft | None = None
    number: int = 0
    """Documents so far."""
    captured: int = 0
    skipped: int = 0
    window: tuple[int, int] = (0, 0)
    """Rows and columns that were told last."""
    gap: int = 0
    """Bytes skipped that no document tells of yet."""
    broken: bool = False
    """The agent was stopped since what was shown last."""
    rest: bytes = b""
    """The beginning of a character."""
    stream: Stream = field(default_factory=Stream)

    def miss(self, count: int) -> None:
        """So many bytes were shown that no record holds."""
        self.skipped = long(self.skipped + count)
        self.gap = long(self.gap + count)

    def take(self, scrubber: Scrubber, content: bytes) -> None:
        """Add bytes to the draft."""
        draft = self.draft
        assert draft is not None
        draft.captured += len(content)
        self.captured += len(content)
        text, used = utf_8_decode(self.rest + content if self.rest else content, "replace", False)
        self.rest = (self.rest + content)[used:] if self.rest else content[used:]
        draft.add(scrubber.feed(self.stream, text))

    def interrupt(self, scrubber: Scrubber) -> str:
        """What was held back for what was to follow, and does not."""
        text = scrubber.feed(self.stream, "\ufffd") if self.rest else ""
        text += scrubber.finish(self.stream)
        self.rest, self.stream = b"", Stream()
        return text
