"""Finds the rules that a container may meet without asking every one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from shipper.tenants.selectors import MAX_TEXT, PATTERNS, Condition, Rule, Selector, Subject, beginning, ends, texts

Ordered = tuple[int, Rule]
"""A rule and its place among all of them."""
_Rules = list[Ordered]


class _Texts:
    """Rules by what a text is, begins with or ends with."""

    def __init__(self) -> None:
        self.exact: dict[str, _Rules] = {}
        self.begin: dict[int, dict[str, _Rules]] = {}
        """By length and text."""
        self.end: dict[int, dict[str, _Rules]] = {}
        self.rest: _Rules = []

    def add(self, chosen: Condition, rule: Ordered) -> None:
        if chosen.pattern is None:
            self.exact.setdefault(chosen.value, []).append(rule)
            return
        begin, end = ends(chosen.value)
        if begin:
            self.begin.setdefault(len(begin), {}).setdefault(begin, []).append(rule)
        elif end:
            self.end.setdefault(len(end), {}).setdefault(end, []).append(rule)
        else:
            self.rest.append(rule)

    def find(self, text: str) -> Iterator[_Rules]:
        if found := self.exact.get(text):
            yield found
        if len(text) > MAX_TEXT:
            return
        for length, rules in self.begin.items():
            if found := rules.get(text[:length]):
                yield found
        for length, rules in self.end.items():
            if found := rules.get(text[-length:]):
                yield found
        if self.rest:
            yield self.rest


class Index:
    """Rules by that condition of each which the fewest containers meet."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._cgroups: dict[int, _Rules] = {}
        self._ids: dict[str, _Rules] = {}
        self._id_beginnings: dict[int, dict[str, _Rules]] = {}
        self._labels: dict[str, dict[str | None, _Rules]] = {}
        """By key and value; None: whatever value."""
        self._texts: dict[Selector, _Texts] = defaultdict(_Texts)
        for order, rule in enumerate(rules):
            self._add(min(rule.conditions, key=_width), (order, rule))
        self._texts = dict(self._texts)

    def candidates(self, subject: Subject) -> Iterator[_Rules]:
        """Every rule that holds, among others, in lists: they share the condition that they were found by."""
        if self._ids or self._id_beginnings:
            yield from self._by_id(subject)
        if self._cgroups:
            yield from filter(None, map(self._cgroups.get, subject.cgroups))
        if self._labels:
            for key, value in subject.labels.items():
                if by_value := self._labels.get(key):
                    yield by_value.get(value, [])
                    yield by_value.get(None, [])
        for selector, known in self._texts.items():
            for text in texts(selector, subject):
                yield from known.find(text)

    def _by_id(self, subject: Subject) -> Iterator[_Rules]:
        for name in {subject.container_id, subject.key}:
            if found := self._ids.get(name):
                yield found
        for length, rules in self._id_beginnings.items():
            if found := rules.get(subject.container_id[:length]):
                yield found

    def _add(self, chosen: Condition, rule: Ordered) -> None:
        match chosen.selector:
            case Selector.CGROUP:
                self._cgroups.setdefault(int(chosen.value), []).append(rule)
            case Selector.CONTAINER:
                self._ids.setdefault(chosen.value, []).append(rule)
                if beginning(chosen.value):
                    beginnings = self._id_beginnings.setdefault(len(chosen.value), {})
                    beginnings.setdefault(chosen.value, []).append(rule)
            case Selector.LABEL:
                key, equals, value = chosen.value.partition("=")
                self._labels.setdefault(key, {}).setdefault(value if equals else None, []).append(rule)
            case selector:
                self._texts[selector].add(chosen, rule)


def _width(chosen: Condition) -> int:
    """How many containers may meet it, roughly: the less, the better a rule is found by it."""
    if chosen.selector in {Selector.CGROUP, Selector.CONTAINER}:
        return 0
    if chosen.selector is Selector.LABEL:
        return 1 if "=" in chosen.value else 3
    if chosen.selector in PATTERNS and chosen.pattern is None:
        return 2
    begin, end = ends(chosen.value)
    return 4 if begin else 5 if end else 6
