"""What the benchmarks conclude and write: figures come from runs, conclusions are held here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.report import spread, write_into
from tests.bench.verdict import findings

FLAT = {"agent: private MB": 40.0, "agent: open files": 30.0, "map watched: left behind": 0.0, "spool MB": 5.0}


def wrong(during: list[dict[str, float]], end: dict[str, float], bounds: dict[str, float] | None = None) -> list[str]:
    """The names of what did not hold."""
    return [finding.name for finding in findings(FLAT, during, FLAT | end, bounds or {}) if finding.wrong]


def course(name: str, *values: float) -> list[dict[str, float]]:
    """Samples in which one number changes."""
    return [FLAT | {name: value} for value in values]


def test_what_is_flat_holds() -> None:
    """A beginning may be lower; noise within the tolerance is none."""
    assert wrong(course("agent: private MB", 30, 30, 30, 50, 51, 50, 52, 52, 51), {"agent: private MB": 80}) == []


def test_memory_that_grows_does_not_hold() -> None:
    """More than the tolerance from the middle third to the last."""
    assert wrong(course("agent: private MB", 40, 40, 40, 50, 50, 50, 60, 60, 60), {}) == ["agent: private MB"]


@pytest.mark.parametrize("name", ["agent: open files", "map watched: left behind"])
def test_what_stays_behind_does_not_hold(name: str) -> None:
    """However many there were meanwhile, the end is as the start."""
    during = course(name, 90, 95, 99)
    assert wrong(during, {}) == []
    assert wrong(during, {name: FLAT[name] + 1}) == [name]


def test_a_bound_holds_all_the_time() -> None:
    """One sample beyond it is enough."""
    during = course("spool MB", 5, 11, 5, 5, 5, 5)
    assert wrong(during, {}, {"spool MB": 11}) == []
    assert wrong(during, {}, {"spool MB": 10}) == ["spool MB"]


def test_a_spread_is_the_median_with_its_range() -> None:
    """One round has none."""
    assert spread([3, 1, 2]) == "2 (1 to 3)"
    assert spread([1.25], "{:.1f}x") == "1.2x"


def test_a_table_replaces_the_one_before(tmp_path: Path) -> None:
    """What stands around the marks, and other subjects' tables, stay."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- bench:one -->\n<!-- /bench -->\nb\n<!-- bench:two -->\nkept\n<!-- /bench -->\nc\n")
    for text in ("old", r"new \1"):
        write_into(page, "one", text)
    assert page.read_text() == (
        "a\n<!-- bench:one -->\n\nnew \\1\n\n<!-- /bench -->\nb\n<!-- bench:two -->\nkept\n<!-- /bench -->\nc\n"
    )
    with pytest.raises(ValueError, match="no place for 'three'"):
        write_into(page, "three", "text")
