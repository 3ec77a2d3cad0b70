"""Raw records as JSON lines, for `cgtrail trace` and `cgtrail spool cat`."""

from __future__ import annotations

import sys
from typing import Any

import orjson

from bpf.events import Terminal
from bpf.generate import c_name
from bpf.schema import Record
from enrich import render
from enrich.printable import json_line


def write(fields: dict[str, Any]) -> None:
    """One object as one line on standard output, safe for a terminal."""
    sys.stdout.buffer.write(json_line(orjson.dumps(fields)) + b"\n")


def shown(record: Record, *, content: bool = False) -> dict[str, Any]:
    """A record as a flat object: its type and every declared field; what is not UTF-8 in base64 beside it.

    What terminals showed and what was typed there is shown as its length, unless its `content` is asked for.
    """
    fields: dict[str, Any] = {"type": c_name(type(record).__name__)}
    for declared in record.layout.fields():
        value = getattr(record, declared.name)
        if declared.name == "type":
            continue
        if declared.name == "content" and isinstance(record, Terminal) and not content:
            fields["content_bytes"] = len(value)
            continue
        if isinstance(value, bytes):
            render_as = render.arguments if declared.wire.kind == "args" else render.text
            value, raw = render_as(value)
            if raw is not None:
                fields[f"{declared.name}_base64"] = raw
        fields[declared.name] = value
    return fields
