"""What goes into the spool: the ring's records in whole spans, and behind each cgroup's birth what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from bpf.events import CgroupMkdir, CgroupRmdir, Running, Task
from bpf.schema import Record, RecordError, decode
from shipper.admission import Admission
from shipper.cmdlines import Cmdlines
from shipper.inventory import Inventory
from shipper.probes import Probes
from shipper.spool import Spool
from shipper.tell import boot_ns
from shipper.wire.frame import MAX_PAYLOAD, wrap

_log = structlog.get_logger()
_CUT = frozenset(cls.layout.number for cls in (CgroupMkdir, CgroupRmdir, Running) if cls.layout.number)


@dataclass(slots=True)
class Intake:
    """Takes from the kernel, and tells the inventory what it has to know at its place in the stream."""

    spool: Spool
    probes: Probes
    admission: Admission
    since: int
    """Boot time in ns: what is drained now happened after it."""
    cmdlines: Cmdlines = field(default_factory=Cmdlines)
    inventory: Inventory = field(init=False)

    def put(self, record: Record) -> None:
        """Add a record of the agent's own."""
        self.spool.add(wrap(record.encode()), 1)

    def drain(self) -> None:
        """What the ring holds now, as far as it is admitted; behind it the arguments of running processes."""
        answers = self.cmdlines.answers(boot_ns())  # first: what a process had started by then stands before them
        for span, count, cut in self.probes.ring.drain(_CUT, MAX_PAYLOAD):
            self._admit(span, count)
            if cut >= 0:
                self._look(span, cut)
        for record in answers:
            self._admit(wrap(record.encode()), 1)

    def _admit(self, span: bytes, count: int) -> None:
        taken, kept = self.admission.admit(span, count, self.since)
        if kept:
            self.spool.add(taken, kept)

    def _look(self, span: bytes, offset: int) -> None:
        length = int.from_bytes(span[offset + 4 : offset + 8], "little")
        if int.from_bytes(span[offset : offset + 2], "little") == Running.layout.number:
            self.cmdlines.ask(Task.decode(span, offset, length))
            return
        try:
            record = decode(span, offset, length)
        except RecordError as error:
            _log.error("cgroup record not understood", error=str(error))
            return
        if isinstance(record, CgroupMkdir):
            self.inventory.born(record)
        elif isinstance(record, CgroupRmdir):
            self.inventory.died(record)
