"""The built kernel programs: which there are, in which order they are loaded, where they lie."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import bpf.events  # noqa: F401  declares its records
from bpf.schema import RECORDS

_FIRST = "ssh_login"


class CaptureError(RuntimeError):
    """Nothing can be recorded on this host; the message says why and what to do."""


def families() -> list[str]:
    """The `bpf/<family>.bpf.c` that the declared records name, in the order in which programs of one hook are to run.

    That is the order of their numbers, but that a login is told before the program which it starts.
    """
    found = dict.fromkeys(cls.layout.family for _, cls in sorted(RECORDS.items()) if cls.layout.family)
    return sorted(found, key=lambda family: family != _FIRST)


def object_file(family: str) -> Path:
    """Where a family's built object is. Raises CaptureError when it has not been built."""
    path = Path(str(resources.files("bpf") / f"{family}.bpf.o"))
    if not path.exists():
        message = f"{path} is missing: build the kernel programs with `make bpf`"
        raise CaptureError(message)
    return path
