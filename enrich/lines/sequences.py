"""Control sequences as they stand in what a program writes (ECMA-48, and xterm's ctlseqs)."""

from __future__ import annotations

import re
from functools import lru_cache

TOKENS = re.compile(
    r"([^\x00-\x1f\x7f-\x9f]+)"  # text
    r"|\x1b\[([0-?]*)[ -/]*([@-~])"  # CSI
    r"|(\x1b[\]PX^_])"  # OSC, DCS, SOS, PM, APC: up to ST or BEL
    r"|\x1b[ -/]*([0-OQ-WYZ\\`-~])"  # other escapes
    r"|([\x00-\x1a\x1c-\x1f\x7f-\x9f])"
)
"""One text, sequence or control character: groups 1 text, 2 and 3 of CSI, 4 a string, 5 escape, 6 control."""
UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[ -/]*)\Z")
ENDS_STRING = re.compile(r"\x07|\x1b\\|[\x18\x1a]|\x9c")
_NUMBERS = re.compile(r"[0-9]+")


@lru_cache(512)
def numbers_of(arguments: str) -> tuple[int, ...]:
    """A control sequence's numbers, each at most 65,535."""
    return tuple(min(int(number), 65535) for number in _NUMBERS.findall(arguments))
