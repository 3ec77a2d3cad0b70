"""YAML as text with line numbers: nothing is made of it but texts, lists and mappings, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import yaml

MAX_DEPTH = 8
MAX_VALUES = 500_000
"""Texts, lists and mappings, those that an alias stands for counted each time."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ADVICE = "indent with spaces, and quote what has special characters in it"
_TAGS = {"!", "tag:yaml.org,2002:str"}
"""What a text may be marked as: it is one anyway."""


class YamlError(ValueError):
    """The text is no YAML, or has in it what is not taken."""

    def __init__(self, line: int, problem: str) -> None:
        """`line` counts from 1."""
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text. Numbers, true, null and dates are texts as they were written."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    nodes: list[Node]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys, each once, with their lines."""

    line: int
    nodes: dict[str, tuple[int, Node]]


Node: TypeAlias = Scalar | Items | Mapping


def parse(text: str) -> Node | None:
    """The one document of a text; None when there is none. Raises YamlError."""
    try:
        return _Parser(yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, f"{error.problem or error.context}: {_ADVICE}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, f"character {_character(error.character)} is not allowed in YAML: remove it") from error
    except yaml.YAMLError as error:
        raise YamlError(1, str(error)) from error


class _Parser:
    """Builds nodes from the parser's events: no object of another kind, no number, no tag is ever constructed."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Node, int]] = {}
        """What each stands for, and how many values that are."""
        self._values = 0

    def document(self) -> Node | None:
        node = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if node is not None:
                    raise YamlError(_line(event), "a second document begins here: one file is one document")
                node = self._node(next(self._events), 0)
        return node

    def _node(self, event: yaml.Event, depth: int) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._count(1, line)
        if depth > MAX_DEPTH:
            raise YamlError(line, f"this is nested deeper than {MAX_DEPTH} levels")
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.tag is not None and event.tag not in _TAGS:
            raise YamlError(line, f"the tag {event.tag!r} is not taken: leave it out")
        before = self._values
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(line, event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Items(line, list(self._until(yaml.SequenceEndEvent, depth)))
        else:
            node = Mapping(line, self._mapping(depth))
        if event.anchor is not None:
            self._anchors[event.anchor] = node, self._values - before + 1
        return node

    def _until(self, end: type[yaml.Event], depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), end):
            yield self._node(event, depth + 1)

    def _mapping(self, depth: int) -> dict[str, tuple[int, Node]]:
        nodes: dict[str, tuple[int, Node]] = {}
        inside = self._until(yaml.MappingEndEvent, depth)
        for key in inside:
            if not isinstance(key, Scalar):
                raise YamlError(key.line, "a key must be a text")
            value = next(inside)
            if key.text in nodes:
                raise YamlError(key.line, f"key {key.text!r} stands in line {nodes[key.text][0]} already: keep one")
            nodes[key.text] = key.line, value
        return nodes

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor not in self._anchors:
            raise YamlError(_line(event), f"there is no anchor &{event.anchor} before this alias")
        node, values = self._anchors[event.anchor]
        self._count(values, _line(event))
        return node

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise YamlError(line, f"there are more than {MAX_VALUES:,} values up to here, aliases counted in full")


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark else 1


def _character(found: str | bytes | int) -> str:
    return repr(chr(found) if isinstance(found, int) else found)
