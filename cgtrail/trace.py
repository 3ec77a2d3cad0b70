"""`cgtrail trace`: raw kernel records as JSON lines."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

from bpf.enums import EVERYTHING
from bpf.schema import decode
from cgtrail.config import Config
from cgtrail.records import shown, write
from shipper import cgroups
from shipper.probes import Probes
from shipper.wire.frame import MAX_PAYLOAD, walk

POLL_SECONDS = 0.025


def run(config: Config, *, count: int | None, content: bool) -> None:
    """Print records until interrupted, or `count` of them. Raises CaptureError and Cgroup2MissingError.

    `content`: also what terminals show and what is typed there.
    """
    root = cgroups.mount_point()
    with Probes(config.capture.ring_bytes, config.capture.host, birth=EVERYTHING) as probes:
        _watch_running(probes, root)
        probes.snapshot()
        left = -1 if count is None else count
        while True:
            for span, _, _ in probes.ring.drain(frozenset(), MAX_PAYLOAD):
                for offset, length in walk(span):
                    write(shown(decode(span, offset, length), content=content))
                    left -= 1
                    if left == 0:
                        return
            sys.stdout.flush()
            time.sleep(POLL_SECONDS)


def _watch_running(probes: Probes, root: Path) -> None:
    for number, path in cgroups.walk(root):
        placed = cgroups.owner(path)
        if placed:
            with suppress(FileNotFoundError):  # it has ended meanwhile
                probes.watch(number, cgroups.topmost(root, placed), EVERYTHING)
