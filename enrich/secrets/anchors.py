"""Finds the places where a secret may begin: where the anchor of a rule ends.

What is found in a text is found in each longer one that begins with it, so that it does not matter in which pieces a
text comes: an anchor is looked for in a window that only its column decides, and it ends as early as it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from enrich.secrets.rules import Rule, Rules


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret may begin."""

    at: int
    rule: Rule
    index: int
    """The rule's own: of several at one place, the lesser is tried first."""
    quote: bytes = b""
    """What the anchor opened."""


def places(rules: Rules, text: bytes, since: int, half: int, most: int = 0) -> Iterator[Place]:
    """All places in `text` from `since` on, in order; `most`: so many of each rule in a window, 0 is all.

    A window has one to two times `half` characters of a line.
    """
    search = rules.prefilter.search
    line = text.rfind(b"\n", 0, since) + 1
    while line <= len(text):
        hit = search(text, line)
        if hit is None:
            return
        if hit.start() >= line:
            line = max(line, text.rfind(b"\n", line, hit.start()) + 1)
        end = text.find(b"\n", line)
        end = len(text) if end < 0 else end
        yield from _line(rules, text[line:end], line, since, half, most)
        line = end + 1


def start(column: int, half: int) -> int:
    """Where the window begins for an anchor that ends behind so many characters of its line."""
    return 0 if column <= 2 * half else half * ((column - 1) // half - 1)


def context(text: bytes, at: int, half: int) -> bytes:
    """What has to be known of the text before a place, to find what is behind it."""
    line = text.rfind(b"\n", 0, at) + 1
    return text[line + start(at - line, half) : at]


def _line(rules: Rules, line: bytes, offset: int, since: int, half: int, most: int) -> Iterator[Place]:
    least = max(since - offset, 0)
    begin = start(max(least, 1), half)
    while (hit := rules.prefilter.search(line, begin)) is not None:
        begin = max(begin, -(-(hit.end() - 2 * half) // half) * half)  # the first window that has all of it
        bound = max(least, begin + half + 1 if begin else 0) - begin
        for end, index, quote in _window(rules, line[begin : begin + 2 * half], bound, most):
            yield Place(offset + begin + end, rules.rules[index], index, quote)
        if begin + 2 * half >= len(line):
            return
        begin += half


def _window(rules: Rules, window: bytes, least: int, most: int) -> list[tuple[int, int, bytes]]:
    """(where it ends, rule, quote) of the anchors that end at `least` or later, in order."""
    lower = window.lower()
    found: list[tuple[int, int, bytes]] = []
    for index in {place for word, having in rules.words if word in lower for place in having}:
        ends = islice(_ends(rules.rules[index], window), most or None)
        found += [(end, index, quote) for end, quote in ends if end >= least]
    found.sort()
    return found


def _ends(rule: Rule, window: bytes) -> Iterator[tuple[int, bytes]]:
    """Where the rule's anchors end, one behind the other, each as early as it can."""
    compiled = rule.compiled
    search, at = compiled.anchor.search, 0
    while (match := search(window, at)) is not None:
        if (earlier := search(window[: match.end() - 1], at)) is not None:
            match = _earliest(search, window, at, earlier)
        at = match.end()
        if compiled.command is not None and not compiled.command.search(window[: match.start() + 1]):
            continue
        if compiled.not_anchor is not None and compiled.not_anchor.search(match.group()):
            continue
        quote = match.group(compiled.quote) if compiled.quote is not None else b""
        yield at, quote if quote in {b"'", b'"'} else b""


def _earliest(search: Any, window: bytes, at: int, match: Any) -> Any:
    """The match that ends first: a longer part of the window has one where a shorter one has."""
    least = at
    while least < match.end() - 1:
        middle = (least + match.end() - 1) // 2
        earlier = search(window[:middle], at)
        if earlier is None:
            least = middle + 1
        else:
            match = earlier
    return match if (earlier := search(window[:least], at)) is None else earlier
