"""Targets: records as bytes, and what is shown of bytes."""

from __future__ import annotations

import base64
import json
import tracemalloc
import unicodedata

import orjson

import shipper.wire.records  # noqa: F401  declares its records
from bpf.schema import Record, RecordError, decode
from enrich import printable, render
from tests.unit.printed import undone

_NEVER_RAW = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"}
"""Unicode's general categories of what moves, hides, reorders or looks like a space on a terminal."""
_BLANK = set("\u2800\U00013440\U00016fe4\U0001d159")


def decoder(data: bytes) -> None:
    """A record or a RecordError; a record is written again as what was read, and takes no more room than its bytes."""
    tracemalloc.start()
    try:
        found = _decoded(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 4 * len(data) + 65_536, f"{peak} bytes of memory for {len(data)} of a record"
    if found is not None:
        written = found.encode()
        assert len(written) <= len(data) + type(found).layout.fixed.size
        assert _fields(decode(written, 0, len(written))) == _fields(found)


def shown(data: bytes) -> None:
    """Any bytes become Unicode that a terminal can be given, and there is a way back to the bytes."""
    text, raw = render.text(data)
    assert data == (text.encode() if raw is None else base64.b64decode(raw))
    args, encoded = render.arguments(data)
    joined = "\0".join(args).encode() if encoded is None else base64.b64decode(encoded)
    assert data in ({joined, joined + b"\0"} if args else {b""})
    wide = data[: len(data) & ~1].decode("utf-16-le", "surrogatepass")
    for value in (text, render.command_line(args), wide):
        line = printable.text(value)
        assert not _unsafe(line)
        assert undone(line) == value
        assert not _unsafe(printable.message(value))
    document = orjson.dumps({"text": text, "args": args})
    line = printable.json_line(document).decode()
    assert not _unsafe(line)
    assert json.loads(line) == json.loads(document)


def _decoded(data: bytes) -> Record | None:
    try:
        return decode(data, 0, len(data))
    except RecordError as error:
        str(error)
        return None


def _fields(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.layout.names if name not in {"fixed", "length"}} | {
        name: getattr(record, name) for _, name in record.layout.tails
    }


def _unsafe(text: str) -> list[str]:
    return [c for c in text if c != " " and (unicodedata.category(c) in _NEVER_RAW or c in _BLANK)]
