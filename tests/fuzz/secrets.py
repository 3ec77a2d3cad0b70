"""Targets: text that means to get a secret past the rules, or to keep them busy."""

from __future__ import annotations

from enrich.secrets.scrub import Scrubber, Stream


def secrets(data: bytes) -> None:
    """Cut anywhere, any text shows the same; as arguments, it stays as many."""
    size, raw = data[:1], data[1:].decode(errors="replace")
    step = (size[0] if size else 0) % 64 + 1
    scrubber, stream = Scrubber(), Stream()
    pieces = [scrubber.feed(stream, raw[at : at + step]) for at in range(0, len(raw), step)]
    assert "".join([*pieces, scrubber.finish(stream)]) == Scrubber().text(raw)
    arguments = raw.split("\0")
    assert len(Scrubber().arguments(arguments)) == len(arguments)
