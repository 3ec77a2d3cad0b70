"""The small files that say who works on a data folder and how it goes: `cgtrail status` reads them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import orjson

LOCK, STATUS = "agent.lock", "agent.json"
_BLOCK = 4096


def write_status(file: Path, status: dict[str, Any]) -> None:
    """Replace a status file whole, so that a reader never sees half of one. Raises OSError.

    On a full disk, of which it may have to tell, the file's own bytes are overwritten: it has room to grow a little.
    """
    told = orjson.dumps(status, option=orjson.OPT_NON_STR_KEYS)
    temporary = file.with_suffix(".new")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(told.ljust((len(told) // _BLOCK + 1) * _BLOCK))
        temporary.replace(file)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} or not _overwritten(file, told):
            raise


def _overwritten(file: Path, told: bytes) -> bool:
    """Write where a status file stands already; False when it has no room for that."""
    with open(os.open(file, os.O_WRONLY), "wb", buffering=0) as opened:
        room = os.fstat(opened.fileno()).st_size
        return len(told) <= room and opened.write(told.ljust(room)) == room


def read_status(file: Path) -> dict[str, Any]:
    """A status file; nothing when there is none, or none that can be read."""
    try:
        known = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return known if isinstance(known, dict) else {}
