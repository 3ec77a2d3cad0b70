"""Few bytes paint large pictures: those of all sessions together have a bound."""

from __future__ import annotations

import pytest

from bpf.enums import Change
from enrich.commands import room
from enrich.snapshot import save
from tests.unit.at_shell import EDITING, Lab

PAINTED = "\U0001f600".encode() + b"\x1b[4000Cx\r\n" * 20


def test_many_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many terminals are painted full, what is known does not grow; they have their next lines."""
    monkeypatch.setattr(room, "MOST", 1 << 20)
    lab = Lab()
    shells = [lab.shell(1000 + at, at) for at in range(40)]
    sizes = []
    for each in shells:
        wide = each.fields | EDITING | {"rows": 65535, "columns": 65535}
        lab.feed(each.terminal.change(Change.TERMIOS, **wide), each.terminal.write(PAINTED, **wide))
        sizes.append(len(save(lab.stream.steps)))
    assert max(sizes[20:]) <= max(sizes[:20]) * 1.1
    for each in shells:
        lab.feed(*each.accept(), *each.prompt(), *each.line(b"true"), *each.prompt())
    assert lab.started().count("true") == len(shells)


def test_keys_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of what is typed and never entered."""
    monkeypatch.setattr(room, "MOST", 1 << 20)
    lab = Lab()
    sizes = []
    for at in range(60):
        each = lab.shell(1000 + at, at)
        lab.feed(*(each.terminal.input(b"x" * 4095, **each.fields | EDITING) for _ in range(16)))
        sizes.append(len(save(lab.stream.steps)))
    assert max(sizes[40:]) <= max(sizes[:30]) * 1.2


def test_nothing_is_counted_of_sessions_that_are_over() -> None:
    """The account is empty again."""
    lab = Lab()
    each = lab.shell()
    wide = each.fields | EDITING | {"columns": 65535}
    lab.feed(each.terminal.write(PAINTED, **wide))
    (account,) = (step._room for step in lab.stream.steps if hasattr(step, "_room"))
    assert account.total > room.LARGE
    lab.feed(each.terminal.change(Change.HANGUP))
    assert (account.total, account.sizes, account.sessions) == (0, {}, {})
