"""Makes documents: the fields that a record declares, and what the steps before found out."""

from __future__ import annotations

import errno
import posixpath
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from bpf.events import CgroupAttach, Exec, ExecFailed, Exit, Fork, Header, Image, ImageFlag
from bpf.schema import RECORDS, Field, Record
from enrich import losses, render
from enrich.host import Host
from enrich.item import Identity, Item, Process
from enrich.losses import ECS_VERSION
from shipper.wire.records import AgentStart, Loss

KINDS = ("process", "loss")
"""What a document can be about: the last part of its event.dataset."""
_CORE_SIGNAL = 0x7F
_FLAGS = {
    ImageFlag.MEMFD: ("exec", "memfd"),
    ImageFlag.DELETED: ("exec", "deleted"),
    ImageFlag.CWD_CUT: ("cwd", "incomplete"),
    ImageFlag.CWD_OUTSIDE: ("cwd", "outside"),
    ImageFlag.CWD_DELETED: ("cwd", "deleted"),
}
_TYPES = {"exec": "start", "fork": "start", "end": "end"}
"""event.action → event.type; info for the rest."""
_STATE = {Fork, CgroupAttach}
"""Records that only tell later documents who is whose child; forks are documents on request."""
# A device is written under its own field as {major, minor}; the executable's is of no use to a reader.
_NOT_SHOWN = {"cgtrail.exec.device"}


class Documents:
    """Makes the source of a document of each record that has an event.action and is not only state; and of losses."""

    def __init__(self, host: Host, *, forks: bool = False) -> None:
        self._host = host
        self._forks = forks
        self._plans = {cls: tuple(map(_plan, _shown(cls))) for cls in RECORDS.values()}
        self._makers: dict[type[Record], Callable[[Item], dict[str, Any] | None]] = {
            cls: self._process for cls in RECORDS.values() if cls.layout.action and cls not in _STATE
        }
        self._makers |= {Exec: self._exec, ExecFailed: self._exec, Exit: self._exit}
        self._makers |= {Loss: partial(losses.counted, host), AgentStart: partial(losses.blind, host)}
        if forks:
            self._makers[Fork] = self._process

    def source(self, item: Item) -> dict[str, Any] | None:
        """The document's source, the container still missing; None for a record that makes no document."""
        make = self._makers.get(type(item.record))
        if isinstance(item.record, Exit) and item.process is not None and item.process.only_forked and not self._forks:
            return None  # without its beginning, a subshell's end says nothing
        return make(item) if make else None

    def _declared(self, item: Item) -> dict[str, Any]:
        """What the record's own fields say, nested by their ECS names."""
        source: dict[str, Any] = {}
        for name, kind, path in self._plans[type(item.record)]:
            value, raw = self._value(kind, getattr(item.record, name))
            if value is not None:
                put(source, path, value)
            if raw is not None:
                put(source, ("cgtrail", "raw", ".".join(path)), raw)
        return source

    def _value(self, kind: str, value: Any) -> tuple[Any, str | None]:
        match kind:
            case "long":
                return value, None
            case "id":
                return (None if value == render.UNSET else str(value)), None
            case "boot_ns":
                return (self._host.timestamp(value) if value else None), None
            case "text":
                shown, raw = render.text(value)
                return shown or None, raw
            case "args":
                return render.arguments(value)
            case "capabilities":
                return render.capabilities(value), None
            case "device":
                return (render.device(value) if value else None), None
        message = f"no rendering for fields of kind {kind}"
        raise ValueError(message)

    def _base(self, item: Item, dataset: str, action: str, types: list[str]) -> dict[str, Any]:
        source = self._declared(item)
        source["ecs"] = {"version": ECS_VERSION}
        source["host"] = self._host.fields
        source["event"] = source.get("event", {}) | {
            "id": item.id,
            "kind": "event",
            "category": ["process"],
            "type": types,
            "action": action,
            "module": "cgtrail",
            "dataset": f"cgtrail.{dataset}",
            "sequence": item.sequence,
        }
        return source

    def _process(self, item: Item) -> dict[str, Any]:
        record, process = item.record, item.process
        action = record.layout.action
        source = self._base(item, "process", action, [_TYPES.get(action, "info")])
        shown = source["process"]
        shown["user"] = {"id": source["user"]["id"]}
        shown["interactive"] = "tty" in shown
        if process is not None:
            shown |= _identity(process)
            _leaders(shown, process)
            if _partial(process, item.parent):
                source.setdefault("cgtrail", {})["partial"] = True
        if item.parent is not None:
            shown["parent"] = shown.get("parent", {}) | _identity(item.parent)
        return source

    def _exec(self, item: Item) -> dict[str, Any]:
        record = item.record
        assert isinstance(record, Image)
        source = self._process(item)
        shown, own = source["process"], source["cgtrail"]
        if record.error:  # of a program that was started, the process knows them
            args, _ = render.arguments(record.args)
            shown |= {"args": args, "command_line": render.command_line(args)}
        shown["args_count"] = len(shown["args"])
        shown.setdefault("command_line", "")
        own["args"]["truncated"] = len(record.args) < record.args_bytes
        own["return_code"] = record.error
        for flag, (group, name) in _FLAGS.items():
            if record.flags & flag:
                own.setdefault(group, {})[name] = True
        source["event"]["outcome"] = "failure" if record.error else "success"
        if record.error:
            # The process is still what it was; the document is about what it tried to become.
            shown["executable"] = render.text(record.filename)[0]
            shown["name"] = posixpath.basename(shown["executable"])
            shown["working_directory"] = render.text(record.cwd)[0]
            source["error"] = {"code": errno.errorcode.get(-record.error, str(record.error))}
        return source

    def _exit(self, item: Item) -> dict[str, Any]:
        record = item.record
        assert isinstance(record, Exit)
        source = self._process(item)
        killed = record.status & _CORE_SIGNAL
        source["process"]["end"] = self._host.timestamp(record.time)
        source["process"]["exit_code"] = 128 + killed if killed else record.status >> 8 & 0xFF
        source["event"]["duration"] = max(record.time - record.start, 0)
        if killed:
            source["cgtrail"]["signal"] = _signal(killed)
        return source


