"""A recording draws on a screen of ours: as a terminal would show it, and a terminal gets nothing else of it."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgtrail.recordings.grid import MOST, Row
from cgtrail.recordings.paint import Painter, whole
from cgtrail.recordings.screen import Screen
from cgtrail.recordings.style import PLAIN

ALLOWED = re.compile(
    "\x1b\\[(?P<row>\\d{1,4});(?P<column>\\d{1,4})H|\x1b\\[K|\x1b\\[2J|\x1b\\[[\\d;]{0,60}m|\x1b\\[\\?25[hl]|(?P<text>[^\x00-\x1f\x7f-\x9f])"
)
"""All that may reach a terminal, as somebody else would write it down."""
HIDDEN = re.compile("[\u200b-\u200f\u2028-\u202e\u2060-\u206f\u061c\ufeff\ue000-\uf8ff\U000e0000-\U000e0fff]")
PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(list("\n\r\t\b\v\f\x0e\x0f\x05\x07\x18\x1a\x1b\x7f\x84\x85\x90\x9b\x9d\x9f")),
    st.builds(
        "\x1b[{}{}{}{}".format,
        st.sampled_from(["", "?", ">", "=", "<"]),
        st.one_of(st.just(""), st.lists(st.integers(0, 99999).map(str), max_size=5).map(";".join), st.just("1:2:3")),
        st.sampled_from(["", " ", "!", "$", '"']),
        st.sampled_from([chr(code) for code in range(0x40, 0x7F)]),
    ),
    st.builds(
        "\x1b[?{}{}".format, st.sampled_from([6, 7, 25, 47, 1000, 1047, 1048, 1049, 2004]), st.sampled_from("hl")
    ),
    st.builds(
        "\x1b{}".format, st.sampled_from(["7", "8", "c", "D", "E", "M", "Z", "(0", ")0", "(B", "#8", "%G", " F"])
    ),
    st.builds(
        "\x1b{}{}{}".format,
        st.sampled_from(list("]PX^_")),
        st.sampled_from(["0;title", "52;c;aGk=", "8;;http://x", "+q544e", "$qm"]),
        st.sampled_from(["\x07", "\x1b\\", "", "\x9c"]),
    ),
    st.sampled_from(["字", "e\u0301", "👩\u200d🚒", "\u202eabc\u202c", "שלום", "\ufe0f", "\u0301" * 20]),
)
STREAMS = st.lists(PIECES, max_size=40).map("".join)


def shown(text: str, columns: int = 10, rows: int = 4) -> list[str]:
    """What a screen shows after this was written to it, without what is empty at the ends."""
    return texts(fed(text, columns, rows))


def fed(text: str, columns: int = 10, rows: int = 4) -> Screen:
    """A screen on which this was written."""
    screen = Screen(columns, rows)
    screen.feed(text)
    return screen


def texts(screen: Screen) -> list[str]:
    """A screen's lines."""
    lines = ["".join(char for char, _ in row).rstrip() for row in screen.cells]
    while lines and not lines[-1]:
        lines.pop()
    return lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("ab\r\ncd\re", ["ab", "ed"]),
        ("abc\b\bX", ["aXc"]),
        ("a\tb", ["a       b"]),
        ("0123456789ab", ["0123456789", "ab"]),
        ("0123456789\r\nab", ["0123456789", "ab"]),
        ("\x1b[?7l0123456789ab", ["012345678b"]),
        ("1\r\n2\r\n3\r\n4\r\n5", ["2", "3", "4", "5"]),
        ("\x1b[2;3Hx\x1b[Ay\x1b[5Dz", ["z  y", "  x"]),
        ("abcdef\x1b[3G\x1b[K", ["ab"]),
        ("abcdef\x1b[3G\x1b[1K", ["   def"]),
        ("ab\r\ncd\r\nef\x1b[2;2H\x1b[J", ["ab", "c"]),
        ("ab\x1b[2Jc", ["  c"]),
        ("abcdef\x1b[2G\x1b[2P", ["adef"]),
        ("abcdef\x1b[2G\x1b[2@", ["a  bcdef"]),
        ("abcdef\x1b[2G\x1b[2X", ["a  def"]),
        ("abcdef\x1b[2G\x1b[4hXY\x1b[4lZ", ["aXYZcdef"]),
        ("a\r\nb\r\nc\x1b[1;1H\x1b[L", ["", "a", "b", "c"]),
        ("a\r\nb\r\nc\x1b[1;1H\x1b[M", ["b", "c"]),
        ("a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\nX", ["a", "c", "X", "d"]),
        ("a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[2;1H\x1bMX", ["a", "X", "b", "d"]),
        ("\x1b[2;3r\x1b[?6h\x1b[9;1HX", ["", "", "X"]),
        ("ab\x1b7\r\ncd\x1b8X", ["abX", "cd"]),
        ("ab\x1b[?1049hcd\x1b[2J\x1b[?1049lX", ["abX"]),
        ("ab\x1b[?1049hcd", ["  cd"]),
        ("\x1b(0lqk\x1b(Blqk", ["┌─┐lqk"]),
        ("\x1b)0\x0eq\x0fq", ["─q"]),
        ("x\x1b[3b", ["xxxx"]),
        ("x\x1b[99999999999b", ["xxxxxxxxxx", "x"]),
        ("ab\x1b#8c", ["c"]),
        ("字a\x1b[2GX", [" Xa"]),
        ("e\u0301" + "\u0301" * 90, ["e" + "\u0301" * 4]),
        ("a\u200bb\u202ec\ufe0f\u00a0d", ["abc d"]),
        ("a\x1b]0;title\x07b\x1b]52;c;aGk=\x1b\\c\x1bPq#0\x1b\\d\x1b_x\x1b\\e", ["abcde"]),
        ("a\x1b[c\x1b[6n\x05\x1b[>q\x1b[5i\x1b[14t\x1b[?1000h\x1b[?2004h\x1b[?1hb", ["ab"]),
        ("a\x9b31mb\x9dc", ["a31mbc"]),
        ("ab\x1bcX", ["X"]),
        ("\x1b[31mab\x1b[8mc", ["abc"]),
    ],
    ids=repr,
)
def test_as_a_terminal_shows_it(text: str, lines: list[str]) -> None:
    """Text, cursor, erasing, margins, line drawing, wide characters; what reaches beyond a screen is nothing."""
    assert shown(text) == lines


