"""The query language: what each form means, and what is said of what it does not have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enrich.stores.lucene import parse
from enrich.stores.query import (
    All,
    And,
    Exists,
    Gap,
    Not,
    Or,
    Query,
    QueryError,
    Range,
    Term,
    Text,
    Wildcard,
    any_of,
)

ONE, MANY = Gap.ONE, Gap.MANY
SECOND = 1_000_000_000
DAY = 1_795_305_600 * SECOND
"""2026-11-22."""
LS, CAT = Term("process.name", "ls"), Term("process.name", "cat")


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", All()),
        (" \n", All()),
        ("*", All()),
        ("*:*", All()),
        ("NOT *", Not(All())),
        ("process.name:ls", LS),
        ("process.name : ls", LS),
        ('process.name:"ls"', LS),
        ('process.name:""', Term("process.name", "")),
        ('process.executable:"/bin/ls"', Term("process.executable", "/bin/ls")),
        (r"process.executable:\/bin\/ls", Term("process.executable", "/bin/ls")),
        (r"process.name:a\*b\?c\:d\ e\\f", Term("process.name", r"a*b?c:d e\f")),
        (r'process.name:"a*b?\"c\\"', Term("process.name", 'a*b?"c\\')),
        (r"process.name:a\"b", Term("process.name", 'a"b')),
        ("process.name:py*", Wildcard("process.name", ("py", MANY))),
        (r"process.name:*a\*b?", Wildcard("process.name", (MANY, "a*b", ONE))),
        (r"process.name:\\*", Wildcard("process.name", ("\\", MANY))),
        ("process.name:*", Exists("process.name")),
        ("_exists_:process.name", Exists("process.name")),
        ('_exists_:"process.name"', Exists("process.name")),
        ("process.name:[* TO *]", Exists("process.name")),
        ("process.pid:12", Term("process.pid", 12)),
        ('cgtrail.return_code:"-2"', Term("cgtrail.return_code", -2)),
        ("process.interactive:true", Term("process.interactive", True)),
        ("process.pid:[1 TO 5]", Range("process.pid", 1, 5)),
        ("process.pid:{1 TO 5]", Range("process.pid", 1, 5, include_low=False)),
        ("process.pid:[-1 TO 5}", Range("process.pid", -1, 5, include_high=False)),
        ("process.pid:[1 TO *]", Range("process.pid", 1, None)),
        ("process.pid:>=1", Range("process.pid", 1, None)),
        ("process.pid:>1", Range("process.pid", 1, None, include_low=False)),
        ("process.pid:<=1", Range("process.pid", None, 1)),
        ("process.pid:<1", Range("process.pid", None, 1, include_high=False)),
        ("process.name:[a TO b]", Range("process.name", "a", "b")),
        ('process.name:["*" TO b]', Range("process.name", "*", "b")),
        ("passwd", Text("passwd")),
        ("TO", Text("TO")),
        ('"rm -rf *"', Text("rm -rf *")),
        (r"\*", Text("*")),
        ("process.name:ls AND passwd", And((LS, Text("passwd")))),
        ("process.name:ls && passwd", And((LS, Text("passwd")))),
        ("process.name:ls OR process.name:cat", Or((LS, CAT))),
        ("process.name:ls || process.name:cat", Or((LS, CAT))),
        ("process.name:(ls OR cat)", Or((LS, CAT))),
        ("process.name:(ls || !cat)", Or((LS, Not(CAT)))),
        ("a OR b AND c", Or((Text("a"), And((Text("b"), Text("c")))))),
        ("(a OR b) AND c", And((Or((Text("a"), Text("b"))), Text("c")))),
        ("(a AND b) AND c", And((Text("a"), Text("b"), Text("c")))),
        ("NOT a", Not(Text("a"))),
        ("!a", Not(Text("a"))),
        ('!"a b"', Not(Text("a b"))),
        ("!(a)", Not(Text("a"))),
        ("!process.name:ls", Not(LS)),
        ("NOT NOT a", Text("a")),
        (r"\!a", Text("!a")),
        ("-a", Not(Text("a"))),
        ("+a -b", And((Text("a"), Not(Text("b"))))),
        ("+a AND b", And((Text("a"), Text("b")))),
        ("a&&b", Text("a&&b")),
        ("container.labels.com.docker.compose.project:x", Term("container.labels.com.docker.compose.project", "x")),
        (r"container.labels.a\:b:x", Term("container.labels.a:b", "x")),
        ("container.labels:x", Term("container.labels", "x")),
    ],
)
def test_meaning(text: str, query: Query) -> None:
    """Each form of the language means one tree."""
    assert parse(text) == query


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2026-11-22", DAY, DAY + 86400 * SECOND),
        ("2026-11-22T06", DAY + 21600 * SECOND, DAY + 25200 * SECOND),
        ("2026-11-22T06:30", DAY + 23400 * SECOND, DAY + 23460 * SECOND),
        ("2026-11-22T06:30:01", DAY + 23401 * SECOND, DAY + 23402 * SECOND),
        ("2026-11-22T06:30:01Z", DAY + 23401 * SECOND, DAY + 23402 * SECOND),
        ('"2026-11-22 06:30:01.5"', DAY + 23401_500_000_000, DAY + 23401_600_000_000),
        ("2026-11-22T06:30:01.123456789Z", DAY + 23401_123_456_789, DAY + 23401_123_456_790),
        ('"2026-11-22T06:30:01+01:30"', DAY + 18001 * SECOND, DAY + 18002 * SECOND),
        ('"2026-11-21T23:00:00-01"', DAY, DAY + SECOND),
        ("[2026-11-22 TO 2026-11-23]", DAY, DAY + 2 * 86400 * SECOND),
        ("{2026-11-22 TO 2026-11-24}", DAY + 86400 * SECOND, DAY + 2 * 86400 * SECOND),
        (">=2026-11-22", DAY, None),
        (">2026-11-22", DAY + 86400 * SECOND, None),
        ("<=2026-11-21", None, DAY),
        ("<2026-11-22", None, DAY),
    ],
)
def test_a_date_is_as_long_as_its_last_digit(text: str, low: int | None, high: int | None) -> None:
    """A date stands for all the time it names, in terms and in ranges, to the nanosecond."""
    assert parse(f"@timestamp:{text}") == Range("@timestamp", low, high, include_high=False)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a b", ["character 3", "'b'", "AND or OR"]),
        ("process.name:ls process.name:cat", ["character 17", "AND or OR"]),
        ("+a b", ["character 4", "AND or OR"]),
        ("+a OR b", ["character 1", "leave out the +"]),
        ("process.nam:ls", ["'process.nam'", "did you mean process.name?"]),
        ("http:x", ["'http'", "quotes"]),
        ("_exists_:process.nam", ["process.name"]),
        ("_exists_:(a OR b)", ["write _exists_:process.name"]),
        ("process.pid:abc", ["process.pid", "'abc'", "integer"]),
        ("process.pid:1_0", ["integer"]),
        ("process.pid:9223372036854775808", ["64 bits"]),
        ("process.pid:1*", ["long", "range"]),
        ("process.pid:-5", ["quotes", "NOT process.pid"]),
        ("process.interactive:yes", ["process.interactive", "'yes'", "true or false"]),
        ("process.interactive:[a TO b]", ["boolean"]),
        ("@timestamp:yesterday", ["@timestamp", "'yesterday'", "2026-11-22"]),
        ("@timestamp:2026-02-30", ["'2026-02-30'"]),
        ("@timestamp:2026-11-22T25:00:00", ["2026-11-22"]),
        ("@timestamp:1969-12-31", ["1970"]),
        ("@timestamp:2300-01-01", ["2262"]),
        ("@timestamp:2026-11-22T06:30:01+02:00", ["quotes"]),
        ("process.executable:/bin/ls", ["character 20", '"/bin/ls"', "regular expression"]),
        ("process.executable:/bin", ["character 20", '"/bin"']),
        ("ls AND /a b/", ["regular expression"]),
        ("process.name:ls~", ["fuzzy"]),
        ("process.name:ls~1.2.3", ["~"]),
        ('"a b"~3', ["proximity"]),
        ("process.name:ls^2", ["boosts"]),
        ("[a TO b]", ["needs a field"]),
        (">5", ["needs a field"]),
        ("process.name:[a* TO b]", ["bounds"]),
        ("pass*", ["need a field"]),
        ('""', ["empty text"]),
        ("process.name:a:b", ["process.name", "quotes"]),
        ("process.name:(process.name:a)", ["quotes"]),
        ('process.name:a"b', ["quote"]),
        ('"abc', ["character 1", "close"]),
        ("a\\", ["backslash"]),
        ("(a", ["the end", "parenthesis"]),
        ("a)", ["character 2"]),
        ("a AND", ["the end"]),
        ("a AND OR b", ["character 7", "'OR b'"]),
        ("'a'", ["quotes"]),
        ("process.name:\ud800", ["surrogate"]),
        ("x" * 40_000, ["40000", "32768"]),
        ("(" * 5_000 + "a" + ")" * 5_000, ["deep"]),
        ("NOT " * 5_000 + "a", ["deep"]),
        (" OR ".join("ab" for _ in range(5_000)), ["clauses"]),
        ("(" * 30_000, ["the end"]),
    ],
)
def test_refusal(text: str, wanted: list[str]) -> None:
    """What can't be understood is refused with its place, its value and what to write instead."""
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert not [part for part in wanted if part not in str(caught.value)], str(caught.value)
    assert len(str(caught.value)) < 400


