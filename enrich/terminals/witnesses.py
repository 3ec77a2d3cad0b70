"""Processes that act on terminals, by their ids, also those that ended a moment ago."""

from __future__ import annotations

from enrich.item import Process
from enrich.steps.processes import ProcessTree
from enrich.terminals.session import Session

MEMORY_NS = 2_000_000_000
"""How long one is remembered: what it wrote is shown when whoever shows it gets to it."""
_MOST = 4096


class Witnesses:
    """The process tree, and those of it that were at a terminal and ended."""

    def __init__(self, tree: ProcessTree) -> None:
        self._tree = tree
        self.gone: dict[int, tuple[int, Process]] = {}
        """Process id → when it ended (boot time in ns), and what it was. State of the step that has it."""

    def find(self, pid: int, session: Session | None = None) -> Process | None:
        """The process that has an id, or had it a moment ago."""
        found = self._tree.at(pid)
        if found is not None:
            return found
        if pid in self.gone:
            return self.gone[pid][1]
        leader = session.leader if session is not None else None
        return leader if leader is not None and leader.pid == pid else None

    def end(self, process: Process, time: int) -> None:
        """A process at a terminal ended."""
        self.gone.pop(process.pid, None)
        self.gone[process.pid] = time, process
        if len(self.gone) > _MOST:
            del self.gone[next(iter(self.gone))]

    def forget(self, now: int) -> None:
        """Time passed."""
        while self.gone:
            pid, (time, _) = next(iter(self.gone.items()))
            if abs(now - time) <= MEMORY_NS:
                return
            del self.gone[pid]
