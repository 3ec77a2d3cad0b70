"""Times on the command line: dates, ISO 8601, or an age."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGE = re.compile(r"(\d+)\s*([smhdw])")


class Instant(click.ParamType[int]):
    """Nanoseconds since 1970, from `2026-11-22`, `2026-11-22T10:00[:00][Z|+01:00]` (else local time) or `10m`."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails with what was expected."""
        if isinstance(value, int):
            return value
        try:
            age = _AGE.fullmatch(value)
            if age:
                at = time.time_ns() - int(age[1]) * _UNITS[age[2]] * 1_000_000_000
                datetime.fromtimestamp(at // 1_000_000_000, UTC)  # raises where the calendar ends
                return at
            return _ns(datetime.fromisoformat(value))
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is not a time: give 2026-11-22, 2026-11-22T10:00 or an age such as 10m, 2h, 3d", param, ctx
            )


def _ns(given: datetime) -> int:
    aware = given.astimezone(UTC)  # without a zone: local time
    return int((aware.replace(microsecond=0)).timestamp()) * 1_000_000_000 + aware.microsecond * 1000
