"""Passwords and keys that stand in files of their own."""

from __future__ import annotations

from pathlib import Path

from cgtrail.config import ConfigError


def held(key: str, file: str) -> str:
    """What a file holds, without the line's end; empty where none is named. Raises ConfigError."""
    if not file:
        return ""
    try:
        return Path(file).read_text().rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{key}: {file} can't be read ({reason})") from error
