"""Guests run side by side: each emulates its processors on one thread, so that one alone leaves the others idle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from .machine import Finished, Job, run

Guests = Callable[[Job], Finished]
AT_ONCE = max(1, min(2, os.cpu_count() or 1))
"""A guest takes a gigabyte."""


@pytest.fixture(scope="session")
def guests(request: pytest.FixtureRequest) -> Iterator[Guests]:
    """What came of a job; those of all tests that will run are begun with the first one, as there is room."""
    found = [getattr(item, "callspec", None) for item in request.session.items]
    jobs = [value for each in found if each is not None for value in each.params.values() if isinstance(value, Job)]
    with ThreadPoolExecutor(AT_ONCE) as room:
        begun = {job: room.submit(run, job) for job in dict.fromkeys(jobs)}
        try:
            yield lambda job: begun[job].result()
        finally:
            room.shutdown(cancel_futures=True)
