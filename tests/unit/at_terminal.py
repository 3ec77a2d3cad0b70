"""Records of a terminal made by hand: one that a shell leads in a container, and what happens at it."""

from __future__ import annotations

from typing import Any

from bpf.enums import Change, TerminalFlag
from bpf.events import Terminal, TtyChange, TtyInput, TtyOpen, TtyOutput, TtyWrite
from tests.unit.stream import BOX, Stream, container, exec_, fork

TTY = 136 << 20
LINES, ECHOED, SILENT, RAW = 0o2 | 0o10, 0o2 | 0o10, 0o2, 0
"""c_lflag: lines with echo, the same, lines without, and key by key without."""
SHELL = 20


class At:
    """A terminal, with the kernel's own counts."""

    def __init__(self, index: int = 0, *, leader: int = SHELL, generation: int = 5, **fields: Any) -> None:
        known = {"cgroup_id": BOX, "home": BOX, "device": 77, "rows": 24, "columns": 80, "lflag": ECHOED}
        self.fields: dict[str, Any] = known | {"index": index, "generation": generation, "leader": leader}
        self.fields |= {"foreground": leader, "tgid": leader} | fields
        self.shown = self.consumed = self.drained = 0

    def _block(self, fields: dict[str, Any]) -> dict[str, Any]:
        return self.fields | {"shown": self.shown, "consumed": self.consumed} | fields

    def output(self, content: bytes, size: int | None = None, **fields: Any) -> TtyOutput:
        """It showed something; `size` bytes, of which the last are `content`."""
        size = len(content) if size is None else size
        self.drained += size
        known = {"writer": self.fields["leader"], "writers": 1, "drained": self.drained}
        made = TtyOutput(**self._block(known | {"size": size, "content": content} | fields))
        self.shown += size
        return made

    def skip(self, count: int) -> None:
        """It showed what no record tells of."""
        self.shown += count
        self.drained += count

    def input(self, content: bytes, lflag: int = ECHOED, **fields: Any) -> TtyInput:
        """A program consumed something; without echo it is a secret, which the kernel keeps."""
        secret = lflag == SILENT
        flags = int(TerminalFlag.SECRET) if secret else 0
        told = {"size": len(content), "content": b"" if secret else content, "lflag": lflag, "terminal_flags": flags}
        made = TtyInput(**self._block(told | fields))
        self.consumed += len(content)
        return made

    def write(self, content: bytes, lflag: int = RAW, **fields: Any) -> TtyWrite:
        """A program wrote what belongs to a line being edited."""
        return TtyWrite(**self._block({"size": len(content), "content": content, "lflag": lflag} | fields))

    def change(self, change: Change, **fields: Any) -> TtyChange:
        """Something was changed."""
        return TtyChange(**self._block({"change": change} | fields))

    def open(self, **fields: Any) -> TtyOpen:
        """A keyframe tells of it."""
        return TtyOpen(**self._block(fields))

    def any(self, cls: type[Terminal], **fields: Any) -> Terminal:
        """A record of any class."""
        return cls(**self._block(fields))


def shell(stream: Stream, terminal: At, pid: int = SHELL, parent: int = 1) -> list[dict[str, Any]]:
    """A shell is put into the container, as by docker exec -it. Returns the documents."""
    tty = TTY | terminal.fields["index"]
    init = fork(pid, parent, vpid=1, parent_comm=b"runc")
    return stream.feed(init, terminal.change(Change.CONTROL), exec_(pid, parent, b"/bin/bash", tty=tty))


def begun(**fields: Any) -> tuple[Stream, At]:
    """A container with a shell at a terminal."""
    stream, terminal = Stream(), At()
    stream.feed(*container(**fields))
    shell(stream, terminal)
    return stream, terminal


def actions(documents: list[dict[str, Any]]) -> list[str]:
    """What happened."""
    return [document["event"]["action"] for document in documents]


def of(documents: list[dict[str, Any]], action: str) -> list[dict[str, Any]]:
    """The documents of one action."""
    return [document for document in documents if document["event"]["action"] == action]
