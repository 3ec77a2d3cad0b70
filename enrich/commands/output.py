"""What was shown while a line was carried out: the terminal's bytes from behind its Return to the next prompt.

The terminal is read later than programs write to it, so what a program writes at its prompt is looked for in what is
shown: the line is over there. A line that is typed to another program meanwhile has what is shown from then on.
"""

from __future__ import annotations

import re
from typing import Any

from bpf.events import Terminal, TtyInput, TtyOutput, TtyWrite
from enrich.commands.command import Command, Life, Showing, Typist
from enrich.item import Item
from enrich.secrets.scrub import Scrubber
from enrich.terminals.effort import Effort
from enrich.terminals.passwords import CONTROL
from enrich.terminals.recording import long
from enrich.terminals.session import Session
from enrich.terminals.telling import OUTPUT, allowed

KEPT = {"none": 0, "head": 4096, "all": 1 << 20}
"""[documents] output → bytes of what a command showed that are kept."""
_MOST = 64 << 20
"""Bytes that are kept of all lines that are not over."""
_MORE = 1024
"""Bytes beyond what is kept that are looked at: a secret may begin before its end."""
_TAIL = 4096
"""Bytes at the end in which the prompt is looked for."""
_WRITTEN = 256
_ONLCR = 5
"""OPOST and ONLCR of c_oflag: a newline is shown with a carriage return before it."""
_FULL_SCREEN = re.compile(rb"\x1b\[\?(?:1049|1047|47)h")
_MARK = re.compile(r"[%#] {20,}\Z")
"""zsh's mark of output without a newline (PROMPT_SP): so many blanks that its prompt begins a row."""


class Output:
    """Keeps what is shown, as far as the setting, the container's policy and the room allow."""

    def __init__(self, scrubber: Scrubber, effort: Effort, limit: int) -> None:
        self._scrubber, self._effort, self.limit = scrubber, effort, limit
        self.held = 0
        """Bytes that are kept now. State of the step that has it."""

    def note(self, session: Session, typist: Typist, record: Terminal, key: Life) -> None:
        """Remember what a program writes while it edits: that is shown, and is not what a line shows."""
        if not isinstance(record, TtyWrite) or typist.writer != key:
            typist.written, typist.writer, typist.since = b"", key, shown(session)
        if isinstance(record, TtyWrite):
            content = record.content.replace(b"\n", b"\r\n") if record.oflag & _ONLCR == _ONLCR else record.content
            typist.written = (typist.written + content)[:_WRITTEN]

    def begin(self, item: Item, typist: Typist, command: Command) -> None:
        """A line begins: what is shown is its."""
        if typist.showing is not None:
            self.freeze(item, typist.showing)
        unasked, policy = allowed(item.epoch)
        typist.showing = None
        if self.limit and not unasked and policy & OUTPUT:
            lead = b"\r\n" if isinstance(item.record, TtyInput) else typist.written  # of a line, the kernel's echo
            typist.showing = Showing(command, lead)

    def show(self, session: Session, showing: Showing, record: TtyOutput) -> None:
        """The terminal showed something."""
        content = record.content
        room = min(self.limit + _MORE - showing.kept, _MOST - self.held)
        if room > 0 and content:
            showing.content.append(content[:room])
            showing.kept += len(showing.content[-1])
            self.held += len(showing.content[-1])
        showing.taken += len(content)
        showing.tail = (showing.tail + content[-_TAIL:])[-_TAIL:]
        showing.shown = shown(session)

    def await_prompt(self, session: Session, typist: Typist, showing: Showing) -> None:
        """Its program is at its prompt; that may still have to be shown."""
        showing.until, showing.since, showing.shown = typist.written, typist.since, shown(session)

    @staticmethod
    def found(showing: Showing) -> bool:
        """Whether the prompt was shown: then what is behind it is cut."""
        before = showing.shown - len(showing.tail)
        at = showing.tail.find(showing.until, max(showing.since - before, 0)) if showing.until else -1
        if at >= 0:
            showing.behind = len(showing.tail) - at
        return at >= 0

    def freeze(self, item: Item, showing: Showing) -> None:
        """Nothing more of what is shown is its: make the text."""
        command, raw = showing.command, b"".join(showing.content)[: max(showing.taken - showing.behind, 0)]
        self.held -= showing.kept
        showing.kept, showing.content = 0, []
        led = _lead(raw, showing.lead)
        raw = raw[led:]
        told: dict[str, Any] = {}
        now = item.record.time  # type: ignore[attr-defined]
        if not _FULL_SCREEN.search(raw) and self._effort.may(command.epoch, now):
            looked, masked = self._scrubber.looked, self._scrubber.masked.total()
            text = self._scrubber.text(raw.decode(errors="replace"))
            self._effort.spend(command.epoch, now, self._scrubber.looked - looked)
            text = _MARK.sub("", CONTROL.sub("", text))
            told = {"text": text.encode()[: self.limit].decode(errors="ignore")} if text else {}
            command.masked |= self._scrubber.masked.total() > masked
        self.held += len(told.get("text", ""))
        command.shown = told | {"kept": min(len(raw), self.limit) if told else 0, "not": led + showing.behind}

    def told(self, session: Session, command: Command) -> dict[str, Any]:
        """cgtrail.command.output, now that the line is over; none where it is not kept, for nobody waited for it."""
        if not self.limit:
            return {}
        kept = command.shown
        self.held -= len(kept.get("text", ""))
        size = max(shown(session) - command.offset - kept.get("not", 0), 0)
        told = {"bytes": long(size), "skipped": long(max(size - kept.get("kept", 0), 0))}
        return told | ({"text": kept["text"]} if "text" in kept else {})


def shown(session: Session) -> int:
    """Bytes that a session's terminal has shown so far."""
    return session.before[0] + session.output


def _lead(raw: bytes, lead: bytes) -> int:
    """How much of what was shown is still the editor's end of the line."""
    at = raw.find(lead, 0, _TAIL) if b"\x1b" in lead else -1
    if at >= 0:
        return at + len(lead)
    return next((len(lead) - cut for cut in range(len(lead)) if raw.startswith(lead[cut:])), 0)
