"""Lines that a program reads in canonical mode: what it gets is what was typed, edited by the kernel."""

from __future__ import annotations

from bpf.events import TtyInput
from enrich.lines.grid import Grid
from enrich.lines.program import Program, Return
from enrich.lines.prompts import is_answer, looks_like_prompt
from enrich.lines.telling import LONGEST, abandon, ask, role_of, tell
from enrich.lines.typed import Moment, Reason, Role, Told, Who

_ICANON = 2
_KEPT = 256
_WIDE = 4096
_MOST = 255
"""Newlines of one read that end lines of their own; what follows is one line. The kernel's own mode gives one."""
_COMMAND = Role.COMMAND


def write(program: Program, who: Who, at: Moment, content: bytes) -> list[Told]:
    """The program wrote something that does not end in a newline: perhaps a prompt."""
    told = flush(program, who)
    program.unfinished = (program.unfinished + content)[-_KEPT:].rpartition(b"\n")[2]
    if program.edits or role_of(program, who, asked=True) is not _COMMAND:
        return told
    text = prompt_of(program)
    if is_answer(who.name, text):
        return told
    return told + ask(program, who, at, text) if text == program.primary or looks_like_prompt(text) else told


def prompt_of(program: Program) -> str:
    """The text of what it wrote last."""
    if not program.unfinished:
        return ""
    grid = Grid(columns=_WIDE)
    grid.feed(program.unfinished)
    if grid.in_string and program.unfinished.endswith(program.primary.encode(errors="replace")):
        return program.primary  # in a string that something else has begun
    return grid.text(grid.rows[grid.y])


def read(program: Program, who: Who, back: Return, record: TtyInput) -> list[Told]:
    """The program got a line or a part of one."""
    told = list[Told]()
    program.cut = program.cut or record.size > len(record.content)
    program.last = back
    *lines, rest = record.content.split(b"\n", _MOST)
    for piece in lines:
        _add(program, record, piece)
        told += _end(program, who, back)
    if b"\n" in rest:
        _add(program, record, rest.removesuffix(b"\n"))
        told += _end(program, who, back)
    elif rest:
        _add(program, record, rest)
    return told


def _add(program: Program, record: TtyInput, piece: bytes) -> None:
    program.pieces += bool(record.lflag & _ICANON)  # else everybody gets single keys
    program.cut = program.cut or len(program.line) + len(piece) > LONGEST
    program.line = (program.line + piece)[:LONGEST]


def flush(program: Program, who: Who) -> list[Told]:
    """Nothing more of the line comes: it was ended by ctrl-d."""
    if not program.line or program.last is None:
        return []
    return _end(program, who, program.last)


def forget(program: Program) -> None:
    """The line in progress was taken back."""
    program.line, program.pieces, program.cut = b"", 0, False
    abandon(program)


def _end(program: Program, who: Who, back: Return) -> list[Told]:
    """A line is complete. Who gets it byte by byte is no shell's reader but its `read`."""
    line, pieces, cut = program.line, program.pieces, program.cut
    program.line, program.pieces, program.cut = b"", 0, False
    prompt = prompt_of(program)
    asked = bool(prompt) and not is_answer(who.name, prompt)
    role = role_of(program, who, asked=asked and (not line or pieces <= len(line)))
    program.unfinished = b""
    gap, program.gap = program.gap, False
    text = line.decode(errors="replace")
    return tell(program, who, text, prompt, role, Reason.READ, back=back, gap=gap, cut=cut)
