"""What happens at terminals, in words: documents of the kinds session and terminal."""

from __future__ import annotations

from typing import Any

from cgtrail import lives
from cgtrail.lives import short
from enrich.stores.query import Term, any_of

DATASETS = ("cgtrail.session", "cgtrail.terminal")
ALERTS = {
    "echo_off": "echo is off over several lines",
    "input_injected": "input was injected",
    "output_escaped": "output escaped the recording",
}
"""What somebody should look at: event.action, and what it says in short."""
RECORDING = any_of([Term("event.action", "text_output"), Term("event.action", "text_input")])
"""Documents that are pieces of a recording: who watches what happens has them replayed instead."""


def told(document: dict[str, Any]) -> str:
    """One line on what happened, without time and container; safe for a terminal."""
    session = document.get("cgtrail", {}).get("session", {})
    tty = short(str(session.get("tty", "?")), 16)
    match document["event"]["action"]:
        case "session_opened":
            what = f"session opened on {tty}: {_entry(document)}{_by(document)}{_partial(document)}"
        case "session_closed":
            what = f"session closed on {tty}{_after(document)}: {_bytes(session)}{_attention(session)}"
        case "echo_off":
            what = f"ECHO OFF over several lines on {tty}{_reader(document)}: {_count(session, 'masked')} inputs masked"
        case "input_injected":
            what = f"INPUT INJECTED on {tty}{_reader(document)}: {_count(session, 'injected')} bytes"
        case "output_escaped":
            what = f"OUTPUT ESCAPED the recording on {tty}{_reader(document)}: {_escaped(session)}"
        case "text_output" | "text_input" as action:
            what = f"{tty}: {_piece(document, action)}"
        case action:
            what = f"session {short(str(action))} on {tty}"
    return f"{what} [{short(str(session.get('id', '?')), 16)}]"


def dangerous(document: dict[str, Any]) -> bool:
    """Somebody should look at it."""
    return document["event"]["action"] in ALERTS


def _entry(document: dict[str, Any]) -> str:
    opener = document["cgtrail"]["session"].get("opener")
    return f"nested in {short(str(opener), 16)}" if opener else lives.entry(document)


def _by(document: dict[str, Any]) -> str:
    whom = f" by {lives.named(document)}" if lives.user(document)[0] else ""
    program = document.get("process", {}).get("name")
    return f"{whom}, {short(str(program), 16)}" if program else whom


def _partial(document: dict[str, Any]) -> str:
    return "; it was open before" if document["cgtrail"].get("partial") else ""


def _after(document: dict[str, Any]) -> str:
    lasted = document["event"].get("duration")
    return "" if lasted is None else f" after {lives.duration(lasted)}"


def _bytes(session: dict[str, Any]) -> str:
    return f"{_count(session, 'shown')} bytes shown, {_count(session, 'skipped')} skipped"


def _attention(session: dict[str, Any]) -> str:
    names = ("masked", "injected", "escaped")
    return "".join(f", {_count(session, name)} {name}" for name in names if session.get(name))


def _escaped(session: dict[str, Any]) -> str:
    known = f"{_count(session, 'escaped')} bytes" if session.get("escaped") else "nobody knows how much"
    return f"{known}, {_count(session, 'uring')} calls of io_uring" if session.get("uring") else known


def _count(session: dict[str, Any], name: str) -> str:
    return f"{session.get(name, 0):,d}"


def _reader(document: dict[str, Any]) -> str:
    process = document.get("process", {})
    return f" by {short(str(process['name']), 16)} {process.get('pid', 0):d}" if process.get("name") else ""


def _piece(document: dict[str, Any], action: str) -> str:
    io, terminal = document.get("process", {}).get("io", {}), document["cgtrail"].get("terminal", {})
    who, text = short(str(document.get("process", {}).get("name", "?")), 16), short(str(io.get("text", "")))
    if action == "text_output":
        gap = f" ({io['total_bytes_skipped']:,d} bytes skipped)" if io.get("total_bytes_skipped") else ""
        return f"{who} showed{gap} {text}"
    if "masked" in terminal:
        kind, length = (short(str(terminal["masked"].get(name, "?")), 16) for name in ("kind", "length"))
        return f"{who} read a {kind} of {length} bytes"
    return f"{who} read {text}"
