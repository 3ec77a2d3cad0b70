"""Secrets in text that comes in pieces: what is shown never depends on how it was cut."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.secrets.rules import builtin
from enrich.secrets.scrub import LOOK_BACK, Scrubber, Stream
from enrich.secrets.values import HELD, HELD_LINES

TEXTS = [case.text for rule in builtin().rules for case in rule.cases if case.text]
SECRETS = [case.text for rule in builtin().rules for case in rule.cases if case.text and case.masked]
CONTROLS = [
    *(
        "\x1b[0m",
        "\x1b[01;31m\x1b[K",
        "\x1b[K",
        "\x1b]0;title\x07",
        "\x1b]8;;x\x1b\\",
        "\x1b=",
        "\x1b(B",
        "\x1b[?2004h",
    ),
    *("\b", "\a", " \r", "\b \b", "\0"),
]
"""What a terminal gets between characters that people see."""
NOISE = [
    *(
        "\r",
        "\n",
        "\r\n",
        " ",
        "\x1b",
        "\x1b[",
        "\x1b]",
        "\x1b[5;1H",
        "\x9b1m",
        "'",
        '"',
        "\\",
        "$",
        "…",
        "é",
        "\ud800",
    ),
    *("eyJ", "pass=", "TOKEN=", "mysql -p", "http://a:", "echo ", "| chpasswd", "x" * 40, "x" * 600),
    *("-----BEGIN PRIVATE KEY-----", "-----EN", "D PRIVATE KEY-----"),
]
HOSTILE = st.lists(st.sampled_from([*TEXTS, *CONTROLS, *NOISE]) | st.text(max_size=9), max_size=12).map("".join)


def shown(pieces: Iterable[str], scrubber: Scrubber | None = None) -> str:
    """All that is let through of a stream in these pieces."""
    scrubber, stream = scrubber or Scrubber(), Stream()
    return "".join([*(scrubber.feed(stream, piece) for piece in pieces), scrubber.finish(stream)])


def cut(text: str, places: Sequence[int]) -> list[str]:
    """A text cut at places, as far as it has them."""
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(edges)]


@settings(max_examples=300, deadline=None)
@given(HOSTILE, st.lists(st.integers(0, 10_000), max_size=8))
def test_a_split_changes_nothing(text: str, places: list[int]) -> None:
    """Whatever the text, and wherever it is cut, the same is shown, and the same is counted."""
    whole, split = Scrubber(), Scrubber()
    assert shown(cut(text, places), split) == shown([text], whole)
    assert split.masked == whole.masked


@settings(max_examples=60, deadline=None)
@given(HOSTILE)
def test_one_character_at_a_time_changes_nothing(text: str) -> None:
    """As somebody types it."""
    assert shown(text) == shown([text])


@pytest.mark.parametrize("text", SECRETS)
def test_each_edge_of_each_case(text: str) -> None:
    """Every place at which the text of a case can be cut."""
    expected = Scrubber().text(text)
    for place in range(len(text)):
        assert shown([text[:place], text[place:]]) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["hunter2", "s3cr3t-x1"]), st.lists(st.sampled_from(CONTROLS), min_size=1, max_size=4), st.data()
)
def test_control_sequences_break_no_secret(secret: str, controls: list[str], data: st.DataObject) -> None:
    """Between any two characters of a command line may stand what moves the cursor or colours the text."""
    characters = list(f"$ mysql -u root -p{secret} shop")
    for control in controls:
        place = data.draw(st.integers(1, len(characters) - 1))
        characters[place] += control
    got = shown("".join(characters))
    assert "[password:" in got
    assert not any(secret[at : at + 4] in got for at in range(len(secret) - 3))


def test_a_typed_line_in_bash() -> None:
    """Its echo has a wrap inside the value, and a letter that was rubbed out and typed again."""
    typed = "mysql -psec" + " \r" + "rt\b\x1b[Ket" + " -h db\r\n"
    assert shown(typed) == "mysql -p[password:7] -h db\r\n"


def test_the_kernel_rubs_out() -> None:
    """Its rub-out is a backspace, a space and a backspace, which end no value."""
    assert shown("mysql -psecrX\b \bet\r\n") == "mysql -p[password:7]\r\n"


def test_grep_colours_a_match() -> None:
    """`grep --color` puts sequences around what it looked for, inside the name and inside the value."""
    line = "DB_\x1b[01;31m\x1b[KPASS\x1b[m\x1b[KWORD=hun\x1b[01;31m\x1b[Kter\x1b[m\x1b[K2\r\n"
    assert shown(line) == "DB_\x1b[01;31m\x1b[KPASS\x1b[m\x1b[KWORD=[secret:7]\r\n"


def test_a_title_is_scrubbed_apart() -> None:
    """A shell puts its command line into the window's title; in the middle of a line, that ends nothing."""
    assert shown("a TOKEN=ab\x1b]0;mysql -px y\x07cd e") == "a TOKEN=[secret:4] e"
    assert shown("\x1b]0;mysql -px y\x07$ ") == "\x1b]0;mysql -p[password:1] y\x07$ "


