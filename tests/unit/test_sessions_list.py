"""`cgtrail sessions`: which sessions it lists, and what it says of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cgtrail import sessions as module
from cgtrail.cli import cli
from enrich.stores.values import timestamp
from tests.unit.ran import Run
from tests.unit.taped import NOON, SECOND, Tape

HOUR = 3600 * SECOND
HOSTILE = "\x1b]0;x\x07\x9b31m\u202e"


def several(data: Path) -> None:
    """Three sessions, an hour apart: one of two hours, a short one in another container, and one that is open."""
    Tape("a" * 16).opened().shown("x" * 1234).closed(2 * HOUR, skipped=5678, lines=12).store(data)
    Tape("b" * 16, NOON + HOUR, "db", user=("33", "www")).opened().closed(90 * SECOND).store(data)
    Tape("c" * 16, NOON + 2 * HOUR).opened().store(data)


def ids(out: str) -> list[str]:
    """The sessions of a table, in its order."""
    return [line.split()[-1][0] for line in out.splitlines()[1:]]


def test_table(run: Run, tmp_path: Path) -> None:
    """The newest last; each with its length, user, entry, terminal, bytes and id."""
    several(tmp_path)
    result = run("sessions")
    assert result.code == 0
    header, first, second, third = result.out.splitlines()
    names = ["STARTED", "DURATION", "CONTAINER", "USER", "ENTRY", "TTY", "LINES", "SHOWN", "SKIPPED", "ID"]
    assert header.split() == names
    assert first.split()[2:] == [
        "2",
        "h",
        "0",
        "min",
        "web",
        "root(0)",
        "exec",
        "pts/0",
        "12",
        "1,234",
        "5,678",
        "a" * 16,
    ]
    assert second.split()[2:] == ["1", "min", "30", "s", "db", "www(33)", "exec", "pts/0", "-", "0", "0", "b" * 16]
    assert third.split()[2] == "open,"
    assert third.split()[-8:] == ["web", "root(0)", "exec", "pts/0", "-", "-", "-", "c" * 16]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--container", "web"], "ac"),
        (["--container", "cafe"], "abc"),
        (["--tenant", "nobody"], ""),
        (["--user", "33"], "b"),
        (["--user", "root"], "ac"),
        (["--open"], "c"),
        (["--limit", "2"], "bc"),
        (["--until", timestamp(NOON + HOUR)], "a"),
        (["--since", timestamp(NOON + HOUR + 100 * SECOND)], "ac"),
        (["--since", timestamp(NOON + 3 * HOUR)], "c"),
        (["--since", timestamp(NOON + HOUR), "--until", timestamp(NOON + HOUR + SECOND)], "ab"),
    ],
    ids=str,
)
def test_filters(run: Run, tmp_path: Path, options: list[str], found: str) -> None:
    """Sessions of a container, tenant or user; open ones; those that were open at some time of a span."""
    several(tmp_path)
    assert "".join(ids(run("sessions", *options).out)) == found


def test_json(run: Run, tmp_path: Path) -> None:
    """Each session's documents as they are stored, a line each."""
    several(tmp_path)
    found = [json.loads(line) for line in run("sessions", "--json").out.splitlines()]
    assert [(each["cgtrail"]["session"]["id"][0], each["event"]["action"]) for each in found] == [
        ("a", "session_opened"),
        ("a", "session_closed"),
        ("b", "session_opened"),
        ("b", "session_closed"),
        ("c", "session_opened"),
    ]


@pytest.mark.parametrize(
    ("groups", "shown"),
    [
        (
            {
                "process": {"entry_leader": {"entry_meta": {"type": "sshd", "source": {"ip": "10.0.0.9"}}}},
                "cgtrail": {"entry": "sshd"},
            },
            "sshd (10.0.0.9)",
        ),
        ({"cgtrail": {"entry": "nested", "session": {"parent": "d" * 16, "opener": "tmux"}}}, "nested (tmux)"),
        ({"cgtrail": {"partial": True}}, "(or before)"),
        ({"container": {"name": HOSTILE}}, r"\x1b]0;x\x07\x9b31m\u202e"),
        ({"cgtrail": {"session": {"tty": HOSTILE, "opener": HOSTILE}}}, r"\x1b]0;x"),
    ],
    ids=["ssh", "nested", "partial", "name", "terminal"],
)
def test_what_is_told(run: Run, tmp_path: Path, groups: dict[str, Any], shown: str) -> None:
    """Who came from where, what was opened within another session, whose beginning is missing; hostile text is safe."""
    tape = Tape()
    tape.add("session", "session_opened", 0, **groups)
    tape.store(tmp_path)
    out = run("sessions").out
    assert shown in out
    assert set(out) - {"\n", "…"} <= set(map(chr, range(32, 127)))


def test_only_the_end_is_left(run: Run, tmp_path: Path) -> None:
    """A session whose beginning the store has let go of is listed by its end."""
    Tape().shown("").closed(HOUR).store(tmp_path)
    assert "(or before)  1 h 0 min" in run("sessions").out


def test_damaged(run: Run, tmp_path: Path) -> None:
    """A damaged document is said, and the rest is listed."""
    several(tmp_path)
    tape = Tape("d" * 16)
    tape.add("session", "session_opened", 1)
    tape.documents[0].source["cgtrail"]["session"] = 7
    tape.store(tmp_path)
    result = run("sessions")
    assert (result.code, ids(result.out)) == (1, ["a", "b", "c"])
    assert "1 damaged documents" in result.err


def test_nothing_recorded(run: Run) -> None:
    """Without a store the next step is said."""
    result = run("sessions")
    assert (result.code, result.out) == (0, "")
    assert "nothing has been recorded" in result.err


def test_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell is told the ids that begin so, the newest first, and what they are."""
    several(tmp_path)
    context = cli.make_context("cgtrail", ["--data", str(tmp_path), "sessions"])
    items = module.complete(context, context.command.params[0], "")
    assert [item.value[0] for item in items] == ["c", "b", "a"]
    assert "db" in str(items[1].help)
    assert [item.value[0] for item in module.complete(context, context.command.params[0], "b")] == ["b"]


def test_opened_again(run: Run, tmp_path: Path) -> None:
    """A session that went on after its end was told is one session: from its first beginning to its last end."""
    for number, name in enumerate("ab"):
        again = Tape(name * 16, NOON + number * HOUR).opened().closed(2 * SECOND)
        again.add("session", "session_opened", 2 * SECOND + 1, cgtrail={"partial": True})
        (again.closed(3 * SECOND, shown=77) if name == "a" else again).store(tmp_path)
    Tape("c" * 16, NOON + 2 * HOUR).opened(cgtrail={"partial": True}).closed(9 * SECOND).store(tmp_path)
    first, second, third = run("sessions").out.splitlines()[1:]
    assert first.split()[2:4] == ["3.0", "s"]
    assert " 77 " in first
    assert second.split()[2] == "open,"
    assert "(or before)" in third
    assert ids(run("sessions", "--open").out) == ["b"]
