"""Writes a storm into a spool as an agent would; as a process of its own it can be killed and goes on where it was.

python -m tests.faults.writer SPOOL SEED TICKS PAUSE
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from shipper.spool import Spool
from shipper.wire.segment import Stream, streams
from tests.faults.storm import HOST, Boot, Told, storm


def begun(spool: Path) -> list[Stream]:
    """The streams that hold frames: one a boot."""
    return [stream for stream in streams(spool) if any(segment.head() for segment in stream.segments())]


def append(spool: Spool, frame: Told) -> None:
    """Commit one frame."""
    if frame.keyframe:
        spool.keyframe()
    spool.time = frame.time
    spool.add(frame.payload, len(frame.records))
    assert not spool.commit(), spool.error


def write(folder: Path, boots: list[Boot], pause: float = 0, host: bytes = HOST) -> None:
    """Write what is not in the spool yet; the newest of its streams is the boot it stands in."""
    for boot in boots[max(len(begun(folder)) - 1, 0) :]:
        with Spool(folder, host, boot.id) as spool:
            for frame in boot.frames[spool.number :]:
                append(spool, frame)
                time.sleep(pause)


if __name__ == "__main__":
    write(Path(sys.argv[1]), storm(int(sys.argv[2]), int(sys.argv[3])), float(sys.argv[4]))
