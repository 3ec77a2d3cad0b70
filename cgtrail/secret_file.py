"""Passwords and keys that stand in files of their own."""

from __future__ import annotations

from pathlib import Path

from cgtrail.config import ConfigError

_MAX_CHARS = 1 << 20
"""Also a device that never ends is a file."""


def held(key: str, file: str) -> str:
    """What a file holds, without the line's end; empty where none is named.

    Raises ConfigError, also for a file that holds nothing: that it was not written yet must not pass for having none.
    """
    if not file:
        return ""
    try:
        with Path(file).open() as opened:
            text = opened.read(_MAX_CHARS + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{key}: {file} can't be read ({reason})") from error
    found = text.rstrip("\r\n")
    if not found or len(text) > _MAX_CHARS:
        raise ConfigError(f"{key}: {file} is {'too large for one' if found else 'empty'}: name the file that holds it")
    return found
