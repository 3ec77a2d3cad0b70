"""What the kernel says of the programs at a terminal: who has its foreground, where that is, and who."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.fidelity.person import Line

USERS = {"0": "root", "1000": "alice"}


@dataclass(frozen=True)
class Foreground:
    """Who has a terminal's foreground: /proc/PID/stat's tpgid, and state and processor time of that group's leader."""

    group: int
    state: str
    ticks: int


def foreground(pid: int) -> Foreground:
    """Of the terminal of a process; a group 0 that sleeps where it has ended."""
    try:
        fields = _stat(pid)
        leader = _stat(int(fields[5]))
    except (OSError, ValueError):
        return Foreground(0, "S", 0)
    return Foreground(int(fields[5]), leader[0], int(leader[11]) + int(leader[12]))


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def doubt(pid: int, line: Line) -> str:
    """What the kernel says of a process otherwise than a line; empty where they agree."""
    try:
        cwd = os.readlink(f"/proc/{pid}/cwd")
        uid = re.search(r"^Uid:\t\d+\t(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return ""
    user = USERS.get(uid[1] if uid else "")
    return "" if (cwd, user) == (line.cwd, line.user) else f"{user} is in {cwd}, not {line.user} in {line.cwd}"
