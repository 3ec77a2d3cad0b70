"""What is known of typed lines and of the programs that take them: the state of the step that makes their documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from enrich.lines.typed import Moment, Reason, Typed
from enrich.lines.typing import Typing
from enrich.secrets.scrub import Stream

if TYPE_CHECKING:
    from enrich.item import Epoch, Process
    from enrich.terminals.session import Session

EXECS = 256
"""Programs of one line that its document names."""
PROGRAMS = 64
"""Programs of one session that are waited for; beyond, what the least recently used one was told is over."""
CUT = 1024
"""Characters that are kept of a line where there is no room."""
CHILDREN = 64
"""Children of one line's shell that are watched for how they end; beyond, its exit code is not known."""

Life = tuple[int, int]
"""A process: its id and when it was made."""
Habit = tuple[str, ...]
"""The first words of what a shell starts for its prompt, and in which process group."""


@dataclass(slots=True, eq=False)
class Command:
    """A typed line that is not over."""

    id: str
    document: str
    """event.id of its start."""
    at: Moment
    epoch: Epoch | None
    unasked: bool
    source: dict[str, Any]
    """What both of its documents say."""
    names: tuple[str, ...] = ()
    """The programs that its words may be."""
    last: str = ""
    """The program whose exit code would be the line's; empty where that can't be told."""
    offset: int = 0
    """Bytes that the terminal had shown before."""
    execs: list[str] = field(default_factory=list)
    execs_count: int = 0
    started: bool = False
    """A program that it names was started."""
    forked: int = 0
    """How many children its shell made for it."""
    children: dict[Life, int] = field(default_factory=dict)
    """Those that live → the how manieth."""
    shown: dict[str, Any] = field(default_factory=dict)
    """What it showed: `text`, how many bytes are `kept`, and how many that came are `not` its; at last what is told."""
    masked: bool = False
    """Something secret of that was masked."""
    ran: int = 0
    """The youngest that started a program."""
    result: tuple[int, str, int] | None = None
    """Of the youngest of these that ended: the how manieth, its program's name and its exit code."""
    refused: int = 0
    """126 or 127, if a child that started no program ended so."""

    @property
    def line(self) -> str:
        """What was typed, as documents have it."""
        line: str = self.source["cgtrail"]["command"]["line"]
        return line

    def cut(self) -> None:
        """Keep only the beginning of the line: there is no room."""
        told = self.source["cgtrail"]["command"]
        told |= {"line": told["line"][:CUT], "reasons": [*told["reasons"], Reason.CUT.value]}

    def fork(self, life: Life) -> None:
        """Its shell made a child."""
        self.forked += 1
        if len(self.children) < CHILDREN:
            self.children[life] = self.forked

    def reap(self, life: Life, name: str, code: int) -> None:
        """A child ended."""
        number = self.children.pop(life, 0)
        if number and (self.result is None or number > self.result[0]):
            self.result = number, name, code

    def exit_code(self) -> int | None:
        """How it ended, where its last child tells.

        One that started no program and ended with 127 or 126 found none of that name, or may not start it (POSIX.1,
        Shell Command Language, 2.8.2).
        """
        if not self.last:
            return None
        if self.result is None:
            return self.refused if self.refused and self.forked == 1 else None
        number, name, code = self.result
        return code if (number, name) == (self.ran, self.last) else None


@dataclass(slots=True, eq=False)
class Taker:
    """A program that takes lines at a terminal."""

    session: Session
    belongs: str = ""
    """The line that it belongs to itself."""
    running: Command | None = None
    """What it was told to do."""
    continued: Command | None = None
    """The last further line of that."""
    given: Command | None = None
    """Data that it was given last."""
    habits: list[Habit] = field(default_factory=list)
    """What it starts for its prompt."""
    typed: str = ""
    """The end of what it was told last, as its lines are joined; it has secrets as they were."""


@dataclass(slots=True, eq=False)
class Showing:
    """What is shown while a line is carried out, where that is kept."""

    command: Command
    lead: bytes
    """What its program wrote when it took the line: that may still have to be shown."""
    content: list[bytes] = field(default_factory=list)
    kept: int = 0
    """Bytes in `content`."""
    taken: int = 0
    """Bytes that came."""
    tail: bytes = b""
    """The last of them."""
    shown: int = 0
    """Bytes that the terminal had shown in its session when these had come."""
    until: bytes = b""
    """What its program writes at its prompt."""
    since: int = 0
    """Bytes that the terminal had shown before that was written."""
    behind: int = 0
    """Bytes among those that came that are shown behind it."""
    over: Moment | None = None
    """When its program was at its prompt again."""


@dataclass(slots=True, eq=False)
class Typist:
    """What is typed in a session."""

    typing: Typing = field(default_factory=Typing)
    opener: Life | None = None
    """Who opened its terminal, 0 and 0: nobody that is known; None: the session has not begun, or is over."""
    takers: dict[Life, Taker] = field(default_factory=dict)
    """The least recently used first."""
    number: int = 0
    """Lines so far."""
    showing: Showing | None = None
    """The line whose output comes now, where that is kept."""
    lflag: int = 0
    """Of its terminal."""
    writer: Life = (0, 0)
    """Who wrote last while it was editing."""
    written: bytes = b""
    """What that was, since it read or changed something, as it is shown."""
    since: int = 0
    """Bytes that the terminal had shown before that."""
    stream: Stream = field(default_factory=Stream)
    """The lines as one text, for secrets that go over several."""


def life(process: Process) -> Life:
    """Which one it is."""
    return process.pid, process.start


def identity(session: Session, typed: Typed) -> str:
    """cgtrail.command.id: session, and frame and index of the record of its Return."""
    part = f"-{typed.part}" if typed.part else ""
    return f"{session.id}-{typed.at.sequence >> 20}-{typed.at.sequence & 0xFFFFF}{part}"
