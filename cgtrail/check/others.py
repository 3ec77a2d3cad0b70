"""Who else records here: on this data folder, or on this host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from enrich.statefile import own_file
from shipper.lock import holder
from shipper.status import LOCK


def look(config: Config) -> Iterator[Finding]:
    """Holders of this folder's locks, then other agents among the processes that can be seen."""
    for role, file in (("agent", config.folder / LOCK), ("worker", own_file(config.folder, "lock"))):
        pid = holder(file)
        if pid is not None:
            yield Finding(role, Level.OK, f"{pid or '(starting)'} works on {config.data}")
    for pid, folder in sorted(agents(Path("/proc"))):
        if not _same(folder, config.folder):
            advice = "both record everything, each for itself, at twice the cost; stop it if that is not meant"
            yield Finding("installation", Level.NOTE, f"another agent, {pid}, works on {folder}", advice)


def agents(proc: Path) -> Iterator[tuple[int, Path]]:
    """(process, data folder) of agents, by the locks that they hold. Those of other containers can't be seen."""
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is not ours to look at
            if b"ship" not in (process / "cmdline").read_bytes():
                continue
            for fd in os.listdir(process / "fd"):
                file = Path(os.readlink(process / "fd" / fd))
                if file.name == LOCK and "OFDLCK" in (process / "fdinfo" / fd).read_text():
                    yield int(process.name), file.parent


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
