"""What a terminal shows, record by record: gaps are known to the byte, and drafts become documents."""

from __future__ import annotations

from bpf.events import Terminal, TtyOutput
from enrich.item import Item, Process
from enrich.secrets.scrub import Scrubber
from enrich.terminals.effort import Effort
from enrich.terminals.recording import FULL, Draft
from enrich.terminals.session import Session
from enrich.terminals.telling import OUTPUT, Telling, allowed
from enrich.terminals.witnesses import Witnesses

FLUSH_NS = 1_000_000_000
"""How long a draft waits for more."""


class Screen:
    """Takes what is shown into a session's recording."""

    def __init__(self, telling: Telling, witnesses: Witnesses, scrubber: Scrubber, effort: Effort) -> None:
        self._telling, self._witnesses, self._scrubber, self._effort = telling, witnesses, scrubber, effort

    def show(self, item: Item, session: Session, record: TtyOutput) -> None:
        """Bytes were shown. What the record does not hold of them came before those that it holds."""
        recording, content = session.recording, record.content
        unasked, policy = allowed(item.epoch)
        session.output = max(session.output, record.shown) + record.size
        recording.miss(max(record.size - len(content), 0))
        if (not unasked and not policy & OUTPUT) or not self._effort.may(item.epoch, record.time):
            recording.miss(len(content))
            return
        session.keys.show(content)
        pid, process = self._writer(session, record)
        draft = recording.draft
        if draft is not None and (draft.pid, draft.unasked, draft.epoch) != (pid, unasked, item.epoch):
            self.flush(item, session)
        if not content:
            return
        offset, looked = session.before[0] + session.output - len(content), self._scrubber.looked
        for at in self._pieces(session, len(content)):
            draft = recording.draft or self._begin(item, session, record.time, offset + at.start, pid, process)
            draft.unasked, draft.epoch = unasked, item.epoch
            draft.at(record.time)
            if recording.gap:
                draft.add(recording.interrupt(self._scrubber))
                draft.skip(recording.gap)
                recording.gap = 0
            recording.take(self._scrubber, content[at.start : at.stop])
            draft.wrote(record.writer, record.last_writer)
            if draft.captured >= FULL:
                self.flush(item, session)
        self._effort.spend(item.epoch, record.time, self._scrubber.looked - looked)

    def resize(self, session: Session, record: Terminal) -> None:
        """The window is another one, as a record says."""
        session.rows, session.columns = record.rows, record.columns
        recording = session.recording
        if recording.draft is not None:
            recording.draft.at(record.time)
            recording.draft.resize(record.rows, record.columns)
            recording.window = record.rows, record.columns

    def flush(self, item: Item, session: Session) -> None:
        """What there is becomes a document."""
        draft, session.recording.draft = session.recording.draft, None
        if draft is not None:
            self._telling.output(item, session, draft)

    def interrupt(self, item: Item, session: Session) -> None:
        """Nothing that continues what was shown will come: the agent was stopped, or the session ended."""
        recording = session.recording
        text = recording.interrupt(self._scrubber)
        if text or (recording.gap and recording.draft is not None):
            leader, offset = session.leader, session.before[0] + session.output
            now = item.record.time  # type: ignore[attr-defined]
            draft = recording.draft or self._begin(item, session, now, offset, session.leader_pid, leader)
            draft.at(now)
            draft.add(text)
            if recording.gap:
                draft.skip(recording.gap)
                recording.gap = 0
        self.flush(item, session)

    @staticmethod
    def _pieces(session: Session, length: int) -> list[range]:
        """Where to cut what came, so that documents are full and not more."""
        draft = session.recording.draft
        at, room, pieces = 0, FULL - (draft.captured if draft is not None else 0), []
        while at < length:
            pieces.append(range(at, min(at + room, length)))
            at, room = at + room, FULL
        return pieces

    def _begin(self, item: Item, session: Session, time: int, offset: int, pid: int, process: Process | None) -> Draft:
        recording = session.recording
        identity, stamp = session.identity(item.id), session.timestamp(item.time)
        unasked = session.unasked
        made = Draft(identity, time, stamp, offset, pid, process, session.epoch, unasked, session.rows, session.columns)
        made.partial, recording.broken = recording.broken, False
        if recording.window != (session.rows, session.columns):
            recording.window = session.rows, session.columns
            made.resize(session.rows, session.columns)
        recording.draft = made
        return made

    def _writer(self, session: Session, record: TtyOutput) -> tuple[int, Process | None]:
        """Who wrote, as far as it can be told: the one writer, else the foreground group's leader, else the session's.

        A group outlives its leader, and a writer may be gone when what it wrote is shown.
        """
        pids = (record.writer if record.writers == 1 else 0, record.foreground, record.leader, session.leader_pid)
        for pid in pids:
            if pid:
                process = self._witnesses.find(pid, session)
                if process is not None:
                    return pid, process
        return next(filter(None, pids), 0), None
