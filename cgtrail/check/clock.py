"""The clock: documents carry its time."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config

_TIMEX_BYTES = 208
_MAXERROR, _STATUS = 24, 40
"""Offsets in struct timex of adjtimex(2) on x86-64; the error is in microseconds."""
_STA_UNSYNC = 0x40


def look(_: Config) -> Iterator[Finding]:
    """Whether the kernel has been told that its clock is right; it is asked only, with modes = 0."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(timex) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "adjtimex(2)")
    if int.from_bytes(timex.raw[_STATUS : _STATUS + 4], "little") & _STA_UNSYNC:
        advice = "run chrony or systemd-timesyncd; a virtual machine's host may keep its time without telling"
        yield Finding("clock", Level.NOTE, "nobody has told the kernel that it is synchronised", advice)
        return
    wrong = int.from_bytes(timex.raw[_MAXERROR : _MAXERROR + 8], "little", signed=True) / 1_000_000
    yield Finding("clock", Level.OK, f"synchronised, wrong by {wrong:.3f} s at most")
