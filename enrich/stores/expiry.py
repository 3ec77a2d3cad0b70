"""Which day files of the local store go, without trusting the clock: one wrong step of it must not remove history."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import structlog

from enrich.stores import StoreError, dayfile

_log = structlog.get_logger()
_DAY_SECONDS = 86_400


def boot_seconds() -> float:
    """Seconds since this host booted, suspended ones included: nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Expiry:
    """Removes days that are older than `retention_days` by the clock, but never many at once because of it.

    At once go those with more than `retention_days` newer days stored: the next day came, or the retention was lowered.
    Of others (the host was off, the clock is ahead, days are missing) one goes a day by CLOCK_BOOTTIME since the start.
    """

    def __init__(
        self,
        folder: Path,
        retention_days: int,
        clock: Callable[[], float],
        boot: Callable[[], float] = boot_seconds,
        *,
        removes: bool = True,
    ) -> None:
        """`removes`: whether this process is the one that does; else it only knows which days it may not write."""
        self._folder, self._kept, self._removes = folder, retention_days, removes
        self._clock, self._boot, self._opened = clock, boot, boot()
        self._looked: tuple[date, int] | None = None
        self._spent = 0
        """How many days had passed since the start when a day went."""
        self._oldest = date.min

    def refuses(self, day: date) -> bool:
        """Whether a file of this day would go at once."""
        return day < self._oldest

    def run(self, close: Callable[[date], None]) -> None:
        """Remove what may go now; `close` is called with each day before. Raises StoreError."""
        today = dayfile.day_of(int(self._clock() * 1e9))
        passed = int((self._boot() - self._opened) // _DAY_SECONDS)
        if (today, passed) == self._looked:
            return
        days = dayfile.days(self._folder)
        old = today - timedelta(days=self._kept)
        self._oldest = min(old, days[-self._kept - 1] if len(days) > self._kept else date.min)
        for day in days if self._removes else ():
            if day < self._oldest or (day < old and passed > self._spent):
                close(day)
                if self._remove(day, today):
                    self._spent = passed
        self._looked = today, passed

    def _remove(self, day: date, today: date) -> bool:
        path = dayfile.path_of(self._folder, day)
        try:
            removed = dayfile.remove(path)
        except OSError as error:
            message = (
                f"{path}: older than {self._kept} days and can't be removed ({error.strerror}):"
                " remove it, or let the owner of cgtrail do so"
            )
            raise StoreError(message) from error
        if removed:
            _log.info("a day of the store was removed", file=str(path), age_days=(today - day).days,
                      retention_days=self._kept)  # fmt: skip
        return removed
