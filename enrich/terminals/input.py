"""What programs consume from a terminal: echoed lines as text, secrets only as such, single keys not at all."""

from __future__ import annotations

from bpf.enums import TerminalFlag
from bpf.events import TtyInput
from enrich.item import Item
from enrich.secrets.scrub import Scrubber, Stream
from enrich.terminals.effort import Effort
from enrich.terminals.passwords import asks, last_line
from enrich.terminals.session import Line, Session
from enrich.terminals.telling import TERMINAL, Telling, allowed
from enrich.terminals.witnesses import Witnesses

ICANON, ECHO = 2, 8
"""Of c_lflag (asm-generic/termbits-common.h)."""
IDLE_NS = 1_000_000_000
"""How long an unfinished line waits for more: some programs read byte by byte."""
LONGEST = 16384
"""Bytes from which on an unfinished line is told."""
_SECRET = int(TerminalFlag.SECRET)
_SILENT_LINES, _SILENT_NS = 3, 30_000_000_000


class Input:
    """Takes what is consumed into documents."""

    def __init__(self, telling: Telling, witnesses: Witnesses, scrubber: Scrubber, effort: Effort) -> None:
        self._telling, self._witnesses, self._scrubber, self._effort = telling, witnesses, scrubber, effort

    def read(self, item: Item, session: Session, record: TtyInput) -> bool:
        """A program consumed something. Returns whether it is taken for a secret."""
        before = session.is_secret
        return self._read(item, session, record) or before or session.is_secret

    def _read(self, item: Item, session: Session, record: TtyInput) -> bool:
        session.missed += max(record.consumed - session.consumed, 0)
        session.consumed = max(session.consumed, record.consumed) + record.size
        secret = bool(record.terminal_flags & _SECRET) or record.lflag & (ICANON | ECHO) == ICANON
        if session.line is not None and (session.line.reader, session.line.secret) != (record.tgid, secret):
            self.end(item, session)
        if secret:
            self._secret(item, session, record)
            return True
        session.missed += max(record.size - len(record.content), 0)
        session.silent = session.silent_since = 0
        if record.lflag & ICANON:
            self._line(item, session, record)
        elif not record.lflag & ECHO:
            length = session.keys.read(record.tgid, record.content)
            if length is not None:
                self._mask(item, session, self._begin(item, record, length=length))
                return True
        return False

    def mode(self, item: Item, session: Session, lflag: int) -> None:
        """The terminal's mode is as it is: what was read in another one has ended."""
        if lflag & (ICANON | ECHO):
            reader = session.keys.reader
            length = session.keys.end()
            if length is not None:
                process = self._witnesses.find(reader, session)
                unasked, _ = allowed(session.epoch)
                line = Line(reader, 2**32 - 1, item.time, process, session.epoch, unasked, secret=True, length=length)
                self._mask(item, session, line)
        if lflag & ECHO:
            if session.line is not None and session.line.secret:
                self.end(item, session)
            session.silent = session.silent_since = 0

    def end(self, item: Item, session: Session) -> None:
        """A line is complete, or nothing more of it will come."""
        line, session.line = session.line, None
        if line is None:
            return
        if line.secret:
            line.length = max(line.length - 1, 0)  # what ended it
            self._mask(item, session, line)
            self._silent(item, session, line)
            return
        if asks(last_line(session.keys.written)):  # a program that does not know how to turn echo off
            session.keys.written = b""
            line.secret, line.length = True, len(line.content.rstrip(b"\r\n"))
            self._mask(item, session, line)
            return
        if not self._effort.may(line.epoch, line.last):
            session.missed += len(line.content)
            return
        looked = self._scrubber.looked
        text = self._scrubber.feed(session.input, line.content.decode(errors="replace"))
        self._effort.spend(line.epoch, line.last, self._scrubber.looked - looked)
        if text:
            self._tell(item, session, line, text)

    def close(self, item: Item, session: Session) -> None:
        """The session ended."""
        self.mode(item, session, ICANON | ECHO)
        self.end(item, session)
        text = self._scrubber.finish(session.input)
        session.input = Stream()
        if text:
            process = session.leader
            unasked, _ = allowed(session.epoch)
            line = Line(session.leader_pid, 2**32 - 1, item.time, process, session.epoch, unasked)
            self._tell(item, session, line, text)

    def _secret(self, item: Item, session: Session, record: TtyInput) -> None:
        line = session.line
        if line is None:
            line = session.line = self._begin(item, record, length=0)
        line.length += record.size
        line.last = record.time
        if record.size > 1 and record.lflag & ICANON:  # a canonical read returns a line; who reads bytes, only those
            self.end(item, session)

    def _line(self, item: Item, session: Session, record: TtyInput) -> None:
        line = session.line
        if line is None:
            line = session.line = self._begin(item, record)
        line.content += record.content
        line.last = record.time
        if line.content.endswith(b"\n") or len(line.content) >= LONGEST:
            self.end(item, session)

    def _begin(self, item: Item, record: TtyInput, length: int | None = None) -> Line:
        unasked, _ = allowed(item.epoch)
        process = self._witnesses.find(record.tgid)
        made = Line(record.tgid, record.uid, record.time, process, item.epoch, unasked, record.time)
        made.secret, made.length = length is not None, length or 0
        return made

    def _mask(self, item: Item, session: Session, line: Line) -> None:
        session.masked += 1
        self._tell(item, session, line, "")

    def _tell(self, item: Item, session: Session, line: Line, text: str) -> None:
        unasked, policy = allowed(line.epoch)
        if unasked or policy & TERMINAL:
            self._telling.line(item, session, line, text)

    def _silent(self, item: Item, session: Session, line: Line) -> None:
        """Lines that are read without echo, one after the other, are no password any more."""
        if session.silent < 0:
            return
        session.silent += 1
        session.silent_since = session.silent_since or line.since
        long = session.silent > 1 and line.last - session.silent_since > _SILENT_NS
        if session.silent >= _SILENT_LINES or long:
            self._telling.info(item, session, "echo_off", line.process, masked=session.masked)
            session.silent = -1
