"""The last step: a document leaves when its container is known, or after one second of stream time without."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, ClassVar

from bpf.events import Header
from enrich.containers import EXEC, Container
from enrich.document import Document
from enrich.documents import Documents
from enrich.item import Epoch, Item, Made
from enrich.steps.host import Host
from enrich.steps.registry import Attribution
from shipper.wire.records import Tick

PATIENCE_NS = 1_000_000_000


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
        if item.completed and self._held:
            self._told(item)
        elif isinstance(item.record, Tick):
            self._overdue(item)
        if not self.quiet or _waits(item, item.epoch):
            source = self._documents.source(item)
            if source is not None:
                unasked = item.process is not None and not _told_of(item.epoch)
                self._take(item, Made(source["event"]["id"], item.time, item.epoch, source, unasked))
        for made in item.made:
            self._take(item, made)

    def rest(self) -> list[Document]:
        """What still waits when the stream has ended: nothing more will be told."""
        rest = [self._document(made, Attribution.UNKNOWN) for _, made in self._held]
        self._held.clear()
        return [document for document in rest if document]

    def waiting(self) -> int | None:
        """When the oldest document that waits happened, in ns since 1970; None when none waits."""
        return min((made.time for _, made in self._held), default=None)

    def _take(self, item: Item, made: Made) -> None:
        epoch = made.epoch
        if epoch is None or not _waits(item, epoch):
            self._send(item, made, _attribution(epoch))
        else:  # an agent that was held up tells of a cgroup long after what happened in it
            self._held.append((max(_now(item), epoch.info.told if epoch.info else 0), made))

    def _told(self, item: Item) -> None:
        waiting, self._held = self._held, deque()
        for since, made in waiting:
            if made.epoch is not None and not made.epoch.pending:
                self._send(item, made, Attribution.LATE)
            else:
                self._held.append((since, made))

    def _overdue(self, item: Item) -> None:
        while self._held and abs(_now(item) - self._held[0][0]) > PATIENCE_NS:  # a time to come is none
            self._send(item, self._held.popleft()[1], Attribution.UNKNOWN)

    def _send(self, released_by: Item, made: Made, attribution: Attribution) -> None:
        document = self._document(made, attribution)
        if document:
            released_by.documents.append(document)

    def _document(self, made: Made, attribution: Attribution) -> Document | None:
        epoch, source = made.epoch, made.source
        kind = source["event"]["dataset"].removeprefix("cgtrail.")
        if epoch is not None:
            if not self._wanted(made, epoch, kind):
                return None
            own = source.setdefault("cgtrail", {})
            own["attribution"] = attribution.value
            if epoch.cgroup_id:
                own["epoch"] = epoch.id
            if epoch.cgroup is not None:
                own["cgroup"] = epoch.cgroup
            if epoch.container is not None:
                _contain(source, own, epoch.container, kind)
            if not self.quiet:
                self.counts[attribution.value] += 1
        return Document(made.id, made.time, kind, source)

    def _wanted(self, made: Made, epoch: Epoch, kind: str) -> bool:
        if epoch.is_host and not self._host.capture_host:
            return False  # a cgroup that was recorded until its name was looked at
        if epoch.container is None:
            return kind != "container"
        return not made.unasked or bool(epoch.container.policy & EXEC)


def _contain(source: dict[str, Any], own: dict[str, Any], container: Container, kind: str) -> None:
    """Say whose a document is."""
    if kind == "process":
        source["container"] = container.shown
        tenant = container.asking
    else:
        about = kind == "container"
        source["container"] = container.journal if about else container.shown
        tenant = container.tenant
        if about and container.allowed:
            own["container"] = container.allowed | own.get("container", {})
    if container.orchestrator is not None:
        source["orchestrator"] = container.orchestrator
    if tenant is not None:
        own.setdefault("tenant", tenant)


def _told_of(epoch: Epoch | None) -> bool:
    """Whether what is recorded of a container is known."""
    return epoch is not None and epoch.container is not None and epoch.container.info is not None


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


def _attribution(epoch: Epoch | None) -> Attribution:
    if epoch is None or epoch.pending:
        return Attribution.UNKNOWN
    stale = epoch.ended or (epoch.container is not None and not epoch.container.connected)
    return Attribution.STALE if stale else Attribution.EXACT
