"""The one who types: a `Person` at a real terminal, who knows when a program waits for keys.

A program is ready when its prompt is the last thing that the terminal showed, the process group that waits there is
in the foreground, and that group's leader sleeps; so neither an echo nor a repaint of the prompt is taken for one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from unicodedata import east_asian_width

import pexpect

from tests.fidelity.kernel import doubt, foreground
from tests.fidelity.person import RETURN, Line
from tests.fidelity.programs import PROGRAMS
from tests.kernel.terminals import Client

CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_k][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\r\x00-\x08\x0e-\x1a]"
)
KEY = 0.003
"""Seconds between two keys."""
CALM = 0.06
"""Seconds without anything shown after which a terminal is quiet, if its program sleeps."""
RESTLESS = 1.5
"""Seconds after which a terminal counts as quiet that never is, since something in the background writes."""
PATIENCE = 20.0
"""Seconds to wait for a prompt."""
TAIL = 1 << 14
WHERE = "\x1b[6n"
"""Asks the terminal where its cursor is (DSR 6)."""


class NotShown(Exception):  # noqa: N818 - it says what is the matter
    """What a script waits for was not shown."""


@dataclass
class Seat:
    """What a program's place on the stack of programs is like: what is awaited, and who types what where."""

    prompt: re.Pattern[str]
    group: int
    cwd: str
    user: str
    painted: bool
    elsewhere: bool


