"""Typed lines: each becomes a command with a beginning and an end, and programs know which one they belong to.

A program belongs to a line because of who made it, never because of when: what takes lines gives its children the line
that it carries out, every other process the one that it belongs to itself. So pipelines, lists, subshells and what is
sent to the background (`&`, nohup, setsid) belong to the line that they were started by, also when that is over.
"""

from __future__ import annotations

from typing import ClassVar

from bpf.enums import Change
from bpf.events import (
    CgroupAttach,
    Exec,
    Exit,
    Fork,
    Header,
    Running,
    Task,
    Terminal,
    TtyChange,
    TtyInput,
    TtySignal,
    TtyWrite,
)
from enrich.commands.command import EXECS, PROGRAMS, Command, Life, Taker, Typist, life
from enrich.commands.masking import Masking
from enrich.commands.output import KEPT
from enrich.commands.telling import CommandTelling
from enrich.containers import EXEC
from enrich.item import Item, Process
from enrich.lines.typed import Moment, Prompt, Role, Told, Typed, Who
from enrich.lines.typing import Typing
from enrich.secrets.scrub import Scrubber
from enrich.steps.processes import ProcessTree
from enrich.terminals.effort import Effort
from enrich.terminals.session import Session
from enrich.terminals.telling import TERMINAL, Telling, allowed
from shipper.wire.records import KeyframeEnd

_TYPED = (TtyInput, TtyWrite, TtyChange, TtySignal)
_CORE_SIGNAL = 0x7F
_NOBODY = 0, 0


