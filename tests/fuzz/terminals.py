"""Streams in which shells, and programs that mean harm, type and paint at terminals, start and end."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bpf.enums import Change
from bpf.events import TtyChange, TtyInput, TtyOutput, TtySignal, TtyWrite
from bpf.schema import Record
from shipper.wire.frame import wrap
from shipper.wire.records import Tick
from tests.fuzz.worker import NEXT_FRAME, gap
from tests.unit.stream import container, end, exec_, fork

_BITS = [
    b"$ ", b"> ", b"Password: ", b"key> ", b"\r", b"\n", b"\r\n", b"\x03", b"\x04", b"\x7f", b"\t", b"\x0f",
    b"\x16\r", b"\x1b[K", b"\x1b[J", b"\x1b[1J", b"\x1b[2J", b"\x1b[H", b"\x1b[99999;99999H", b"\x1b[65535C",
    b"\x1b[A", b"\x1b[3D", b"\x1b[65535B", b"\x1b[9999@", b"\x1b[2P", b"x\x1b[9999b", b"\x1b7", b"\x1b8",
    b"\x1b[?2004h", b"\x1b[?2004l\r", b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b]133;A\x07",
    b"\x1b]7;file://h/\xff\x07", b"\x1b]0;open", b"\x1b[9;9R", b"\x1b[", b"\x1b[200~", b"\x1b[201~",
    b"\x1b[7m<0301>\x1b[m", "\u6f22".encode(), "e\u0301".encode(), b"\xe6\xbc", b"\xff",
    "\u202e\u2028".encode(), b"\0", b"echo hello", b"read -s x", b"export TOKEN=abcdefgh12345\\", b"cat <<E",
    b"E", b"'", b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----", b"*" * 8, b"x" * 300, b"\n" * 40,
]  # fmt: skip
_TYPED = st.lists(st.sampled_from(_BITS) | st.binary(max_size=8), max_size=6).map(b"".join)
_PIDS = st.integers(20, 23)
_NAMES = [b"/bin/bash", b"/bin/dash", b"/bin/ssh", b"/bin/node", b"/bin/fish", b"/bin/python3", b"/\xff"]
_TYPED_KINDS: list[type[Record]] = [TtyInput, TtyWrite, TtyChange, TtySignal, TtyOutput]


@st.composite
def _acts(draw: st.DrawFn) -> list[Record]:
    """Something that a program does at one of two terminals, or to a process; or a whole line that it edits."""
    pid, parent = draw(_PIDS), draw(_PIDS)
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return [draw(st.sampled_from([fork, end]))(pid, parent, tty=136 << 20)]
    if kind == 1:
        return [exec_(pid, parent, draw(st.sampled_from(_NAMES)), tty=136 << 20, pgid=draw(_PIDS), sid=draw(_PIDS))]
    if kind == 2:
        return [Tick()]
    told: dict[str, Any] = {"cgroup_id": 77, "home": 77, "device": 7, "generation": 5, "leader": 20, "tgid": pid}
    told |= {"start": pid * 1_000_000, "foreground": draw(_PIDS), "index": draw(st.integers(0, 1))}
    told |= {"opener": draw(st.sampled_from([0, 0, 0, 20, 21])), "oflag": draw(st.sampled_from([5, 5, 1, 0]))}
    told |= {"rows": draw(st.sampled_from([24, 0, 1, 65535])), "columns": draw(st.sampled_from([80, 0, 1, 2, 65535]))}
    told |= {"cwd": draw(st.sampled_from([b"", b"/root", b"/\xff\x1b]"])), "signal": draw(st.integers(1, 3))}
    if kind < 7:
        made = draw(st.sampled_from(_TYPED_KINDS))
        told |= {"lflag": draw(st.sampled_from([0, 1, 2, 8, 10, 11])), "change": draw(st.sampled_from(Change))}
        return [_made(made, told, draw(_TYPED), draw(st.sampled_from([0, 0, 9])))]
    raw, typed = told | {"lflag": draw(st.sampled_from([0, 1])), "change": Change.TERMIOS}, draw(_TYPED)
    return [
        _made(TtyChange, raw, b""),
        _made(TtyWrite, raw, draw(st.sampled_from(_BITS))),
        _made(TtyInput, raw, typed),
        _made(TtyWrite, raw, draw(st.sampled_from([typed, b"", b"*"]))),
        _made(TtyInput, raw, b"\r"),
        _made(TtyWrite, raw, b"\n"),
        _made(TtyChange, raw | {"lflag": 11}, b""),
    ]


def _made(kind: type[Record], told: dict[str, Any], content: bytes, missing: int = 0) -> Record:
    told = told | {"content": content, "size": len(content) + missing}
    return kind(**{name: value for name, value in told.items() if name in kind.layout.names})


def _payload(acts: list[list[Record] | bytes]) -> bytes:
    """Their records, each a millisecond later than the one before."""
    payload, time = b"", 10_000_000_000
    for act in [list(container()), [fork(20, 1)], [exec_(20, 1, b"/bin/bash", tty=136 << 20)], *acts]:
        if isinstance(act, bytes):
            payload += act
            continue
        for record in act:
            record.time = time  # type: ignore[attr-defined]
            time += 400_000_000 if isinstance(record, Tick) else 1_000_000
            payload += wrap(record.encode())
    return payload


TERMINALS = st.lists(_acts() | _acts() | _acts() | st.sampled_from([NEXT_FRAME, gap(1)]), max_size=40).map(_payload)
"""Streams of a worker (tests.fuzz.worker.pieces)."""
