"""`cgtrail trace`: raw kernel records as JSON lines."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from bpf.generate import c_name
from bpf.schema import Record, decode
from cgtrail.config import Config
from enrich import render
from enrich.printable import json_line
from shipper import cgroups
from shipper.probes import Probes
from shipper.wire.frame import MAX_PAYLOAD, walk

POLL_SECONDS = 0.025


def run(config: Config, *, count: int | None) -> None:
    """Print records until interrupted, or `count` of them. Raises CaptureError and Cgroup2MissingError."""
    root = cgroups.mount_point()
    with Probes(config.capture.ring_bytes, config.capture.host) as probes:
        _watch_running(probes, root)
        probes.snapshot()
        left = -1 if count is None else count
        while True:
            for span, _, _ in probes.ring.drain(frozenset(), MAX_PAYLOAD):
                for offset, length in walk(span):
                    sys.stdout.buffer.write(json_line(orjson.dumps(shown(decode(span, offset, length)))) + b"\n")
                    left -= 1
                    if left == 0:
                        return
            sys.stdout.flush()
            time.sleep(POLL_SECONDS)


def shown(record: Record) -> dict[str, Any]:
    """A record as a flat object: its type and every declared field; what is not UTF-8 in base64 beside it."""
    fields: dict[str, Any] = {"type": c_name(type(record).__name__)}
    for declared in record.layout.fields():
        value = getattr(record, declared.name)
        if declared.name == "type":
            continue
        if isinstance(value, bytes):
            render_as = render.arguments if declared.wire.kind == "args" else render.text
            value, raw = render_as(value)
            if raw is not None:
                fields[f"{declared.name}_base64"] = raw
        fields[declared.name] = value
    return fields


def _watch_running(probes: Probes, root: Path) -> None:
    for number, path in cgroups.walk(root):
        placed = cgroups.owner(path)
        if placed:
            with suppress(FileNotFoundError):  # it has ended meanwhile
                probes.watch(number, cgroups.topmost(root, placed))
