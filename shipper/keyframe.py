"""Writes keyframes: whose stream this is, which containers live, what runs and is open. A reader can begin at one."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shipper.cmdlines import Cmdlines
from shipper.losses import Losses
from shipper.probes import Probes
from shipper.spool import Before
from shipper.wire.records import AgentStart, End, HostInfo

BOOT_ID, MACHINE_ID = Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id")
SNAPSHOT_POLL_SECONDS = 0.002
ARGUMENTS_SECONDS = 0.2


@dataclass(slots=True)
class Keyframes:
    """What a keyframe is made of, but for its marks, the clock and what the inventory knows."""

    probes: Probes
    losses: Losses
    capture_host: bool
    version: str

    def host(self, now: int) -> HostInfo:
        """Whose stream this is. `now`: boot time in ns."""
        return HostInfo(
            time=now,
            capture_host=int(self.capture_host),
            host_name=platform.node().encode(errors="surrogateescape"),
            host_id=id_of(MACHINE_ID).hex().encode(),
            boot_id=BOOT_ID.read_bytes().strip(),
            kernel=platform.release().encode(),
            version=self.version.encode(),
            architecture=platform.machine().encode(),
            system=_distribution().encode(errors="surrogateescape"),
        )

    def processes(self, meanwhile: Callable[[], None], arguments: Cmdlines) -> bool:
        """Send running processes and open terminals through the ring, draining it `meanwhile`; True: none was lost.

        The processes' `arguments` are waited for only a moment: what comes later stands behind the keyframe.
        """
        lost = self.losses.snapshots()
        thread = threading.Thread(target=self.probes.snapshot, name="snapshot")
        thread.start()
        while thread.is_alive():
            meanwhile()
            thread.join(SNAPSHOT_POLL_SECONDS)
        meanwhile()
        late = time.monotonic() + ARGUMENTS_SECONDS
        while arguments.open and time.monotonic() < late:
            time.sleep(SNAPSHOT_POLL_SECONDS)
            meanwhile()
        return self.losses.snapshots() == lost


def start(before: Before, now: int) -> AgentStart:
    """An agent begins: what was not recorded since the last one, if there was one."""
    blind = before.time if before.end != End.NONE else 0
    return AgentStart(time=now, agent_pid=os.getpid(), blind_since=blind, end=before.end)


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:  # there is none
        return ""


def id_of(file: Path) -> bytes:
    """16 bytes from a file that holds 32 hexadecimal digits, dashes allowed; zeros when there is none."""
    try:
        return bytes.fromhex(file.read_text().strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)
