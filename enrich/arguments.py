"""The arguments of programs as documents show them: the one place where they are rendered, and scrubbed."""

from __future__ import annotations

from dataclasses import dataclass, field

from enrich import render
from enrich.secrets.scrub import Scrubber

KEPT_BYTES = 2048
"""Of a process's arguments, in what is told of it later: its own exec document has them all."""


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
        if self.size <= KEPT_BYTES:
            return tuple(self.args), render.command_line(self.args)
        kept: list[str] = []
        room = KEPT_BYTES
        for argument in self.args:
            kept.append(argument[:room])
            room -= len(argument) + 1
            if room <= 0:
                break
        return (), f"{render.command_line(kept)}…"


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
