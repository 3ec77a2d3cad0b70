"""What comes of the records of a terminal: a program is ready for a line, or a line was typed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Confidence(StrEnum):
    """How sure it is that a line reads as it was typed, and that it was one."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Reason(StrEnum):
    """Why it is as sure as it is."""

    READ = "read"
    """In canonical mode: the program got exactly these bytes."""
    EDITED = "edited"
    """A line editor painted it so."""
    KEYS = "keys"
    """It is what was typed, since the editor can't paint it."""
    IN_BAND = "in_band"
    """Its end was only seen in what was painted next."""
    REMOTE = "remote"
    """A program painted it that shows what goes on elsewhere, as ssh does."""
    GAP = "gap"
    """Records of it are missing."""
    CUT = "cut"
    """It was longer than what is kept."""
    STARTED = "started"
    """A program that it names was started behind it."""


class Role(StrEnum):
    """What a line is to the program that it was typed to."""

    COMMAND = "command"
    """It has it done: a shell, a REPL, a client of a database."""
    INPUT = "input"
    """It takes it as data."""


class Moment(NamedTuple):
    """A record's place: its id, its position as `Item.sequence`, its boot time and its @timestamp, both in ns."""

    id: str
    sequence: int
    time: int
    unix: int


class Who(NamedTuple):
    """A program at a terminal, as it is known when it acts."""

    pid: int
    start: int
    """Boot time in ns."""
    name: str
    """Of its program; empty where it is not known."""
    passes: bool
    """It opened another terminal, whose lines are told there: script, sudo, tmux."""


@dataclass(slots=True, frozen=True)
class Prompt:
    """A program is ready for a line: what it was told before has been done."""

    who: Who
    at: Moment


@dataclass(slots=True, frozen=True)
class Typed:
    """A line was typed and accepted. Empty ones and those taken back with ctrl-c are none."""

    who: Who
    line: str
    """Without its Return; what a line editor takes at once may have several lines. Not yet free of secrets."""
    prompt: str
    """What stood before it: its last row, without control sequences."""
    at: Moment
    """When its Return was consumed. Of several lines that were consumed at once, `part` tells which one."""
    part: int
    """0, 1, 2 …: how many lines were accepted at the same record before."""
    role: Role
    continues: bool
    """It belongs to the line that the same program took before: PS2, a here-document."""
    confidence: Confidence
    reasons: tuple[Reason, ...]
    uid: int
    """Effective user id of the program then, as the container sees it; 2^32-1: not known."""
    cwd: bytes
    """Its working directory then; empty where it is not known."""
    cwd_flags: int
    """bpf.enums.ImageFlag."""
    opened: str = ""
    """What the line before left open, where it is a shell's: a quote that goes on here, or a backslash at its end."""


Told = Prompt | Typed
