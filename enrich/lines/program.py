"""What is known of one program at a terminal, as far as its lines need it."""

from __future__ import annotations

from dataclasses import dataclass, field

from enrich.lines.grid import MOST_CELLS, Grid
from enrich.lines.picture import Picture
from enrich.lines.syntax import Syntax
from enrich.lines.typed import Moment

NOBODY = 2**32 - 1


@dataclass(slots=True, eq=False)
class Return:
    """A read that may have accepted a line."""

    at: Moment
    uid: int = NOBODY
    cwd: bytes = b""
    cwd_flags: int = 0
    parts: int = 0
    """How many lines were accepted at it so far."""
    more: int = 0
    """How many Returns it had that accepted nothing so far."""


@dataclass(slots=True, eq=False)
class Edit:
    """A line editor at work: from when it left canonical mode until it is back there."""

    lflag: int
    oflag: int
    grid: Grid = field(default_factory=Grid)
    origin: int = -1
    """Row of the prompt, dropped ones counted; -1: nothing was read yet."""
    prompt: str = ""
    """Cells of the prompt's last row."""
    aside: str = ""
    """What stood behind the cursor then: a right prompt."""
    reads: int = 0
    last: bytes = b""
    """The end of what was read last, as far as it matters: a Return, ctrl-c, ctrl-d."""
    returned: bool = False
    """There was a Return in what was read last."""
    interrupted: bool = False
    newline: bool = False
    """\\n was written since the last read, or the interrupt."""
    kept: Picture | None = None
    """What was shown at that \\n."""
    end: tuple[int, int] = (-1, -1)
    """Where the cursor stood when Return was read alone."""
    left: str = ""
    """What stood left of it then."""
    keys: bytearray | None = field(default_factory=bytearray)
    """What was typed, as long as it is not too much and nothing of it is secret."""
    full: bool = False
    """A whole screen is painted."""
    behind: bool = False
    """It began behind a Return, without canonical mode between: what is painted may be the line before once more."""
    in_band: bool = False
    """Lines ended in it without the mode being changed."""
    secret: bool = False
    gap: bool = False
    written: bool = False
    """It wrote since it was suspended."""


@dataclass(slots=True, eq=False)
class Program:
    """A program that reads from a terminal or edits lines at it."""

    pid: int
    start: int
    name: str = ""
    edit: Edit | None = None
    suspended: Edit | None = None
    last: Return | None = None
    seen: Return | None = None
    """Its last read, whatever it got."""
    prompt: str = ""
    """Cells of the last prompt's last row."""
    primary: str = ""
    """Text of the last prompt that asked for a command of its own."""
    block: str = ""
    """The first of what was typed since then; empty: nothing was."""
    syntax: Syntax = field(default_factory=Syntax)
    """How complete that is, where it is a shell's."""
    edits: int = 0
    """Lines that it edited."""
    commands: int = 0
    asked: bool = False
    """A Prompt was told since its last line."""
    unfinished: bytes = b""
    """The end of what it wrote last in canonical mode without a newline."""
    line: bytes = b""
    """What it read of a canonical line so far."""
    pieces: int = 0
    """In how many reads."""
    cut: bool = False
    gap: bool = False
    """Records of the line in progress are missing."""

    def size(self) -> int:
        """Bytes that what is being edited takes, about: a cell has four at the most."""
        taken = len(self.line)
        for edit in (self.edit, self.suspended):
            if edit is not None:
                kept = len(edit.kept.rows) * edit.kept.columns if edit.kept is not None else 0
                taken += (
                    4 * (edit.grid.cells + min(kept, MOST_CELLS)) + 16 * len(edit.grid.rows) + len(edit.keys or b"")
                )
        return taken

    def forget(self) -> None:
        """What is being edited is not kept: the line in progress is not known."""
        self.edit = self.suspended = None
        self.gap = self.gap or bool(self.line)
        self.line = b""
