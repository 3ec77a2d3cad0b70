"""A spool that was recorded once makes the same documents for ever, ids included.

`spool/` holds what an agent recorded of `cgtrail demo`; `documents.ndjson` what the worker made of it. When documents
are meant to change: `CGTRAIL_GOLDEN=write pytest tests/golden`, and read the difference before committing it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from enrich.sinks.memory import MemorySink
from enrich.source import SpoolSource
from enrich.worker import Worker

HERE = Path(__file__).parent
GOLDEN = HERE / "documents.ndjson"


def documents(position: Path) -> bytes:
    """What the worker makes of the recorded spool."""
    sink = MemorySink()
    Worker(SpoolSource(HERE / "spool", position), sink, threading.Event()).run(follow=False)
    return b"".join(document.encode() + b"\n" for document in sink.documents.values())


def test_golden(tmp_path: Path) -> None:
    """The recorded spool makes exactly the committed documents."""
    made = documents(tmp_path / "position.json")
    if os.environ.get("CGTRAIL_GOLDEN") == "write":
        GOLDEN.write_bytes(made)
    assert made.decode().splitlines() == GOLDEN.read_text().splitlines()


def test_twice(tmp_path: Path) -> None:
    """A worker that starts again sends nothing of what was committed."""
    assert documents(tmp_path / "position.json")
    assert documents(tmp_path / "position.json") == b""
