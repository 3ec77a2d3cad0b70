"""The data folder: whether it can be written, has room, and is read by nobody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from shipper.wire.segment import streams

_LEAST_BYTES = 64 << 20
_WHAT = "data folder"
_KINDS = {
    "tmpfs": "what is recorded is gone after a reboot: choose a folder on a disk with --data",
    "ramfs": "what is recorded is gone after a reboot: choose a folder on a disk with --data",
    "overlay": "what is recorded goes with this container: mount a volume there",
    "nfs": "SQLite needs a local disk: choose another folder with --data",
    "nfs4": "SQLite needs a local disk: choose another folder with --data",
    "cifs": "SQLite needs a local disk: choose another folder with --data",
    "smb3": "SQLite needs a local disk: choose another folder with --data",
    "9p": "SQLite needs a local disk: choose another folder with --data",
}
"""File systems that are good for less, and what to do."""


def look(config: Config) -> Iterator[Finding]:
    """The folder, or where it will be made."""
    folder = config.folder.absolute()
    there = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not there.is_dir():
        kind = "a link to nothing" if there.is_symlink() and not there.exists() else "no folder"
        yield Finding(_WHAT, Level.BAD, f"{there} is {kind}", "remove it, or choose another folder with --data")
        return
    yield _written(config, there)
    yield from _kind(there)
    if there == folder:
        yield from _private(folder)


def _written(config: Config, there: Path) -> Finding:
    name = config.data if there == config.folder.absolute() else f"{config.data} (will be made)"
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize
    found = f"{name}: {free >> 20:,} MiB free"
    if room.f_flag & os.ST_RDONLY:
        return Finding(
            _WHAT, Level.BAD, f"{found}, file system is read-only", "remount it, or choose another with --data"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        advice = f"run it as {there}'s owner or as root, or choose another folder with --data"
        return Finding(_WHAT, Level.BAD, f"{found}, not writable for uid {os.geteuid()}", advice)
    if free < _LEAST_BYTES or (room.f_files and not room.f_favail):
        what = "no inodes" if room.f_files and not room.f_favail else "full"
        return Finding(_WHAT, Level.BAD, f"{found}, {what}", "make room, or choose another folder with --data")
    wanted = config.spool.max_bytes - sum(stream.size for stream in streams(config.spool_folder))
    if free < wanted:
        advice = "make room, or lower spool.max_bytes: a full disk costs records, a full spool is told in time"
        return Finding(_WHAT, Level.NOTE, f"{found}, and the spool may take {wanted >> 20:,} MiB more", advice)
    return Finding(_WHAT, Level.OK, found)


def _kind(there: Path) -> Iterator[Finding]:
    kind = file_system(there)
    if kind in _KINDS:
        yield Finding(_WHAT, Level.NOTE, f"on {kind}", _KINDS[kind])


def _private(folder: Path) -> Iterator[Finding]:
    status = folder.stat()
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        found = f"others may look into it (mode {stat.S_IMODE(status.st_mode):04o})"
        yield Finding(_WHAT, Level.NOTE, found, f"command lines hold passwords: chmod 700 {folder}")
    if status.st_uid not in {0, os.geteuid()}:
        found = f"it belongs to uid {status.st_uid}, who can change what is recorded"
        yield Finding(_WHAT, Level.NOTE, found, f"chown {os.geteuid()} {folder}")


def file_system(folder: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """The kind of file system that a folder is on; empty when it is not told (btrfs has devices of its own)."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.read_text(errors="surrogateescape").split("\n"):
        before, _, after = line.partition(" - ")
        if before.split(" ")[2:3] == [number]:
            return after.partition(" ")[0]
    return ""
