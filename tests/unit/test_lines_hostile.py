"""What means harm: secrets that only keys tell, and screens made to be dear."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from bpf.enums import Change
from bpf.events import Terminal
from enrich.lines.typed import Moment, Typed, Who
from enrich.lines.typing import Typing
from tests.unit.at_terminal import ECHOED, At
from tests.unit.test_lines_many import counted

RAW = 1
SECRET = b"hunter2-swordfish"


def at(rows: int = 24, columns: int = 80) -> At:
    """A terminal with a window of this size."""
    return At(rows=rows, columns=columns, oflag=5, start=20)


def taken(*records: Terminal, name: str = "tool") -> tuple[Typing, list[str]]:
    """What is known after records of one program, and the lines that were told."""
    typing, told = Typing(), list[Any]()
    for i, record in enumerate(records):
        told += typing.take(record, Moment(str(i), i, i, i), Who(20, 20, name, passes=False), secret=False)
    return typing, [each.line for each in told if isinstance(each, Typed)]


def asked(made: At, prompt: bytes, shows: bytes = b"", first: bytes = b"", last: bytes = b"\r\n") -> list[Terminal]:
    """A program asks for a secret key by key, without words that tell so."""
    return [
        made.change(Change.TERMIOS, lflag=RAW),
        made.write(prompt, RAW),
        *(r for key in SECRET for r in (made.input(bytes([key]), RAW), made.write(shows, RAW))),
        made.input(b"\r", RAW),
        made.write(first + last, RAW),
        made.change(Change.TERMIOS, lflag=ECHOED),
    ]


@pytest.mark.parametrize("shows", [b"", b"*", "●".encode(), "▪".encode()], ids=["nothing", "stars", "dots", "squares"])
@pytest.mark.parametrize("first", [b"", b"\r\x1b[KVault? done "], ids=["as it is", "prompt painted anew"])
@pytest.mark.parametrize("rows", [1, 2, 24])
@pytest.mark.parametrize("name", ["tool", "node", "bash", "ssh"])
def test_secrets_that_are_not_shown(name: str, rows: int, first: bytes, shows: bytes) -> None:
    """Where a picture is not whole, keys stand in only for what was shown: never for what was not."""
    _, lines = taken(*asked(at(rows), b"Vault? ", shows, first), name=name)
    assert not any("hunter2" in line or "sword" in line for line in lines)


@pytest.mark.parametrize("shows", [b"", b"*"], ids=["nothing", "stars"])
def test_secrets_elsewhere(shows: bytes) -> None:
    """The same through ssh, behind many lines that ended in what was painted."""
    made = at()
    records = [made.change(Change.TERMIOS, lflag=RAW), made.write(b"$ ", RAW)]
    for _ in range(10):
        records += [r for key in b"ls" for r in (made.input(bytes([key]), RAW), made.write(bytes([key]), RAW))]
        records += [made.input(b"\r", RAW), made.write(b"\r\na b c\r\n$ ", RAW)]
    records += asked(made, b"unseal\r\nkey> ", shows, last=b"\r\n$ ")[1:-1]
    records += [made.input(b"x", RAW), made.write(b"x", RAW), made.input(b"\r", RAW), made.write(b"\r\n$ ", RAW)]
    _, lines = taken(*records, made.input(b"x", RAW), name="ssh")
    assert not any("hunter2" in line or "sword" in line for line in lines)
    assert lines.count("ls") == 10


def test_a_secret_at_what_looks_like_the_prompt() -> None:
    """`read -sn20 -p '$ '`: the shell's own prompt, and nothing shown."""
    made = at()
    line = b"read -sn20 -p '$ ' key"
    records = [made.change(Change.TERMIOS, lflag=RAW), made.write(b"$ ", RAW)]
    records += [r for key in line for r in (made.input(bytes([key]), RAW), made.write(bytes([key]), RAW))]
    records += [made.input(b"\r", RAW), made.write(b"\r\n", RAW), made.change(Change.TERMIOS, lflag=ECHOED)]
    _, lines = taken(*records, *asked(made, b"$ "), name="bash")
    assert lines == [line.decode()]


def test_cursors_that_are_elsewhere() -> None:
    """However often a terminal says where its cursor is: a prompt is no wider than the window."""
    made = at(columns=65535)
    records: list[Terminal] = [made.change(Change.TERMIOS, lflag=RAW)]
    for _ in range(50):
        records += [made.write(b"\r", RAW), made.input(b"\x1b[1;65534R", RAW), made.input(b"\x1b[1;4000R", RAW)]
    typing, _ = taken(*records)
    assert len(pickle.dumps(typing)) < 20_000


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (b"\x1b[65535B", b"\x1b[1J"),
        (b"", b"\x1b[2J\x1b[65535B"),
        (b"\x1b[65535Cx", b"a\b"),
        (b"", b"\x1b[99999;99999Hx"),
        (b"e", "\u0301".encode()),
    ],
)
def test_work_for_what_is_painted(before: bytes, again: bytes) -> None:
    """Bytes that have much erased or moved are no more work than others, whatever the window is said to be."""
    made = at(65535, 65535)
    records = [made.change(Change.TERMIOS, lflag=RAW), made.write(before, RAW)]
    many = [made.write((again * 4096)[:4096], RAW) for _ in range(2)]
    with counted() as total:
        typing, _ = taken(*records, *many)
    assert total[0] < 300_000
    (program,) = typing.programs.values()
    assert program.edit is not None
    assert (program.edit.grid.columns, program.edit.grid.height) == (4096, 512)
    assert program.edit.grid.cells == sum(map(len, program.edit.grid.rows))


def test_many_lines_in_one_read() -> None:
    """What one read brings is told in so many lines at the most, the last of which has the rest."""
    made = at()
    typing, lines = taken(made.input(b"a\n" * 2048, ECHOED & ~2), name="cat")
    assert lines == ["a"] * 255 + ["\n".join(["a"] * 1793)]
    assert typing.programs
