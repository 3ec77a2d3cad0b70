"""Names of a container's users and groups as its own files say: asked in a child, by `shipper.users`.

Imports nothing of ours: it is loaded as a file (`shipper.expendable_child`). Files are opened beneath the container's
root and nowhere else (openat2(2), RESOLVE_IN_ROOT), and only regular files are. Nothing but ids and names is kept.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import NamedTuple

STAMP = struct.Struct("<I10Q")
"""What was read: mount namespace; of each file dev, ino, size, mtime and ctime in ns, zeros when there is none."""
NEVER = bytes(STAMP.size)
ANSWER = struct.Struct(f"<BxxxIIQ{STAMP.size}s")
"""Status, names left out, bytes of users, bytes that were read, stamp; users follow, then groups."""
NOT_YET, SAME, NEW = range(3)
"""No process of it, or it is being made, or its files do not keep still; the stamp is the known one; it is not."""
FILE_BYTES = 16 << 20
"""A larger file is not read: its names count as one that is left out."""
LINES = 200_000
"""Of a file; what stands behind is left out, each line one name."""
NAME_BYTES = 256
USERS_BYTES, GROUPS_BYTES = 96 << 10, 64 << 10
"""Of ids and names; ids below 1000 come first, then the file's order."""
_SYSTEM_IDS = 1000
_OTHER_IDS = 16384
"""Other ids whose names are told or known to be left out: so many are kept in mind, more than have room."""
_TRIES = 3
_PROCESSES, _FOLDERS, _PROCS_BYTES = 64, 256, 4096
"""Of a container, at most so many are looked at."""
_PARENT, _START = 1, 19
"""Places in /proc/PID/stat, counted from behind the name (proc(5): fields 4 and 22)."""
_ID_DIGITS = 20
"""An id with more is none."""
_OPENAT2 = 437
"""The same on every architecture since Linux 5.6, but Alpha."""
_HOW = struct.pack("<QQQ", os.O_PATH | os.O_CLOEXEC, 0, 0x10 | 0x02)
"""struct open_how: flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS. Mounts are crossed: runtimes mount files."""
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class NotYetError(Exception):
    """Nothing can be told now; later perhaps."""


class File(NamedTuple):
    """One file: its stamp, and its content if it was read."""

    stamp: tuple[int, ...]
    content: bytes | None
    left_out: int = 0
    """1: there is something, and it is not read."""


NOTHING = (0, 0, 0, 0, 0)


def answer(question: bytes) -> bytes:
    """The names of a container. The question: the stamp that is known, and the folder of its topmost cgroup."""
    known, folder = question[: STAMP.size], question[STAMP.size :]
    try:
        with _root(folder) as (root, mount_ns):
            return _names(root, mount_ns, known)
    except (NotYetError, OSError, ValueError, IndexError):
        return ANSWER.pack(NOT_YET, 0, 0, 0, known)


def _names(root: int, mount_ns: int, known: bytes) -> bytes:
    looked = [read(root, name, content=False) for name in (b"etc/passwd", b"etc/group")]
    stamp = STAMP.pack(mount_ns, *looked[0].stamp, *looked[1].stamp)
    if stamp == known:
        return ANSWER.pack(SAME, 0, 0, 0, stamp)
    passwd, group = read(root, b"etc/passwd"), read(root, b"etc/group")
    users, no_users = parse(passwd.content or b"", USERS_BYTES, ids=2)
    groups, no_groups = parse(group.content or b"", GROUPS_BYTES, ids=1)
    left_out = min(no_users + no_groups + passwd.left_out + group.left_out, 2**32 - 1)
    size = len(passwd.content or b"") + len(group.content or b"")
    stamp = STAMP.pack(mount_ns, *passwd.stamp, *group.stamp)
    return ANSWER.pack(NEW, left_out, len(users), size, stamp) + users + groups


@contextmanager
def _root(folder: bytes) -> Iterator[tuple[int, int]]:
    """The root directory of a container, and its mount namespace. Raises NotYetError and OSError."""
    at, pid = _first_process(folder)
    process = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # below one folder everything is of the same process, even if its number is used again meanwhile
        mount_ns = os.stat("ns/mnt", dir_fd=process).st_ino
        root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process)
        try:
            there = os.fstat(root)
            if pid not in _processes(at) or mount_ns != os.stat("ns/mnt", dir_fd=process).st_ino:
                raise NotYetError  # the last stat says that this process still is
            # a runtime joins the cgroup before it enters the container's root (pivot_root(2))
            if (there.st_dev, there.st_ino) in _outer_roots(_stat(pid)[_PARENT] if at == folder else b"1"):
                raise NotYetError
            yield root, mount_ns
        finally:
            os.close(root)
    finally:
        os.close(process)


def _outer_roots(parent: bytes) -> set[tuple[int, int]]:
    """Roots that are no container's: the host's, the agent's own, and that of the runtime which starts a container."""
    found = set()
    for path in ("/", "/proc/1/root", f"/proc/{int(parent)}/root"):
        with suppress(OSError):
            there = os.stat(path)
            found.add((there.st_dev, there.st_ino))
    return found


def _first_process(folder: bytes) -> tuple[bytes, int]:
    """The oldest process of a cgroup, or of the first below it that has any: what users make of it is younger."""
    found = _processes(folder)
    if not found:
        folder, found = _below(folder)
    _, pid = min((_start(pid), pid) for pid in found)
    return folder, pid


