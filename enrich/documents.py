"""Makes documents: the fields that a record declares, and what the steps before found out."""

from __future__ import annotations

import errno
import posixpath
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from bpf.enums import ExitFlag, ImageFlag
from bpf.events import CgroupAttach, Exec, ExecFailed, Exit, Fork, Image, Task
from bpf.schema import RECORDS, Record
from enrich import losses, relatives, render
from enrich.arguments import Arguments
from enrich.containers import EXEC, NAMELESS, Shown
from enrich.item import Entry, Epoch, Item, Process
from enrich.losses import ECS
from enrich.plan import Plan
from enrich.relatives import Relatives
from enrich.steps.host import Host
from shipper.wire.records import AgentStart, Loss

KINDS = ("process", "loss", "container", "tenant", "session", "terminal", "command")
"""What a document can be about: the last part of its event.dataset."""
_CORE_SIGNAL = 0x7F
_OOM = int(ExitFlag.OOM)
_FLAGS = {
    ImageFlag.MEMFD: ("exec", "memfd"),
    ImageFlag.DELETED: ("exec", "deleted"),
    ImageFlag.CWD_CUT: ("cwd", "incomplete"),
    ImageFlag.CWD_OUTSIDE: ("cwd", "outside"),
    ImageFlag.CWD_DELETED: ("cwd", "deleted"),
}
_SHOWN_FLAGS = int(sum(_FLAGS))
_TYPES = {"exec": "start", "fork": "start", "end": "end"}
"""event.action → event.type; info for the rest."""
_NAMED = ("entity_id", "pid", "name", "executable")
"""What documents about terminals say of a process."""
_STATE = {Fork, CgroupAttach}
"""Records that only tell later documents who is whose child; forks are documents on request."""


