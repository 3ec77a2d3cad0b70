"""How the fields that a record declares become a document's, by kind; worked out once for each class of records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache, partial
from operator import attrgetter
from typing import Any

from bpf.events import Header
from bpf.schema import Field, Record
from enrich import related, render
from enrich.arguments import Arguments
from enrich.containers import NAMELESS, Shown
from enrich.document import Part
from enrich.steps.host import Host

Path = tuple[str, ...]
Nested = dict[str, Any]
Nest = Callable[[Record, Nested, Callable[[int], str]], Nested]

_SHARED: dict[str, Callable[[Any], Any]] = {
    "id": lambda value: None if value == render.UNSET else str(value),
    "capabilities": render.capabilities,
    "device": lambda value: render.device(value) if value else None,
    "namespace": lambda value: value,
    "name": lambda value: render.text(value)[0] or None,
}
"""Kinds of fields that are the same in record after record: who, with what rights, where, on which terminal."""
_TEXTS = ("text", "args")
_BIG = 3
"""Entries from which on an object is worth encoding apart."""
_REMEMBERED = 4096
"""Combinations of shared values for which their part of the document is kept."""
_NAMED = ("uid", "gid", "real_uid", "saved_uid")
"""Fields beside whose id a name stands, where it is known: in the order of enrich.containers.Shown."""
# A device is written under its own field as {major, minor}; the executable's is of no use to a reader.
_NOT_SHOWN = frozenset({"cgtrail.exec.device"})
_LATER = frozenset({"process.thread.capabilities.permitted"})
"""What older records have not: 0 is not told. (What is effective is permitted, so nothing is hidden by that.)"""
_OF_OTHERS = ("process.parent.", "process.group_leader.", "process.session_leader.")
"""What a record says of them is a part of what enrich.relatives makes."""


class Plan:
    """What to do for the fields of one class. Those that share their first two names are a group."""

    def __init__(self, cls: type[Record], host: Host, arguments: Arguments) -> None:
        shared, self._nest, texts = _laid_out(cls)  # type: ignore[arg-type]  # a class has a hash, its records none
        self._values = attrgetter("type", *(f.name for f in shared))
        self._parts = lru_cache(_REMEMBERED)(partial(_parts, shared))
        show: dict[str, Callable[[bytes], tuple[Any, str | None]]] = {"text": render.text, "args": arguments.text}
        self._texts = tuple((f.name, show[f.wire.kind], _path(f)) for f in texts)
        self._host, self._timestamp = host, host.timestamp

    def source(self, record: Record, names: Shown = NAMELESS) -> Nested:
        """What the record's own fields say, nested by their ECS names. Its first two levels are the caller's own."""
        source = self._nest(record, self._parts(self._values(record), names, self._host.name), self._timestamp)
        for name, show, path in self._texts:
            value, raw = show(getattr(record, name))
            if value or value == []:
                put(source, path, value)
            if raw is not None:
                own = source["cgtrail"]
                own["raw"] = {**own.get("raw", {}), ".".join(path): raw}
        return source


@cache
def _laid_out(cls: type[Record]) -> tuple[tuple[Field, ...], Nest, tuple[Field, ...]]:
    """A class's fields that records share, a function for its own, and its texts: the same for every stream."""
    groups: dict[Path, list[Field]] = {}
    for declared in _shown(cls):
        groups.setdefault(_path(declared)[:2], []).append(declared)
    shared = [f for fields in groups.values() if _all_shared(fields) for f in fields]
    own = [f for fields in groups.values() if not _all_shared(fields) for f in fields]
    texts = tuple(f for f in own if f.wire.kind in _TEXTS)
    return tuple(shared), _compiled([f for f in own if f.wire.kind not in _TEXTS]), texts


def put(source: Nested, path: Path, value: Any) -> None:
    """Set a nested field."""
    for name in path[:-1]:
        source = source.setdefault(name, {})
    source[path[-1]] = value


def _shown(cls: type[Record]) -> Iterable[Field]:
    fields = cls.layout.fields() if issubclass(cls, Header) else ()
    return (f for f in fields if f.ecs and f.ecs not in _NOT_SHOWN and not f.ecs.startswith(_OF_OTHERS))


def _path(declared: Field) -> Path:
    return (declared.ecs or "",) if declared.ecs == "@timestamp" else tuple((declared.ecs or "").split("."))


def _all_shared(fields: list[Field]) -> bool:
    return all(f.wire.kind in _SHARED for f in fields)


def _parts(fields: tuple[Field, ...], values: tuple[Any, ...], names: Shown, host: str) -> Nested:
    """What a combination of shared values looks like; never changed after."""
    source: Nested = {}
    named = dict(zip(_NAMED, names, strict=True))
    for declared, value in zip(fields, values[1:], strict=True):
        name = named.get(declared.name)
        if name is not None:
            put(source, (*_path(declared)[:-1], "name"), name)
        shown = _SHARED[declared.wire.kind](value)
        if shown is not None and (value or declared.ecs not in _LATER):
            put(source, _path(declared), shown)
        raw = render.text(value)[1] if declared.wire.kind == "name" else None
        if raw is not None:
            put(source, ("cgtrail", "raw", ".".join(_path(declared))), raw)
    own = source.get("process", {})
    told = related.related(host, source.get("user"), own.get("real_user"), own.get("saved_user"))
    for group in source.values():
        for name, value in group.items():
            if isinstance(value, dict) and (len(value) >= _BIG or "capabilities" in value):
                group[name] = Part(value)
    return source | ({"related": Part(told)} if told else {})


def _compiled(fields: list[Field]) -> Nest:
    """A function that makes the document of a record in one expression, as `dataclasses` writes an `__init__`.

    Numbers go in as they are; times as text, and not at all where they are 0.
    """
    tree: Nested = {}
    for declared in fields:
        path, value = _path(declared), f"record.{declared.name}"
        if declared.wire.kind != "boot_ns":
            put(tree, path, value)
        elif len(path) == 1:
            put(tree, path, f"timestamp({value})")
        else:
            unset = f"**({{{path[-1]!r}: timestamp({value})}} if {value} else {{}})"
            put(tree, (*path[:-1], unset), None)
    for top, value in tree.items():
        if isinstance(value, dict):
            tree[top] = {f"**parts.get({top!r}, {{}})": None, **value}
    made: dict[str, Any] = {}
    exec(f"def nest(record, parts, timestamp): return {_display({'**parts': None, **tree})}", made)  # noqa: S102
    nest: Nest = made["nest"]
    return nest


def _display(tree: Nested) -> str:
    """The expression that makes a dictionary; a value of None stands for an unpacked one."""
    shown = {name: _display(value) if isinstance(value, dict) else value for name, value in tree.items()}
    return "{" + ", ".join(name if value is None else f"{name!r}: {value}" for name, value in shown.items()) + "}"
