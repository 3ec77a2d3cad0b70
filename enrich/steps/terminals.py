"""Sessions at terminals: which life of which terminal a record is about, and when that begins, goes on and ends.

An agent that starts again sees each terminal as if for the first time. It is the same session where the same leader is
still there. Ended ones are remembered for a moment, for what is shown then; an ended one that goes on is told again.
"""

from __future__ import annotations

from typing import ClassVar

from bpf.enums import Change, TerminalFlag
from bpf.events import (
    CgroupRmdir,
    Exec,
    Exit,
    Header,
    Task,
    Terminal,
    TtyChange,
    TtyInput,
    TtyOpen,
    TtyOutput,
    TtySignal,
    TtyUring,
    TtyWrite,
)
from enrich.documents import Documents
from enrich.item import Item, Process
from enrich.secrets.scrub import Scrubber
from enrich.steps.host import Host
from enrich.steps.processes import ProcessTree
from enrich.steps.registry import RegistryView
from enrich.terminals.alarms import Alarms
from enrich.terminals.input import IDLE_NS, Input
from enrich.terminals.screen import FLUSH_NS, Screen
from enrich.terminals.session import Session, begin
from enrich.terminals.telling import Telling, allowed, is_ready
from enrich.terminals.witnesses import Witnesses
from shipper.wire.records import KeyframeBegin, KeyframeEnd, Tick

MEMORY_NS = 5_000_000_000
"""How long an ended session is remembered."""
PATIENCE_NS = 1_000_000_000
"""How long it may take until a session's leader runs its program, and what it showed comes once that has ended."""
MOST = 16384
"""Sessions that are known at once, as many as the kernel's own map holds; beyond, the one longest quiet is closed."""
_ENDED_MOST = 1024
"""Ended ones among them."""
_SIGHUP = 1
_FOUND = int(TerminalFlag.FOUND)


