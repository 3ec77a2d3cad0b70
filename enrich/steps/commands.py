"""Typed lines: each becomes a command with a beginning and an end, and programs know which one they belong to.

A line runs until the program that took it is ready for the next one, ends, or its session does.
"""

from __future__ import annotations

from typing import ClassVar

from bpf.enums import Change
from bpf.events import (
    Exit,
    Header,
    Task,
    Terminal,
    TtyChange,
    TtyInput,
    TtyOutput,
    TtySignal,
    TtyWrite,
)
from enrich.commands.belonging import Belonging
from enrich.commands.command import PROGRAMS, Command, Life, Taker, Typist, life
from enrich.commands.masking import Masking
from enrich.commands.output import KEPT, Output
from enrich.commands.room import LARGE, Room
from enrich.commands.telling import CommandTelling
from enrich.item import Item, Process
from enrich.lines.typed import Moment, Prompt, Role, Told, Typed, Who
from enrich.lines.typing import Typing
from enrich.secrets.scrub import Scrubber
from enrich.steps.processes import ProcessTree
from enrich.terminals.effort import Effort
from enrich.terminals.session import Session
from enrich.terminals.telling import TERMINAL, Telling, allowed
from shipper.wire.records import KeyframeEnd, Tick

_TYPED = (TtyInput, TtyWrite, TtyChange, TtySignal)
_CORE_SIGNAL = 0x7F
_NOBODY = 0, 0
_SHOWN_NS = 1_000_000_000
"""How long a line that is over waits for what it showed."""
_LINES = 32 << 20
"""Characters of all lines that are not over; of further ones only the beginning is kept for their end."""


