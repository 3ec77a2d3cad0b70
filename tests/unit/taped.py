"""A store with sessions that were made by hand, as documents: what `cgtrail sessions`,
`journal`, `replay` and `export` read."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cgtrail.recordings.events import Recording
from cgtrail.recordings.find import one
from enrich.document import Document
from enrich.sinks import OK
from enrich.sinks.sqlite import SqliteSink
from enrich.stores.sqlite import SqliteStore
from enrich.stores.values import timestamp

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
NOON = 1_795_305_600 * SECOND + 43_200 * SECOND
"""2026-11-22T12:00:00Z."""
ID = "3f2a" * 4


@dataclass
class Tape:
    """A session that is recorded; `at` is nanoseconds since its start. Nothing is stored before `store`."""

    id: str = ID
    start: int = NOON
    container: str = "web"
    size: tuple[int, int] = (80, 24)
    user: tuple[str, str] = ("0", "root")
    documents: list[Document] = field(default_factory=list)
    lines: int = 0
    number: int = 0
    offset: int = 0

    def add(self, kind: str, action: str, at: int, **groups: Any) -> Document:
        """Any document of this session."""
        own = groups.pop("cgtrail", {})
        source = {
            "@timestamp": timestamp(self.start + at),
            "event": {
                "id": f"{self.id}-{len(self.documents)}",
                "sequence": len(self.documents),
                "action": action,
                "dataset": f"cgtrail.{kind}",
            }
            | groups.pop("event", {}),
            "host": {"name": "lab"},
            "container": {"id": "cafe0123" * 8, "name": self.container},
            "user": {"id": self.user[0], "name": self.user[1]},
            "process": groups.pop("process", {}),
            "cgtrail": {"entry": "exec", **own, "session": {"id": self.id, "tty": "pts/0"} | own.get("session", {})},
        }
        document = Document(str(source["event"]["id"]), self.start + at, kind, source | groups)
        self.documents.append(document)
        return document

    def opened(self, **groups: Any) -> Tape:
        """It begins."""
        tty = {"char_device": {"major": 136, "minor": 0}, "rows": self.size[1], "columns": self.size[0]}
        self.add("session", "session_opened", 0, process={"pid": 7, "name": "sh", "tty": tty}, **groups)
        return self

    def closed(self, at: int, **totals: Any) -> Tape:
        """It ends."""
        event = {"start": timestamp(self.start), "end": timestamp(self.start + at), "duration": at}
        own = {"session": {"shown": self.offset, "skipped": 0, "reason": "hangup"} | totals}
        self.add("session", "session_closed", at, event=event, cgtrail=own)
        return self

    def shown(
        self, text: str, at: int = 0, timing: str | None = None, *, skipped: tuple[tuple[int, int], ...] = ()
    ) -> Tape:
        """Text, of which so many bytes were skipped at so many bytes of it: ((offset, length), …)."""
        gaps = [{"offset": offset, "length": length} for offset, length in skipped]
        lost, captured = sum(length for _, length in skipped), len(text.encode())
        shown = {"type": "tty", "text": text, "total_bytes_captured": captured, "total_bytes_skipped": lost}
        if gaps:
            shown["bytes_skipped"] = gaps
        self._terminal("text_output", at, {"io": shown}, f">{len(text)}" if timing is None else timing)
        self.offset += captured + lost
        return self

    def typed(self, text: str, at: int) -> Tape:
        """A line is taken by a program."""
        self._terminal("text_input", at, {"io": {"type": "tty", "text": text}}, "")
        return self

    def masked(self, length: str, at: int) -> Tape:
        """A password is taken by a program."""
        self._terminal("text_input", at, {}, "", masked={"kind": "password", "length": length})
        return self

    def lost(self, documents: int, size: int) -> Tape:
        """Documents that nobody has any more."""
        self.number += documents
        self.offset += size
        return self

    def command(
        self,
        line: str,
        at: int,
        ended: int | None = None,
        *,
        exit_code: int | None = None,
        prompt: str = "root@web:/srv# ",
        role: str = "command",
        continues: str | None = None,
        program: str = "bash",
        cwd: str = "/srv",
        output: str | None = None,
        label: str = "unrelated",
        tenants: tuple[str, ...] = ("t1",),
        tty: str = "pts/0",
        confidence: str = "high",
    ) -> str:
        """A line is typed and, with `ended`, done at that time; its id."""
        self.lines += 1
        name = f"{self.id}-9-{self.lines}"
        command: dict[str, Any] = {"id": name, "line": line, "number": self.lines, "prompt": prompt, "role": role}
        command["confidence"] = confidence
        if continues is not None:
            command["continues"] = continues
        shell: dict[str, Any] = {
            "entity_id": "life-7",
            "pid": 7,
            "name": program,
            "working_directory": cwd,
            "interactive": True,
        }
        groups: dict[str, Any] = {"tenant": {"id": list(tenants)}, "command": command, "session": {"tty": tty}}
        event: dict[str, Any] = {"id": f"r{self.lines}-{self.id}-command", "type": ["start"]}
        self.add("command", "command_started", at, process=dict(shell), event=dict(event), cgtrail=groups)
        if ended is not None:
            event |= {"id": f"{event['id']}-end", "type": ["end"], "start": timestamp(self.start + at)}
            event |= {"end": timestamp(self.start + ended), "duration": ended - at}
            done = shell | ({} if exit_code is None else {"exit_code": exit_code})
            command = command | {"ended": "prompt", "class": label}
            if output is not None:
                command["output"] = {"text": output, "bytes": len(output), "skipped": 0}
            self.add(
                "command", "command_ended", ended, process=done, event=event, cgtrail=groups | {"command": command}
            )
        return name

    def ran(self, line: str, at: int, command: str = "", parent: int = 7, pid: int = 20, **own: Any) -> Tape:
        """A program is started, by a typed line or by none."""
        process = {
            "entity_id": f"life-{pid}",
            "pid": pid,
            "name": line.split(maxsplit=1)[0],
            "command_line": line,
            "parent": {"entity_id": f"life-{parent}", "pid": parent, "name": f"n{parent}"},
        }
        groups = {"tenant": {"id": ["t1"]}} | ({"command": {"id": command}} if command else {}) | own
        self.add("process", "exec", at, process=process, cgtrail=groups)
        return self

    def _terminal(self, action: str, at: int, process: dict[str, Any], timing: str, **more: Any) -> None:
        self.number += 1
        terminal = {"number": self.number, "timing": timing, "offset": self.offset, **more}
        own = {"terminal": {name: value for name, value in terminal.items() if value != ""}}
        self.add("terminal", action, at, process=process, cgtrail=own)

    def store(self, data: Path) -> Tape:
        """All of it reaches the store of a data folder."""
        with closing(SqliteSink(data / "store", 36_500, clock=lambda: NOON / SECOND)) as sink:
            assert set(sink.write(self.documents)) == {OK}
        return self

    def recording(self, data: Path) -> Recording:
        """It as it is read again."""
        self.store(data)
        store = SqliteStore(data / "store")
        return Recording(store, one(store, self.id))
