"""The `cgtrail` command run on a spool that was made by hand."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cgtrail import command, config
from cgtrail.cli import main
from enrich.sinks.sqlite import SqliteSink
from enrich.stores.query import All
from enrich.stores.sqlite import SqliteStore
from tests.unit import spooled
from tests.unit.spooled import Spooled


class Ran:
    """How a command ended, and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Ran]


def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path) -> Run:
    """What runs the command in this process, as its entry point does, on a data folder."""
    for name in [name for name in os.environ if name.startswith("CGTRAIL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CGTRAIL_STORE_RETENTION_DAYS", "36500")
    monkeypatch.setattr(config, "DEFAULT_FILE", folder / "none.toml")
    monkeypatch.setattr(command, "_log_to_stderr", lambda verbose: verbose)  # it is for the whole process

    def run_it(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["cgtrail", "--data", str(folder), *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        sys.stdout.flush()
        printed = capfd.readouterr()
        return Ran(code, printed.out, printed.err)

    return run_it


def work(stream: Spooled) -> None:
    """A worker on the local store."""
    with closing(SqliteSink(stream.data / "store", 36500)) as sink, spooled.worker(stream.data, sink) as worker:
        worker.run(follow=False)


def stored(stream: Spooled) -> dict[str, str]:
    """What the local store has: id → program's name or cause of loss."""
    found = {}
    for body in SqliteStore(stream.data / "store").after({}, All(), limit=10_000)[0]:
        document = json.loads(body)
        loss = document.get("cgtrail", {}).get("loss", {})
        found[document["event"]["id"]] = loss.get("cause") or document["process"]["name"]
    return found
