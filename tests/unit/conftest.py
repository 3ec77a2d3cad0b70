"""What several tests of the worker and its commands begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.ran import Run, runner
from tests.unit.spooled import Spooled, five


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command on the folder of this test."""
    return runner(monkeypatch, capfd, tmp_path)


@pytest.fixture
def spool(tmp_path: Path) -> Spooled:
    """A container and five programs, a frame each."""
    return five(tmp_path)
