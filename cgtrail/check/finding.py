"""What a look at one thing found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

import click

from enrich.printable import message


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


_COLOURS = {Level.OK: "green", Level.NOTE: "yellow", Level.BAD: "red"}


def line(finding: Finding, *, as_json: bool = False) -> str:
    """A finding as it is printed; what is not ours in it can't move a terminal's cursor."""
    if as_json:
        return json.dumps(asdict(finding))
    advice = f"\n{'':22}→ {message(finding.advice)}" if finding.advice else ""
    level = click.style(finding.level.ljust(5), fg=_COLOURS[finding.level])
    return f"{level} {message(finding.what).ljust(15)} {message(finding.found)}{advice}"
