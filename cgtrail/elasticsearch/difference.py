"""In what something that a cluster holds differs from what is wanted: a line for each value, under its full path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 120
_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One value; None of what can't be is shown as nothing."""

    path: str
    was: str
    wanted: str

    def told(self, verb: str) -> str:
        """As a line; `verb` is what becomes of it, as in `would be`."""
        return f"{self.path}: was {self.was} → {verb} {self.wanted}"


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Difference]:
    """All of them, by path. Of what is there on one side only, as a new field of a mapping, one line tells all."""
    yield from _walked("", found, wanted)


def _walked(path: str, found: Any, wanted: Any) -> Iterator[Difference]:
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*found, *wanted}):
            yield from _walked(f"{path}.{key}" if path else key, found.get(key, _MISSING), wanted.get(key, _MISSING))
    elif _alike(found, wanted):
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from _walked(f"{path}.{index}", one, other)
    elif found is _MISSING or wanted is _MISSING or found != wanted:
        yield Difference(path, _shown(found), _shown(wanted))


def _alike(found: Any, wanted: Any) -> bool:
    """Both are lists of as many objects."""
    lists = isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted)
    return lists and all(isinstance(each, Mapping) for each in (*found, *wanted))


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    told = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return told if len(told) <= _LONGEST else told[: _LONGEST - 1] + "…"
