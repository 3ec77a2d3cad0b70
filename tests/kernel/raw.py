"""A capture that keeps what left the kernel byte for byte, to be searched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bpf.events import Header
from bpf.schema import decode
from shipper.probes import MAX_CGROUPS, RING_BYTES, Probes
from shipper.wire.frame import MAX_PAYLOAD, walk
from tests.kernel.capture import Capture

FRAGMENT = 4
"""So many characters in a row of a secret are one."""


@dataclass
class Raw(Capture):
    """Kernel programs at work; `raw` has the bytes of all records since it was emptied."""

    raw: bytearray = field(default_factory=bytearray)

    def drain(self) -> None:
        """Take what is in the ring."""
        for span, _, _ in self.probes.ring.drain(frozenset(), MAX_PAYLOAD):
            self.raw += bytes(span)
            for offset, length in walk(span):
                decoded = decode(span, offset, length)
                assert isinstance(decoded, Header)
                self.records.append(decoded)

    def found(self, secret: bytes) -> set[bytes]:
        """The parts of a secret that are anywhere in the records."""
        parts = {secret[i : i + FRAGMENT] for i in range(len(secret) - FRAGMENT + 1)}
        return {part for part in parts if part in self.raw}


@contextmanager
def raw_capture() -> Iterator[Raw]:
    """Load the kernel programs and record containers until the end of the block."""
    with Probes(RING_BYTES, capture_host=False, max_cgroups=MAX_CGROUPS) as probes:
        yield Raw(probes)
