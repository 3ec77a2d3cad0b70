"""What of a terminal deserves attention: input that nobody typed, and bytes that may go out unrecorded."""

from __future__ import annotations

from bpf.enums import TerminalFlag
from bpf.events import Terminal, TtyOutput, TtyUring
from enrich.item import Item
from enrich.terminals.session import Alarm, Session
from enrich.terminals.telling import Telling
from enrich.terminals.witnesses import Witnesses

APART_NS = 1_000_000_000
"""Alarms of one kind are told so far apart at least."""
_UNREADABLE = int(TerminalFlag.UNREADABLE)


class Alarms:
    """Counts what happens, and tells it, once a second at most for each session and kind."""

    def __init__(self, telling: Telling, witnesses: Witnesses) -> None:
        self._telling, self._witnesses = telling, witnesses

    def inject(self, item: Item, session: Session, record: Terminal) -> None:
        """A process pushed a byte into the input (TIOCSTI)."""
        session.injected.total += 1
        self._raise(item, session, session.injected, record)

    def uring(self, item: Item, session: Session, record: TtyUring) -> None:
        """A process asked io_uring to act on the terminal."""
        session.uring += 1
        self._raise(item, session, session.escaped, record)

    def drained(self, item: Item, session: Session, record: TtyOutput) -> None:
        """The kernel's own count of what was shown runs ahead of ours, or what was shown could not be read.

        Two who read at once disagree for a moment, so it counts what two records in a row say.
        """
        surplus, escaped = record.drained - record.shown - record.size, 0
        if session.surplus is None or surplus < session.surplus:  # flushed, and counted anew
            session.surplus, session.ahead = surplus, 0
        elif record.drained:
            ahead = surplus - session.surplus
            escaped = min(session.ahead, ahead)
            session.ahead = ahead - escaped
            session.surplus += escaped
            session.escaped.total += escaped
        if escaped or (record.terminal_flags & _UNREADABLE and not record.content):
            self._raise(item, session, session.escaped, record)

    def tell(self, item: Item, session: Session, now: int | None) -> None:
        """Tell what is due now; None: all."""
        for alarm, action in ((session.injected, "input_injected"), (session.escaped, "output_escaped")):
            if not alarm.pending or (now is not None and alarm.told and abs(now - alarm.told) < APART_NS):
                continue
            alarm.pending, alarm.told = False, now or alarm.told
            totals = {"injected": alarm.total}
            if alarm is session.escaped:
                totals = {"escaped": alarm.total, "skipped": session.recording.skipped, "uring": session.uring}
            self._telling.info(item, session, action, self._witnesses.find(alarm.tgid, session), **totals)

    @staticmethod
    def pending(session: Session) -> bool:
        """Whether something is still to be told."""
        return session.injected.pending or session.escaped.pending

    def _raise(self, item: Item, session: Session, alarm: Alarm, record: Terminal) -> None:
        if not alarm.pending:
            alarm.pending, alarm.tgid = True, record.tgid
        self.tell(item, session, record.time)
