"""What goes into the spool: the ring's records in whole spans, and behind each cgroup's birth what is known of it."""

from __future__ import annotations

import os
import queue
import time
from dataclasses import dataclass, field

import structlog

from bpf.events import CgroupMkdir, CgroupRmdir, Running, Task
from bpf.schema import Record, RecordError, decode
from shipper.admission import Admission
from shipper.cmdlines import Cmdlines
from shipper.losses import Losses
from shipper.probes import Probes
from shipper.registry import Registry
from shipper.runtimes import Docker, Removed
from shipper.spool import Spool
from shipper.wire.frame import MAX_PAYLOAD, wrap
from shipper.wire.records import Kind

_log = structlog.get_logger()
_CUT = frozenset(cls.layout.number for cls in (CgroupMkdir, CgroupRmdir, Running) if cls.layout.number)


def boot_ns() -> int:
    """Nanoseconds since boot, suspend included: the records' time."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Intake:
    """Takes from the kernel and the runtimes, and keeps the registry in step with the stream."""

    spool: Spool
    probes: Probes
    registry: Registry
    docker: Docker
    admission: Admission
    losses: Losses
    since: int
    """Boot time in ns: what is drained now happened after it."""
    cmdlines: Cmdlines = field(default_factory=Cmdlines)
    _removed: list[str] = field(default_factory=list)
    """Containers that a runtime removed; the ring may still hold what they did."""

    def put(self, record: Record) -> None:
        """Add a record of the agent's own."""
        self.spool.add(wrap(record.encode()), 1)

    def news(self) -> None:
        """What the runtimes have told since it was asked last."""
        while True:
            try:
                news = self.docker.updates.get_nowait()
            except queue.Empty:
                return
            if isinstance(news, Removed):
                self._removed.append(news.container_id)
                continue
            for info in self.registry.told(news):
                self.put(info)

    def drain(self) -> None:
        """What the ring holds now, as far as it is admitted; behind it the arguments of running processes."""
        answers = self.cmdlines.answers(boot_ns())  # first: what a process had started by then stands before them
        for span, count, cut in self.probes.ring.drain(_CUT, MAX_PAYLOAD):
            self._admit(span, count)
            if cut >= 0:
                self._look(span, cut)
        for record in answers:
            self._admit(wrap(record.encode()), 1)
        for container_id in self._removed:
            self.registry.forget(container_id)
        self._removed.clear()

    def _admit(self, span: bytes, count: int) -> None:
        taken, kept = self.admission.admit(span, count, self.since)
        if kept:
            self.spool.add(taken, kept)

    def _look(self, span: bytes, offset: int) -> None:
        length = int.from_bytes(span[offset + 4 : offset + 8], "little")
        if int.from_bytes(span[offset : offset + 2], "little") == Running.layout.number:
            self.cmdlines.ask(Task.decode(span, offset, length))
        else:
            self._cgroup(span, offset, length)

    def _cgroup(self, span: bytes, offset: int, length: int) -> None:
        try:
            record = decode(span, offset, length)
        except RecordError as error:
            _log.error("cgroup record not understood", error=str(error))
            return
        if isinstance(record, CgroupMkdir):
            info = self.registry.found(record.cgroup_id, os.fsdecode(record.path), record.time)
            self.put(info)
            if info.kind == Kind.HOST:
                self.probes.unwatch(record.cgroup_id)
        elif isinstance(record, CgroupRmdir):
            self.registry.gone(record.cgroup_id)
            for loss in self.losses.final(record.cgroup_id, boot_ns()):
                self.put(loss)
