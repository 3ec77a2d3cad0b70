"""The arguments of programs as documents show them: the one place where they are rendered, and scrubbed."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from enrich import render
from enrich.secrets.scrub import Scrubber

KEPT_BYTES = 2048
"""Of a process's arguments, in what is told of it later: its own exec document has them all. As JSON has them, where
a byte may take seven: they stand in every document of each process that it is parent or leader of."""
_WIDEST = 9
"""More than what a byte of arguments, or a character, can take in JSON: six for \\u001f, seven for a quoted quote."""
_QUOTES = b'""'


@dataclass(frozen=True, slots=True)
class Shown:
    """Arguments without secrets."""

    args: list[str]
    raw: str | None
    """In base64 where they are not UTF-8, and nothing had to be masked."""
    secrets: tuple[str, ...]
    """The kinds of secrets that were."""

    size: int = 0
    """Of what was recorded, in bytes."""

    def cut(self) -> tuple[tuple[str, ...], str]:
        """What is kept for later: arguments, none where they are long, and the command line."""
        if self.size * _WIDEST <= KEPT_BYTES:
            return tuple(self.args), render.command_line(self.args)
        whole = len(orjson.dumps(self.args)) <= KEPT_BYTES
        return tuple(self.args) if whole else (), cut(render.command_line(self._first()), KEPT_BYTES)

    def _first(self) -> list[str]:
        """As much of the arguments as is worth quoting."""
        kept: list[str] = []
        room = KEPT_BYTES + 1
        for argument in self.args:
            kept.append(argument[:room])
            room -= len(argument) + 1
            if room < 0:
                break
        return kept


def cut(text: str, room: int) -> str:
    """A text, or so many bytes of JSON of it and an ellipsis."""
    if _fits(text, room):
        return text
    low, high = 0, min(len(text), room)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits(text[:middle], room) else (low, middle - 1)
    return f"{text[:low]}…"


def _fits(text: str, room: int) -> bool:
    return len(text) * _WIDEST <= room or len(orjson.dumps(text)) <= room + len(_QUOTES)


@dataclass(slots=True)
class Arguments:
    """Renders arguments; several steps ask for those of one record, which are made once."""

    scrubber: Scrubber = field(default_factory=Scrubber)
    _raw: bytes = b""
    _shown: Shown = field(default_factory=lambda: Shown([], None, ()))

    def __call__(self, raw: bytes) -> Shown:
        """NUL-terminated arguments, as they are shown."""
        if raw is not self._raw and raw != self._raw:
            self._raw, self._shown = raw, self._made(raw)
        return self._shown

    def _made(self, raw: bytes) -> Shown:
        args, encoded = render.arguments(raw)
        before = dict(self.scrubber.masked)
        shown = self.scrubber.arguments(args)
        secrets = (
            tuple(sorted(k for k, n in self.scrubber.masked.items() if n != before.get(k))) if shown != args else ()
        )
        return Shown(shown, None if secrets else encoded, secrets, len(raw))

    def text(self, raw: bytes) -> tuple[list[str], str | None]:
        """The same in the form in which `enrich.plan` takes it."""
        shown = self(raw)
        return shown.args, shown.raw
