"""What goes to a terminal."""

from __future__ import annotations

import json
import sys
import unicodedata

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich import printable
from tests.unit.printed import undone

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ANY = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(ANY | st.integers() | st.none() | st.booleans(), lambda inner: st.dictionaries(ANY, inner))


def unsafe() -> list[str]:
    """Every character that must never reach a terminal as it is."""
    blank = set("\u2800\U00013440\U00016fe4\U0001d159")
    zero_width = set("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u061c\U000e0041")
    return [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(char) in ("Cc", "Co", "Cs", "Zl", "Zp")
        or (unicodedata.category(char) == "Zs" and char != " ")
        or unicodedata.bidirectional(char) in BIDI
        or char in zero_width | blank
    ]


def right_to_left() -> list[str]:
    """Every character that makes a terminal with bidi set a line in another order."""
    return [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.bidirectional(c) in ("R", "AL", "AN")]


def test_no_unsafe_character_goes_out() -> None:
    """Controls, bidi, zero-width, separators, blanks, private use and lone surrogates are shown, never sent."""
    assert not [char for char in unsafe() if char in printable.text(f"a{char}b")]
    sent = [char for char in unsafe() if not 0xD800 <= ord(char) < 0xE000]
    assert not [char for char in sent if char in printable.json_line(orjson.dumps(f"a{char}b")).decode()]


def test_no_line_is_reordered_or_painted_over() -> None:
    """Letters from right to left are shown as escapes, and no character has more than four marks."""
    assert not [char for char in right_to_left() if char in printable.text(f"a{char}b") + printable.message(char)]
    stack = printable.text("e" + "\u0301\u20dd" * 100)
    assert sum(unicodedata.category(char) in ("Mn", "Me") for char in stack) == printable.MAX_MARKS


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ls -la /tmp", "ls -la /tmp"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\u202eb", r"a\u202eb"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        (r"C:\n \\. '\'", r"C:\n \\. '\'"),
        (r"\x41 \\u0041 \U", r"\\x41 \\\\u0041 \\U"),
        ("\\\x1b \\\\\u202e", r"\\\x1b \\\\\u202e"),
        ("é 漢 😀 ไทย", "é 漢 😀 ไทย"),
        ("a\u05d0b\u0661", r"a\u05d0b\u0661"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + r"\u0301\u0301"),
        ("rm\u00a0-rf\u3000\u2800\ue000", r"rm\xa0-rf\u3000\u2800\ue000"),
        ("\uffff\U0010fffe", r"\uffff\U0010fffe"),
    ],
)
def test_text_is_readable(value: str, shown: str) -> None:
    """Ordinary text stays as it is, and the rest is written in the usual notation."""
    assert printable.text(value) == shown


@given(st.text(st.characters() | st.sampled_from("\\xuU0a\x1b")))
def test_text_can_be_undone(value: str) -> None:
    """No two texts look the same: what was shown gives the text back."""
    assert undone(printable.text(value)) == value


def test_backslashes_cost_little() -> None:
    """A text of backslashes is looked at once, however long it is."""
    assert printable.text("\\" * 1_000_000) == "\\" * 1_000_000


@given(JSON)
def test_a_json_line_is_the_same_document(value: object) -> None:
    """A line is one line, and means what the document means."""
    written = json.dumps(value, ensure_ascii=False).encode()
    line = printable.json_line(written)
    assert json.loads(line) == value
    assert b"\n" not in line


def test_json_may_come_with_line_breaks() -> None:
    """Indented JSON becomes one valid line."""
    assert json.loads(printable.json_line(b'{\r\n\t"a":\n "\\n\xc2\x85"}')) == {"a": "\n\x85"}
    assert b"\n" not in printable.json_line(b'{\n"a": 1}')
