"""A storm in which people sit at shells: they type key by key, run programs, give up lines, enter passwords, and leave.

What else happens in their containers goes on meanwhile: it can end their shells in the middle of a line.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bpf.enums import EVERYTHING, Change, Policy
from bpf.events import Terminal
from tests.faults.boxes import Box, Life
from tests.faults.storm import HOST, Recording
from tests.unit.at_shell import Shell
from tests.unit.at_terminal import SILENT, TTY, At

PEOPLE = 4
"""At once, on one host."""
TYPES = 0.5
"""How often what happens is that a key is typed, or what follows one."""
LINES = (b"ls -la", b"cat /etc/passwd", b"curl http://x/$RANDOM", b"echo \xc3\xa4\xff", b"make -j2 all && ./run")
BUILTINS = (b"cd /tmp", b"export A=1", b"read -s x")


@dataclass(eq=False, slots=True)
class Person:
    """Somebody at a shell in a container."""

    box: Box
    life: Life
    terminal: At
    steps: Iterator[None]
    """What comes next; a key, mostly."""


class Prompts(Recording):
    """One boot of a host on which people are at shells."""

    policy = Policy(EVERYTHING)

    def __init__(self, rng: random.Random, booted: int, *, host: bytes = HOST) -> None:
        super().__init__(rng, booted, host=host)
        self.people: list[Person] = []
        self._terminals = 0

    def happen(self) -> None:
        """A key is typed, or something else happens."""
        if not self.boxes or self.rng.random() >= TYPES:
            super().happen()
        elif len(self.people) < PEOPLE and self.rng.random() < 0.1:
            self._sits_down(self.rng.choice(self.boxes))
        elif self.people:
            self._goes_on(self.rng.choice(self.people))

    def run(self, box: Box) -> None:
        """The terminals are told behind the processes."""
        super().run(box)
        for person in self.people:
            if person.box is box and person.life in box.lives:
                self.kernel(box, person.terminal.open(), sure=True)

    def _sits_down(self, box: Box) -> None:
        life = self.enter(box)
        self._terminals += 1
        index = self._terminals % 8  # numbers come again
        life.tty = TTY | index
        terminal = At(index, leader=life.pid, generation=self.now, home=box.owner, cgroup_id=life.cgroup)
        shell = Shell(terminal, life.pid, start=life.start, cgroup_id=life.cgroup)
        person = Person(box, life, terminal, iter(()))
        person.steps = self._session(person, shell)
        self.people.append(person)
        self._put(box, [terminal.change(Change.CONTROL, **shell.fields)])
        self.start(box, life, b"/bin/bash", b"-i")

    def _goes_on(self, person: Person) -> None:
        gone = person.life not in person.box.lives
        if gone or next(person.steps, self) is self:
            self.people.remove(person)
            if person.box in self.boxes:
                self._put(person.box, [person.terminal.change(Change.HANGUP)])

    def _session(self, person: Person, shell: Shell) -> Iterator[None]:
        for _ in range(self.rng.randint(2, 12)):
            yield from self._line(person, shell)
        yield from self._typed(person, shell, b"exit")
        self.end(person.box, person.life)

    def _line(self, person: Person, shell: Shell) -> Iterator[None]:
        """A prompt, a line, and what comes of it."""
        self._put(person.box, shell.prompt())
        self._put(person.box, [person.terminal.output(b"\x1b[?2004h" + shell.text)])
        yield
        kind = self.rng.random()
        if kind < 0.1:
            yield from self._keys(person, shell, b"given up")
            self._put(person.box, [person.terminal.write(b"^C\r\n", **shell.fields)])
            return
        if kind < 0.3:
            line = self.rng.choice(BUILTINS)
            yield from self._typed(person, shell, line)
            if line.startswith(b"read"):
                self._put(person.box, [person.terminal.input(b"secret\r", SILENT, **shell.fields)])
                yield
            return
        line = self.rng.choice(LINES) + b" %d" % self.rng.randrange(1000)
        yield from self._typed(person, shell, line)
        yield from self._program(person, line.split())

    def _typed(self, person: Person, shell: Shell, line: bytes) -> Iterator[None]:
        yield from self._keys(person, shell, line)
        self._put(person.box, shell.accept(self.rng.choice((b"/root", b"/tmp"))))
        self._put(person.box, [person.terminal.output(b"\r\n\x1b[?2004l\r")])
        yield

    def _keys(self, person: Person, shell: Shell, line: bytes) -> Iterator[None]:
        for key in line:
            self._put(person.box, shell.keys(bytes((key,))))
            self._put(person.box, [person.terminal.output(bytes((key,)))])
            yield

    def _program(self, person: Person, words: Sequence[bytes]) -> Iterator[None]:
        """It runs in the foreground, shows something, and ends: unless something else has ended it before."""
        child = self.fork(person.box, person.life)
        child.group = person.terminal.fields["foreground"] = child.pid
        self.start(person.box, child, b"/bin/" + words[0], *words[1:])
        yield
        for _ in range(self.rng.randint(0, 3)):
            shown = b"".join(b"line %d of it\r\n" % number for number in range(self.rng.randint(1, 40)))
            self._put(person.box, [person.terminal.output(shown, writer=child.pid)])
            yield
        if child in person.box.lives:
            self.end(person.box, child)
        person.terminal.fields["foreground"] = person.life.pid
        yield

    def _put(self, box: Box, records: Sequence[Terminal]) -> None:
        for record in records:
            self.kernel(box, record)
