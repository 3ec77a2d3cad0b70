"""Reads a topic to its end and stores nothing, as a process of its own: what it prints is what that took of memory.

python -m tests.servers.drain SERVERS TOPIC GROUP
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection
from pathlib import Path

from enrich.kafka.source import KafkaSource
from enrich.sources import Refused, Taken
from shipper.wire.broker import Broker, Topics


class _Nobody:
    """A taker that counts."""

    taken = 0

    def begin(self, partition: str, committed: int, oldest: int) -> int:  # noqa: ARG002  as a Taker
        return oldest

    def expire(self, partition: str, oldest: int) -> None:
        pass

    def take(self, partition: str, taken: Taken | Refused) -> None:  # noqa: ARG002  as a Taker
        self.taken += 1

    def end(self, partition: str) -> None:
        pass

    def leave(self, partitions: Collection[str], *, lost: bool = False) -> None:
        pass


def _most() -> int:
    """Bytes that were resident at the most: proc_pid_status(5), VmHWM."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(told["VmHWM"].split()[0]) << 10


if __name__ == "__main__":
    source = KafkaSource(Broker((sys.argv[1],), Topics(raw=sys.argv[2]), sys.argv[3]), "", threading.Event(), once=True)
    nobody = _Nobody()
    before = _most()
    while source.read(nobody, 1):
        pass
    source.close()
    print(nobody.taken, before, _most())
