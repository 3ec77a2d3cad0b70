"""What happens at terminals, in words: documents of the kinds session and terminal."""

from __future__ import annotations

from typing import Any

from cgtrail.lives import short

DATASETS = ("cgtrail.session", "cgtrail.terminal")


def told(document: dict[str, Any]) -> str:
    """One line on what happened, without time and container; safe for a terminal."""
    own = document.get("cgtrail", {})
    session, terminal = own.get("session", {}), own.get("terminal", {})
    io = document.get("process", {}).get("io", {})
    action = document["event"]["action"]
    who = short(str(document.get("process", {}).get("name", "?")), 16)
    where = f"session {short(str(session.get('id', '?')), 16)} at {short(str(session.get('tty', '?')), 16)}"
    match action:
        case "session_opened":
            return f"{where} opened: {short(str(own.get('entry', '?')))}, {who}"
        case "session_closed":
            shown, skipped = session.get("shown", 0), session.get("skipped", 0)
            return f"{where} closed: {short(str(session.get('reason', '?')))}, {shown} bytes shown, {skipped} skipped"
        case "text_output":
            skipped = io.get("total_bytes_skipped", 0)
            gap = f", {skipped} bytes skipped" if skipped else ""
            return f"{where} {who} showed{gap}: {short(str(io.get('text', '')))}"
        case "text_input" if "masked" in terminal:
            return f"{where} {who} read a {short(str(terminal['masked'].get('kind', 'secret')))}"
        case "text_input":
            return f"{where} {who} read: {short(str(io.get('text', '')))}"
    return f"{where}: {short(action)}"


def dangerous(document: dict[str, Any]) -> bool:
    """Somebody should look at it."""
    return document["event"]["action"] in ("echo_off", "input_injected", "output_escaped")
