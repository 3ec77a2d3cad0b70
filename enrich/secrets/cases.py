"""Runs the cases that rules carry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from enrich.secrets.rules import Case, Rule, Rules
from enrich.secrets.scrub import Scrubber, Stream


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that came out otherwise; `how` it was given."""

    rule: Rule
    case: Case
    got: str | tuple[str, ...]
    how: str


def failures(rules: Rules, rule: Rule) -> Iterator[Failure]:
    """What is wrong with a rule's cases, under all rules: as a whole, as arguments, and one character at a time."""
    scrubber = Scrubber(rules=rules)
    for case in rule.cases:
        if case.args:
            got = tuple(scrubber.arguments(case.args))
            if got != case.expected:
                yield Failure(rule, case, got, "arguments")
            continue
        whole = scrubber.text(case.text)
        if whole != case.expected:
            yield Failure(rule, case, whole, "text")
            continue
        stream = Stream()
        shown = "".join([*(scrubber.feed(stream, char) for char in case.text), scrubber.finish(stream)])
        if shown != case.expected:
            yield Failure(rule, case, shown, "text, one character at a time")
