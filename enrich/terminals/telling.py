"""The documents about sessions and terminals: kinds `session` and `terminal`, and what those about lines share."""

from __future__ import annotations

from typing import Any

from bpf.enums import Policy
from enrich import render
from enrich.documents import Documents
from enrich.item import Epoch, Item, Made, Process
from enrich.losses import ECS
from enrich.steps.entries import SSH_SERVERS
from enrich.steps.host import Host
from enrich.terminals.passwords import length_class
from enrich.terminals.recording import Draft, long
from enrich.terminals.session import Line, Session

SESSION = int(Policy.TERMINAL | Policy.OUTPUT)
TERMINAL, OUTPUT = int(Policy.TERMINAL), int(Policy.OUTPUT)
_SECOND = 1_000_000_000


def is_ready(session: Session) -> bool:
    """Whether it is known how a session was entered: its leader runs the program that it is for."""
    leader = session.leader
    if leader is None or leader.entry is None or leader.only_forked or leader.entering:
        return False
    return leader.name not in SSH_SERVERS


class Telling:
    """Makes them, and adds them to the item. Of what nobody asked for, none is made."""

    def __init__(self, host: Host, documents: Documents) -> None:
        self._host, self._documents = host, documents

    def opened(self, item: Item, session: Session) -> None:
        """A session began, or goes on after its end was told."""
        if session.told or session.ended or not session.used or not (session.unasked or session.allowed & SESSION):
            return
        session.told = True
        session.nested, session.opener = _is_nested(session), None
        stamp = session.began_unix
        source = self._session(item, session, f"{session.first}-session", stamp, "session_opened", "start")
        if session.partial:
            source["cgtrail"]["partial"] = True
        self._add(item, session, source, stamp)

    def closed(self, item: Item, session: Session, *, own: bool) -> None:
        """A session ended; `own`: the item's record is about it, and about no other."""
        if not session.told:
            return
        session.told = False
        identity = item.id if own else session.identity(item.id)
        over = item.time
        if session.ending:  # told when nothing more came for a while; it was over before
            over -= max(item.record.time - max(session.ending, session.last), 0)  # type: ignore[attr-defined]
        stamp = session.timestamp(over)
        source = self._session(item, session, f"{identity}-session-end", stamp, "session_closed", "end")
        source["event"] |= {
            "start": render.timestamp(session.began_unix),
            "end": source["@timestamp"],
            "duration": max(stamp - session.began_unix, 0),
        }
        recording = session.recording
        source.setdefault("process", {})["io"] = {
            "total_bytes_captured": recording.captured,
            "total_bytes_skipped": recording.skipped,
        }
        source["cgtrail"]["session"] |= session.totals() | {"reason": session.reason}
        if session.allowed & TERMINAL:
            source["cgtrail"]["session"]["lines"] = session.typist.number if session.typist is not None else 0
        if session.partial:
            source["cgtrail"]["partial"] = True
        self._add(item, session, source, stamp)

    def info(self, item: Item, session: Session, action: str, process: Process | None, **told: int) -> None:
        """Something about a session that somebody should look at: echo_off, input_injected, output_escaped."""
        self.opened(item, session)
        if not session.told:
            return
        stamp = session.timestamp(item.time)
        source = self._session(item, session, session.identity(item.id), stamp, action, "info")
        if process is not None:
            self.name(source, session, process, process.pid)
        source["cgtrail"]["session"] |= {name: long(count) for name, count in told.items()}
        self._add(item, session, source, stamp)

    def output(self, item: Item, session: Session, draft: Draft) -> None:
        """A piece of the recording."""
        self.opened(item, session)
        session.recording.number += 1
        source = self.source(session, draft.id, item.sequence, draft.stamp, "text_output")
        self.name(source, session, draft.process, draft.pid)
        io: dict[str, Any] = {
            "type": "tty",
            "text": "".join(draft.text),
            "total_bytes_captured": draft.captured,
            "total_bytes_skipped": long(sum(count for _, count in draft.skips)),
        }
        if draft.skips:
            io["bytes_skipped"] = [{"offset": offset, "length": count} for offset, count in draft.skips]
        source["process"] |= {"io": io, "tty": tty(session, draft.rows, draft.columns)}
        told = {"number": session.recording.number, "timing": draft.finish(), "offset": long(draft.offset)}
        source["cgtrail"]["terminal"] = told | ({"writers": draft.writers} if len(draft.writers) > 1 else {})
        if draft.partial:
            source["cgtrail"]["partial"] = True
        item.made += (Made(draft.id, draft.stamp, draft.epoch, source, OUTPUT, draft.unasked),)

    def line(self, item: Item, session: Session, line: Line, text: str) -> None:
        """What a program consumed: its text where it was echoed, only that it was and how long where it was secret."""
        self.opened(item, session)
        identity, stamp = session.identity(item.id), session.timestamp(item.time)
        source = self.source(session, identity, item.sequence, stamp, "text_input")
        self.name(source, session, line.process, line.reader)
        if line.uid != render.UNSET:
            name = source.get("user", {})
            source["user"] = name if name.get("id") == str(line.uid) else {"id": str(line.uid)}
        source["process"] |= {"tty": tty(session, session.rows, session.columns), "io": {"type": "tty"}}
        terminal: dict[str, Any] = {"offset": long(session.before[0] + session.output)}
        source["cgtrail"]["terminal"] = terminal
        if line.secret:
            terminal["masked"] = {"kind": "password", "length": length_class(line.length)}
        else:
            source["process"]["io"]["text"] = text
        item.made += (Made(identity, stamp, line.epoch, source, TERMINAL, line.unasked),)

    def _session(
        self, item: Item, session: Session, identity: str, stamp: int, action: str, type_: str
    ) -> dict[str, Any]:
        source = self.source(session, identity, item.sequence, stamp, action)
        source["event"] |= {"category": ["session"], "type": [type_], "dataset": "cgtrail.session"}
        self.name(source, session, session.leader, session.leader_pid)
        if source["process"] or session.rows or session.columns:
            source["process"]["tty"] = tty(session, session.rows, session.columns)
        own = source["cgtrail"]["session"] = dict(session.shown)
        if session.nested:
            own |= {"opener": session.opened_by} | ({"parent": session.parent} if session.parent else {})
        return source

    def source(self, session: Session, identity: str, sequence: int, stamp: int, action: str) -> dict[str, Any]:
        """What all documents about a terminal have. `sequence` is `Item.sequence`; `stamp` in ns since 1970."""
        return {
            "@timestamp": render.timestamp(stamp),
            "ecs": ECS,
            "host": self._host.fields,
            "event": {
                "id": identity,
                "sequence": sequence,
                "kind": "event",
                "category": ["process"],
                "type": ["info"],
                "action": action,
                "module": "cgtrail",
                "dataset": "cgtrail.terminal",
            },
            "cgtrail": {"session": session.shown},
        }

    def name(self, source: dict[str, Any], session: Session, process: Process | None, pid: int) -> None:
        """Say which process it was, and how its session was entered."""
        own, leader = source["cgtrail"], session.leader
        if process is not None:
            self._documents.name(source, process)
        else:
            source["process"] = {"pid": pid} if pid else {}
        entry = leader.entry if leader is not None else None
        if session.nested:
            own["entry"] = "nested"
        elif entry is not None:
            own["entry"] = entry.kind
        if entry is not None and entry.user:
            source["user"] = entry.user

    @staticmethod
    def _add(item: Item, session: Session, source: dict[str, Any], stamp: int) -> None:
        identity = source["event"]["id"]
        item.made += (Made(identity, stamp, session.epoch, source, SESSION, session.unasked),)


def allowed(epoch: Epoch | None) -> tuple[bool, int]:
    """Whether a container's policy is not known yet, and what it is."""
    container = epoch.container if epoch is not None else None
    if container is None or container.info is None:
        return True, 0
    return False, container.policy


def tty(session: Session, rows: int, columns: int) -> dict[str, Any]:
    """process.tty of a document about a session."""
    window = {"rows": rows, "columns": columns} if rows or columns else {}
    return {"char_device": render.device(session.tty)} | window


def _is_nested(session: Session) -> bool:
    """Whether its opener is one of the container's own programs, and not who let somebody in.

    A runtime's stage opens the terminal that it then leads itself, an SSH server that of a login.
    """
    opener, leader = session.opener, session.leader
    if opener is None or session.opened_by in SSH_SERVERS or opener.entering:
        return False
    if opener.epoch is None or opener.epoch.is_host:
        return False
    if opener is leader:
        return opener.entry is not None and opener.entry.leader is not opener.identity
    return True
