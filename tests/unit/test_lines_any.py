"""Whatever a terminal's programs do: nothing is raised, what is kept is bounded, and a restart changes nothing."""

from __future__ import annotations

import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bpf.enums import Change
from bpf.events import Terminal, TtyInput
from enrich.lines.grid import MOST_CELLS, MOST_ROWS, Grid
from enrich.lines.typed import Moment, Told, Who
from enrich.lines.typing import Typing
from tests.unit.at_terminal import At

BITS = [
    b"$ ", b"> ", b"\r", b"\n", b"\r\n", b"\x03", b"\x04", b"\x7f", b"\b", b"\t", b"\x1b[K", b"\x1b[J", b"\x1b[2J",
    b"\x1b[H", b"\x1b[A", b"\x1b[3D", b"\x1b[9C", b"\x1b[2P", b"\x1b[3@", b"\x1b[?2004h", b"\x1b[?1049h",
    b"\x1b[?1049l", b"\x1b]0;title\x07", b"\x1b]0;open", b"\x1b[9;9R", b"\x1b[", "漢".encode(), "é".encode(),
    "e\u0301".encode(), b"\xe6\xbc", b"\xff", b"echo hello", b"x" * 200, b"cat <<E", b"E", b"'", b"\x1b[65535B",
]  # fmt: skip
content = st.lists(st.one_of(st.sampled_from(BITS), st.binary(max_size=8)), max_size=8).map(b"".join)
flags = st.sampled_from([0, 1, 0o2, 0o12, 0o13])
records = st.lists(
    st.tuples(st.sampled_from("irwwrcsn"), st.integers(20, 22), content, flags, st.sampled_from([0, 1, 7, 80, 65535])),
    max_size=40,
)


def play(events: list[tuple[str, int, bytes, int, int]], *, restarts: bool = False) -> list[Told]:
    """What is told of events."""
    at, typing, told = At(), Typing(), list[Told]()
    for i, (kind, pid, content, lflag, columns) in enumerate(events):
        fields: dict[str, Any] = {"tgid": pid, "start": pid, "columns": columns, "time": i}
        made: Terminal
        if kind in "ir":
            made = at.input(content, lflag, **fields)
        elif kind == "w":
            made = at.write(content, lflag, oflag=5, **fields)
        elif kind == "c":
            made = at.change(Change.TERMIOS, lflag=lflag, **fields)
        elif kind == "s":
            made = at.change(Change.WINDOW, lflag=lflag, **fields)
        else:
            typing.gap()
            told += typing.exit(pid, pid)
            continue
        who = Who(pid, pid, ("bash", "node", "ssh")[pid - 20], passes=False)
        told += typing.take(made, Moment(str(i), i, i, i), who, secret=isinstance(made, TtyInput) and lflag == 1)
        if restarts:
            typing = pickle.loads(pickle.dumps(typing))  # noqa: S301
    return told


@given(records)
def test_any_records(events: list[tuple[str, int, bytes, int, int]]) -> None:
    """Nothing is raised, each place has one line, and a worker that starts again after any record tells the same."""
    told = play(events)
    assert play(events, restarts=True) == told
    places = [(one.at.id, one.part) for one in told if hasattr(one, "part")]
    assert len(places) == len(set(places))


@given(st.lists(content, max_size=30), st.integers(1, 300), st.booleans())
def test_any_bytes(pieces: list[bytes], columns: int, onlcr: bool) -> None:
    """A grid takes any bytes; its cursor stays on it, its rows are no wider than they may be."""
    grid = Grid(columns=columns)
    for piece in pieces:
        grid.feed(piece, onlcr=onlcr)
        assert 0 <= grid.y < len(grid.rows)
        assert 0 <= grid.x <= columns
        assert max(map(len, grid.rows)) <= columns + 1
        assert grid.cells == sum(map(len, grid.rows)) <= MOST_CELLS
        assert len(grid.rows) <= MOST_ROWS


@given(st.lists(content, max_size=12), st.data())
def test_pieces(pieces: list[bytes], data: st.DataObject) -> None:
    """It does not matter in how many pieces something is written."""
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)))
    one, many = Grid(), Grid()
    one.feed(whole)
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        many.feed(whole[start:end])
    assert (one.rows, one.x, one.y) == (many.rows, many.x, many.y)
