"""The way back from what `enrich.printable.text` shows."""

from __future__ import annotations

import codecs
import re

# A run of backslashes before what may be a code: each pair is one, and one that is left begins the code.
_NOTATION = re.compile(r"(?P<run>\\+)(?P<code>x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[xuU])")


def undone(shown: str) -> str:
    """The text that was shown so."""
    return _NOTATION.sub(_read, shown)


def _read(found: re.Match[str]) -> str:
    literal = found["run"][: len(found["run"]) // 2]
    if len(found["run"]) % 2:
        return literal + codecs.decode(f"\\{found['code']}", "unicode_escape")
    return literal + found["code"]
