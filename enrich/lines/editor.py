"""A line editor: it leaves canonical mode to edit, paints what is typed, and goes back to have it done.

Which records mean what is measured for some fifteen editors; `docs/lines.md` says how. In between, only the program's
own writes count, in its own order.
"""

from __future__ import annotations

import re

from bpf.events import Terminal, TtyInput
from enrich.lines import keys
from enrich.lines.choice import choose
from enrich.lines.grid import UNWRITTEN
from enrich.lines.mc import what_was_typed
from enrich.lines.picture import Picture, alike, begins, picture, plain, prompt_row
from enrich.lines.program import Edit, Program, Return
from enrich.lines.prompts import SHELLS, asks_for_data, asks_for_more, is_masked, is_remote, looks_ready
from enrich.lines.telling import abandon, ask, role_of_edit, tell
from enrich.lines.typed import Moment, Reason, Role, Told, Who

ICANON, ECHO, OPOST, ONLCR = 2, 8, 1, 4
"""termios(3)."""
_MOST_JUMPS = 20
"""Absolute places of the cursor in one edit, beyond which a whole screen is painted."""
_APPLETS = frozenset({"busybox"})
"""One program that is a shell and an editor of files."""
_MOST_HEIGHT, _MOST_WIDTH = 512, 4096
"""Of a window: it is whatever a program says that it is."""
_BLANKS = UNWRITTEN + " "
_RETURN = re.compile(rb"[\r\n\x0f]")
_REPLY = re.compile(rb"\x1b\[[0-9]{1,5};([0-9]{1,5})R")
"""To CSI 6n, of the terminal and not of who types."""


def begin(program: Program, record: Terminal) -> None:
    """A program leaves canonical mode, or is found outside it."""
    flags = record.lflag, record.oflag
    held, program.suspended = program.suspended, None
    if held is not None and (held.lflag, held.oflag) == flags and not held.written:
        program.edit = held
        return
    program.edit = Edit(*flags)
    resize(program.edit, record)


def resize(edit: Edit, record: Terminal) -> None:
    """The window has another size."""
    edit.grid.columns = min(record.columns or 80, _MOST_WIDTH)
    edit.grid.height = min(record.rows or 24, _MOST_HEIGHT)


def write(program: Program, edit: Edit, who: Who, at: Moment, record: Terminal, content: bytes) -> list[Told]:
    """The program paints."""
    if edit.full and not is_remote(who):
        return []
    onlcr = record.oflag & (OPOST | ONLCR) == OPOST | ONLCR
    grid = edit.grid
    end = content.find(b"\n") if (edit.returned or edit.interrupted) and not edit.newline else -1
    if end >= 0 and not grid.in_string:
        grid.feed(content[: end + 1], onlcr=onlcr)
        edit.newline = True
        edit.kept = _picture(edit)
        content = content[end + 1 :]
    edit.newline = edit.newline or b"\n" in content
    grid.feed(content, onlcr=onlcr)
    whole = grid.alternate or grid.absolute > _MOST_JUMPS
    edit.full = edit.full or (whole and who.name not in SHELLS - _APPLETS)  # a prompt can switch screens, too
    if edit.full or edit.reads or edit.behind or program.asked:
        return []
    prompt = grid.text(grid.rows[grid.y][: grid.x])
    return ask(program, who, at, prompt) if prompt.strip() else []


def read(program: Program, edit: Edit, who: Who, back: Return, record: TtyInput, *, secret: bool) -> list[Told]:
    """The program got keys. What is secret among them is not looked at, but for how it ends."""
    replies = b"" if secret else b"".join(each[0] for each in _REPLY.finditer(record.content))
    content = record.content[-1:] if secret else _REPLY.sub(b"", record.content)
    if replies and not content:
        return _answered(program, edit, who, back.at, replies)
    told = in_band(program, edit, who, back.at)
    if edit.origin < 0:
        told += _start(program, edit, who, back.at)
    edit.reads += 1
    edit.newline = edit.interrupted = False
    edit.secret = secret
    edit.returned = _RETURN.search(content) is not None
    grid = edit.grid
    edit.end, edit.left = (-1, -1), ""
    if record.size - len(replies) == 1 and edit.returned:
        edit.end = grid.y + grid.dropped, grid.x
        edit.left = grid.rows[grid.y][: grid.x]
    edit.last = (edit.last + content)[-16:] if not secret else content
    reply = _REPLY.search(edit.last)  # byte by byte
    if reply is not None:
        _shift(edit, reply)
        edit.keys = bytearray() if edit.reads <= len(reply[0]) + 1 else edit.keys
        edit.last = b""
    else:
        _shift(edit, _REPLY.match(replies) if who.name in SHELLS else None)  # ipython asks too late
        _keep(edit, content, secret=secret)
    program.seen = back
    if edit.returned:
        back.more = max(len(_RETURN.findall(content)) - 1, 0)
        program.last = back
    return told


