"""The first step: whose stream this is, and which wall-clock time its records have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from bpf.events import Header
from enrich import render
from enrich.document import Part
from enrich.item import Item
from shipper.wire.records import Clock, HostInfo


@dataclass
class Host:
    """What the stream says of its host. `offset` is Unix time minus boot time, in nanoseconds."""

    state: ClassVar[tuple[str, ...]] = ("offset", "boot", "capture_host", "fields")
    offset: int = 0
    boot: bytes = bytes(16)
    capture_host: bool = False
    fields: Part = field(default_factory=Part)

    def __call__(self, item: Item) -> None:
        """Sets the item's time."""
        record = item.record
        if isinstance(record, Clock):
            self.offset = record.realtime - record.time
        elif isinstance(record, HostInfo):
            self._learn(record)
        assert isinstance(record, Header)
        item.time = record.time + self.offset

    @property
    def name(self) -> str:
        """Its name, empty before it was told."""
        name: str = self.fields.get("name", "")
        return name

    def unix(self, boot_ns: int) -> int:
        """A boot time as nanoseconds since 1970."""
        return boot_ns + self.offset

    def timestamp(self, boot_ns: int) -> str:
        """A boot time as shown in documents."""
        return render.timestamp(boot_ns + self.offset)

    def _learn(self, record: HostInfo) -> None:
        boot = render.text(record.boot_id)[0]
        self.boot = bytes.fromhex(boot.replace("-", "")) if boot else bytes(16)
        self.capture_host = bool(record.capture_host)
        system, architecture = render.text(record.system)[0], render.text(record.architecture)[0]
        self.fields = Part(
            name=render.text(record.host_name)[0],
            id=render.text(record.host_id)[0],
            boot={"id": boot},
            os={"type": "linux", "kernel": render.text(record.kernel)[0]} | ({"full": system} if system else {}),
            **({"architecture": architecture} if architecture else {}),
        )