class Commands:
    """The step behind the terminals: keeps what is typed in each session, and makes its documents."""

    state: ClassVar[tuple[str, ...]] = ("_programs", "_running", "_openers")

    def __init__(self, telling: Telling, tree: ProcessTree, scrubber: Scrubber, effort: Effort, output: str) -> None:
        self._kept = KEPT[output]
        self._telling, self._tree = CommandTelling(telling, Masking(scrubber, effort)), tree
        self._programs: dict[Life, Taker] = {}
        """Those that take lines, of all sessions."""
        self._running: dict[str, Command] = {}
        """Lines that are being carried out, by their id."""
        self._openers: dict[Life, int] = {}
        """Processes that opened terminals → of how many that are in use."""

    def __call__(self, item: Item) -> None:
        """Says of each process which line it belongs to; takes what is typed."""
        record = item.record
        if isinstance(record, Terminal):
            if item.session is not None and isinstance(record, _TYPED) and not item.session.ended:
                self._terminal(item, record, item.session)
        elif isinstance(record, Task):
            if item.process is not None:
                self._process(item, record, item.process)
        elif isinstance(record, KeyframeEnd) and not record.incomplete:
            for key, program in list(self._programs.items()):
                if self._tree.known(*key) is None:
                    self._leave(item, key, program)

    def over(self, item: Item, session: Session) -> None:
        """A session ended: what was told it is over, too."""
        typist = session.typist
        if typist is None:
            return
        for key, program in list(typist.programs.items()):
            self._end(item, program, _moment(item), "session")
            self._programs.pop(key, None)
        typist.programs.clear()
        typist.typing = Typing()
        if typist.opener is not None:
            left = self._openers.get(typist.opener, 1) - 1
            if left:
                self._openers[typist.opener] = left
            else:
                self._openers.pop(typist.opener, None)
            typist.opener = None

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
        unasked, policy = allowed(item.epoch)
        if not (unasked or policy & TERMINAL) or (isinstance(record, TtyChange) and record.change == Change.HANGUP):
            return
        key = record.tgid, record.start
        process = self._tree.known(*key)
        passes = self._openers.get(key, 0) > (key == typist.opener)
        who = Who(*key, process.name if process is not None else "", passes)
        self._take(item, session, typist, typist.typing.take(record, _moment(item), who, secret=item.secret))

    def _take(self, item: Item, session: Session, typist: Typist, told: list[Told]) -> None:
        for each in told:
            program = self._program(item, session, typist, each.who)
            if isinstance(each, Prompt):
                self._end(item, program, each.at, "prompt")
            elif each.role is Role.INPUT:
                program.given = self._begin(item, program, each, program.given)
            elif each.continues and program.running is not None:
                program.continued = self._begin(item, program, each, program.continued, program.running.id)
            else:
                self._end(item, program, each.at, "replaced")
                program.running = self._begin(item, program, each, None)
                self._running[program.running.id] = program.running

    def _program(self, item: Item, session: Session, typist: Typist, who: Who) -> Taker:
        """What takes lines at a terminal; the most recently used of those that do."""
        key = who.pid, who.start
        program = typist.programs.pop(key, None)
        if program is None:
            elsewhere = self._programs.get(key)
            if elsewhere is not None:
                self._leave(item, key, elsewhere, "replaced")
            program = self._programs[key] = Taker(session)
        typist.programs[key] = program
        if len(typist.programs) > PROGRAMS:
            oldest = next(iter(typist.programs))
            self._leave(item, oldest, typist.programs[oldest], "replaced")
        return program

    def _begin(self, item: Item, program: Taker, typed: Typed, before: Command | None, continues: str = "") -> Command:
        if before is not None:
            self._telling.ended(item, program.session, before, typed.at, "replaced")
        process = self._tree.known(typed.who.pid, typed.who.start)
        return self._telling.started(item, program.session, typed, process, continues)

    def _end(self, item: Item, program: Taker, at: Moment, why: str) -> None:
        """What a program was told is over."""
        ended = program.running, program.continued, program.given
        program.running = program.continued = program.given = None
        for command in ended:
            if command is not None:
                self._running.pop(command.id, None)
                self._telling.ended(item, program.session, command, at, why)

    def _leave(self, item: Item, key: Life, program: Taker, why: str = "exited") -> None:
        """A program takes no more lines."""
        self._end(item, program, _moment(item), why)
        self._programs.pop(key, None)
        if program.session.typist is not None:
            program.session.typist.programs.pop(key, None)

    def _process(self, item: Item, record: Task, process: Process) -> None:
        key = life(process)
        if process.command is None:
            process.command = self._belongs(item, record, key)
        if isinstance(record, Exec):
            program = self._programs.get(key)
            if program is not None and program.running is not None:
                process.command = program.running.id
            if process.command in self._running:
                _started(item, process, self._running[process.command])
        elif isinstance(record, Exit):
            self._exit(item, record, process, key)

    def _belongs(self, item: Item, record: Task, key: Life) -> str:
        """The line that a new process belongs to."""
        parent = item.parent
        if parent is None or isinstance(record, CgroupAttach):
            return ""
        program = self._programs.get(life(parent))
        if program is None or program.running is None or isinstance(record, Running):
            return parent.command or ""
        if isinstance(record, (Fork, Exec)):
            program.running.fork(key)
        return program.running.id

    def _exit(self, item: Item, record: Exit, process: Process, key: Life) -> None:
        command = self._running.get(process.command or "")
        if command is not None and key in command.children:
            killed = record.status & _CORE_SIGNAL
            command.reap(key, process.name, 128 + killed if killed else record.status >> 8 & 0xFF)
        program = self._programs.get(key)
        session = program.session if program is not None else item.session
        if session is not None and session.typist is not None:
            self._take(item, session, session.typist, session.typist.typing.exit(*key, _moment(item)))
        program = self._programs.get(key)
        if program is not None:
            self._leave(item, key, program)


def _started(item: Item, process: Process, command: Command) -> None:
    """A program was started for a line."""
    command.execs_count += 1
    command.started |= process.name in command.names
    unasked, policy = allowed(item.epoch)
    if len(command.execs) < EXECS and (unasked or policy & EXEC):
        command.execs.append(item.id)


def _moment(item: Item) -> Moment:
    assert isinstance(item.record, Header)
    return Moment(item.id, item.sequence, item.record.time, item.time)
