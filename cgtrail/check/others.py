"""Who else records here: on this data folder, or on this host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from enrich.printable import text
from enrich.statefile import own_file
from shipper.lock import holder
from shipper.status import LOCK

_PROC = Path("/proc")
_ADVICE = "both record everything, each for itself, at twice the cost; stop it if that is not meant"


def look(config: Config) -> Iterator[Finding]:
    """Holders of this folder's locks, then other agents among the processes that can be seen."""
    for role, file in (("agent", config.folder / LOCK), ("worker", own_file(config.folder, "lock"))):
        pid = holder(file)
        if pid is not None:
            yield Finding(role, Level.OK, f"{pid or '(starting)'} works on {config.data}")
    for agent in sorted(agents(_PROC), key=lambda agent: agent.pid):
        if not agent.works_on(config.folder):
            yield Finding("installation", Level.NOTE, agent.told(), _ADVICE)


@dataclass(frozen=True, slots=True)
class Agent:
    """A process that holds an agent's lock. Anybody can make one: a container's is not believed where it works."""

    pid: int
    lock: Path
    """The lock as the process has it open, below /proc."""
    folder: Path
    here: bool
    """Whether it sees this process's file systems."""

    def works_on(self, folder: Path) -> bool:
        """Whether its lock is that of this folder, under whatever name it knows it."""
        try:
            return os.path.samefile(self.lock, folder / LOCK)
        except OSError:
            return False

    def told(self) -> str:
        """What is known of it."""
        if self.here:
            return f"another agent, {self.pid}, works on {text(str(self.folder))}"
        return f"a process that looks like an agent, {self.pid}, in another mount namespace"


def agents(proc: Path) -> Iterator[Agent]:
    """Agents, by the locks that they hold, as far as they can be seen."""
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is not ours to look at
            if "python" not in os.readlink(process / "exe"):  # its arguments might never be told (shipper.cmdlines)
                continue
            here = os.readlink(process / "ns/mnt") == os.readlink(proc / "self/ns/mnt")
            for fd in os.listdir(process / "fd"):
                file = Path(os.readlink(process / "fd" / fd))
                if file.name == LOCK and "OFDLCK" in (process / "fdinfo" / fd).read_text():
                    yield Agent(int(process.name), process / "fd" / fd, file.parent, here)