def in_band(program: Program, edit: Edit, who: Who, at: Moment) -> list[Told]:
    """Before keys are taken: whether a line has ended since, and the next prompt is there."""
    kept, grid = edit.kept, edit.grid
    edit.kept = None
    if edit.full:
        if not grid.alternate and is_remote(who):
            edit.full, edit.origin, grid.absolute = False, -1, 0
        return []
    if kept is None or edit.origin < 0:
        return []
    row, y = grid.rows[grid.y], grid.y + grid.dropped
    left = grid.text(row[: grid.x])
    bare = not row[grid.x :].strip(_BLANKS) and y > edit.origin and grid.y - 1 not in grid.soft
    again = grid.x == len(edit.prompt) and begins(row, edit.prompt)
    other = _is_other(program, who, left) or (edit.gap and looks_ready(left))
    if not bare or not (again or edit.interrupted or other):
        return []
    told = list[Told]()
    if not edit.interrupted and program.last is not None:
        edit.in_band = True
        told = _accept(program, edit, who, program.last, kept, Reason.IN_BAND)
    else:
        abandon(program)
    grid.drop(max(grid.y - 4, 0))
    edit.origin, edit.keys, edit.gap = -1, bytearray(), False
    program.edits += 1
    return told + ask(program, who, at, left)


def change(program: Program, who: Who, at: Moment, record: Terminal) -> list[Told]:
    """The terminal's mode was set by the program."""
    edit = program.edit
    if record.lflag & ICANON:
        return _restore(program, edit, who, Return(at, record.uid)) if edit is not None else []
    if edit is None:
        begin(program, record)
        return []
    over = (edit.newline and (edit.returned or edit.interrupted)) or (edit.gap and edit.returned)
    same = (edit.lflag, edit.oflag) == (record.lflag, record.oflag)
    if over and (same or who.name in SHELLS):  # readline sets ISIG to edit, and `stty raw` cleared it
        told = _restore(program, edit, who, Return(at, record.uid), asks=True)
        begin(program, record)
        if program.edit is not None:
            program.edit.behind = True
        return told
    edit.lflag, edit.oflag = record.lflag, record.oflag
    return []


def leave(program: Program, who: Who) -> list[Told]:
    """The program ended in the middle of an edit: the last line before that of one whose lines end in band."""
    edit = program.edit
    if edit is None or not edit.in_band or edit.kept is None or edit.full or program.last is None:
        return []
    return _accept(program, edit, who, program.last, edit.kept, Reason.IN_BAND)


def _restore(program: Program, edit: Edit, who: Who, now: Return, *, asks: bool = False) -> list[Told]:
    """Canonical mode again: a line was accepted, taken back, or there was none yet.

    `asks`: it is not canonical yet, and the program may ask something first, as zsh does before it corrects.
    """
    program.edit = None
    if edit.full:
        return []
    back = program.last
    if not edit.reads:
        if edit.grid.is_blank() or back is None or not back.more:
            return []
        back.more -= 1
        edit.origin, edit.prompt = edit.grid.dropped, program.prompt
        return _accept(program, edit, who, back, _picture(edit), Reason.EDITED)
    if edit.interrupted or edit.last.endswith(b"\x03"):
        abandon(program)
        return []
    if edit.last.endswith(b"\x04"):
        return []
    below = edit.grid.x == 0 and edit.grid.y + edit.grid.dropped > edit.origin
    if not edit.returned and below and (edit.newline or edit.gap):
        if edit.reads == 1 and not edit.prompt.strip(_BLANKS):  # a key, to what was asked before
            return []
        edit.returned, back = True, program.seen or now  # by another key, or its Return is among what is missing
    if not edit.returned or back is None:
        edit.written = False
        program.suspended = edit
        return []
    behind = is_remote(who) or (asks and edit.grid.x > 0)  # logout, or a question: no part of the line
    shown = edit.kept if behind and edit.kept is not None else _picture(edit)
    return _accept(program, edit, who, back, shown, Reason.EDITED)


