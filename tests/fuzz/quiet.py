"""Targets' logs are kept out of the way: each run tells of thousands of troubles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def no_logs() -> Iterator[None]:
    """Nothing is logged meanwhile."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    try:
        yield
    finally:
        structlog.reset_defaults()
