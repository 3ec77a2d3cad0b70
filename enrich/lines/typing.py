"""Who types what at one terminal: a session's records in, prompts and lines out."""

from __future__ import annotations

from dataclasses import dataclass, field

from bpf.enums import Change, TerminalFlag
from bpf.events import Terminal, TtyChange, TtyInput, TtySignal, TtyWrite
from enrich.lines import canonical, editor
from enrich.lines.program import Program, Return
from enrich.lines.prompts import is_remote
from enrich.lines.typed import Moment, Told, Who

_MOST = 32
"""Programs of one terminal that are remembered."""
_SIGINT, _SIGQUIT = 2, 3
_SECRET = int(TerminalFlag.SECRET)


@dataclass(slots=True, eq=False)
class Typing:
    """One terminal's programs and what they are told: plain values, a function of the records alone."""

    programs: dict[tuple[int, int], Program] = field(default_factory=dict)
    """By process id and start, the least recently active one first."""
    generation: int = -1
    """As in the last record; -1: there was none."""
    unwritten: int = 0
    consumed: int = 0
    """What the next record should say."""
    missed: bool = False
    """Something was consumed that no record told of, since one did."""

    def take(self, record: Terminal, at: Moment, who: Who, *, secret: bool) -> list[Told]:
        """What a record of a terminal tells, in the order in which it happened.

        `who` acts, or gets the signal; `secret`: what it consumed is taken for a password, and is not kept.
        """
        self._look_for_gaps(record)
        if is_remote(who) and who.passes and not self._takes_commands(who):
            self.programs.pop((who.pid, who.start), None)
            return []
        if isinstance(record, TtyInput):
            return self._read(record, at, who, secret=secret or bool(record.terminal_flags & _SECRET))
        if isinstance(record, TtyWrite):
            return self._write(record, at, who)
        if isinstance(record, TtyChange):
            return self._change(record, at, who)
        if isinstance(record, TtySignal) and record.signal in {_SIGINT, _SIGQUIT}:
            self._interrupt(who)
        return []

    def _takes_commands(self, who: Who) -> bool:
        """Whether it has taken some: then opening a terminal hides none, though lines may be told at both."""
        program = self.programs.get((who.pid, who.start))
        return program is not None and program.commands > 0

    def gap(self) -> None:
        """Records of this terminal are missing: lines in progress are marked."""
        for program in self.programs.values():
            for edit in (program.edit, program.suspended):
                if edit is not None:
                    edit.gap = True

    def size(self, key: tuple[int, int] | None = None) -> int:
        """Bytes that what one program edits takes, or what all do."""
        if key is None:
            return sum(program.size() for program in self.programs.values())
        program = self.programs.get(key)
        return program.size() if program is not None else 0

    def forget(self) -> None:
        """What is being edited is not kept: there is no room."""
        for program in self.programs.values():
            program.forget()

    def exit(self, pid: int, start: int) -> list[Told]:
        """That program ended: what it edited is dropped. Lines that only its end shows to be complete are told."""
        program = self.programs.pop((pid, start), None)
        if program is None:
            return []
        who = Who(pid, start, program.name, passes=False)
        return editor.leave(program, who) + canonical.flush(program, who)

    def _look_for_gaps(self, record: Terminal) -> None:
        """The kernel's own counts tell what was left out."""
        if record.generation != self.generation:
            self.missed = self.generation >= 0
            self.generation, self.unwritten, self.consumed = record.generation, record.unwritten, record.consumed
            self.gap()
        self.missed = self.missed or record.consumed > self.consumed
        if record.consumed > self.consumed or record.unwritten > self.unwritten:
            self.gap()
        self.unwritten = record.unwritten
        size = record.size if isinstance(record, TtyInput) else 0
        self.consumed = max(self.consumed, record.consumed + size)

    def _program(self, who: Who) -> Program:
        """Its entry, now the most recent; of too many, one that took no command goes first."""
        key = who.pid, who.start
        program = self.programs.pop(key, None) or Program(who.pid, who.start)
        self.programs[key] = program
        program.name = who.name
        program.gap = program.gap or (self.missed and bool(program.line))
        if len(self.programs) > _MOST:
            idle = (k for k, p in self.programs.items() if not p.commands and k != key)
            del self.programs[next(idle, next(iter(self.programs)))]
        return program

    def _read(self, record: TtyInput, at: Moment, who: Who, *, secret: bool) -> list[Told]:
        program = self._program(who)
        back = Return(at, record.uid, record.cwd, record.cwd_flags)
        if record.lflag & editor.ICANON or (program.edit is None and record.lflag & editor.ECHO):
            program.edit = None
            program.gap, self.missed = program.gap or self.missed, False
            if secret:
                canonical.forget(program)
                return []
            return canonical.read(program, who, back, record)
        self.missed = False
        if program.edit is None:
            editor.begin(program, record)
            assert program.edit is not None
            program.edit.gap = True
        editor.resize(program.edit, record)
        return editor.read(program, program.edit, who, back, record, secret=secret)

    def _write(self, record: TtyWrite, at: Moment, who: Who) -> list[Told]:
        program = self.programs.get((who.pid, who.start))
        if record.lflag & editor.ICANON:
            return canonical.write(program or self._program(who), who, at, record.content)
        edit = program.edit if program is not None else None
        if program is None or edit is None:
            if program is not None and program.suspended is not None:
                program.suspended.written = True
            if record.lflag & editor.ECHO:
                return canonical.write(program or self._program(who), who, at, record.content)
            if program is None or not program.edits or program.suspended is not None:
                return []
            editor.begin(program, record)  # what it started left the terminal so
            edit = program.edit
            assert edit is not None
        editor.resize(edit, record)
        if record.size > len(record.content):
            edit.gap = True
        return editor.write(program, edit, who, at, record, record.content)

    def _change(self, record: TtyChange, at: Moment, who: Who) -> list[Told]:
        if record.change != Change.TERMIOS:
            return []
        key = who.pid, who.start
        if key not in self.programs and record.lflag & editor.ICANON:
            return []
        program = self._program(who)
        return canonical.flush(program, who) + editor.change(program, who, at, record)

    def _interrupt(self, who: Who) -> None:
        program = self.programs.get((who.pid, who.start))
        if program is None:
            return
        canonical.forget(program)
        if program.edit is not None:
            program.edit.interrupted, program.edit.returned, program.edit.newline = True, False, False
            program.edit.last = b""
