"""Secrets in what was typed: also one that was pasted over several lines, or whose prompt alone says that it is one."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace

from enrich.commands.command import Taker
from enrich.item import Epoch
from enrich.lines.typed import Role, Typed
from enrich.secrets.scrub import Scrubber, Stream
from enrich.terminals.effort import Effort
from enrich.terminals.passwords import asks

_JOINED = 256
"""Characters of the lines before that are looked at."""
_QUOTED = re.compile(r"\\.|'[^']*'?|\"(?:[^\"\\]|\\.)*\"?|[^'\"\\]+|\\", re.DOTALL)
_OPENS = re.compile(r"\\\n|['\"]")


class Masking:
    """Takes secrets out of lines and prompts, as far as the effort that a container may cause allows."""

    def __init__(self, scrubber: Scrubber, effort: Effort) -> None:
        self._scrubber, self._effort = scrubber, effort

    def line(self, stream: Stream, taker: Taker, typed: Typed, epoch: Epoch | None) -> tuple[str, str, bool]:
        """A prompt and the line behind it without secrets, and whether something was masked.

        `stream` is what was typed in this session before. What must not be looked at any more is masked as a whole.
        """
        prompt, line, now = _encodable(typed.prompt), _encodable(typed.line), typed.at.time
        before, taker.typed = taker.typed, line[-_JOINED:]
        if not self._effort.may(epoch, now):
            return "", _mask(line), True
        looked, masked = self._scrubber.looked, self._scrubber.masked.total()
        text = self._folded(line, self._behind(stream, line))
        if typed.opened:
            before = join(before, typed.opened)
            taker.typed = (before + line)[-_JOINED:]
            text = _both(line, text, self._after(before, line))
        if typed.role is Role.INPUT and asks(prompt):
            text = _mask(line)
        shown = self._together(self._scrubber.text(prompt), text)
        self._effort.spend(epoch, now, self._scrubber.looked - looked)
        return *shown, self._scrubber.masked.total() > masked or text != line

    def _folded(self, line: str, shown: str) -> str:
        """A line of several rows, of which a secret may be in two: `shown` is what is shown of it if not."""
        if "\n" not in line or not _OPENS.search(line) or not self._may_have(line.replace("\\\n", "")):
            return shown
        before, parts = "", list[str]()
        for row, opened in _rows(line):
            before = join(before, opened) if opened else ""
            parts.append(self._after(before, row) if opened else row)
            before = (before + row)[-_JOINED:]
        return _both(line, shown, "\n".join(parts))

    def _after(self, before: str, line: str) -> str:
        """What is shown of a line that goes on with what was before: a secret may have begun there."""
        if not self._may_have(before + line):
            return line
        alone, both = self._scrubber.text(before), self._scrubber.text(before + line)
        if both.startswith(alone):
            return both[len(alone) :]
        end = both.find("]", len(posixpath.commonprefix([alone, both]))) + 1
        rest = both[end:] if end else ""
        return _mask(line[: len(line) - len(rest)]) + rest if line.endswith(rest) else _mask(line)

    def _may_have(self, text: str) -> bool:
        """Whether any word is in it that stands before secrets."""
        return self._scrubber.rules.prefilter.search(text.encode("latin-1", "replace")) is not None

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
        return prompt, _mask(line)


def join(before: str, opened: str) -> str:
    """What a line is that its shell joins with the next; a newline in quotes is a blank here."""
    odd = (len(before) - len(before.rstrip("\\"))) % 2 == 1
    return before[:-1] if odd and opened != "'" else before + " "


def _rows(line: str) -> list[tuple[str, str]]:
    """The rows of a line, and what is open where each begins: a quote, or a backslash before it."""
    rows, row = list[tuple[str, str]](), ""
    opened = ""
    for token in _QUOTED.findall(line):
        first, *more = token.split("\n")
        row += first
        for each in more:
            rows.append((row, opened))
            row, opened = each, token[0] if token[0] in "\\'\"" else ""
    return [*rows, (row, opened)]


def _both(line: str, one: str, other: str) -> str:
    """A line with what is masked in either."""
    if other in {one, line}:
        return one
    return other if one == line else _mask(line)


def _mask(line: str) -> str:
    return f"[secret:{len(line)}]"


def _encodable(text: str) -> str:
    """Without halves of surrogate pairs, which no document takes."""
    return text if text.isascii() else text.encode(errors="replace").decode()