class Commands:
    """The step behind the terminals: keeps what is typed in each session, and makes its documents."""

    state: ClassVar[tuple[str, ...]] = ("_belonging", "_openers", "_waiting", "_held", "_lines", "_room")

    def __init__(self, telling: Telling, tree: ProcessTree, scrubber: Scrubber, effort: Effort, output: str) -> None:
        self._output = Output(scrubber, effort, KEPT[output])
        self._telling, self._tree = CommandTelling(telling, Masking(scrubber, effort)), tree
        self._belonging = Belonging()
        self._room = Room()
        self._openers: dict[Life, int] = {}
        """Processes that opened terminals → of how many that are in use."""
        self._lines = 0
        """Characters of lines that are not over."""
        self._waiting: dict[str, Session] = {}
        """Those in which a line is over whose output may still have to be shown."""

    @property
    def _held(self) -> int:
        return self._output.held

    @_held.setter
    def _held(self, held: int) -> None:
        self._output.held = held

    def __call__(self, item: Item) -> None:
        """Says of each process which line it belongs to; takes what is typed."""
        record, session = item.record, item.session
        if isinstance(record, Task):
            if item.process is not None:
                self._belonging.see(item, record, item.process)
                if isinstance(record, Exit):
                    self._exit(item, item.process)
        elif session is not None:
            if isinstance(record, TtyOutput):
                self._show(item, record, session)
            elif isinstance(record, _TYPED) and not session.ended:
                self._terminal(item, record, session)
        elif isinstance(record, (Tick, KeyframeEnd)):
            self._pass(item, record)

    def _pass(self, item: Item, record: Tick | KeyframeEnd) -> None:
        """Time passed; or all that live were named."""
        if isinstance(record, Tick):
            for session in list(self._waiting.values()):
                self._conclude(item, session, record.time)
        elif not record.incomplete:
            for key, taker in list(self._belonging.takers.items()):
                if self._tree.known(*key) is None:
                    self._leave(item, key, taker)

    def over(self, item: Item, session: Session) -> None:
        """A session ended: what was told it is over, too."""
        typist = session.typist
        if typist is None:
            return
        for key, taker in list(typist.takers.items()):
            self._end(item, taker, _moment(item), "session")
            self._belonging.takers.pop(key, None)
        self._conclude(item, session)
        typist.takers.clear()
        self._room.leave(session.id)
        typist.typing, typist.showing = Typing(), None
        if typist.opener is not None:
            left = self._openers.get(typist.opener, 1) - 1
            if left:
                self._openers[typist.opener] = left
            else:
                self._openers.pop(typist.opener, None)
            typist.opener = None

    def rest(self, item: Item) -> None:
        """The stream has ended for ever: lines that are over are told."""
        for session in list(self._waiting.values()):
            self._conclude(item, session)

    @staticmethod
    def pause(session: Session) -> None:
        """What comes next of a session does not follow what was seen last."""
        if session.typist is not None:
            session.typist.typing.gap()

    def _terminal(self, item: Item, record: Terminal, session: Session) -> None:
        typist = session.typist
        if typist is None:
            typist = session.typist = Typist()
        if typist.opener is None:
            opener = session.opener or self._tree.at(record.opener)
            typist.opener = life(opener) if opener is not None else _NOBODY
            self._openers[typist.opener] = self._openers.get(typist.opener, 0) + 1
        typist.lflag = record.lflag
        unasked, policy = allowed(item.epoch)
        if not (unasked or policy & TERMINAL) or (isinstance(record, TtyChange) and record.change == Change.HANGUP):
            return
        key = record.tgid, record.start
        process = self._tree.known(*key)
        passes = self._openers.get(key, 0) > (key == typist.opener)
        who = Who(*key, process.name if process is not None else "", passes)
        told = typist.typing.take(record, _moment(item), who, secret=item.secret)
        if typist.typing.size(key) > LARGE:
            self._room.note(session)
        if not self._output.limit:
            self._take(item, session, typist, told)
            return
        if isinstance(record, TtyWrite):  # a prompt is told at its last piece, a line behind what ends it
            self._output.note(session, typist, record, key)
        self._take(item, session, typist, told)
        if not isinstance(record, TtyWrite):
            self._output.note(session, typist, record, key)

    def _take(self, item: Item, session: Session, typist: Typist, told: list[Told]) -> None:
        for each in told:
            taker = self._taker(item, session, typist, each.who)
            if isinstance(each, Prompt):
                self._end(item, taker, each.at, "prompt")
            elif each.role is Role.INPUT:
                taker.given = self._begin(item, taker, each, taker.given)
            elif each.continues and taker.running is not None:
                taker.continued = self._begin(item, taker, each, taker.continued, taker.running.id)
            else:
                self._end(item, taker, each.at, "replaced")
                taker.running = self._begin(item, taker, each, None)
                self._belonging.running[taker.running.id] = taker.running

    def _taker(self, item: Item, session: Session, typist: Typist, who: Who) -> Taker:
        """What takes lines at a terminal; the most recently used of those that do."""
        key = who.pid, who.start
        taker = typist.takers.pop(key, None)
        if taker is None:
            elsewhere = self._belonging.takers.get(key)
            if elsewhere is not None:
                self._leave(item, key, elsewhere, "replaced")
            process = self._tree.known(*key)
            taker = self._belonging.takers[key] = Taker(session)
            if process is not None:
                taker.belongs = process.command or ""
                taker.habits = self._belonging.early.pop(process.entity_id, [])
        typist.takers[key] = taker
        if len(typist.takers) > PROGRAMS:
            oldest = next(iter(typist.takers))
            self._leave(item, oldest, typist.takers[oldest], "replaced")
        return taker

    def _begin(self, item: Item, taker: Taker, typed: Typed, before: Command | None, continues: str = "") -> Command:
        session = taker.session
        if before is not None:
            self._tell(item, session, before, typed.at, "replaced")
        process = self._tree.known(typed.who.pid, typed.who.start)
        owns = typed.role is Role.COMMAND and not continues
        if owns:
            self._conclude(item, session)
        command = self._telling.started(item, taker, typed, process, continues)
        if self._lines + len(command.line) > _LINES:
            command.cut()
        self._lines += len(command.line)
        if owns and session.typist is not None:
            self._output.begin(item, session.typist, command)
        return command

    def _end(self, item: Item, taker: Taker, at: Moment, why: str) -> None:
        """What a program was told is over."""
        ended = taker.running, taker.continued, taker.given
        taker.running = taker.continued = taker.given = None
        for command in ended:
            if command is not None:
                self._belonging.running.pop(command.id, None)
                self._close(item, taker.session, command, at, why)

    def _close(self, item: Item, session: Session, command: Command, at: Moment, why: str) -> None:
        """A line is over; one that a prompt ended is told once that was shown, where its output is kept."""
        typist = session.typist
        showing = typist.showing if typist is not None else None
        if typist is not None and showing is not None and showing.command is command:
            if why == "prompt":
                self._output.await_prompt(session, typist, showing)
                showing.over = at
                self._waiting[session.id] = session
                return
            self._output.freeze(item, showing)
            typist.showing = None
        self._tell(item, session, command, at, why)

    def _tell(self, item: Item, session: Session, command: Command, at: Moment, why: str) -> None:
        self._lines -= len(command.line)
        command.shown = self._output.told(session, command)
        self._telling.ended(item, command, at, why)

    def _conclude(self, item: Item, session: Session, now: int | None = None) -> None:
        """A line that is over is told, whatever was shown by now; `now`: only if that took long."""
        showing = session.typist.showing if session.typist is not None else None
        if showing is None or showing.over is None or (now is not None and abs(now - showing.over.time) <= _SHOWN_NS):
            return
        self._waiting.pop(session.id, None)
        assert session.typist is not None
        session.typist.showing = None
        self._output.freeze(item, showing)
        self._tell(item, session, showing.command, showing.over, "prompt")

    def _show(self, item: Item, record: TtyOutput, session: Session) -> None:
        if not self._output.limit or session.typist is None:
            return
        showing = session.typist.showing
        if showing is not None:
            self._output.show(session, showing, record)
            if showing.over is not None and self._output.found(showing):
                self._conclude(item, session)

    def _leave(self, item: Item, key: Life, taker: Taker, why: str = "exited") -> None:
        """A program takes no more lines."""
        self._end(item, taker, _moment(item), why)
        self._belonging.takers.pop(key, None)
        if taker.session.typist is not None:
            taker.session.typist.takers.pop(key, None)

    def _exit(self, item: Item, process: Process) -> None:
        """What a program that ended was told is over."""
        key = life(process)
        taker = self._belonging.takers.get(key)
        session = taker.session if taker is not None else item.session
        if session is not None and session.typist is not None:
            self._take(item, session, session.typist, session.typist.typing.exit(*key))
        taker = self._belonging.takers.get(key)
        if taker is not None:
            self._leave(item, key, taker)


def _moment(item: Item) -> Moment:
    assert isinstance(item.record, Header)
    return Moment(item.id, item.sequence, item.record.time, item.time)
