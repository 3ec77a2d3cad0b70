"""Cgroups of the cgroup2 hierarchy: where it is mounted, what is in it, and whose a path is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEMO = "cgtrail-demo"
"""The runtime's name of the container that `cgtrail demo` makes."""
_ID = r"[0-9a-f]{64}"
# Ordered: the first that matches names the runtime. Each must match whole components of a path.
_PATTERNS = [
    (DEMO, re.compile(rf"/{DEMO}/({_ID})(?=/|$)")),
    ("docker", re.compile(rf"/(?:docker/|docker-)({_ID})(?:\.scope)?(?=/|$)")),
    ("containerd", re.compile(rf"/(?:cri-containerd|nerdctl)-({_ID})\.scope(?=/|$)")),
    # A systemd path given to a runtime that takes it for a plain name.
    ("containerd", re.compile(rf"/[^/:]+\.slice:cri-containerd:({_ID})(?=/|$)")),
    ("cri-o", re.compile(rf"/crio-({_ID})(?:\.scope)?(?=/|$)")),
    # With cgroupfs a pod of Podman's is /libpod_parent/<id>, which is no container's.
    ("podman", re.compile(rf"(?:/libpod_parent/{_ID})?/libpod-({_ID})(?:\.scope)?(?=/|$)")),
    ("lxc", re.compile(r"/lxc\.payload\.([^/]+)(?=/|$)")),
    ("", re.compile(rf"(?<!/libpod_parent)/({_ID})(?=/|$)")),
]


class Cgroup2MissingError(RuntimeError):
    """This host has no cgroup2 hierarchy mounted; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The container that a cgroup belongs to."""

    container_id: str
    runtime: str
    """docker, containerd, …; empty when the path does not tell."""
    name: str
    """The container's name, where the path tells it."""
    path: str
    """The container's topmost cgroup."""


def mount_point(mountinfo: Path = Path("/proc/self/mountinfo")) -> Path:
    """Where cgroup2 is mounted. Raises Cgroup2MissingError."""
    found = mounted("cgroup2", mountinfo)
    if found is None:
        raise Cgroup2MissingError(
            "no cgroup2 file system is mounted: cgtrail tells containers apart by it. "
            "Boot with systemd.unified_cgroup_hierarchy=1, or mount it: mount -t cgroup2 none /sys/fs/cgroup/unified"
        )
    return found


def mounted(kind: str, mountinfo: Path = Path("/proc/self/mountinfo"), option: str = "") -> Path | None:
    """Where a file system of this kind is mounted, with this option of its own (proc(5), mountinfo); None: nowhere."""
    for line in mountinfo.read_text(errors="surrogateescape").split("\n"):
        before, _, after = line.partition(" - ")
        found, _, rest = after.partition(" ")
        if found == kind and (not option or option in rest.rpartition(" ")[2].split(",")):
            return Path(_unescape(before.split(" ")[4]))
    return None


def owner(path: str) -> Owner | None:
    """Whose a cgroup path is; None for the host's own.

    The outermost match counts: whatever a container makes below its own cgroup is its own, whatever name it gives it.
    """
    found = [(runtime, match) for runtime, pattern in _PATTERNS if (match := pattern.search(path))]
    if not found:
        return None
    runtime, match = min(found, key=lambda item: item[1].start())
    name = {"lxc": match[1], DEMO: DEMO}.get(runtime, "")
    return Owner(match[1], runtime, name, path[: match.end()])


def topmost(root: Path, placed: Owner) -> int:
    """The id of a container's topmost cgroup: whose counters its other cgroups share. Raises FileNotFoundError."""
    return os.stat(f"{root}{placed.path}").st_ino


def walk(root: Path) -> Iterator[tuple[int, str]]:
    """(cgroup id, path below the root) of every cgroup; an id is the directory's inode (kernfs)."""
    for folder, _, _ in os.walk(root):
        try:
            yield os.stat(folder).st_ino, folder.removeprefix(str(root)) or "/"
        except FileNotFoundError:
            continue


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
