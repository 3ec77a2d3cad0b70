"""The last step: a document leaves when its container is known, or after one second of stream time without."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, ClassVar

from bpf.events import Exec, Header
from enrich.containers import EXEC, Container
from enrich.document import Document
from enrich.documents import Documents
from enrich.item import Epoch, Item, Made
from enrich.related import relate
from enrich.steps.host import Host
from enrich.steps.registry import Attribution
from shipper.wire.records import Tick

PATIENCE_NS = 1_000_000_000
_EXACT, _LATE, _STALE, _UNKNOWN = (each.value for each in Attribution)


class Release:
    """Steps run at once; only documents wait, and only while their epoch is pending."""

    state: ClassVar[tuple[str, ...]] = ("_held",)

    def __init__(self, host: Host, documents: Documents) -> None:
        self._host = host
        self._documents = documents
        self._held: deque[tuple[int, Made]] = deque()
        """Boot time in ns, which no clock that is set can move, and what has waited since."""
        self.quiet = False
        """What is released was stored before: only documents that wait need be made."""
        self.counts: Counter[str] = Counter()
        """Attribution → how many documents were released with it."""

    def __call__(self, item: Item) -> None:
        """Adds to the item every document that is released at it."""
        if self._held:
            if item.completed:
                self._told(item)
            elif isinstance(item.record, Tick):
                self._overdue(item)
        begins = item.made and type(item.record) is Exec  # what it begins stands before it, what it ends behind
        if begins:
            self._take_made(item)
        epoch = item.epoch
        if not self.quiet or _waits(item, epoch):
            source = self._documents.source(item)
            if source is not None:
                container = epoch.container if epoch is not None else None
                unasked = item.process is not None and (container is None or container.info is None)
                policy = EXEC if item.process is not None else 0
                self._take(item, Made(source["event"]["id"], item.time, epoch, source, policy, unasked))
        if item.made and not begins:
            self._take_made(item)

    def rest(self) -> list[Document]:
        """What still waits when the stream has ended: nothing more will be told."""
        rest = [self._document(made, _UNKNOWN) for _, made in self._held]
        self._held.clear()
        return [document for document in rest if document]

    def waiting(self) -> int | None:
        """When the oldest document that waits happened, in ns since 1970; None when none waits."""
        return min((made.time for _, made in self._held), default=None)

    def _take_made(self, item: Item) -> None:
        for made in item.made:
            self._take(item, made)

    def _take(self, item: Item, made: Made) -> None:
        epoch = made.epoch
        if epoch is None:
            self._send(item, made, _UNKNOWN)
        elif not epoch.pending:
            container = epoch.container
            stale = epoch.ended or (container is not None and not container.connected)
            self._send(item, made, _STALE if stale else _EXACT)
        elif _waits(item, epoch):  # an agent that was held up tells of a cgroup long after what happened in it
            self._held.append((max(_now(item), epoch.info.told if epoch.info else 0), made))
        else:
            self._send(item, made, _UNKNOWN)

    def _told(self, item: Item) -> None:
        waiting, self._held = self._held, deque()
        for since, made in waiting:
            if made.epoch is not None and not made.epoch.pending:
                self._send(item, made, _LATE)
            else:
                self._held.append((since, made))

    def _overdue(self, item: Item) -> None:
        while self._held and abs(_now(item) - self._held[0][0]) > PATIENCE_NS:  # a time to come is none
            self._send(item, self._held.popleft()[1], _UNKNOWN)

    def _send(self, released_by: Item, made: Made, attribution: str) -> None:
        document = self._document(made, attribution)
        if document:
            released_by.documents.append(document)

    def _document(self, made: Made, attribution: str) -> Document | None:
        epoch, source = made.epoch, made.source
        kind = source["event"]["dataset"].removeprefix("cgtrail.")
        if epoch is not None:
            container = epoch.container
            if epoch.is_host and not self._host.capture_host:
                return None  # a cgroup that was recorded until its name was looked at
            if container is None and kind == "container":
                return None  # of what proved to be none
            if made.unasked and container is not None and not container.policy & made.policy:
                return None  # nobody asked for it
            own = source.setdefault("cgtrail", {})
            own["attribution"] = attribution
            if epoch.cgroup_id:
                own["epoch"] = epoch.id
            if epoch.cgroup is not None:
                own["cgroup"] = epoch.cgroup
            if container is not None:
                _contain(source, own, container, made.policy, about=kind == "container")
            if not self.quiet:
                self.counts[attribution] += 1
        relate(source, self._host.name)
        return Document(made.id, made.time, kind, source)


def _contain(source: dict[str, Any], own: dict[str, Any], container: Container, policy: int, *, about: bool) -> None:
    """Say whose a document is; `about`: the container itself is what it is about."""
    source["container"] = container.journal if about else container.shown
    if about and container.allowed:
        own["container"] = container.allowed | own.get("container", {})
    tenant = container.tenant_of(policy)
    if container.orchestrator is not None:
        source["orchestrator"] = container.orchestrator
    if tenant is not None:
        own.setdefault("tenant", tenant)


def _now(item: Item) -> int:
    """Stream time: boot time in ns."""
    assert isinstance(item.record, Header)
    return item.record.time


def _waits(item: Item, epoch: Epoch | None) -> bool:
    """Whether more is expected of an epoch, and the patience for it has not run out."""
    if epoch is None or not epoch.pending:
        return False
    info = epoch.info
    return info is None or _now(item) - (info.told or info.time) <= PATIENCE_NS
