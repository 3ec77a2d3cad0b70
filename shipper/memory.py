"""How much memory the cgroup of this process still allows: the kernel kills who takes more, without a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shipper import cgroups

LOADING_BYTES = 54 << 20
"""What the verifier and the other maps take beside the ring while the programs are loaded; measured on Linux 6.18."""


_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache", "total_shmem")
_VERSION_2 = ("memory.max", "memory.current", "file", "shmem")
"""Files of the limit and of what is used; keys of memory.stat for the page cache, and for what of it can't give way."""
_UNLIMITED = 1 << 62
"""Version 1 has no word for "none", but the largest number."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The tightest limit that holds for this process."""

    file: Path
    """Where it stands, and can be changed."""
    limit: int
    used: int
    """Bytes, without those that would give way: page cache, the kernel's own caches, and what there is swap for."""

    @property
    def room(self) -> int:
        """Bytes."""
        return max(0, self.limit - self.used)


class MemoryLimitError(RuntimeError):
    """The memory limit of this cgroup is too small; the message names it."""


def require(wanted: int) -> None:
    """Raises MemoryLimitError when that many bytes more would get this process killed."""
    found = tightest()
    if found and found.room < wanted:
        raise MemoryLimitError(
            f"{found.file} allows {_mib(found.limit)}, of which {_mib(found.room)} are left, and {_mib(wanted)} are "
            "needed: raise the limit (docker run --memory, MemoryMax=), or lower capture.ring_bytes"
        )


def tightest(proc: Path = Path("/proc/self")) -> Limit | None:
    """The limit with the least room, in this cgroup or above it; None when there is none or it can't be read."""
    try:
        swap = _swap_free(proc.parent / "meminfo")
        return min(_limits(proc, swap), key=lambda found: found.room, default=None)
    except (OSError, ValueError):
        return None


def _swap_free(meminfo: Path) -> int:
    for line in meminfo.read_text().splitlines():
        if line.startswith("SwapFree:"):
            return int(line.split()[1]) << 10
    return 0


def _limits(proc: Path, swap: int) -> Iterator[Limit]:
    mountinfo = proc / "mountinfo"
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            names, root = _VERSION_2, cgroups.mounted("cgroup2", mountinfo)
        elif "memory" in controllers.split(","):
            names = _VERSION_1
            root = cgroups.mounted("cgroup", mountinfo, "memory")
        else:
            continue
        if root:
            yield from _upwards(root, path, names, swap)


def _upwards(root: Path, path: str, names: tuple[str, str, str, str], swap: int) -> Iterator[Limit]:
    limit, usage, cache, shared = names
    folder = root / path.strip("/")
    while True:
        file = folder / limit
        allowed = _number(file)
        swap = min(swap, _number(folder / "memory.swap.max"))
        if allowed < _UNLIMITED:
            told = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            gives_way = int(told.get(cache, 0)) - int(told.get(shared, 0)) + int(told.get("slab_reclaimable", 0)) + swap
            yield Limit(file, allowed, max(0, _number(folder / usage) - gives_way))
        if folder == root or root not in folder.parents:
            return
        folder = folder.parent


def _number(file: Path) -> int:
    text = file.read_text().strip() if file.exists() else "max"
    return _UNLIMITED if text == "max" else int(text)


def _mib(size: int) -> str:
    return f"{size >> 20:,} MiB"
