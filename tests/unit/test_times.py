"""Times on the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgtrail.times import Instant

SECOND = 1_000_000_000
NOW = 1_795_305_600 * SECOND + 123
"""2026-11-22T00:00:00Z, and a bit."""


def convert(value: str | int) -> int:
    """What the option gives."""
    return Instant().convert(value, None, None)


@pytest.fixture(autouse=True)
def _in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "NPT-5:45")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-11-22T00:00Z", 1_795_305_600),
        ("2026-11-22T00:00:00+00:00", 1_795_305_600),
        ("2026-11-22T01:00:01+01:00", 1_795_305_601),
        ("2026-11-22T10:00", 1_795_305_600 + 36_000 - 20_700),
        ("2026-11-22 10:00:30", 1_795_305_600 + 36_030 - 20_700),
        ("2026-11-22", 1_795_305_600 - 20_700),
        ("1970-01-01T00:00Z", 0),
        ("1969-12-31T23:59:59Z", -1),
    ],
)
def test_a_date_is_an_instant(value: str, seconds: int) -> None:
    """A time with a zone is that instant; without one it is local time."""
    assert convert(value) == seconds * SECOND


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [("2026-11-22T00:00:00.000001Z", 1_000), ("2026-11-22T00:00:00.999999Z", 999_999_000)],
)
def test_microseconds_are_exact(value: str, nanoseconds: int) -> None:
    """A fraction of a second is not rounded."""
    assert convert(value) == 1_795_305_600 * SECOND + nanoseconds


@pytest.mark.parametrize(
    ("value", "seconds"), [("10s", 10), ("10m", 600), ("2h", 7_200), ("3d", 259_200), ("1w", 604_800), ("0m", 0)]
)
def test_an_age_counts_back_from_now(value: str, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An age is so long ago."""
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    assert convert(value) == NOW - seconds * SECOND


@pytest.mark.parametrize(
    "value", ["", "yesterday", "10", "10y", "-10m", "1.5h", "2026-13-01", "10:00", "2026-11-22T25:00"]
)
def test_what_is_no_time_is_refused(value: str) -> None:
    """The message shows the value and what would be right."""
    with pytest.raises(click.BadParameter) as caught:
        convert(value)
    assert repr(value) in caught.value.message
    assert "10m" in caught.value.message


def test_a_number_is_taken_as_it_is() -> None:
    """A default may be given in nanoseconds."""
    assert convert(17) == 17


@given(st.text() | st.from_regex(r"[0-9]{1,9}[smhdw]", fullmatch=True) | st.datetimes().map(datetime.isoformat))
def test_anything_is_a_time_or_refused(value: str) -> None:
    """Nothing that is typed raises anything else, at the ends of the calendar neither."""
    try:
        assert isinstance(convert(value), int)
    except click.BadParameter:
        return


@pytest.mark.parametrize("value", ["0001-01-01", "9999-12-31T23:59:59", "0001-01-01T00:00+23:59", "9" * 5000 + "d"])
def test_the_ends_of_the_calendar_raise_nothing_else(value: str) -> None:
    """Times that no clock can show are times, or refused."""
    try:
        assert isinstance(convert(value), int)
    except click.BadParameter:
        return


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001  zoned below
def test_every_instant_comes_back(value: datetime) -> None:
    """A time written by isoformat is the same time, to the microsecond."""
    nanoseconds = convert(f"{value.isoformat()}Z")
    seconds, rest = divmod(nanoseconds, SECOND)
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    assert (shown, rest) == (value.strftime("%Y-%m-%dT%H:%M:%S"), value.microsecond * 1000)
