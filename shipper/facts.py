"""How the agent does, for people and metrics."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from bpf.enums import Cause
from shipper.intake import Intake
from shipper.inventory import Inventory
from shipper.losses import Losses
from shipper.probes import Probes
from shipper.retention import Retention
from shipper.spool import Spool


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the numbers stand."""

    spool: Spool
    probes: Probes
    inventory: Inventory
    intake: Intake
    losses: Losses
    retention: Retention

    def now(self, keyframed: int) -> dict[str, Any]:
        """All of them. `keyframed`: when the last keyframe began, in ns since 1970."""
        spool, inventory = self.spool, self.inventory
        return {
            "pid": os.getpid(),
            "time": time.time_ns(),
            "turned": time.monotonic(),
            "stream": spool.stream.id.hex(),
            "frames": spool.number,
            "records": spool.records,
            "bytes": spool.bytes,
            "commits": spool.commits,
            "commit_seconds": spool.commit_seconds,
            "keyframe_time": keyframed,
            "spool_bytes": spool.used,
            "spool_max_bytes": self.retention.bounds.max_bytes,
            "spool_error": str(spool.error) if spool.error else None,
            "admission": self.intake.admission.level,
            "narrowed": self.intake.admission.narrowed,
            "unread_by": self.retention.holding,
            "ring_bytes_waiting": self.probes.ring.waiting(),
            "seen": self.probes.seen(),
            "lost": {Cause(cause).name.lower(): count for cause, count in self.losses.totals.items()},
            "arguments_unread": self.intake.cmdlines.unread,
            "users_unread": inventory.users.unread,
            "users_cut": inventory.users.cut,
            "containers": len(inventory.registry.running),
            "tenants": len(inventory.book.current.known),
            "tenants_error": inventory.book.error,
            "tenants_ignored": {"no_id": inventory.book.ignored.ids, "too_many": inventory.book.ignored.beyond},
            "runtimes": [
                {"name": each.name, "error": each.error, "expected": each.expected} for each in inventory.runtimes
            ],
            "sweeps": inventory.sweeps,
            "watched_cgroups": self.probes.entries(),
            "unwatched_containers": inventory.unwatched,
            "not_recorded": self.probes.missing(),
        }
