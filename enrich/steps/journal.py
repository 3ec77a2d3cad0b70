"""The journal of containers and tenants: documents about what became of them, beside those about what they did.

What only a runtime knows (created, renamed, removed) comes from its own records; started, entered and died are seen in
the stream itself, so also of a runtime that has no API.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bpf.enums import Policy
from bpf.events import Exit, Header
from enrich import render
from enrich.documents import Documents
from enrich.item import Item, Made
from enrich.losses import ECS
from enrich.steps.host import Host
from enrich.steps.registry import RegistryView
from shipper.wire.records import ContainerEvent, Life, TenantChange, TenantEvent

_LIVES = {
    Life.CREATED: ("configuration", "creation"),
    Life.REMOVED: ("configuration", "deletion"),
    Life.RENAMED: ("configuration", "change"),
}
"""What a runtime tells → ECS's event.category and event.type; the action is its name."""
_CHANGES = {
    TenantChange.CREATED: ("configuration", "creation"),
    TenantChange.CHANGED: ("configuration", "change"),
    TenantChange.REMOVED: ("configuration", "deletion"),
    TenantChange.ATTACHED: ("configuration", "change"),
    TenantChange.DETACHED: ("configuration", "change"),
}
_SEEN = {
    "started": {"category": ["host"], "type": ["start"], "action": "started"},
    "entered": {"category": ["session"], "type": ["start"], "action": "entered"},
    "died": {"category": ["host"], "type": ["end"], "action": "died"},
}


class Journal:
    """The step that makes them; they leave as all documents do, once their container is known."""

    state: ClassVar[tuple[str, ...]] = ()

    def __init__(self, host: Host, registry: RegistryView, documents: Documents) -> None:
        self._host, self._registry, self._documents = host, registry, documents

    def __call__(self, item: Item) -> None:
        """Adds to the item the documents about its container or tenant."""
        record = item.record
        if item.process is not None:
            if type(record) is Exit:
                self._exit(item)
            elif item.entered is not None and item.entered.type == "container":
                self._process(item, "started" if item.entered.kind == "init" else "entered")
        elif type(record) is ContainerEvent:
            self._container(item, record)
        elif type(record) is TenantEvent:
            self._tenant(item, record)

    def _exit(self, item: Item) -> None:
        life = item.epoch.life if item.epoch is not None else None
        if life is None or item.process is None or life.init != item.process.entity_id or not life.alive:
            return
        life.alive = False
        source = self._process(item, "died")
        source["cgtrail"]["container"] = {"oom": life.oom}

    def _process(self, item: Item, action: str) -> dict[str, Any]:
        """What its first process, or one put in from outside, says of a container."""
        source = self._documents.told(item)
        identity = f"{item.id}-container"
        source["event"] |= {"id": identity, "dataset": "cgtrail.container"} | _SEEN[action]
        item.made += (Made(identity, item.time, item.epoch, source),)
        return source

    def _container(self, item: Item, record: ContainerEvent) -> None:
        if record.life not in _LIVES:
            return
        life = Life(record.life)
        source = self._source(item, "container", life.name.lower(), *_LIVES[life])
        if record.realtime:
            source["event"]["start"] = render.timestamp(record.realtime)
        item.made += (Made(item.id, item.time, self._registry.apart(record.key), source),)

    def _tenant(self, item: Item, record: TenantEvent) -> None:
        if record.change not in _CHANGES:
            return
        change = TenantChange(record.change)
        source = self._source(item, "tenant", change.name.lower(), *_CHANGES[change])
        told = {
            "id": [render.text(record.tenant_id)[0]],
            "name": render.text(record.name)[0],
            "policy": [flag.name.lower() for flag in Policy if flag.name and record.policy & flag],
            "source": render.text(record.source)[0],
        }
        source["cgtrail"] = {"tenant": {name: value for name, value in told.items() if value or name == "policy"}}
        epoch = self._registry.apart(record.key) if record.key else None
        item.made += (Made(item.id, item.time, epoch, source),)

    def _source(self, item: Item, kind: str, action: str, category: str, type_: str) -> dict[str, Any]:
        assert isinstance(item.record, Header)
        return {
            "@timestamp": render.timestamp(item.time),
            "ecs": ECS,
            "host": self._host.fields,
            "event": {
                "id": item.id,
                "sequence": item.sequence,
                "kind": "event",
                "category": [category],
                "type": [type_],
                "action": action,
                "module": "cgtrail",
                "dataset": f"cgtrail.{kind}",
            },
        }