@dataclass
class Typist:
    """See `person.Person`, which this is."""

    client: Client
    pid: int
    """The first program at the terminal, as the host sees it."""
    seats: list[Seat]
    truth: list[Line] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    """How many programs lay below the one that took each line of the truth."""
    secrets: list[tuple[bytes, bool]] = field(default_factory=list)
    """What was typed in secret, and whether it was read key by key."""
    doubts: list[str] = field(default_factory=list)
    """Where the kernel says of a program's folder and user what the script does not."""
    shown: str = ""
    """What the terminal showed since the last key, as bytes of Latin-1."""
    ended: bool = False
    """Its client is gone."""
    leaving: bool = False
    """Which is as it should be."""

    @property
    def cwd(self) -> str:
        """Where the program is."""
        return self.seats[-1].cwd

    @cwd.setter
    def cwd(self, value: str) -> None:
        self.seats[-1].cwd = value

    @property
    def user(self) -> str:
        """Who the program is."""
        return self.seats[-1].user

    @user.setter
    def user(self, value: str) -> None:
        self.seats[-1].user = value

    def line(self, text: str, *, execs: Sequence[str] = (), until: str = "", miss: str = "") -> None:
        """Types a line."""
        self._know(Line(text, self.cwd, self.user, tuple(execs), miss=miss))
        self._slowly(text)
        self._send(RETURN)
        self._answered(until)

    def keys(
        self,
        *keys: bytes | str,
        line: str | None,
        execs: Sequence[str] = (),
        until: str = "",
        miss: str = "",
        continues: bool = False,
        role: str = "command",
    ) -> None:
        """Types keys that make a line, or none."""
        if line is not None:
            self._know(Line(line, self.cwd, self.user, tuple(execs), role, continues, miss))
        self.press(*keys[:-1])
        self._send(keys[-1])
        self._answered(until)

    def press(self, *keys: bytes | str) -> None:
        """Types keys."""
        for key in keys:
            self._send(key)
            self._quiet()

    def say(self, *lines: Line) -> None:
        """Lines that are typed next."""
        for number, line in enumerate(lines):
            self._know(line, later=number > 0)

    def wait(self, until: str) -> None:
        """Waits until something is shown."""
        self._answered(until)

    def resize(self, rows: int, columns: int) -> None:
        """The window gets another size."""
        self.shown = ""
        self.client.resize(rows, columns)
        self._quiet()

    def enter(
        self,
        program: str,
        command: str,
        *,
        execs: Sequence[str] = (),
        user: str = "",
        cwd: str = "",
        password: bytes = b"",
    ) -> None:
        """Starts another program on top."""
        self._know(Line(command, self.cwd, self.user, tuple(execs)))
        self._slowly(command)
        if password:
            self.secret(password)
            self._send(RETURN)
            self._answered("(?i)password.*: ")
            self._send(password)
        self.seats.append(seat(program, user or self.user, cwd or self.cwd))
        self._send(RETURN)
        self.begin()

    def leave(self, command: str | bytes) -> None:
        """Leaves what was entered."""
        if isinstance(command, str):
            self._know(Line(command, self.cwd, self.user))
            self._slowly(command)
            command = RETURN
        self.seats.pop()
        self._send(command)
        self._answered("")

    def secret(self, typed: bytes, *, raw: bool = False) -> None:
        """What is typed next is secret."""
        self.secrets.append((typed, raw))

    def begin(self) -> None:
        """Waits until a program that was started is ready; whoever has the foreground then is who waits there."""
        self._until(self._prompted, "its first prompt", 4 * CALM)
        self.seats[-1].group = foreground(self.pid).group

    def end(self, leave: bytes) -> None:
        """Leaves all programs, from the top down."""
        self.leaving = True
        try:
            while len(self.seats) > 1 and not self.ended:
                self.leave(b"\x04")
            if not self.ended:
                self._send(leave)
                self.client.child.expect(pexpect.EOF, timeout=PATIENCE)
        except pexpect.TIMEOUT as error:
            raise NotShown(f"it did not end; the terminal shows:\n{self.screen()}") from error

    def screen(self) -> str:
        """The end of what was shown, without control sequences."""
        return plain(self.client.received.decode("latin-1")[-2000:]).encode("latin-1").decode(errors="replace")

    def _know(self, line: Line, *, later: bool = False) -> None:
        """A line that comes `later`, behind others that are typed at once, finds the program where they bring it."""
        seated = self.seats[-1]
        leader = foreground(self.pid).group
        if not later and leader == seated.group and not seated.elsewhere and (said := doubt(leader, line)):
            self.doubts.append(f"the script is wrong: at {line.text!r} {said}")
        self.truth.append(line)
        self.depths.append(len(self.seats) - 1)

    def _slowly(self, text: str) -> None:
        for letter in text:
            self._send(letter)
            time.sleep(KEY)
            self._read(0)
        self._quiet()

    def _send(self, keys: bytes | str) -> None:
        self._read(0)
        self.shown = ""
        self.client.child.send(keys)

    def _answered(self, until: str) -> None:
        if until:
            self._until(lambda: bool(re.search(until, self._text())), f"{until!r}", CALM)
        else:
            self._until(self._ready, f"the prompt {self.seats[-1].prompt.pattern!r}", CALM)

    def _ready(self) -> bool:
        wanted = self.seats[-1].group
        return self.ended or (self._prompted() and foreground(self.pid).group in {wanted, 0})

    def _prompted(self) -> bool:
        text, seated = self._text(), self.seats[-1]
        return bool(seated.prompt.search(text if seated.painted else text.rpartition("\n")[2]))

    def _text(self) -> str:
        return plain(self.shown[-TAIL:]).encode("latin-1").decode(errors="replace")

    def _until(self, holds: Callable[[], bool], what: str, calm: float) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            self._quiet(calm)
            if holds():
                return
            if time.monotonic() > end or (self.ended and not self.leaving):
                raise NotShown(f"{what} was not shown; the terminal shows:\n{self.screen()}")

    def _quiet(self, calm: float = CALM) -> None:
        begin = last = time.monotonic()
        before = foreground(self.pid)
        while time.monotonic() - last < calm and time.monotonic() - begin < RESTLESS:
            read, now = self._read(0.01), foreground(self.pid)
            if read or now != before or now.state == "R":
                last, before = time.monotonic(), now

    def _read(self, patience: float) -> bool:
        try:
            shown = self.client.child.read_nonblocking(1 << 16, patience).decode("latin-1")
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            self.ended = True
            return False
        self.shown += shown
        if WHERE in shown:
            self._report()
        return True

    def _report(self) -> None:
        """Answers where the cursor is, as terminals do; good enough behind a prompt that was written plainly."""
        text = plain(self.client.received[-TAIL:].decode("latin-1").rpartition(WHERE)[0])
        rows = text.encode("latin-1").decode(errors="replace").split("\n")
        column = 1 + sum(1 + (east_asian_width(letter) in "WF") for letter in rows[-1])
        height, width = self.client.child.getwinsize()
        self.client.child.send(f"\x1b[{min(len(rows), height)};{min(column, width)}R")


def plain(text: str) -> str:
    """Without control sequences, but with line breaks."""
    return CONTROL.sub("", text)


def seat(program: str, user: str, cwd: str, prompt: str = "") -> Seat:
    """In front of a program of `programs.py`."""
    known = PROGRAMS[program]
    return Seat(
        re.compile(f"(?:{prompt or known.prompt})|^(?:{known.further})$"), 0, cwd, user, known.painted, known.elsewhere
    )
