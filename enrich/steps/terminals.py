"""Sessions at terminals: which life of which terminal a record is about, and when that begins, goes on and ends.

An agent that starts again sees each terminal as if for the first time. It is the same session where the same leader is
still there. Ended ones are remembered for a moment, for what is shown then; an ended one that goes on is told again.
"""

from __future__ import annotations

from typing import ClassVar

from bpf.enums import Change
from bpf.events import (
    CgroupRmdir,
    Exec,
    Exit,
    Header,
    Task,
    Terminal,
    TtyChange,
    TtyInput,
    TtyOutput,
    TtySignal,
    TtyUring,
    TtyWrite,
)
from enrich.item import Item, Process
from enrich.secrets.scrub import Scrubber
from enrich.steps.commands import Commands
from enrich.steps.host import Host
from enrich.steps.processes import ProcessTree
from enrich.steps.registry import RegistryView
from enrich.terminals.alarms import Alarms
from enrich.terminals.effort import Effort
from enrich.terminals.input import IDLE_NS, Input
from enrich.terminals.lives import Finding, Lives
from enrich.terminals.screen import FLUSH_NS, Screen
from enrich.terminals.session import PATIENCE_NS, Session
from enrich.terminals.telling import Telling, is_ready
from enrich.terminals.witnesses import Witnesses
from shipper.wire.records import KeyframeBegin, KeyframeEnd, Tick

MEMORY_NS = 5_000_000_000
"""How long an ended session is remembered."""
QUIET_NS = 600_000_000_000
"""The same of one that was not hung up, but whose leader is gone: somebody else may hold it open."""
_ENDED_MOST = 1024
"""Ended ones that are remembered."""
_SIGHUP = 1


class Terminals:
    """The step behind the entries: keeps the sessions, and makes their documents."""

    state: ClassVar[tuple[str, ...]] = ("_lives", "_gone", "_owed", "_whole", "_removed")

    def __init__(
        self,
        host: Host,
        registry: RegistryView,
        tree: ProcessTree,
        telling: Telling,
        effort: Effort,
        scrubber: Scrubber,
        commands: Commands,
    ) -> None:
        self._telling, self._witnesses, self._effort = telling, Witnesses(tree), effort
        self._commands = commands
        self._screen = Screen(self._telling, self._witnesses, scrubber, self._effort)
        self._input = Input(self._telling, self._witnesses, scrubber, self._effort)
        self._alarms = Alarms(self._telling, self._witnesses)
        self._finding = Finding(host, registry, tree, self._witnesses, self._end, self._pause)
        self._lives = Lives()
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

    @property
    def _owed(self) -> dict[bytes, tuple[int, int]]:
        return self._effort.owed

    @_owed.setter
    def _owed(self, owed: dict[bytes, tuple[int, int]]) -> None:
        self._effort.owed = owed

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
            self._lives.keyframe += 1
            self._whole = True
        elif isinstance(record, KeyframeEnd):
            if self._whole and not record.incomplete:
                self._end_unnamed(item)
            self._whole = False

    def rest(self, item: Item) -> None:
        """The stream has ended for ever: what was shown and consumed by then is told."""
        self._commands.rest(item)
        for session in list(self._lives.newest.values()):
            self._input.close(item, session)
            self._screen.interrupt(item, session)

    def secret(self, record: TtyInput) -> bool:
        """Whether what a program consumes at this terminal now is taken for a secret, or was never told."""
        session = self._lives.newest.get((record.device, record.index))
        if session is None:
            return False
        return session.is_secret

    def _terminal(self, item: Item, record: Terminal) -> None:
        session = self._finding.find(self._lives, item, record)
        if session is None:
            return
        item.session = session
        self._finding.note(self._lives, item, session, record)
        if (record.rows, record.columns) != (session.rows, session.columns):
            self._screen.resize(session, record)
        self._take(item, session, record)
        if not session.told and not session.ended and is_ready(session):
            self._telling.opened(item, session)

    def _take(self, item: Item, session: Session, record: Terminal) -> None:
        """What is special to a kind of record."""
        if isinstance(record, TtyOutput):
            self._screen.show(item, session, record)
            self._alarms.drained(item, session, record)
        elif isinstance(record, TtyInput):
            self._input.mode(item, session, record.lflag)
            item.secret = self._input.read(item, session, record)
        elif isinstance(record, TtyWrite):
            session.keys.write(record.tgid, record.content)
        elif isinstance(record, TtyChange):
            self._input.mode(item, session, record.lflag)
            if record.change == Change.INJECTED:
                self._alarms.inject(item, session, record)
            elif record.change == Change.HANGUP:
                self._end(item, session, session.reason or "hangup", own=True)
        elif isinstance(record, TtyUring):
            self._alarms.uring(item, session, record)
        elif isinstance(record, TtySignal) and record.signal == _SIGHUP and record.tgid == session.leader_pid:
            session.begin_end(record.time, "hangup")  # sent too when the leader exits, before what it wrote is shown

    def _process(self, item: Item, record: Task, process: Process) -> None:
        session = self._lives.around(process)
        if session is not None and session.tty == record.tty:
            item.session = session
            if isinstance(record, Exit):
                self._witnesses.end(process, record.time)
        if not isinstance(record, (Exec, Exit)):
            return
        led = self._lives.of(process)
        if led is None or led.ended:
            return
        led.leader = process
        if isinstance(record, Exit):
            led.begin_end(record.time, "leader_exited")
            self._lives.busy[led.id] = led
        elif is_ready(led):
            self._telling.opened(item, led)

    def _tick(self, item: Item, now: int) -> None:
        lives = self._lives
        if self._removed:
            lives.busy |= {s.id: s for s in lives.newest.values() if s.epoch is not None and s.epoch.ended}
            self._removed = False
        for session in list(lives.busy.values()):
            if self._pass(item, session, now):
                lives.busy.pop(session.id, None)
        for session in list(lives.ended.values()):
            if abs(now - session.ended) > (QUIET_NS if session.quiet else MEMORY_NS):
                lives.forget(session)
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
        if session.ending and abs(now - session.last) > session.patience:
            session.quiet = True
            self._end(item, session, session.reason)
        elif session.epoch is not None and session.epoch.ended:
            self._end(item, session, "container_died")
        if session.recording.draft is not None or session.line is not None or self._alarms.pending(session):
            return False
        return not session.ending and (session.told or abs(now - session.began) > PATIENCE_NS)

    def _end_unnamed(self, item: Item) -> None:
        """A whole keyframe has named all that are open."""
        for session in list(self._lives.newest.values()):
            if session.keyframe != self._lives.keyframe:
                self._end(item, session, "not_found")

    def _end(self, item: Item, session: Session, reason: str, *, own: bool = False) -> None:
        """It is over; what it still shows is taken until it is forgotten."""
        if session.ended:
            return
        assert isinstance(item.record, Header)
        session.reason = reason
        self._telling.opened(item, session)
        self._commands.over(item, session)
        self._input.close(item, session)
        self._screen.interrupt(item, session)
        self._alarms.tell(item, session, None)
        self._telling.closed(item, session, own=own)
        session.ended = item.record.time or 1
        ended = self._lives.ended
        ended[session.id] = session
        if len(ended) > _ENDED_MOST:
            self._lives.forget(next(iter(ended.values())))
        self._lives.busy.pop(session.id, None)

    def _pause(self, item: Item, session: Session) -> None:
        """What comes next of a session does not follow what was seen last."""
        self._commands.pause(session)
        self._input.end(item, session)
        self._screen.interrupt(item, session)