def test_styles() -> None:
    """Colours of 8, 16, 256 and all kinds and attributes are those that were set; hidden text is not hidden."""
    screen = fed("a\x1b[1;31mb\x1b[0;48;5;200mc\x1b[38:2::1:2:3md\x1b[38;2;4;5;6me\x1b[mf\x1b[5;8mg\x1b[38;5;999mh", 20)
    assert [style.sgr for _, style in screen.cells[0][:8]] == [
        "\x1b[0m",
        "\x1b[0;1;31m",
        "\x1b[0;48;5;200m",
        "\x1b[0;38;2;1;2;3;48;5;200m",
        "\x1b[0;38;2;4;5;6;48;5;200m",
        "\x1b[0m",
        "\x1b[0m",
        "\x1b[0m",
    ]


@settings(max_examples=400, deadline=None)
@given(STREAMS, st.randoms(use_true_random=False))
def test_where_it_is_cut(text: str, chance: random.Random) -> None:
    """A recording comes in pieces: the screen is the same however it was cut."""
    whole, pieces = fed(text), Screen(10, 4)
    at = 0
    while at < len(text):
        end = at + chance.randint(1, 5)
        pieces.feed(text[at:end])
        at = end
    assert texts(pieces) == texts(whole)
    assert (pieces.x, pieces.y, pieces.style) == (whole.x, whole.y, whole.style)


@settings(max_examples=600, deadline=None)
@given(st.lists(STREAMS, max_size=4), st.integers(1, 14), st.integers(1, 7), st.integers(0, 14), st.integers(0, 7))
def test_a_terminal_gets_only_what_is_allowed(
    streams: list[str], width: int, height: int, columns: int, rows: int
) -> None:
    """Whatever is recorded, what comes out places text, colours it, and nothing else; the last row is the player's."""
    screen, painter = Screen(10, 4), Painter(width, height)
    for number, stream in enumerate(streams):
        screen.feed(stream)
        assert [len(row) for row in screen.cells] == [screen.columns] * screen.rows
        out = painter.frame(screen, f"status {number}")
        at, row, column = 0, 0, 0
        while at < len(out):
            found = ALLOWED.match(out, at)
            assert found, out[at : at + 20]
            at = found.end()
            if found["row"]:
                row, column = int(found["row"]), int(found["column"])
                assert 1 <= row <= height
                assert 1 <= column <= width
            elif found["text"]:
                assert not HIDDEN.match(found[0])
                column += 1
                assert row < height or out[at - 1] in f"status {number}… "
        screen.resize(columns, rows)
        screen.note(stream)


