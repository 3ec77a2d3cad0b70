"""The small files that say who works on a data folder and how it goes: `cgtrail status` reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

LOCK, STATUS = "agent.lock", "agent.json"


def write_status(file: Path, status: dict[str, Any]) -> None:
    """Replace a status file whole, so that a reader never sees half of one. Raises OSError."""
    temporary = file.with_suffix(".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(orjson.dumps(status, option=orjson.OPT_NON_STR_KEYS))
    temporary.replace(file)


def read_status(file: Path) -> dict[str, Any]:
    """A status file; nothing when there is none, or none that can be read."""
    try:
        known = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return known if isinstance(known, dict) else {}
