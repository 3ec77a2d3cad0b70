"""Cgroups of the cgroup2 hierarchy: where it is mounted, what is in it, and whose a path is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shipper.runtimes import news

DEMO = "cgtrail-demo"
"""The runtime's name of the container that `cgtrail demo` makes."""
_ID = "[0-9a-f]{64}"
_BUILD = "[0-9a-z]{25}"
"""An id of BuildKit's (its identity.NewID)."""
# Runtime, namespace of the runtime, pattern of whole components whose only group is the container's id or name. Where
# several match, the outermost counts; of those that begin at the same place, the first.
_PATTERNS = (
    (DEMO, "", rf"/{DEMO}/({_ID})"),
    ("docker", "", rf"/docker/(?:buildx/)?({_ID})"),
    ("docker", "", rf"/docker-({_ID})(?:\.scope)?"),
    ("buildkit", "", rf"/buildkit/({_BUILD})"),
    ("buildkit", "", rf"/(?:docker|buildkit)-({_BUILD})\.scope"),
    ("containerd", "k8s.io", rf"/cri-containerd-({_ID})\.scope"),
    # A systemd path given to a runtime that takes it for a plain name.
    ("containerd", "k8s.io", rf"/[^/:]+\.slice:cri-containerd:({_ID})"),
    ("containerd", "", rf"/nerdctl-({_ID})\.scope"),
    ("cri-o", "", rf"/crio-({_ID})(?:\.scope)?"),
    # With cgroupfs a pod of Podman's is /libpod_parent/<id>, which is no container's.
    ("podman", "", rf"(?:/libpod_parent/{_ID})?/libpod-(?:payload-)?({_ID})(?:\.scope)?"),
    ("lxc", "", r"/lxc\.payload\.([^/]+)"),
    ("lxc", "", r"/lxc(?:\.payload)?/([^/]+)"),
    ("nspawn", "", r"/systemd-nspawn@([^/]+)\.service/payload"),
    ("libvirt-lxc", "", r"/machine-lxc\\x2d\d+\\x2d([^/]+)\.scope"),
    # Beside its payload lives nspawn itself; a virtual machine is a process of the host's.
    ("nspawn", "", r"/machine-(?!qemu|lxc\\x2d)([^/]+)\.scope(?!/supervisor(?:/|\Z))"),
    ("", "", rf"(?<!/libpod_parent)/({_ID})"),
)
_CONTAINER = re.compile("|".join(rf"({pattern})(?=/|\Z)" for _, _, pattern in _PATTERNS))
"""Of each pattern two groups: all of it, and the id. Each begins with '/' and stays within a few components, so that
no name that a container chooses makes it slow."""
_POD = re.compile(
    r"[-/]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"  # static pods have a hash as their uid
    r"(?=\.slice[/:]|/)"
)
_USER = re.compile(r"/user\.slice/user-(\d+)\.slice/")
_NAMED = frozenset({"lxc", "nspawn", "libvirt-lxc"})
"""Runtimes whose ids are names, which people choose."""
_LEAF_LINKS = 2
"""Links of a folder without folders in it (kernfs_refresh_inode)."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH = 4096
"""Characters of a path: whoever nests without end must not fill the memory with them."""


class Cgroup2MissingError(RuntimeError):
    """This host has no cgroup2 hierarchy mounted; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The container that a cgroup belongs to, as its path tells it."""

    container_id: str
    """Its name, with a runtime that knows containers by names only."""
    runtime: str
    """docker, containerd, …; empty when the path does not tell."""
    name: str
    """The container's name, where the path tells it."""
    path: str
    """The container's topmost cgroup."""
    scope: str = ""
    """The runtime's namespace, where the path tells it."""
    user: str = ""
    """The uid in whose slice it lies, where any user may give any name; empty elsewhere."""
    pod_id: str = ""
    """Uid of its Kubernetes pod."""

    @property
    def key(self) -> str:
        """Its name in the stream, as far as the path tells it: of a bare id only that."""
        return news.key(self.runtime, self.container_id, self.scope, self.user)


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
    r"""Whose a cgroup path is; None for the host's own.

    The outermost match counts: whatever a container makes below its own cgroup is its own, whatever name it gives it.
    Helpers of runtimes (conmon, lxc.monitor, nspawn's supervisor) are the host's. Names that systemd escaped (\x2d) are
    shown as they were.
    """
    match = _CONTAINER.search(path)
    if match is None or match.lastindex is None:
        return None
    runtime, scope, _ = _PATTERNS[match.lastindex // 2]
    container_id, outside = match[match.lastindex + 1], path[: match.end()]
    slice_ = _USER.match(path)
    user = slice_[1] if slice_ else ""
    if runtime not in _NAMED:
        pod = _POD.search(outside)
        pod_id = pod[1].replace("_", "-") if pod else ""
        return Owner(container_id, runtime, DEMO if runtime == DEMO else "", outside, scope, user, pod_id)
    if runtime != "lxc":
        container_id = _unescape_unit(container_id)
    return Owner(container_id, runtime, container_id, outside, scope, user)


def topmost(root: Path, placed: Owner) -> int:
    """The id of a container's topmost cgroup: whose counters its other cgroups share. Raises FileNotFoundError."""
    return os.stat(f"{root}{placed.path}").st_ino


def walk(root: Path, unread: list[str] | None = None) -> Iterator[tuple[int, str]]:
    """(cgroup id, path below the root) of every cgroup; an id is the directory's inode (kernfs).

    One that goes meanwhile is passed over; one that can't be looked into is added to `unread`. However deep they are
    nested, one descriptor is open at a time, and of a path only the beginning is told.
    """
    try:
        at = os.open(root, _FOLDER)
    except FileNotFoundError:
        return
    try:
        yield os.fstat(at).st_ino, "/"
        levels = [("", _inside(at))]
        while levels:
            path, folders = levels[-1]
            if not folders:
                levels.pop()
                at = _go(at, "..") if levels else at  # it is known even to a folder that was removed
                continue
            number, name = folders.pop()
            below = f"{path}/{name}"[:_PATH]
            yield number, below
            try:
                # Most cgroups have none below them, and dozens of files: one look is cheaper than reading them all.
                if os.stat(name, dir_fd=at, follow_symlinks=False).st_nlink != _LEAF_LINKS:
                    at = _go(at, name)
                    levels.append((below, _inside(at)))
            except FileNotFoundError:
                continue
            except OSError:
                if unread is not None:
                    unread.append(below)
    finally:
        os.close(at)


def _go(at: int, name: str) -> int:
    """A folder opened from another, which is closed."""
    opened = os.open(name, _FOLDER, dir_fd=at)
    os.close(at)
    return opened


def _inside(at: int) -> list[tuple[int, str]]:
    """Inodes and names of the folders in an open one; nothing once that is gone."""
    with suppress(FileNotFoundError), os.scandir(at) as entries:
        return [(entry.inode(), entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def populated(folder: Path) -> bool:
    """Whether a cgroup or one below has a process (cgroup.events); True where that can't be told."""
    try:
        return "populated 0" not in (folder / "cgroup.events").read_text()
    except OSError:
        return True


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _unescape_unit(text: str) -> str:
    """systemd.unit(5), "String escaping": of its bytes, some are written as \\xNN."""
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), os.fsencode(text))
    return os.fsdecode(raw)
