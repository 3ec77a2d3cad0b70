"""What a look at one thing found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How good it is."""

    OK = "ok"
    NOTE = "note"
    """It works, but less well."""
    BAD = "bad"
    """Something is not recorded, or will not be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was found, and what to do about it."""

    what: str
    level: Level
    found: str
    advice: str = ""
