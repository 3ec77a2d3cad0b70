"""What holds for the fuzzing tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.fuzz.files", "tests.fuzz.records", "tests.fuzz.spool", "tests.fuzz.worker")

from tests.fuzz.quiet import no_logs  # noqa: E402


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with no_logs():
        yield