def _below(folder: bytes) -> tuple[bytes, list[int]]:
    """A container's init may have moved itself into a child: systemd does, and Podman's."""
    level = [folder]
    looked = 0
    while level and looked < _FOLDERS:
        with_children = [_children(each) for each in level]
        level = [child for children in with_children for child in children][: _FOLDERS - looked]
        looked += len(level)
        for child in level:
            if found := _processes(child):
                return child, found
    raise NotYetError


def _children(folder: bytes) -> list[bytes]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(each.path for each in islice(entries, 2 * _FOLDERS) if each.is_dir(follow_symlinks=False))
    return []


def _processes(folder: bytes) -> list[int]:
    with suppress(OSError):  # gone, or a cgroup of threads
        opened = os.open(folder + b"/cgroup.procs", os.O_RDONLY | os.O_CLOEXEC)
        try:
            lines = os.read(opened, _PROCS_BYTES).split(b"\n")
        finally:
            os.close(opened)
        return [pid for line in lines[:-1][:_PROCESSES] if (pid := int(line))]  # 0: of another pid namespace
    return []


def _start(pid: int) -> float:
    with suppress(OSError, IndexError):
        return int(_stat(pid)[_START])
    return float("inf")


def _stat(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb") as opened:
        return opened.read(_PROCS_BYTES).rpartition(b") ")[2].split()


def read(root: int, name: bytes, *, content: bool = True) -> File:
    """A file beneath a directory, or of it the stamp only. Raises NotYetError when it does not keep still."""
    for _ in range(_TRIES):
        try:
            found = _read(root, name, content=content)
        except OSError as error:
            if error.errno == errno.EAGAIN:  # a mount or a rename came between, or somebody holds a lease
                continue
            return File(NOTHING, None, int(error.errno not in {errno.ENOENT, errno.ENOTDIR}))
        if found:
            return found
    raise NotYetError


def _read(root: int, name: bytes, *, content: bool) -> File | None:
    place = _openat2(root, name)
    try:
        before = os.fstat(place)
        stamp = _stamp(before)
        if not stat.S_ISREG(before.st_mode) or before.st_size > FILE_BYTES:
            return File(stamp, None, 1)
        if not content:
            return File(stamp, None)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        # what has effects when it is opened, a FIFO or a device, has been told from a file by now
        with open(os.open(f"/proc/self/fd/{place}", flags), "rb") as opened:
            data = opened.read(before.st_size)  # not what it grows by meanwhile
            return File(stamp, data) if _stamp(os.fstat(opened.fileno())) == stamp else None
    finally:
        os.close(place)


def _openat2(root: int, name: bytes) -> int:
    found = int(_libc.syscall(ctypes.c_long(_OPENAT2), ctypes.c_int(root), name, _HOW, ctypes.c_size_t(len(_HOW))))
    if found < 0:
        raise OSError(ctypes.get_errno(), "openat2")
    return found


def _stamp(there: os.stat_result) -> tuple[int, ...]:
    times = (there.st_mtime_ns % 2**64, there.st_ctime_ns % 2**64)  # before 1970 they are negative
    return there.st_dev, there.st_ino, there.st_size, *times


def parse(content: bytes, most: int, *, ids: int) -> tuple[bytes, int]:
    """<id>:<name>, NUL between two, in at most so many bytes; and how many names were left out.

    Lines are name:password:id, in passwd(5) with another id behind (`ids` 2), in group(5) without (1). The first name
    of an id counts, as in getpwuid(3), which passes over comments and what begins with + or - as well.
    """
    lines, left_out = io.BytesIO(content), 0
    system, others, room = dict[int, bytes](), dict[int, bytes](), most + 1
    for line in islice(lines, LINES):
        stripped = line.strip()
        if not stripped or stripped[0] in b"#+-":
            continue
        name, *fields = line.rstrip(b"\n").lstrip().split(b":", ids + 2)
        numbers = [_id(field) for field in fields[1 : ids + 1]]
        if len(numbers) < ids or None in numbers:
            left_out += 1
            continue
        number = numbers[0] or 0
        if number in system or number in others:
            continue
        good = 0 < len(name) <= NAME_BYTES and b"\0" not in name
        entry = b"%d:%b" % (number, name) if good else b""
        if number < _SYSTEM_IDS:
            system[number] = entry
        elif len(others) < _OTHER_IDS and len(entry) < room:
            others[number] = entry
            room -= len(entry) + 1 if entry else 0
        else:
            room = 0  # and for nobody behind it: a later name of the same id would pass for its first
            left_out += 1
    behind = content[lines.tell() :]
    left_out += behind.count(b"\n") + (bool(behind) and not behind.endswith(b"\n"))
    told, room = list[bytes](), most + 1
    for entry in (*system.values(), *others.values()):
        if entry and len(entry) < room:
            told.append(entry)
            room -= len(entry) + 1
        else:
            left_out += 1
    return b"\0".join(told), left_out


def _id(field: bytes) -> int | None:
    """A 32-bit number, or None."""
    if len(field) > _ID_DIGITS or not field.isdigit():
        return None
    number = int(field)
    return number if number < 2**32 else None
