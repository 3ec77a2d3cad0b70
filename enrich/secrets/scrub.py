"""Masks secrets in texts, arguments, and streams of text that come in pieces."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from enrich.secrets.anchors import Place, context, places
from enrich.secrets.rules import Rule, Rules, builtin
from enrich.secrets.values import Long, Secret, Undecided, ends, read, skim
from enrich.secrets.view import View, plain, terminal, titles

LOOK_BACK = 512
"""Characters of a line that anchors are looked for in, at the least; twice that, at the most."""
LOOK_BACK_ARGUMENTS = 4096
MOST_ARGUMENTS = 32
"""Places in one program's arguments that are looked at; where there are more, all that comes is masked."""
_PIECE = 1 << 16


@dataclass(slots=True, eq=False)
class Stream:
    """What is known of a text that comes in pieces; a part of a worker's state, so it holds plain values only."""

    context: str = ""
    """The end of what was let through, as far as rules look back; it has secrets as they were."""
    held: str = ""
    """What may be part of a secret, or of a control sequence, that has not ended."""
    rule: str = ""
    """The rule whose secret that would be."""
    length: int = 0
    """Of a secret that is too long to be held, what there was of it."""
    mode: str = ""
    """How that one ends (`enrich.secrets.values`)."""


@dataclass(slots=True)
class Scrubber:
    """Rules at work. Each secret becomes `[kind:length]`; `masked` counts them by kind."""

    masked: Counter[str] = field(default_factory=Counter)
    rules: Rules = field(default_factory=builtin)
    found: Counter[str] = field(default_factory=Counter)
    """The same by rule."""
    looked: int = 0
    """Places where a secret might have begun: what looking costs."""

    def text(self, text: str) -> str:
        """A whole text, with the secrets in it masked."""
        stream = Stream()
        shown = [self.feed(stream, text[at : at + _PIECE]) for at in range(0, len(text), _PIECE)]
        return "".join([*shown, self.finish(stream)])

    def arguments(self, arguments: Sequence[str]) -> list[str]:
        """The arguments of a program, each with the secrets in it masked; a rule sees them as one line."""
        line = "\0".join(arguments)
        if self.rules.prefilter.search(line.encode("latin-1", "replace")) is None:
            return list(arguments)
        return self._scan(Stream(), plain(line), final=True, half=LOOK_BACK_ARGUMENTS).split("\0")

    def named(self, name: str, value: str) -> str:
        """A value that has a name, as a label has: what it would be in `NAME=VALUE`."""
        before = f"{name.replace('-', '_')}="
        shown = "\0".join(self.arguments([before + value]))
        if not shown.startswith(before):
            return f"[secret:{len(value)}]"
        return "\0".join(self.arguments([shown[len(before) :]]))

    def feed(self, stream: Stream, piece: str) -> str:
        """What may be shown after the next piece: all but what may be a secret that has not ended."""
        return self._take(stream, piece, final=False)

    def finish(self, stream: Stream) -> str:
        """What is left when nothing more comes."""
        return self._take(stream, "", final=True)

    def _take(self, stream: Stream, piece: str, *, final: bool) -> str:
        raw, stream.held = stream.held + piece, ""
        wrap = ""
        if raw[:1] == "\r" and stream.context[-1:] == " " and raw[:2] != "\r\n" and not stream.length:
            if len(raw) == 1 and not final:
                stream.held = raw
                return ""
            wrap, raw = "\r", raw[1:]
            stream.context, stream.rule = stream.context[:-1], ""
        pattern = titles(raw)
        if pattern is not None:
            raw = pattern.sub(self._title, raw)
        view = terminal(raw, final=final)
        if stream.length:
            return wrap + self._skim(stream, view, final=final)
        return wrap + self._scan(stream, view, final=final, half=LOOK_BACK)

    def _title(self, found: re.Match[str]) -> str:
        return f"{found[1]}{self.text(found[2])}"

    def _scan(self, stream: Stream, view: View, *, final: bool, half: int) -> str:
        """Mask the secrets of a view behind the stream's context; what is undecided is held."""
        before = stream.context.encode("latin-1")
        text = before + view.shown
        known = len(before)
        shown: list[str] = []
        settled, out = known, 0  # up to there, in the text and in the raw
        resumed = self.rules.index.get(stream.rule, -1) if stream.rule else -1
        most = MOST_ARGUMENTS + 1 if half == LOOK_BACK_ARGUMENTS else 0
        for count, place in enumerate(places(self.rules, text, known if resumed >= 0 else known + 1, half, most), 1):
            self.looked += 1
            if count == most:
                at = max(view.behind(place.at - known), out)
                self.masked["secret"] += 1
                masks = (f"[secret:{len(each)}]" if each else "" for each in view.raw[at:].split("\0"))
                return "".join([*shown, view.raw[out:at], "\0".join(masks)])
            if place.at < settled or (place.at == settled and shown) or (place.at == known and place.index < resumed):
                continue
            found = read(place, text, final=final)
            if found is None:
                continue
            if isinstance(found, Undecided):
                at = view.behind(place.at - known)
                self._wait(stream, place, view.raw[at:], context(text, place.at, half))
                shown.append(view.raw[out:at])
                return "".join(shown)
            start = view.at(found.start - known)
            shown.append(view.raw[out:start])
            if isinstance(found, Long):
                self._wait(stream, place, "", context(text, found.end, half))
                stream.length, stream.mode = found.end - found.start, found.mode
                rest = _viewed(view.raw[view.behind(found.end - known) :], final=final, half=half)
                return "".join([*shown, self._skim(stream, rest, final=final, half=half)])
            shown.append(self._mask(place, found))
            settled, out = found.end, view.behind(found.end - known)
        stream.rule = ""
        stream.context = context(text, len(text), half).decode("latin-1")
        stream.held = view.raw[view.lexed :]
        shown.append(view.raw[out : view.lexed])
        return "".join(shown)

    def _skim(self, stream: Stream, view: View, *, final: bool, half: int = LOOK_BACK) -> str:
        """Pass over the rest of a secret that is too long to be held, then go on."""
        rule = self.rules.rules[self.rules.index[stream.rule]]
        end = skim(rule, stream.mode, view.shown)
        text = stream.context.encode("latin-1") + view.shown[:end]
        stream.context = context(text, len(text), half).decode("latin-1")
        stream.length += end
        rest = view.raw[view.behind(end) :]
        if not final and not ends(rule, view.shown[end:]):
            stream.held = rest
            return ""
        mask = f"[{rule.kind}:{stream.length}]"
        self._count(rule)
        stream.length, stream.mode, stream.rule = 0, "", ""
        return mask + self._scan(stream, _viewed(rest, final=final, half=half), final=final, half=half)

    def _count(self, rule: Rule) -> None:
        self.masked[rule.kind] += 1
        self.found[rule.id] += 1

    def _mask(self, place: Place, found: Secret) -> str:
        self._count(place.rule)
        return f"[{place.rule.kind}:{found.length}]"

    @staticmethod
    def _wait(stream: Stream, place: Place, held: str, before: bytes) -> None:
        stream.held, stream.rule = held, place.rule.id
        stream.context = before.decode("latin-1")


def _viewed(raw: str, *, final: bool, half: int) -> View:
    """The rest of what is being scanned, in the way it was."""
    return plain(raw) if half == LOOK_BACK_ARGUMENTS else terminal(raw, final=final)
