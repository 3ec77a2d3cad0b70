"""Compares a record with the report that its process printed about itself."""

from __future__ import annotations

import os

from bpf.events import Image, Task
from tests.kernel.capture import Report

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
UNSET = 2**32 - 1
MINOR_BITS = 20


def plain(hexadecimal: str | None) -> bytes:
    """The bytes that a report has in hexadecimal."""
    return bytes.fromhex(hexadecimal or "")


def arguments(report: Report) -> bytes:
    """The arguments as they lie in memory."""
    return b"".join(plain(argument) + b"\0" for argument in report["args"])


def device(major: int, minor: int) -> int:
    """The kernel's own device number (include/linux/kdev_t.h)."""
    return major << MINOR_BITS | minor


def task_of(record: Task) -> dict[str, object]:
    """What a record and a report both say of a process."""
    return {
        "pid": record.vpid,
        "uids": [record.real_uid, record.uid, record.saved_uid],
        "gid": record.gid,
        "capabilities": record.capabilities,
        "login_uid": record.login_uid,
        "audit_session": record.audit_session,
        "tty": record.tty,
        "start": record.start * CLOCK_TICKS // 10**9,
        "comm": record.comm,
        "namespaces": (record.mount_ns, record.pid_ns, record.user_ns),
    }


def task_told(report: Report) -> dict[str, object]:
    """The same from the report."""
    tty = report["tty"]
    return {
        "pid": report["pid"],
        "uids": report["uids"],
        "gid": report["gids"][1],
        "capabilities": report["capabilities"],
        "login_uid": report["login_uid"] % (UNSET + 1),
        "audit_session": report["audit_session"] % (UNSET + 1),
        "tty": device(os.major(tty), os.minor(tty)),
        "start": report["start"],
        "comm": plain(report["comm"]),
        "namespaces": (report["mount_ns"], report["pid_ns"], report["user_ns"]),
    }


def image_of(record: Image) -> dict[str, object]:
    """What a record and a report both say of a program and the process that runs it."""
    image = {
        "cwd": record.cwd,
        "exe": record.exe,
        "inode": record.exe_inode,
        "device": record.exe_device,
        "args": record.args,
        "args_bytes": record.args_bytes,
        "error": record.error,
        "flags": record.flags,
        "permitted": record.permitted,
    }
    return task_of(record) | image


def image_told(report: Report) -> dict[str, object]:
    """The same from the report."""
    image = {
        "cwd": plain(report["cwd"]),
        "exe": plain(report["exe"]),
        "inode": report["exe_inode"],
        "device": device(*report["exe_device"]),
        "args": arguments(report),
        "args_bytes": len(arguments(report)),
        "error": 0,
        "flags": 0,
        "permitted": report["permitted"],
    }
    return task_told(report) | image
