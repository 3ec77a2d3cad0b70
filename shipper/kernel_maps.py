"""What the kernel's maps and the program that changes them hold, in the kernel's own layout."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import bpf.events  # noqa: F401  declares its records
from bpf.enums import Cause, Policy, Watch
from bpf.schema import RECORDS

WATCHED = struct.Struct("<QIIIIQQQIIQQQQQQ")
"""struct watched of bpf/watch.h: owner, watch, policy, children, crowded, seen, and ten that say what it holds."""
LOSS_KEY = struct.Struct("<QII")
"""struct loss_key of bpf/record.h: owner, cause, type."""
CONTROL = struct.Struct("<IIQQ")
"""struct control of bpf/control.bpf.c: operation, policy, cgroup, owner."""
CGROUP_ID = COUNT = struct.Struct("<Q")
_KERNEL_CAUSES = (Cause.RING_FULL, Cause.NARROWED, Cause.OVER_BUDGET)


def watched_entry(owner: int, watch: Watch, seen: int = 0) -> bytes:
    """What the kernel's map `watched` holds of a cgroup; `seen`: an owner's records so far."""
    return WATCHED.pack(owner, watch, Policy.EXEC, 0, 0, seen, *[0] * 10)


def entries_at_first(name: str, birth: Policy) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of what a map holds before anything is recorded. `birth`: of containers that are made."""
    if name == "watched":
        yield CGROUP_ID.pack(0), watched_entry(0, Watch.NONE)
    elif name == "birth":
        yield bytes(4), birth.to_bytes(4, "little")
    elif name == "losses":
        for key in loss_keys(0):  # they also take what no other entry has room for
            yield key, bytes(8)


def loss_keys(owner: int) -> Iterator[bytes]:
    """Whatever the kernel may count of an owner."""
    for number, cls in RECORDS.items():
        if cls.layout.family:
            for cause in _KERNEL_CAUSES:
                yield LOSS_KEY.pack(owner, cause, number)
