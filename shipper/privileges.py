"""What this process may do: capabilities, and the namespaces it stands in."""

from __future__ import annotations

import os
from pathlib import Path

NEEDED = {"CAP_PERFMON": 38, "CAP_BPF": 39}
"""Capabilities that loading the kernel programs takes, by their bits (<linux/capability.h>)."""
_CAP_SYS_ADMIN = 21
"""Stands for both."""
_INITIAL = {"user": 0xEFFFFFFD, "pid": 0xEFFFFFFC, "cgroup": 0xEFFFFFFB}
"""Inodes of the host's own namespaces (include/linux/proc_ns.h of the kernel)."""


def missing_capabilities(status: Path = Path("/proc/self/status")) -> list[str]:
    """Names of the needed capabilities that are not effective. Raises OSError without /proc."""
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
            if effective >> _CAP_SYS_ADMIN & 1:
                return []
            return [name for name, bit in sorted(NEEDED.items()) if not effective >> bit & 1]
    return []


def inner_namespaces() -> list[str]:
    """Kinds of namespaces (user, pid, cgroup) in which this process is not with the host. Raises OSError."""
    return [kind for kind, inode in _INITIAL.items() if os.stat(f"/proc/self/ns/{kind}").st_ino != inode]
