"""What documents say of processes beside their own: the parent, and the leaders of its group, session and entry.

Each is said as of its own latest record, in a piece that is made once for all documents that name it. One that is in
another container, or on the host, is somebody else's: what it runs, as whom and where is not for those who read this
one's documents.
"""

from __future__ import annotations

from typing import Any

from enrich import render
from enrich.containers import NAMELESS, Container
from enrich.document import Part
from enrich.item import Entry, Epoch, Identity, Ids, Parts, Process
from enrich.steps.host import Host

_OWN = ("user", "group", "real_user", "saved_user", "tty")
_USERS = ("user", "group", "real_user", "saved_user")
"""In the order of enrich.item.Ids and enrich.containers.Shown."""
_FOREIGN = ("entity_id", "pid", "name")


class Relatives:
    """Makes the pieces. They change with the clock and with the container's names, so they are made for one of each."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def parent(self, parent: Identity, epoch: Epoch | None) -> dict[str, Any]:
        """process.parent of its children's documents; `epoch`: where the child is."""
        return self._parts(parent).parent if parent.epoch is epoch or mine(parent, epoch) else self._foreign(parent)

    def leader(self, leader: Identity | None, pid: int, epoch: Epoch | None) -> dict[str, Any]:
        """process.group_leader or .session_leader of another process's documents; of one not known, its process id."""
        if leader is None:
            return {"pid": pid, "same_as_process": False}
        if leader.epoch is not epoch and not mine(leader, epoch):
            return self._foreign(leader) | {"same_as_process": False}
        parts = self._parts(leader)
        if parts.leader is None:
            parts.leader = Part(parts.parent | {"same_as_process": False})
        return parts.leader

    def entry(self, entry: Entry, process: Process, epoch: Epoch | None) -> dict[str, Any]:
        """process.entry_leader of a process's documents."""
        if entry.leader.epoch is not epoch and not mine(entry.leader, epoch):
            return self._foreign(entry.leader) | _entered(entry, {}) | {"same_as_process": False}
        parts = self._parts(entry.leader)
        if entry.parts is None or entry.parts[0] is not parts:
            leader = dict(parts.parent) | _entered(entry, parts.parent.get("user", {}))
            entry.parts = parts, Part(leader | {"same_as_process": True}), Part(leader | {"same_as_process": False})
        return entry.parts[1] if entry.leader is process.identity else entry.parts[2]

    def _foreign(self, identity: Identity) -> dict[str, Any]:
        """As much as a record tells of any parent: which process it is, and a name."""
        told = shown(identity)
        start = {"start": self._host.timestamp(identity.start)} if identity.start else {}
        return start | {name: told[name] for name in _FOREIGN if name in told}

    def _parts(self, identity: Identity) -> Parts:
        container = identity.epoch.container if identity.epoch is not None else None
        names = container.names if container is not None else None
        key = self._host.offset, names, container.life.user_ns if container is not None else 0
        parts = identity.parts
        if parts is None or parts.key != key:
            start = {"start": self._host.timestamp(identity.start)} if identity.start else {}
            parts = Parts(key, Part(start | shown(identity) | _who(identity, container)))
            identity.parts = parts
        return parts


def mine(identity: Identity, epoch: Epoch | None) -> bool:
    """Whether all that is known of a process is for documents about somebody in that cgroup."""
    where = identity.epoch
    return where is epoch or where is None or where.same(epoch)


def itself(told: dict[str, Any], process: dict[str, Any]) -> dict[str, Any]:
    """The same of a process that leads itself: as `shown` has it, and the process object of its own document.

    Mostly it is named by two documents, so that nothing is made for more.
    """
    made = {**told, "start": process["start"], "interactive": process["interactive"], "same_as_process": True}
    for name in _OWN:
        if name in process:
            made[name] = process[name]
    return made


def shown(identity: Identity) -> dict[str, Any]:
    """Which process it is, and what it runs, as others' documents have it."""
    told = {"entity_id": identity.entity_id, "pid": identity.pid, "name": identity.name, **identity.program.shared}
    if not identity.pid or not identity.name:
        return {name: value for name, value in told.items() if value}
    return told


def _who(identity: Identity, container: Container | None) -> dict[str, Any]:
    """On whose behalf it runs, and at which terminal; nothing of one that no record was about."""
    if identity.ids is None:
        return {}
    ids = Ids(*identity.ids)
    names = NAMELESS if container is None else container.named(ids)
    told: dict[str, Any] = {
        who: {"id": str(number)} | ({"name": name} if name else {})
        for who, number, name in zip(_USERS, ids, names, strict=False)
        if number != render.UNSET
    }
    told["interactive"] = ids.tty != 0
    if ids.tty:
        told["tty"] = {"char_device": render.device(ids.tty)}
    return told


def _entered(entry: Entry, user: dict[str, str]) -> dict[str, Any]:
    """How it came in, and as whom: it may be somebody else since."""
    meta: dict[str, Any] = {"type": entry.type}
    if entry.source:
        meta["source"] = {"ip": entry.source}
    told: dict[str, Any] = {"entry_meta": meta}
    if entry.user and ("name" in entry.user or entry.user.get("id") != user.get("id")):
        told["user"] = entry.user
    return told
