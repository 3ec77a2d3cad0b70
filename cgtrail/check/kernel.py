"""The kernel's release, its types, lockdown, and the processor."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from shipper.refusals import BTF

_LOCKDOWN = Path("/sys/kernel/security/lockdown")
_OLDEST = (6, 1)


def look(_: Config) -> Iterator[Finding]:
    """What the kernel is."""
    known = BTF.exists()
    yield Finding(
        "kernel",
        Level.OK if known else Level.BAD,
        f"{platform.release()}, {'with' if known else 'without'} BTF",
        ""
        if known
        else f"{BTF} is missing: boot a kernel with CONFIG_DEBUG_INFO_BTF (Debian 12 and Ubuntu 24.04 have "
        "it), and mount /sys",
    )
    if _version(platform.release()) < _OLDEST:
        yield Finding(
            "kernel", Level.NOTE, f"{platform.release()} is older than 6.1", "it was never tried; use a newer"
        )
    if platform.machine() != "x86_64":
        yield Finding("processor", Level.BAD, platform.machine(), "only x86-64 is supported")
    yield from _lockdown()


def _lockdown() -> Iterator[Finding]:
    """Nothing where the kernel does not tell: securityfs may not be mounted."""
    with suppress(OSError):
        mode = _LOCKDOWN.read_text().partition("[")[2].partition("]")[0]
        if mode == "confidentiality":
            advice = "boot with lockdown=integrity at most: this mode forbids BPF to read the kernel's memory"
            yield Finding("lockdown", Level.BAD, mode, advice)
        elif mode:
            yield Finding("lockdown", Level.OK, mode)


def _version(release: str) -> tuple[int, ...]:
    numbers = release.partition("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())
