"""Which life of which terminal a record is about: the sessions that are known, and how one is told from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from bpf.enums import TerminalFlag
from bpf.events import Terminal, TtyInput, TtyOpen, TtyOutput
from enrich.item import Identity, Item, Process
from enrich.steps.host import Host
from enrich.steps.processes import ProcessTree
from enrich.steps.registry import RegistryView
from enrich.terminals.session import Session, begin
from enrich.terminals.telling import allowed
from enrich.terminals.witnesses import Witnesses

MOST = 16384
"""Sessions that are known at once, as many as the kernel's own map holds; beyond, the one longest quiet is closed."""
_FOUND = int(TerminalFlag.FOUND)


class End(Protocol):
    """Closes a session; `own`: the item's record is what ends it, and ends no other."""

    def __call__(self, item: Item, session: Session, reason: str, *, own: bool = False) -> None:
        """Close it for a reason."""
        ...


@dataclass(slots=True, eq=False)
class Lives:
    """The sessions that are known: a part of the worker's state."""

    newest: dict[tuple[int, int], Session] = field(default_factory=dict)
    """The newest life of each terminal; the least recently used first."""
    leaders: dict[int, Session] = field(default_factory=dict)
    """Process id of a session's leader → its session."""
    busy: dict[str, Session] = field(default_factory=dict)
    """Those that time does something to, by their id."""
    ended: dict[str, Session] = field(default_factory=dict)
    """Those that are remembered, in the order in which they ended."""
    keyframe: int = 0

    def of(self, leader: Process | Identity) -> Session | None:
        """The session that a process leads."""
        session = self.leaders.get(leader.pid)
        same = session is None or session.leader is None or session.leader.entity_id == leader.entity_id
        return session if same else None

    def around(self, process: Process) -> Session | None:
        """The session that a process belongs to, whatever terminal it has itself."""
        return self.of(process.session_leader) if process.session_leader is not None else None

    def lead(self, session: Session, pid: int) -> None:
        """A process is a session's leader."""
        if session.leader_pid != pid:
            if self.leaders.get(session.leader_pid) is session:
                del self.leaders[session.leader_pid]
            session.leader_pid, session.leader, session.used = pid, None, True
        self.leaders[pid] = session

    def forget(self, session: Session) -> None:
        """Nothing of it will come any more."""
        self.ended.pop(session.id, None)
        self.busy.pop(session.id, None)
        current = self.newest.get(session.key)
        if current is session:
            del self.newest[session.key]
        elif current is not None and current.previous is session:
            current.previous = None
        if self.leaders.get(session.leader_pid) is session:
            del self.leaders[session.leader_pid]


class Finding:
    """Finds a record's session among those known, or begins one. `end` closes one for a reason, `pause` flushes it."""

    def __init__(
        self,
        host: Host,
        registry: RegistryView,
        tree: ProcessTree,
        witnesses: Witnesses,
        end: End,
        pause: Callable[[Item, Session], None],
    ) -> None:
        self._host, self._registry, self._tree, self._witnesses = host, registry, tree, witnesses
        self._end, self._pause = end, pause

    def find(self, lives: Lives, item: Item, record: Terminal) -> Session | None:
        """The session that a record is about; None where it is one that is long over."""
        key = record.device, record.index
        session = lives.newest.pop(key, None)
        if session is None:
            return self._begin(lives, item, record)
        lives.newest[key] = session  # the most recently used
        if session.generation == record.generation:
            return session
        found = bool(record.terminal_flags & _FOUND)
        if record.generation < session.generation and not found:
            before = session.previous
            return before if before is not None and before.generation == record.generation else None
        if found and not session.ended and self._is_same(session, record):
            self._resume(item, session, record)
            return session
        self._end(item, session, "reused")
        if session.previous is not None:
            self._end(item, session.previous, "reused")
        del lives.newest[key]
        new = self._begin(lives, item, record)
        new.previous, session.previous = session, None
        return new

    def note(self, lives: Lives, item: Item, session: Session, record: Terminal) -> None:
        """What every record of a terminal says of it."""
        session.keyframe = lives.keyframe
        session.typed, session.unwritten = max(session.typed, record.typed), max(session.unwritten, record.unwritten)
        if record.home != session.home or session.epoch is None:
            session.home = record.home
            session.epoch = self._registry.known(record.home) or item.epoch
        session.unasked, session.allowed = allowed(session.epoch)
        if record.leader:
            self._lead(lives, session, record.leader)
        if record.shown > session.output:
            session.recording.miss(record.shown - session.output)
            session.output = record.shown
        moved = isinstance(record, (TtyOutput, TtyInput))
        session.used |= moved
        if session.ended and moved:  # without its leader, or with another life behind it, not for long
            lives.ended.pop(session.id, None)
            session.go_on(record, item.time, bool(session.ending) or lives.newest.get(session.key) is not session)
            session.first = session.identity(item.id)
        if moved:
            session.last = record.time
        lives.busy[session.id] = session

    def _lead(self, lives: Lives, session: Session, pid: int) -> None:
        """A process leads it: perhaps another one than before, with which it lives on."""
        found, before = self._tree.at(pid), session.leader
        same = before is None or (pid == before.pid and (found is None or found.entity_id == before.entity_id))
        if not same and session.ending and not session.ended:
            session.ending, session.reason, session.leader = 0, "", None
        lives.lead(session, pid)
        if session.leader is None:
            session.leader = found

    def _begin(self, lives: Lives, item: Item, record: Terminal) -> Session:
        made = begin(record, self._host.boot, item.id, record.time, item.time)
        made.opener = self._witnesses.find(record.opener) if record.opener else None
        if made.opener is not None:
            made.opened_by = made.opener.name
            outer = lives.around(made.opener)
            made.parent = outer.id if outer is not None and not outer.ended else ""
        if isinstance(record, TtyOpen) or record.terminal_flags & _FOUND:  # what went before is not counted as skipped
            made.partial = True
            made.output, made.consumed, made.surplus = record.shown, record.consumed, None
        lives.newest[record.device, record.index] = made
        if len(lives.newest) > MOST:
            oldest = next(iter(lives.newest.values()))
            self._end(item, oldest, "forgotten")
            lives.forget(oldest)
        return made

    def _is_same(self, session: Session, record: Terminal) -> bool:
        """Whether a terminal that is seen for the first time is one that is known: its session leader is the same."""
        leader = self._tree.at(record.leader)
        if not record.leader or record.leader != session.leader_pid:
            return False
        return leader is None or session.leader is None or leader.entity_id == session.leader.entity_id

    def _resume(self, item: Item, session: Session, record: Terminal) -> None:
        """The agent started again, and counts from 0."""
        self._pause(item, session)
        shown, consumed, typed = session.before
        session.before = shown + session.output, consumed + session.consumed, typed + session.typed
        session.generation, session.output, session.consumed = record.generation, record.shown, record.consumed
        session.surplus, session.ahead, session.typed = None, 0, 0
        session.recording.broken = True
