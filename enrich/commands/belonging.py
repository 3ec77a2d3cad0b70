"""Which typed line a process belongs to: that of who made it, never one that was typed at the time.

What takes lines gives its children the line that it carries out, and every other process the one that it belongs to
itself. So pipelines, lists, subshells and what is sent to the background (`&`, nohup, setsid) belong to the line that
they were started by, also when that is over.

What a shell starts for its prompt (PROMPT_COMMAND, `$(…)` in PS1) it starts while a line seems to run still. Such
programs are known by what the shell starts when it was given nothing: before its first prompt, or behind an empty line.
One of the same beginning that the line does not name, and in the same kind of process group, belongs to no line; where
a word of that is the working directory, it may be another one by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bpf.events import CgroupAttach, Exec, Exit, Fork, Running, Task
from enrich.commands.command import EXECS, Command, Habit, Life, Taker, life
from enrich.containers import EXEC
from enrich.item import Item, Process
from enrich.terminals.session import Session
from enrich.terminals.telling import allowed

_CORE_SIGNAL = 0x7F
_REFUSED = (126, 127)
_ICANON = 2
_HABITS = 32
_SHELLS = 256
"""Processes that are remembered to have started something before their first prompt."""
_WORDS = 2


@dataclass(slots=True, eq=False)
class Belonging:
    """Who takes lines, which lines are being carried out, and what belongs to them: a part of the worker's state."""

    takers: dict[Life, Taker] = field(default_factory=dict)
    """Those that take lines, of all sessions."""
    running: dict[str, Command] = field(default_factory=dict)
    """Lines that are being carried out, by their id."""
    early: dict[str, list[Habit]] = field(default_factory=dict)
    """What processes at terminals started that take no lines yet, by their entity_id."""

    def see(self, item: Item, record: Task, process: Process) -> None:
        """Say of a process which line it belongs to, and count what a line starts."""
        key = life(process)
        if process.command is None:
            process.command = self._of(item, record, key)
        if item.entered is not None:  # who logs in was not sent by the line that started the server
            process.command = ""
        if isinstance(record, Exec):
            self._exec(item, record, process, key)
        elif isinstance(record, Exit):
            self.early.pop(process.entity_id, None)
            command = self.running.get(process.command)
            if command is not None and key in command.children:
                killed = record.status & _CORE_SIGNAL
                code = 128 + killed if killed else record.status >> 8 & 0xFF
                if not process.only_forked:
                    command.reap(key, process.name, code)
                elif code in _REFUSED:
                    command.refused = code

    def _of(self, item: Item, record: Task, key: Life) -> str:
        parent = item.parent
        if parent is None or isinstance(record, CgroupAttach):
            return ""
        taker = self.takers.get(life(parent))
        if taker is None or taker.running is None or isinstance(record, Running):
            return parent.command or ""
        if isinstance(record, (Fork, Exec)):
            taker.running.fork(key)
        return taker.running.id

    def _exec(self, item: Item, record: Exec, process: Process, key: Life) -> None:
        taker = self.takers.get(key)
        if taker is not None and taker.running is not None:
            process.command = taker.belongs = taker.running.id
        elif taker is None and item.session is not None and self._is_habit(item.session, item, record, process):
            return
        command = self.running.get(process.command or "")
        if command is not None:
            _started(item, process, command)
            command.ran = max(command.ran, command.children.get(key, 0))

    def _is_habit(self, session: Session, item: Item, record: Exec, process: Process) -> bool:
        """Whether a program is started for a prompt: then it belongs to what its shell itself belongs to."""
        parent, leader = item.parent, process.group_leader
        if parent is None or leader is None:
            return False
        taker = self.takers.get(life(parent)) or _leading(session, record.pgid)
        own = record.pgid == record.tgid
        program = process.program
        words = ["." if word == program.working_directory else word for word in program.args[:_WORDS]]
        habit = (*words, "its own group" if own else "the shell's")
        if taker is None:
            self._remember(parent.entity_id if own else leader.entity_id, habit)
            return False
        if taker.running is None:
            typist = session.typist
            if typist is not None and typist.lflag & _ICANON:  # else it completes what is being typed
                taker.habits = _added(taker.habits, habit)
            return False
        command = taker.running
        if process.command != command.id or habit not in taker.habits or process.name in command.names:
            return False
        process.command = taker.belongs
        return True

    def _remember(self, shell: str, habit: Habit) -> None:
        self.early[shell] = _added(self.early.pop(shell, []), habit)
        if len(self.early) > _SHELLS:
            del self.early[next(iter(self.early))]


def _leading(session: Session, group: int) -> Taker | None:
    """What takes lines and leads a process group: its subshells are in there."""
    takers = session.typist.takers if session.typist is not None else {}
    return next((taker for (pid, _), taker in takers.items() if pid == group), None)


def _added(habits: list[Habit], habit: Habit) -> list[Habit]:
    return habits if habit in habits else [*habits, habit][-_HABITS:]


def _started(item: Item, process: Process, command: Command) -> None:
    """A program was started for a line."""
    command.execs_count += 1
    command.started |= process.name in command.names
    unasked, policy = allowed(item.epoch)
    if len(command.execs) < EXECS and (unasked or policy & EXEC):
        command.execs.append(item.id)