def test_a_part_of_a_secret_is_never_shown() -> None:
    """After each character, what was let through has nothing of the value."""
    scrubber, stream, seen = Scrubber(), Stream(), ""
    for char in "export API_KEY=0123456789 run":
        seen += scrubber.feed(stream, char)
        assert not re.search("[0-9]", seen.replace("[secret:10]", ""))
    assert seen + scrubber.finish(stream) == "export API_KEY=[secret:10] run"


@pytest.mark.parametrize(
    ("before", "size"), [("TOKEN=", HELD * 3), ("TOKEN='", HELD * 2), ("-----BEGIN PRIVATE KEY-----", HELD_LINES * 2)]
)
@pytest.mark.parametrize("piece", [977, 1 << 20])
def test_of_a_long_secret_the_length_is_kept(before: str, size: int, piece: int) -> None:
    """It is masked to its end, and what is held stays small."""
    ending = {"TOKEN='": "'", "TOKEN=": " "}.get(before, "-----END PRIVATE KEY-----")
    text = f"{before}{'aB3' * (size // 3)}{ending}\nafter"
    scrubber, stream, seen = Scrubber(), Stream(), ""
    for at in range(0, len(text), piece):
        seen += scrubber.feed(stream, text[at : at + piece])
        assert len(stream.held) <= HELD_LINES + piece
    seen += scrubber.finish(stream)
    assert "aB3" not in seen
    assert re.search(rf":{size // 3 * 3 + (before[-1] == chr(39))}\]", seen)
    assert seen.endswith("after")


ATTACKS = {
    "anchors": "--password=",
    "anchors and blanks": "mysql -p mysql -p ",
    "masks": "mysql -pa ",
    "references": "TOKEN=$ ",
    "addresses": "://a:",
    "echoes": "echo ",
    "open strings": "\x1b]0;pass=",
    "escapes": "\x1b[\x1b",
    "rub-outs": "\b ",
    "wraps": " \r",
    "keys": "-----BEGIN PRIVATE KEY-----",
    "base64": "eyJhbGci",
    "one word": "password",
    "open quotes": "TOKEN='",
    "lines": "pass\n",
    "logins": " login -p",
}


def _calls(text: str, piece: int) -> int:
    """How many calls it takes."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        shown(text[at : at + piece] for at in range(0, len(text), piece))
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", ATTACKS)
def test_work_goes_with_length(name: str) -> None:
    """Four times the text is about four times the work."""
    small, large = (_calls(ATTACKS[name] * (size // len(ATTACKS[name])), 4096) for size in (16_384, 65_536))
    assert large <= 6 * small + 1000


@pytest.mark.parametrize("name", ATTACKS)
def test_memory_is_bounded(name: str) -> None:
    """A stream that means to be held is held up to a bound; nothing of it is lost."""
    scrubber, stream = Scrubber(), Stream()
    for _ in range(64):
        scrubber.feed(stream, ATTACKS[name] * 200)
        assert len(pickle.dumps((stream.context, stream.held))) < 4 * (HELD_LINES + 4096 + 200 * len(ATTACKS[name]))
        assert len(stream.context) <= 2 * LOOK_BACK