class Documents:
    """Makes the source of a document of each record that has an event.action and is not only state; and of losses."""

    def __init__(self, host: Host, arguments: Arguments, *, forks: bool = False) -> None:
        self._host, self._arguments = host, arguments
        self._relatives = Relatives(host)
        self._forks = forks
        self._plans = {cls: Plan(cls, host, arguments) for cls in RECORDS.values()}
        self._events = {cls: _event(cls.layout.action) for cls in RECORDS.values()}
        self._makers: dict[type[Record], Callable[[Item], dict[str, Any] | None]] = {
            cls: self._process for cls in RECORDS.values() if cls.layout.action and cls not in _STATE
        }
        self._makers |= {Exec: self._exec, ExecFailed: self._exec, Exit: self._exit}
        self._makers |= {Loss: partial(losses.counted, host), AgentStart: partial(losses.blind, host)}
        if forks:
            self._makers[Fork] = self._process

    def source(self, item: Item) -> dict[str, Any] | None:
        """The document's source, the container still missing; None for a record that makes no document."""
        kind, process = type(item.record), item.process
        make = self._makers.get(kind)
        if make is None:
            return None
        if process is not None:
            epoch = item.epoch
            if epoch is not None and epoch.container is not None and not epoch.container.policy & EXEC:
                return None  # nobody asked for it
            if kind is Exit and process.only_forked and not self._forks:
                return None  # without its beginning, a subshell's end says nothing
        return make(item)

    def told(self, item: Item) -> dict[str, Any]:
        """The same of a record of a process, whoever asked for it: for a document about its container."""
        source = self._makers[type(item.record)](item)
        assert source is not None
        return source

    def _process(self, item: Item) -> dict[str, Any]:
        record, process, parent = item.record, item.process, item.parent
        cls = type(record)
        source = self._plans[cls].source(record, _names(item))
        source["ecs"], source["host"] = ECS, self._host.fields
        source["event"] = {"id": item.id, "sequence": item.sequence, **self._events[cls]}
        own = source["process"]
        if "user" in source:
            own["user"] = source["user"]
        own["interactive"] = "tty" in own
        if process is not None:
            self._leaders(own, process, item)
            if process.entry is not None:
                self._entry(source, process, process.entry, item.epoch)
            if _partial(process, parent):
                source["cgtrail"]["partial"] = True
        if item.session is not None:
            source["cgtrail"]["session"] = item.session.shown
        if process is not None and process.command:
            source["cgtrail"]["command"] = {"id": process.command}
        if parent is not None:
            own["parent"] = self._relatives.parent(parent.identity, item.epoch)
        self._secrets(source, item)
        return source

    def name(self, source: dict[str, Any], process: Process) -> None:
        """Say which process it was that a document is about: one that no record of that process makes."""
        start = {"start": self._host.timestamp(process.start)} if process.start else {}
        told = relatives.shown(process.identity)
        source["process"] = start | {name: told[name] for name in _NAMED if name in told}
        if process.entry is not None:
            self._entry(source, process, process.entry, process.epoch)

    def _secrets(self, source: dict[str, Any], item: Item) -> None:
        """Which kinds were masked: in its own arguments, and in those of the processes that it tells of."""
        kinds: set[str] = set()
        process = item.process
        if process is not None:
            parent = item.parent.identity if item.parent is not None else None
            entry = process.entry.leader if process.entry is not None else None
            for each in (process.identity, parent, process.group_leader, process.session_leader, entry):
                if each is not None and each.program.secrets and relatives.mine(each, item.epoch):
                    kinds.update(each.program.secrets)
        if type(item.record) is ExecFailed:  # of an exec, the process knows it
            kinds.update(self._arguments(item.record.args).secrets)
        if kinds:
            source["cgtrail"]["secrets"] = sorted(kinds)

    def _leaders(self, own: dict[str, Any], process: Process, item: Item) -> None:
        """What it runs, and who leads it; of a leader that is not known, its process id is."""
        record, epoch = item.record, item.epoch
        assert isinstance(record, Task)
        told, identity = relatives.shown(process.identity), process.identity
        group, session = process.group_leader, process.session_leader
        itself = relatives.itself(told, own) if identity in (group, session) else {}
        own |= told
        if process.program.shared is not process.program.told:
            own |= process.program.told
        own["group_leader"] = itself if group is identity else self._relatives.leader(group, record.pgid, epoch)
        own["session_leader"] = itself if session is identity else self._relatives.leader(session, record.sid, epoch)

    def _entry(self, source: dict[str, Any], process: Process, entry: Entry, epoch: Epoch | None) -> None:
        """How its tree was entered."""
        source["process"]["entry_leader"] = self._relatives.entry(entry, process, epoch)
        if entry.environment and entry.leader is process.identity:
            source["process"]["env_vars"] = entry.environment
        own = source["cgtrail"]
        own["entry"] = entry.kind
        if entry.source:
            own["entry_claimed"] = True
            if entry.port:
                own["entry_port"] = entry.port

    def _exec(self, item: Item) -> dict[str, Any]:
        record = item.record
        process = item.process
        assert isinstance(record, Image)
        assert process is not None
        source = self._process(item)
        shown, own = source["process"], source["cgtrail"]
        if record.error:  # those shown so far are of the program that goes on
            shown["args"] = self._arguments(record.args).args
        line = process.program.command_line
        if record.error or not line or line[-1] == "…":  # of others, the process knows it
            shown["command_line"] = render.command_line(shown["args"])
        shown["args_count"] = len(shown["args"])
        shown.setdefault("command_line", "")
        own["args"]["truncated"] = len(record.args) < record.args_bytes
        own["return_code"] = record.error
        if record.flags & _SHOWN_FLAGS:
            flag(own, record.flags)
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
        source["process"]["end"] = source["@timestamp"]
        source["process"]["exit_code"] = 128 + killed if killed else record.status >> 8 & 0xFF
        source["event"]["duration"] = max(record.time - record.start, 0)
        if killed:
            source["cgtrail"]["signal"] = _signal(killed)
        if record.exit_flags & _OOM:
            source["cgtrail"]["oom"] = True
        return source


def flag(own: dict[str, Any], flags: int) -> None:
    """Add to cgtrail.* what bpf.enums.ImageFlag says."""
    for each, (group, name) in _FLAGS.items():
        if flags & each:
            own.setdefault(group, {})[name] = True


def _event(action: str) -> dict[str, Any]:
    """What is the same in the event object of all documents of one action."""
    return {
        "kind": "event",
        "category": ["process"],
        "type": [_TYPES.get(action, "info")],
        "action": action,
        "module": "cgtrail",
        "dataset": "cgtrail.process",
    }


def _names(item: Item) -> Shown:
    """What the container calls a process's users and groups, as far as that was told."""
    epoch = item.epoch
    return NAMELESS if epoch is None or epoch.container is None else epoch.container.named(item.record)


def _partial(process: Process, parent: Process | None) -> bool:
    """Whether part of what is shown was read from processes that were running already."""
    group, session = process.group_leader, process.session_leader
    if group is None or session is None or process.identity.found or group.found or session.found:
        return True
    if process.entry is not None and process.entry.found:
        return True
    return parent is not None and parent.identity.found


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