class Terminals:
    """The step behind the entries: keeps the sessions, and makes their documents."""

    state: ClassVar[tuple[str, ...]] = (
        "_sessions",
        "_leaders",
        "_busy",
        "_ended",
        "_gone",
        "_keyframe",
        "_whole",
        "_removed",
    )

    def __init__(
        self,
        host: Host,
        registry: RegistryView,
        tree: ProcessTree,
        documents: Documents,
        scrubber: Scrubber | None = None,
    ) -> None:
        self._host, self._registry, self._tree = host, registry, tree
        self._telling, self._witnesses = Telling(host, documents), Witnesses(tree)
        scrubber = scrubber or Scrubber()
        self._screen = Screen(self._telling, self._witnesses, scrubber)
        self._input = Input(self._telling, self._witnesses, scrubber)
        self._alarms = Alarms(self._telling, self._witnesses)
        self._sessions: dict[tuple[int, int], Session] = {}
        """The newest life of each terminal; the least recently used first."""
        self._leaders: dict[int, Session] = {}
        """Process id of a session's leader → its session."""
        self._busy: dict[str, Session] = {}
        """Those that time does something to, by their id."""
        self._ended: dict[str, Session] = {}
        """Those that are remembered, in the order in which they ended."""
        self._keyframe = 0
        self._whole = False
        """A keyframe is being read, and nothing of it is missing so far."""
        self._removed = False
        """A cgroup was removed since the last tick."""

    @property
    def _gone(self) -> dict[int, tuple[int, Process]]:
        return self._witnesses.gone

    @_gone.setter
    def _gone(self, gone: dict[int, tuple[int, Process]]) -> None:
        self._witnesses.gone = gone

    def __call__(self, item: Item) -> None:
        """Sets the session of a process's record; takes records of terminals."""
        record = item.record
        if isinstance(record, Terminal):
            self._terminal(item, record)
        elif isinstance(record, Task):
            if item.process is not None:
                self._process(item, record, item.process)
        elif isinstance(record, Tick):
            self._tick(item, record.time)
        elif isinstance(record, CgroupRmdir):
            self._removed = True
        elif isinstance(record, KeyframeBegin):
            self._keyframe += 1
            self._whole = True
        elif isinstance(record, KeyframeEnd):
            if self._whole and not record.incomplete:
                for session in list(self._sessions.values()):
                    if session.keyframe != self._keyframe:
                        self._end(item, session, "not_found")
            self._whole = False

    def rest(self, item: Item) -> None:
        """The stream has ended for ever: what was shown and consumed by then is told."""
        for session in list(self._sessions.values()):
            self._input.close(item, session)
            self._screen.interrupt(item, session)

    def secret(self, record: TtyInput) -> bool:
        """Whether what a program consumed with this record, which was seen, is taken for a secret."""
        session = self._sessions.get((record.device, record.index))
        return session is not None and (session.keys.secret or session.line is not None and session.line.secret)

    def _terminal(self, item: Item, record: Terminal) -> None:
        session = self._session(item, record)
        if session is None:
            return
        self._note(item, session, record)
        if isinstance(record, TtyOutput):
            self._alarms.drained(item, session, record)
            self._screen.show(item, session, record)
        elif isinstance(record, TtyInput):
            self._input.mode(item, session, record.lflag)
            self._input.read(item, session, record)
        elif isinstance(record, TtyWrite):
            session.keys.write(record.tgid, record.content)
        elif isinstance(record, TtyChange):
            self._input.mode(item, session, record.lflag)
            if record.change == Change.INJECTED:
                self._alarms.inject(item, session, record)
            elif record.change == Change.HANGUP:
                self._end(item, session, session.reason or "hangup", own=True)
        elif isinstance(record, TtySignal):
            if record.signal == _SIGHUP and record.tgid == session.leader_pid:
                self._end(item, session, session.reason or "hangup", own=True)
        elif isinstance(record, TtyUring):
            self._alarms.uring(item, session, record)
        if not session.told and not session.ended and is_ready(session):
            self._telling.opened(item, session)

    def _session(self, item: Item, record: Terminal) -> Session | None:
        """The session that a record is about; None where it is one that is long over."""
        key = record.device, record.index
        session = self._sessions.pop(key, None)
        if session is None:
            return self._begin(item, record)
        self._sessions[key] = session  # the most recently used
        if session.generation == record.generation:
            return session
        if record.generation < session.generation and not record.terminal_flags & _FOUND:
            before = session.previous
            return before if before is not None and before.generation == record.generation else None
        if not session.ended and record.terminal_flags & _FOUND and self._is_same(session, record):
            self._resume(item, session, record)
            return session
        self._end(item, session, "reused", own=True)
        if session.previous is not None:
            self._end(item, session.previous, "reused")
        del self._sessions[key]
        new = self._begin(item, record)
        new.previous, session.previous = session, None
        return new

    def _begin(self, item: Item, record: Terminal) -> Session:
        made = begin(record, self._host.boot, item.id, record.time, item.time)
        made.opener = self._witnesses.find(record.opener) if record.opener else None
        if made.opener is not None:
            made.opened_by = made.opener.name
            outer = self._leaders.get(made.opener.session_leader.pid) if made.opener.session_leader else None
            if outer is not None and not outer.ended and _leads(outer, made.opener):
                made.parent = outer.id
        if isinstance(record, TtyOpen) or record.terminal_flags & _FOUND:  # what went before is not counted as skipped
            made.partial = True
            made.output, made.consumed, made.surplus = record.shown, record.consumed, None
        self._sessions[made.key] = made
        if len(self._sessions) > MOST:
            oldest = next(iter(self._sessions.values()))
            self._end(item, oldest, "forgotten")
            self._forget(oldest)
        return made

    def _is_same(self, session: Session, record: Terminal) -> bool:
        """Whether a terminal that is seen for the first time is one that is known: its session leader is the same."""
        leader = self._tree.at(record.leader)
        if not record.leader or record.leader != session.leader_pid:
            return False
        return leader is None or session.leader is None or leader.entity_id == session.leader.entity_id

    def _resume(self, item: Item, session: Session, record: Terminal) -> None:
        """The agent started again, and counts from 0."""
        self._input.end(item, session)
        self._screen.interrupt(item, session)
        shown, consumed, typed = session.before
        session.before = shown + session.output, consumed + session.consumed, typed + session.typed
        session.generation, session.output, session.consumed = record.generation, record.shown, record.consumed
        session.surplus, session.ahead, session.typed = None, 0, 0
        session.recording.broken = True

    def _note(self, item: Item, session: Session, record: Terminal) -> None:
        """What every record of a terminal says of it."""
        session.keyframe = self._keyframe
        session.typed, session.unwritten = max(session.typed, record.typed), max(session.unwritten, record.unwritten)
        if record.home != session.home or session.epoch is None:
            session.home = record.home
            session.epoch = self._registry.known(record.home) or item.epoch
        session.unasked, session.allowed = allowed(session.epoch)
        if record.leader and record.leader != session.leader_pid:
            if self._leaders.get(session.leader_pid) is session:
                del self._leaders[session.leader_pid]
            session.leader_pid, session.leader = record.leader, None
            session.used = True
        if record.leader:
            self._leaders[record.leader] = session
            if session.leader is None:
                session.leader = self._tree.at(record.leader)
        if record.shown > session.output:
            session.recording.miss(record.shown - session.output)
            session.output = record.shown
        if (record.rows, record.columns) != (session.rows, session.columns):
            self._screen.resize(session, record)
        moved = isinstance(record, (TtyOutput, TtyInput))
        session.used |= moved
        if session.ended and moved:  # it goes on
            self._ended.pop(session.id, None)
            session.ended, session.began, session.began_unix = 0, record.time, item.time
            session.first, session.partial = session.identity(item.id), True
            before = self._sessions.get(session.key) is not session
            session.ending = record.time if session.ending or before else 0
            session.reason = session.reason if session.ending else ""
        self._busy[session.id] = session

    def _process(self, item: Item, record: Task, process: Process) -> None:
        session = self._leaders.get(record.sid)
        if session is not None and session.tty == record.tty and _leads(session, process):
            item.session = session
            if isinstance(record, Exit):
                self._witnesses.end(process, record.time)
        if record.tgid not in self._leaders or not isinstance(record, (Exec, Exit)):
            return
        session = self._leaders[record.tgid]
        if session.ended or (session.leader is not None and session.leader.entity_id != process.entity_id):
            return
        session.leader = process
        if isinstance(record, Exit):
            session.ending, session.reason = session.ending or record.time, "leader_exited"
            self._busy[session.id] = session
        elif is_ready(session):
            self._telling.opened(item, session)

    def _tick(self, item: Item, now: int) -> None:
        if self._removed:
            self._busy |= {s.id: s for s in self._sessions.values() if s.epoch is not None and s.epoch.ended}
            self._removed = False
        for session in list(self._busy.values()):
            if self._pass(item, session, now):
                del self._busy[session.id]
        while self._ended:
            oldest = next(iter(self._ended.values()))
            if abs(now - oldest.ended) <= MEMORY_NS:
                break
            self._forget(oldest)
        self._witnesses.forget(now)

    def _pass(self, item: Item, session: Session, now: int) -> bool:
        """Time passed for a session; True where no more of it changes anything."""
        if session.ended:
            return True
        draft, line = session.recording.draft, session.line
        if not session.told and abs(now - session.began) > PATIENCE_NS:
            self._telling.opened(item, session)
        if draft is not None and abs(now - draft.time) >= FLUSH_NS:
            self._screen.flush(item, session)
        if line is not None and abs(now - line.last) >= IDLE_NS:
            self._input.end(item, session)
        self._alarms.tell(item, session, now)
        if session.ending and abs(now - session.ending) > PATIENCE_NS:
            self._end(item, session, session.reason)
        elif session.epoch is not None and session.epoch.ended:
            self._end(item, session, "container_died")
        if session.recording.draft is not None or session.line is not None or self._alarms.pending(session):
            return False
        return not session.ending and (session.told or abs(now - session.began) > PATIENCE_NS)

    def _end(self, item: Item, session: Session, reason: str, *, own: bool = False) -> None:
        """It is over; what it still shows is taken until it is forgotten."""
        if session.ended:
            return
        assert isinstance(item.record, Header)
        session.reason = reason
        self._telling.opened(item, session)
        self._input.close(item, session)
        self._screen.interrupt(item, session)
        self._alarms.tell(item, session, None)
        self._telling.closed(item, session, own=own)
        session.ended = item.record.time or 1
        self._ended[session.id] = session
        if len(self._ended) > _ENDED_MOST:
            self._forget(next(iter(self._ended.values())))
        self._busy.pop(session.id, None)

    def _forget(self, session: Session) -> None:
        self._ended.pop(session.id, None)
        self._busy.pop(session.id, None)
        current = self._sessions.get(session.key)
        if current is session:
            del self._sessions[session.key]
        elif current is not None and current.previous is session:
            current.previous = None
        if self._leaders.get(session.leader_pid) is session:
            del self._leaders[session.leader_pid]


def _leads(session: Session, process: Process) -> bool:
    """Whether a session is a process's own, as far as both tell of its leader."""
    leader, known = session.leader, process.session_leader
    return leader is None or known is None or leader.entity_id == known.entity_id
