"""Shells at terminals made by hand: what a line editor and what a plain reader of lines make of a typed line."""

from __future__ import annotations

from typing import Any

from bpf.enums import Change
from bpf.events import Terminal
from bpf.schema import Record
from tests.unit.at_terminal import ECHOED, RAW, SHELL, TTY, At
from tests.unit.stream import SECOND, Stream, container, end, exec_, fork

COOKED = {"lflag": ECHOED | 1, "oflag": 5}
EDITING = {"lflag": RAW | 1, "oflag": 5}
"""As readline sets it: ISIG stays, and OPOST with ONLCR."""


class Shell:
    """A program with a line editor, as bash: it shows a prompt, echoes keys, and gives the terminal back to run."""

    def __init__(self, terminal: At, pid: int = SHELL, *, prompt: bytes = b"$ ", **fields: Any) -> None:
        self.terminal, self.pid, self.text = terminal, pid, prompt
        self.fields: dict[str, Any] = {"tgid": pid, "start": pid * 1_000_000, "foreground": pid} | fields

    def prompt(self, text: bytes | None = None) -> list[Terminal]:
        """It is ready for a line."""
        text = self.text if text is None else text
        editing = self.fields | EDITING
        return [
            self.terminal.change(Change.TERMIOS, **editing),
            self.terminal.write(b"\x1b[?2004h", **editing),
            self.terminal.write(text, **editing),
        ]

    def keys(self, line: bytes, **fields: Any) -> list[Terminal]:
        """Keys are typed and shown."""
        editing = self.fields | EDITING | fields
        return [
            record
            for key in line
            for record in (
                self.terminal.input(bytes([key]), **editing),
                self.terminal.write(bytes([key]), **editing),
            )
        ]

    def accept(self, cwd: bytes = b"/root", cwd_flags: int = 0, **fields: Any) -> list[Terminal]:
        """Return."""
        editing = self.fields | EDITING | fields
        return [
            self.terminal.input(b"\r", cwd=cwd, cwd_flags=cwd_flags, **editing),
            self.terminal.write(b"\n", **editing),
            self.terminal.write(b"\x1b[?2004l\r", **editing),
            self.terminal.change(Change.TERMIOS, **self.fields | COOKED | fields),
        ]

    def line(self, line: bytes, cwd: bytes = b"/root", cwd_flags: int = 0, **fields: Any) -> list[Terminal]:
        """A line is typed at its prompt."""
        return [*self.keys(line, **fields), *self.accept(cwd, cwd_flags, **fields)]


class Lab:
    """A container, with shells at terminals and what they start."""

    def __init__(self, *, known: bool = True, output: str = "none", **fields: Any) -> None:
        self.stream = Stream(output=output)
        self.next = 100
        if known:
            self.stream.feed(*container(**fields))

    def shell(self, pid: int = SHELL, index: int = 0, *, ready: bool = True, opener: int = 0) -> Shell:
        """Somebody enters, as by docker exec -it."""
        terminal = At(index, leader=pid, generation=5 + index, opener=opener)
        made = Shell(terminal, pid)
        self.feed(
            fork(pid, 1, vpid=1, parent_comm=b"runc"),
            terminal.change(Change.CONTROL, **made.fields),
            exec_(pid, 1, b"/bin/bash", tty=TTY | index, sid=pid),
        )
        if ready:
            self.feed(*made.prompt())
        return made

    def feed(self, *records: Record) -> list[dict[str, Any]]:
        """The documents that these records release."""
        return self.stream.feed(*records)

    def fork(self, parent: int, pid: int = 0, **fields: Any) -> int:
        """A process makes another; returns its id."""
        pid = pid or self.next
        self.next += 1
        self.feed(fork(pid, parent, **fields))
        return pid

    def run(self, parent: int, *args: bytes, pid: int = 0, **fields: Any) -> int:
        """A process makes another that starts a program; returns its id."""
        pid = self.fork(parent, pid, **fields)
        self.feed(exec_(pid, parent, *args, **fields))
        return pid

    def done(self, pid: int, parent: int, code: int = 0, **fields: Any) -> None:
        """A process ended."""
        self.feed(end(pid, parent, code << 8, **fields))

    def wait(self) -> list[dict[str, Any]]:
        """Two seconds pass."""
        return self.stream.wait(2 * SECOND)

    def of(self, action: str) -> list[dict[str, Any]]:
        """All documents of one action so far."""
        return [document for document in self.stream.documents if document["event"]["action"] == action]

    def started(self) -> list[str]:
        """The lines so far."""
        return [document["cgtrail"]["command"]["line"] for document in self.of("command_started")]

    def command(self, line: str) -> dict[str, Any]:
        """The end of the line that reads so."""
        (found,) = (each for each in self.of("command_ended") if each["cgtrail"]["command"]["line"] == line)
        return found

    def programs(self, line: str) -> list[str]:
        """The programs whose documents say that they belong to a line, by what was started."""
        (found,) = (each for each in self.of("command_started") if each["cgtrail"]["command"]["line"] == line)
        wanted = found["cgtrail"]["command"]["id"]
        return [
            document["process"]["name"]
            for document in self.of("exec")
            if document["cgtrail"].get("command", {}).get("id") == wanted
        ]
