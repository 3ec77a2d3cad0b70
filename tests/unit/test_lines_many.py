"""Many sessions at once, long lines, long pastes: each line is told where it belongs, and nothing grows with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from types import FrameType
from typing import Any

import pytest

from bpf.enums import Change
from bpf.events import Header
from enrich.lines.telling import LONGEST
from enrich.snapshot import save
from tests.unit.at_terminal import ECHOED, LINES, RAW, At, of, shell
from tests.unit.stream import SECOND, Stream, container, end

SESSIONS = 1000
COOKED = 1 | 4
"""c_oflag: OPOST, ONLCR."""
PROMPT, MORE = b"$ ", b"> "
FIRST = 1000
"""Process id of the first shell."""
Records = Iterator[Header]


class Shell:
    """A shell at a terminal of its own, that edits its lines as bash does."""

    def __init__(self, number: int = 0) -> None:
        self.pid = FIRST + number
        self.at = At(number, leader=self.pid, oflag=COOKED, start=self.pid * 1_000_000)

    def ask(self, prompt: bytes = PROMPT) -> Records:
        """It leaves canonical mode and shows its prompt."""
        yield self.at.change(Change.TERMIOS, lflag=RAW)
        yield self.at.write(prompt)

    def keys(self, typed: bytes, each: int = 1) -> Records:
        """It reads so many bytes at once, and paints them."""
        for begin in range(0, len(typed), each):
            yield self.at.input(typed[begin : begin + each], RAW)
            yield self.at.write(typed[begin : begin + each])

    def enter(self) -> Records:
        """It takes the line."""
        yield self.at.input(b"\r", RAW)
        yield self.at.write(b"\r\n")
        yield self.at.change(Change.TERMIOS, lflag=ECHOED)

    def line(self, typed: bytes, prompt: bytes = PROMPT) -> Records:
        """A line from its prompt to its Return."""
        yield from self.ask(prompt)
        yield from self.keys(typed)
        yield from self.enter()


def logged_in(stream: Stream, count: int) -> list[Shell]:
    """So many shells, each at its terminal, in one container."""
    stream.feed(*container())
    shells = [Shell(number) for number in range(count)]
    for each in shells:
        shell(stream, each.at, each.pid)
    return shells


def at_once(stream: Stream, *sessions: Records) -> list[dict[str, Any]]:
    """What comes of records that are one session's, then the next one's, in turn."""
    found = []
    for turn in zip_longest(*sessions):
        found += stream.feed(*(record for record in turn if record is not None))
    return found


def lines(documents: list[dict[str, Any]]) -> list[str]:
    """The lines that began."""
    return [document["cgtrail"]["command"]["line"] for document in of(documents, "command_started")]


def test_many_sessions() -> None:
    """Of a thousand that type at once, key by key, each has its own line, and its own number."""
    stream = Stream()
    shells = logged_in(stream, SESSIONS)
    documents = at_once(stream, *(each.line(b"true %d" % each.pid) for each in shells))
    found = of(documents, "command_started")
    assert {d["process"]["pid"]: d["cgtrail"]["command"]["line"] for d in found} == {
        each.pid: f"true {each.pid}" for each in shells
    }
    assert len(found) == len({d["cgtrail"]["session"]["id"] for d in found}) == SESSIONS
    assert {d["cgtrail"]["command"]["number"] for d in found} == {1}


def test_nothing_stays_of_sessions_that_are_over() -> None:
    """What is known is as much as before, however many there were."""
    stream = Stream()
    logged_in(stream, 0)
    sizes = []
    for number in range(0, 200, 20):
        for each in [Shell(number + more) for more in range(20)]:
            shell(stream, each.at, each.pid)
            stream.feed(*each.line(b"true"), end(each.pid, 1), each.at.change(Change.HANGUP))
        for _ in range(20):
            stream.wait(SECOND)
        sizes.append(len(save(stream.steps)))
    assert max(sizes[5:]) <= max(sizes[:5]) * 1.05


def test_a_session_of_many_programs() -> None:
    """Programs that read a line each and stay are forgotten, the least recently used first; the shell is not."""
    stream = Stream()
    (mine,) = logged_in(stream, 1)
    stream.feed(*mine.line(b"./many"))
    sizes = []
    for number in range(2000):
        pid = FIRST * 10 + number
        stream.feed(mine.at.input(b"x" * 100, ECHOED, tgid=pid, start=pid * 1_000_000))
        sizes.append(len(save(stream.steps)) if number % 200 == 199 else 0)
    assert max(sizes[1000:]) <= max(sizes[:1000]) * 1.05
    assert lines(stream.feed(*mine.line(b"echo still here"))) == ["echo still here"]


@pytest.mark.parametrize(("size", "whole"), [(LONGEST, True), (LONGEST + 1, False)])
def test_a_long_line(size: int, whole: bool) -> None:
    """64 KiB are told whole; of more, that it is not all. The next line is right."""
    stream = Stream()
    (mine,) = logged_in(stream, 1)
    typed = b"echo " + b"0123456789" * (LONGEST // 10 + 1)
    stream.feed(*mine.ask(), *mine.keys(typed[:size], 4096), *mine.enter(), *mine.line(b"true"))
    first, second = (d["cgtrail"]["command"] for d in of(stream.documents, "command_started"))
    assert first["line"] == typed[: min(size, LONGEST)].decode()
    assert ("cut" in first["reasons"]) == (not whole)
    assert (first["confidence"] == "low") == (not whole)
    assert (second["line"], second["confidence"], second["reasons"]) == ("true", "high", ["edited"])


def each_edited(shell: Shell, count: int) -> Records:
    """A paste into a shell that takes its lines one by one."""
    for number in range(count):
        yield from shell.line(b"true %05d" % number)


def each_read(shell: Shell, count: int) -> Records:
    """A paste into a program that reads lines."""
    for number in range(count):
        yield shell.at.write(PROMPT, LINES)
        yield shell.at.input(b"true %05d\n" % number, ECHOED)


def here_document(shell: Shell, count: int) -> Records:
    """A paste that is one command."""
    yield from shell.line(b"cat << end")
    for number in range(count - 2):
        yield from shell.line(b"text %05d" % number, MORE)
    yield from shell.line(b"end", MORE)


def in_quotes(shell: Shell, count: int) -> Records:
    """Another one that is one command."""
    yield from shell.line(b"echo '")
    for number in range(count - 2):
        yield from shell.line(b"text %05d" % number, MORE)
    yield from shell.line(b"'", MORE)


def in_braces(shell: Shell, count: int) -> Records:
    """A function, which is one command too."""
    yield from shell.line(b"f() {")
    for number in range(count - 2):
        yield from shell.line(b"true %05d" % number, MORE)
    yield from shell.line(b"}", MORE)


PASTES = {f.__name__: f for f in (each_edited, each_read, here_document, in_quotes, in_braces)}


@pytest.mark.parametrize(("paste", "count"), [(each_edited, 10_000), (here_document, 3000)])
def test_thousands_of_lines(paste: Callable[[Shell, int], Records], count: int) -> None:
    """Each line of a paste is told once, in order; those of a here-document all belong to the first."""
    stream = Stream()
    (mine,) = logged_in(stream, 1)
    documents = stream.feed(*paste(mine, count), *mine.line(b"echo over"))
    found = [d["cgtrail"]["command"] for d in of(documents, "command_started")]
    assert [command["number"] for command in found] == list(range(1, count + 2))
    assert found[-1]["line"] == "echo over"
    numbers = [int(command["line"][5:]) for command in found[1:-2]]
    assert numbers == list(range(numbers[0], numbers[0] + count - 2))
    first = {command.get("continues") for command in found[1:-1]}
    assert first == ({found[0]["id"]} if paste is here_document else {None})


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many lines of the worker's own code run in the block: its one number."""
    total, before = [0], sys.gettrace()

    def within(_frame: FrameType, event: str, _argument: object) -> Any:
        total[0] += event == "line"
        return within

    def entered(frame: FrameType, _event: str, _argument: object) -> Any:
        return within if "/enrich/" in frame.f_code.co_filename else None

    sys.settrace(entered)
    try:
        yield total
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("paste", PASTES.values(), ids=PASTES)
def test_work_does_not_grow(paste: Callable[[Shell, int], Records]) -> None:
    """A line at the end of a long paste is as much work as one of a short one."""
    work = []
    for count in (200, 2000):
        stream = Stream()
        (mine,) = logged_in(stream, 1)
        with counted() as total:
            stream.feed(*paste(mine, count))
        work.append(total[0] / count)
    assert work[1] <= work[0] * 1.1
