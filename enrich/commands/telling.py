"""The documents about typed lines, kind `command`: one when its Return was consumed, one when it is over."""

from __future__ import annotations

from typing import Any

from enrich import render
from enrich.commands.command import Command, Taker, identity
from enrich.commands.masking import Masking
from enrich.commands.outcome import last_program, names
from enrich.commands.output import shown
from enrich.documents import flag
from enrich.item import Item, Made, Process
from enrich.lines.typed import Confidence, Moment, Reason, Role, Typed
from enrich.terminals.session import Session
from enrich.terminals.telling import TERMINAL, Telling, allowed, tty


class CommandTelling:
    """Makes them, and adds them to the item."""

    def __init__(self, telling: Telling, masking: Masking) -> None:
        self._telling, self._masking = telling, masking

    def started(self, item: Item, taker: Taker, typed: Typed, process: Process | None, continues: str) -> Command:
        """A line was typed to a program; `continues`: id of the line that it is a part of."""
        session = taker.session
        self._telling.opened(item, session)
        typist = session.typist
        assert typist is not None
        typist.number += 1
        own_cgroup = item.epoch is not None and getattr(item.record, "tgid", 0) == typed.who.pid
        epoch = item.epoch if own_cgroup else session.epoch
        unasked, _ = allowed(epoch)
        prompt, line, masked = self._masking.line(typist.stream, taker, typed, epoch)
        told: dict[str, Any] = {"id": identity(session, typed), "number": typist.number, "line": line}
        told |= {"prompt": prompt} if prompt else {}
        told |= {"role": typed.role.value, "class": "unrelated", "confidence": typed.confidence.value}
        told["reasons"] = [reason.value for reason in typed.reasons]
        told |= {"continues": continues} if continues else {}
        told |= {"masked": True} if masked else {}
        document = f"{typed.at.id}-{session.id}-command" + (f"-{typed.part}" if typed.part else "")
        unix = typed.at.unix + typed.part
        source = self._telling.source(session, document, typed.at.sequence, unix, "command_started")
        source["event"] |= {"type": ["start"], "dataset": "cgtrail.command"}
        self._telling.name(source, session, process, typed.who.pid)
        self._who(source, session, typed, process)
        source["cgtrail"]["command"] = told
        made = Command(told["id"], document, typed.at, epoch, unasked, source, offset=shown(session))
        if typed.role is Role.COMMAND:
            made.names, made.last = names(line), last_program(line)
        self._add(item, made, document, unix, _copied(source))
        return made

    def ended(self, item: Item, command: Command, at: Moment, why: str) -> None:
        """It is over, and its `shown` is what its output is told as."""
        source = _copied(command.source)
        unix = max(at.unix, command.at.unix)
        document = f"{command.document}-end"
        source["@timestamp"] = render.timestamp(unix)
        source["event"] |= {
            "id": document,
            "sequence": at.sequence,
            "type": ["end"],
            "action": "command_ended",
            "start": command.source["@timestamp"],
            "end": source["@timestamp"],
            "duration": max(at.time - command.at.time, 0),
        }
        code = command.exit_code()
        if code is not None:
            source["process"]["exit_code"] = code
            source["event"]["outcome"] = "failure" if code else "success"
        told = source["cgtrail"]["command"]
        told |= {"ended": why, "execs_count": command.execs_count}
        if command.execs:
            told["execs"] = list(command.execs)
        if command.started:
            told["reasons"] = [*told["reasons"], Reason.STARTED.value]
            if told["confidence"] == Confidence.MEDIUM:
                told["confidence"] = Confidence.HIGH.value
        told |= {"output": command.shown} if command.shown else {}
        told |= {"masked": True} if command.masked else {}
        self._add(item, command, document, unix, source)

    @staticmethod
    def _who(source: dict[str, Any], session: Session, typed: Typed, process: Process | None) -> None:
        """Who typed it, and where, as the kernel had it then."""
        own: dict[str, Any] = source["process"]
        own |= {"interactive": True, "tty": tty(session, session.rows, session.columns)}
        if typed.cwd:
            own["working_directory"] = render.text(typed.cwd)[0]
        flag(source["cgtrail"], typed.cwd_flags)
        source.pop("user", None)
        if typed.uid != render.UNSET:
            user = {"id": str(typed.uid)}
            container = process.epoch.container if process is not None and process.epoch is not None else None
            if process is not None and container is not None:
                name = container.user(typed.uid, process.mount_ns, process.user_ns)
                user |= {"name": name} if name else {}
            source["user"] = own["user"] = user

    @staticmethod
    def _add(item: Item, command: Command, document: str, unix: int, source: dict[str, Any]) -> None:
        unasked, policy = allowed(command.epoch)
        if unasked or policy & TERMINAL:
            item.made += (Made(document, unix, command.epoch, source, TERMINAL, command.unasked),)


def _copied(source: dict[str, Any]) -> dict[str, Any]:
    """A document's source to be added to: what is not changed is shared."""
    own = dict(source["cgtrail"])
    own["command"] = dict(own["command"])
    return source | {"event": dict(source["event"]), "process": dict(source["process"]), "cgtrail": own}