PIECES = st.sampled_from(
    [
        *'():"\\/[]{}<>=~^*?!+-&|\n\x00 ',
        "AND ",
        " OR ",
        "NOT ",
        " TO ",
        "&&",
        "||",
        "process.name:",
        "process.pid:",
        "a",
        "@timestamp:",
        "2026-11-22",
        "container.labels.a:",
        "_exists_:",
        "1",
        "é",
        "�",
    ]
)


@given(st.lists(PIECES | st.characters(), max_size=60).map("".join))
@settings(max_examples=500)
@example("a^1.2.3")
@example('"a"~..')
@example("!")
@example("!&&||")
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text whatsoever ends in anything but a tree or a QueryError."""
    try:
        parse(text)
    except QueryError as error:
        str(error).encode()


def test_any_of_nothing_is_an_error() -> None:
    """An Or of nothing can't be built."""
    with pytest.raises(ValueError, match="needs a part"):
        any_of([])


def test_luqum_is_quiet_and_imported_late(tmp_path: Path) -> None:
    """Parsing prints nothing, writes nothing into the working directory, and luqum is imported by the first parse."""
    program = (
        "import sys; from enrich.stores.lucene import parse; parse(''); assert 'luqum' not in sys.modules;"
        "parse('a AND b'); assert 'luqum' in sys.modules"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []
