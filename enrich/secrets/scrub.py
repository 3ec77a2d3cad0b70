"""Masks secrets in texts, arguments, and streams of text that come in pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Stream:
    """What is known of a text that comes in pieces; a part of a worker's state, so it holds plain values only."""

    context: str = ""
    """The end of what was let through, as far as rules look back."""
    held: str = ""
    """What may be part of a secret that has not ended."""
    rule: str = ""
    """The rule whose secret that would be."""


@dataclass(slots=True)
class Scrubber:
    """Rules at work. Each secret becomes `[kind:length]`; `masked` counts them by kind."""

    masked: Counter[str] = field(default_factory=Counter)

    def text(self, text: str) -> str:
        """A whole text, with the secrets in it masked."""
        return text

    def arguments(self, arguments: Sequence[str]) -> list[str]:
        """The arguments of a program, each with the secrets in it masked; a rule sees them as one line."""
        return list(arguments)

    def feed(self, stream: Stream, piece: str) -> str:  # noqa: ARG002
        """What may be shown after the next piece: all but what may be a secret that has not ended."""
        return piece

    def finish(self, stream: Stream) -> str:  # noqa: ARG002
        """What is left when nothing more comes."""
        return ""