def put(source: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a nested field."""
    for name in path[:-1]:
        source = source.setdefault(name, {})
    source[path[-1]] = value


def _shown(cls: type[Record]) -> list[Field]:
    return [f for f in cls.layout.fields() if f.ecs and f.ecs not in _NOT_SHOWN] if issubclass(cls, Header) else []


def _plan(declared: Field) -> tuple[str, str, tuple[str, ...]]:
    path = (declared.ecs or "",) if declared.ecs == "@timestamp" else tuple((declared.ecs or "").split("."))
    return declared.name, declared.wire.kind, path


def _identity(process: Process) -> dict[str, Any]:
    shown = {
        "entity_id": process.entity_id,
        "pid": process.pid,
        "name": process.name,
        "executable": process.executable,
        "command_line": process.command_line,
        "working_directory": process.working_directory,
    }
    identity: dict[str, Any] = {name: value for name, value in shown.items() if value}
    if process.args:
        identity["args"] = list(process.args)
    return identity


def _leaders(shown: dict[str, Any], process: Process) -> None:
    for name, leader in (("group_leader", process.group_leader), ("session_leader", process.session_leader)):
        if leader is not None:
            shown[name] = shown.get(name, {}) | {"entity_id": leader.entity_id, "name": leader.name}


def _partial(process: Process, parent: Process | None) -> bool:
    """Whether part of what is shown was read from processes that were running already."""
    known: list[Identity | None] = [process.identity, process.group_leader, process.session_leader]
    return any(one is None or one.found for one in known) or (parent is not None and parent.identity.found)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
