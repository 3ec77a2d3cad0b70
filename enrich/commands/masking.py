"""Secrets in what was typed: also one that was pasted over several lines, or whose prompt alone says that it is one."""

from __future__ import annotations

from dataclasses import replace

from enrich.item import Epoch
from enrich.secrets.scrub import Scrubber, Stream
from enrich.terminals.effort import Effort


class Masking:
    """Takes secrets out of lines and prompts, as far as the effort that a container may cause allows."""

    def __init__(self, scrubber: Scrubber, effort: Effort) -> None:
        self._scrubber, self._effort = scrubber, effort

    def line(self, stream: Stream, prompt: str, line: str, epoch: Epoch | None, now: int) -> tuple[str, str, bool]:
        """A prompt and the line behind it without secrets, and whether something was masked.

        `stream` is what was typed in this session before. What must not be looked at any more is masked as a whole.
        """
        prompt, line = _encodable(prompt), _encodable(line)
        if not self._effort.may(epoch, now):
            return "", f"[secret:{len(line)}]", True
        looked, masked = self._scrubber.looked, self._scrubber.masked.total()
        shown = self._together(self._scrubber.text(prompt), self._behind(stream, line))
        self._effort.spend(epoch, now, self._scrubber.looked - looked)
        return *shown, self._scrubber.masked.total() > masked

    def _behind(self, stream: Stream, line: str) -> str:
        """A line behind those before it: a secret that is not over is masked as far as it goes."""
        shown = self._scrubber.feed(stream, line + "\n")
        shown += self._scrubber.finish(replace(stream))
        rows = line.count("\n") + 1
        return "\n".join(shown.removesuffix("\n").rsplit("\n", rows)[-rows:])

    def _together(self, prompt: str, line: str) -> tuple[str, str]:
        """The same, seen as one: a prompt can say what the line is."""
        shown = self._scrubber.text(prompt + line)
        if shown.startswith(prompt):
            return prompt, shown[len(prompt) :]
        return prompt, f"[secret:{len(line)}]"


def _encodable(text: str) -> str:
    """Without halves of surrogate pairs, which no document takes."""
    return text if text.isascii() else text.encode(errors="replace").decode()
