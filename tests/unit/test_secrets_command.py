"""`cgtrail secrets`: rules shown, tested and tried."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from enrich.secrets.rules import builtin
from tests.unit.ran import Run
from tests.unit.test_secrets_rules import GOOD


def test_rules_are_listed(run: Run) -> None:
    """Each on a line, and as JSON with what is known of it."""
    assert "private-key" in run("secrets", "list").out
    told = [json.loads(line) for line in run("secrets", "list", "--json").out.splitlines()]
    assert [rule["id"] for rule in told] == [rule.id for rule in builtin().rules]
    assert all(rule["cases"] and rule["description"] for rule in told)


def test_the_built_in_cases_hold(run: Run) -> None:
    """The exit code is 0."""
    result = run("secrets", "test")
    assert (result.code, result.err) == (0, "")
    assert "none failed" in result.out


def test_a_failing_case_is_shown(run: Run, tmp_path: Path) -> None:
    """With what was given, what was expected and what came; the exit code is 1."""
    file = tmp_path / "own.toml"
    file.write_text(GOOD)
    assert run("secrets", "test", file).out == "2 cases of 1 rules: none failed\n"
    file.write_text(GOOD.replace("[acme-token:4]", "[acme-token:5]"))
    result = run("secrets", "test", file)
    assert result.code == 1
    for part in (
        "given    x acme_abcd",
        "expected x acme_[acme-token:5]",
        "got      x acme_[acme-token:4]",
        "1 failed",
    ):
        assert part in result.out


def test_a_text_is_tried(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it becomes is on standard output, which rules did it on standard error; nothing reaches a terminal raw."""
    result = run("secrets", "try", "mysql -psecret \x1b[31mdb")
    assert result.out == "mysql -p[password:6] \\x1b[31mdb\n"
    assert result.err == "rule mysql: 1\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"TOKEN=abc\n")))
    assert run("secrets", "try").out == "TOKEN=[secret:3]\n"


def test_a_broken_file_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the file, and the exit code is 2; the worker does not start with it either."""
    file = tmp_path / "own.toml"
    file.write_text(GOOD.replace("min = 4", "min = 0"))
    monkeypatch.setenv("CGTRAIL_SECRETS_FILES", str(file))
    for command in (["secrets", "list"], ["secrets", "try", "x"], ["enrich", "--once"]):
        result = run(*command)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert result.err.startswith(f"cgtrail: {file}: rule 'acme': value.min is 0")