@settings(max_examples=200, deadline=None)
@given(STREAMS)
def test_what_was_painted_is_what_is_shown(text: str) -> None:
    """A terminal that has got the frames shows what the screen does, status below: painting changes nothing."""
    screen, painter, terminal = Screen(10, 4), Painter(12, 5), Screen(12, 5)
    for piece in (text[: len(text) // 2], text[len(text) // 2 :]):
        screen.feed(piece)
        terminal.feed(painter.frame(screen, "status"))
    wanted = [line.rstrip() for line in map(painted, screen.cells)]
    assert [line.rstrip() for line in map(painted, terminal.cells)] == [*wanted, "status"]


def painted(row: Row) -> str:
    """A row as it is painted: halves of wide characters are spaces."""
    return "".join(char for char, _ in whole(row))


def test_only_what_changed_is_painted() -> None:
    """A frame costs what has changed since the last one."""
    screen, painter = Screen(80, 24), Painter(80, 25)
    screen.feed("x" * 80 * 24)
    assert len(painter.frame(screen, "s")) > 80 * 24
    assert painter.frame(screen, "s") == "\x1b[?25l\x1b[24;80H\x1b[?25h"
    screen.feed("\x1b[3;3Hy")
    assert 80 < len(painter.frame(screen, "s")) < 120


def test_a_larger_screen() -> None:
    """Of a screen that is larger than the window that part is shown where the cursor is."""
    screen, painter = Screen(20, 10), Painter(5, 3)
    screen.feed("\x1b[9;1H0123456789\x1b[10;1Habc")
    out = painter.frame(screen, "s")
    assert "01234" in out
    assert "56789" not in out
    assert "abc" in out
    assert not painter.holds(screen)


@pytest.mark.parametrize(
    ("asked", "got"), [((0, 0), (80, 24)), ((1000, 1000), (1000, 1000)), ((65535, 65535), (MOST, MOST))]
)
def test_sizes(asked: tuple[int, int], got: tuple[int, int]) -> None:
    """A window without a size has the usual one; a large one is shown as it is, a monstrous one is cut."""
    screen = Screen(5, 5)
    screen.resize(*asked)
    assert (screen.columns, screen.rows) == got
    screen.feed("\x1b[9999;9999Hx\x1b[9999b\r\n" * 3)
    assert len(screen.cells) == got[1]


def test_a_resize_keeps_the_line_of_the_cursor() -> None:
    """A lower window loses its top, a higher one gets room below."""
    screen = fed("1\r\n2\r\n3\r\n4")
    screen.resize(10, 2)
    assert texts(screen) == ["3", "4"]
    screen.resize(3, 5)
    screen.feed("\r\nabcd")
    assert texts(screen) == ["3", "4", "abc", "d"]
    assert screen.cells[0][0] == ("3", PLAIN)


def test_endless_sequences_are_not_kept() -> None:
    """A sequence that never ends takes no memory: strings are passed over, and the longest sequence is bounded."""
    screen = Screen(10, 4)
    screen.feed("a\x1b]52;c;")
    for _ in range(100):
        screen.feed("A" * 10_000)
    screen.feed("\x07b\x1b[" + "1;" * 50_000)
    assert len(screen._parser._held) < 5_000
    screen.feed("\x18c")
    assert texts(screen)[0].startswith("ab")


@pytest.mark.parametrize("size", [(-1, -1), (0, 0), (65535, 65535), (1, 1)])
def test_any_size(size: tuple[int, int]) -> None:
    """Whatever a damaged document says of the window, there is one to write to."""
    screen = Screen(*size)
    screen.resize(*size)
    screen.feed("\u5b57ab\r\n\x1b[9999;9999Hc")
    assert (1, 1) <= (screen.columns, screen.rows) <= (MOST, MOST)