def _accept(program: Program, edit: Edit, who: Who, back: Return, shown: Picture, reason: Reason) -> list[Told]:
    program.edits += 1
    gap, edit.gap = edit.gap, False
    if edit.secret:
        return []
    prompt = edit.grid.text(edit.prompt)
    asks = alike(prompt).strip()
    unseen = asks == alike(program.primary).strip() != "" and who.name in SHELLS  # stty -echo
    unseen = unseen and not asks_for_data(who.name, program.block, prompt)
    line, how, cut = choose(edit, shown, unseen=unseen)
    if is_masked(line) and bytes(edit.keys or b"").rstrip() != line.encode():
        return []
    line, by_mc = what_was_typed(line, back.cwd) if who.name in SHELLS else (line, False)
    role = Role.INPUT if by_mc else role_of_edit(program, who, prompt)
    reason = how if how is Reason.KEYS else reason
    return tell(program, who, line, prompt, role, reason, back=back, gap=gap, cut=cut)


def _start(program: Program, edit: Edit, who: Who, at: Moment) -> list[Told]:
    """The first key: what stands left of the cursor is the prompt."""
    grid = edit.grid
    if grid.is_blank() and program.unfinished:
        grid.feed(program.unfinished)
    program.unfinished = b""
    before = program.prompt
    y = prompt_row(grid, before)
    left = grid.rows[y] if y < grid.y else grid.rows[y][: grid.x].ljust(min(grid.x, grid.columns), UNWRITTEN)
    if before.strip(_BLANKS) and len(before) < len(left) and begins(alike(left), alike(before)):
        left = left[: len(before)]
    edit.origin, edit.prompt = y + grid.dropped, left
    program.prompt = left
    edit.aside = grid.rows[grid.y][grid.x :].strip(_BLANKS)
    return ask(program, who, at, grid.text(left))


def _picture(edit: Edit) -> Picture:
    return picture(edit.grid, edit.origin, edit.prompt, edit.aside, edit.end, edit.left)


def _is_other(program: Program, who: Who, left: str) -> bool:
    """Whether what stands left of the cursor is a prompt, though another one than before."""
    if is_remote(who):
        return looks_ready(left)
    return who.name in {"node", "nodejs"} and (
        asks_for_more(left, program.primary) or plain(left) == plain(program.primary)
    )


def _answered(program: Program, edit: Edit, who: Who, at: Moment, replies: bytes) -> list[Told]:
    """Only the terminal said something: no key, and nothing that ends a line."""
    told = list[Told]()
    if edit.origin < 0 and edit.grid.rows[edit.grid.y][: edit.grid.x].strip(_BLANKS):
        told = _start(program, edit, who, at)
    _shift(edit, _REPLY.match(replies) if who.name in SHELLS else None)  # ipython asks too late
    return told


def _shift(edit: Edit, reply: re.Match[bytes] | None) -> None:
    """The terminal told where its cursor is: not where the program had begun."""
    grid, column = edit.grid, int(reply[1]) - 1 if reply else 0
    missing = column - grid.x
    if missing <= 0 or column >= grid.columns or grid.y + grid.dropped != edit.origin or grid.x != len(edit.prompt):
        return
    row = (UNWRITTEN * missing + grid.rows[grid.y])[: grid.columns]
    grid.cells += len(row) - len(grid.rows[grid.y])
    grid.rows[grid.y], grid.x = row, column
    edit.prompt = UNWRITTEN * missing + edit.prompt


def _keep(edit: Edit, content: bytes, *, secret: bool) -> None:
    if edit.keys is not None:
        if secret:
            edit.keys = None
        else:
            edit.keys += content[: keys.MOST - len(edit.keys)]
