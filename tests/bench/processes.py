"""What a process costs, as the kernel counts it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.kernel.dockerd import cgroup2_mount

_PRIVATE = re.compile(r"^Private_(?:Clean|Dirty): +(\d+) kB", re.MULTILINE)
_CPU_CLOCK = 2
"""CPUCLOCK_SCHED of the kernel: a process's clock counts nanoseconds of its threads, ended ones included."""


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far; the id of its clock is made as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def private_bytes(pid: int) -> int:
    """Memory that would be free without the process."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return (
        sum(int(kilobytes) for kilobytes in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", rollup, re.MULTILINE))
        * 1024
    )


def open_files(pid: int) -> int:
    """How many file descriptors are open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    """How many threads there are."""
    return len(os.listdir(f"/proc/{pid}/task"))


def maps_of(pid: int) -> dict[str, int]:
    """Name → id of the BPF maps that a process holds."""
    found = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            if number := re.search(r"^map_id:\s+(\d+)", info.read_text(), re.MULTILINE):
                found[_bpftool("map", "show", "id", number[1])["name"]] = int(number[1])
    return found


def map_owners(number: int) -> list[int]:
    """The cgroup that each entry of a BPF map is of: the first eight bytes of its key."""
    entries: list[dict[str, list[str]]] = _bpftool("map", "dump", "id", str(number))
    return [int.from_bytes(bytes(int(byte, 16) for byte in entry["key"][:8]), "little") for entry in entries]


def live_cgroups() -> set[int]:
    """The ids of all cgroups that there are."""
    return {os.stat(folder).st_ino for folder, _, _ in os.walk(cgroup2_mount())}


def size_of(files: Iterable[Path]) -> int:
    """Bytes of files, some of which may go meanwhile."""
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def _bpftool(*arguments: str) -> Any:
    answer = subprocess.run(["bpftool", "--json", *arguments], capture_output=True, check=True).stdout
    return json.loads(answer)
