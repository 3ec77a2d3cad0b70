"""Somebody who types at a terminal and says what is true of it: which line, where, as whom, what it starts.

A script is a function with `@script`; it gets a `Person` who sits in front of a program that is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

CTRL = {letter: bytes([ord(letter) & 0x1F]) for letter in "abcdefghijklmnopqrstuvwxyz"}
"""CTRL["c"] is ctrl-c."""
RETURN, TAB, ESCAPE, BACKSPACE = b"\r", b"\t", b"\x1b", b"\x7f"
UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"
HOME, END, DELETE = b"\x1b[H", b"\x1b[F", b"\x1b[3~"
PASTE, PASTED = b"\x1b[200~", b"\x1b[201~"
"""What a terminal sends around a paste where ?2004 is set."""


@dataclass(frozen=True)
class Line:
    """A line that was typed, as the one who typed it knows it."""

    text: str
    cwd: str
    user: str
    """The container's name for the user: root, alice."""
    execs: tuple[str, ...] = ()
    """`process.name` of the programs that it starts, in any order, each as often as it is started."""
    role: str = "command"
    continues: bool = False
    """It is a further line of the one before (PS2, here-document)."""
    miss: str = ""
    """Why this one can't be told right; it is counted apart, and it is an error if it is right after all."""


class Person(Protocol):
    """What a script can do. Everything waits until the program shows its prompt again, unless it is said otherwise."""

    cwd: str
    """Where the program is now; a script sets it behind a `cd`."""
    user: str
    """Who the program is now; a script sets it behind a `su`."""

    def line(self, text: str, *, execs: Sequence[str] = (), until: str = "", miss: str = "") -> None:
        """Types a line key by key and Return: that line is the truth. `until`: a regular expression to wait for
        instead of the prompt."""

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
        """Types keys (Return included), each argument at once and then until the terminal is quiet. `line` is what
        the program is given in the end; None: none is (ctrl-c, empty line, password)."""

    def press(self, *keys: bytes | str) -> None:
        """Types keys, each at once and then until the terminal is quiet; says nothing of any line."""

    def say(self, *lines: Line) -> None:
        """The truth of several lines that the next `press` types at once, as a paste of many lines does; call it
        before."""

    def wait(self, until: str) -> None:
        """Waits until the terminal shows a regular expression."""

    def resize(self, rows: int, columns: int) -> None:
        """The window gets another size."""

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
        """Types a line that starts another program of `programs.py` on top (su, python3, bash): from now on its
        prompt is awaited, and `user` and `cwd` hold. Where it asks for a `password`, that is typed, as a secret."""

    def leave(self, command: str | bytes) -> None:
        """Leaves what `enter` started: with a line that is typed (`exit`, the truth has it), or bytes as ctrl-d."""

    def secret(self, typed: bytes, *, raw: bool = False) -> None:
        """What is typed is a secret: nothing that is written may hold it, but for the spool where it is read `raw`,
        key by key. Call it before it is typed. Best no word that is anywhere else."""


@dataclass(frozen=True, eq=False)
class Script:
    """A session to be typed."""

    program: str
    """Its name in `programs.py`: bash, zsh, fish, ash, dash, python, ipython, node, sqlite3, psql, mysql, …"""
    title: str
    """What is tried."""
    type: Callable[[Person], None]
    setup: tuple[str, ...] = ()
    """Lines of the program's own start-up file, as PS1='…'."""
    prompt: str = ""
    """A regular expression for its prompt (its last row, without control sequences), where `setup` changes that."""
    user: str = "root"
    """Who types: root or alice."""
    history: bool = True
    """The program's own history has the same lines; False where the script makes it keep none, or other ones."""
    mirrored: bool = False
    """What is typed to a program that was entered arrives at another one of the same container, by ssh: it is told
    where it arrives, which is what the script says, and of the client that shows it."""
    alone: bool = False
    """It needs a container of its own: it starts what lives on, or somebody comes in by another way (sshd)."""
    rows: int = 24
    columns: int = 80
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def blind(self) -> bool:
        """It was written by somebody who did not see the step under test, and is not looked at while that is tuned."""
        return ".blind." in self.type.__module__


SCRIPTS: list[Script] = []
"""All that were declared, in order."""


def script(program: str, title: str, **more: object) -> Callable[[Callable[[Person], None]], Callable[[Person], None]]:
    """Declare a function to be a script; further fields of `Script` may be given."""

    def declare(function: Callable[[Person], None]) -> Callable[[Person], None]:
        SCRIPTS.append(Script(program, title, function, **more))  # type: ignore[arg-type]
        return function

    return declare
