"""The last step: a document leaves when its container is known, or after one second of stream time without."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from enrich.document import Document
from enrich.documents import Documents
from enrich.host import Host
from enrich.item import Epoch, Item
from enrich.registry import Attribution
from shipper.wire.records import CgroupInfo, Tick

PATIENCE_NS = 1_000_000_000


@dataclass(slots=True)
class _Held:
    item: Item
    source: dict[str, Any]


class Release:
    """Steps run at once; only documents wait, and only while their epoch is pending."""

    def __init__(self, host: Host, documents: Documents) -> None:
        self._host = host
        self._documents = documents
        self._held: deque[_Held] = deque()

    def __call__(self, item: Item) -> None:
        """Adds to the item every document that is released at it."""
        if isinstance(item.record, CgroupInfo) and self._held:
            self._told(item)
        elif isinstance(item.record, Tick):
            self._overdue(item)
        source = self._documents.source(item)
        if source is None:
            return
        if item.epoch is not None and item.epoch.pending and not self._asked(item.epoch, item):
            self._held.append(_Held(item, source))
            return
        self._send(item, _Held(item, source), _attribution(item.epoch))

    def _asked(self, epoch: Epoch, item: Item) -> bool:
        """Whether the patience for this epoch has run out already."""
        return epoch.info is not None and item.time - self._host.unix(epoch.info.time) > PATIENCE_NS

    def _told(self, item: Item) -> None:
        waiting, self._held = self._held, deque()
        for held in waiting:
            if held.item.epoch is item.epoch and item.epoch is not None and not item.epoch.pending:
                self._send(item, held, Attribution.LATE)
            else:
                self._held.append(held)

    def _overdue(self, item: Item) -> None:
        while self._held and item.time - self._held[0].item.time > PATIENCE_NS:
            self._send(item, self._held.popleft(), Attribution.UNKNOWN)

    def _send(self, released_by: Item, held: _Held, attribution: Attribution) -> None:
        item, epoch, source = held.item, held.item.epoch, held.source
        if epoch is not None:
            if epoch.is_host and not self._host.capture_host:
                return  # a cgroup that was recorded until its name was looked at
            own = source.setdefault("cgtrail", {})
            own["attribution"] = attribution.value
            own["epoch"] = epoch.id
            if epoch.info is not None:
                own.setdefault("cgroup", {})["path"] = epoch.info.path.decode(errors="backslashreplace")
            if epoch.container is not None:
                source["container"] = epoch.container
        kind = source["event"]["dataset"].removeprefix("cgtrail.")
        released_by.documents.append(Document(item.id, item.time, kind, source))


def _attribution(epoch: Epoch | None) -> Attribution:
    if epoch is None or epoch.pending:
        return Attribution.UNKNOWN
    return Attribution.STALE if epoch.ended else Attribution.EXACT
