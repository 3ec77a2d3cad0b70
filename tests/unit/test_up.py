"""The live table of `cgtrail up` shows what is stored from its beginning on, whatever the clock does."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from cgtrail import up
from cgtrail.config import Config
from enrich.document import Document
from enrich.sinks.sqlite import SqliteSink
from enrich.stores.values import timestamp
from shipper.tell import boot_ns

NOON = 1_795_348_800 * 1_000_000_000
HOUR = 3600 * 1_000_000_000


def store(folder: Path, name: str, at: int) -> None:
    """Store a small document of a time."""
    with closing(SqliteSink(folder, 7, clock=lambda: NOON / 1e9)) as sink:
        sink.write([Document(name, at, "process", {"@timestamp": timestamp(at), "event": {"id": name}})])


@pytest.mark.parametrize("steps", [[], [HOUR], [-2 * HOUR], [HOUR, -3 * HOUR]])
def test_clock_is_set(
    steps: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What happened before the table began is not shown, and all that happens after it is."""
    clock = [NOON]
    monkeypatch.setattr(time, "time_ns", lambda: clock[0])
    config = Config(data=str(tmp_path))
    follow = up._follower(config, boot_ns(), as_json=True, quiet=False)
    store(config.store_folder, "old", NOON - 12 * HOUR)
    store(config.store_folder, "first", NOON + 1)
    for number, step in enumerate(steps):
        clock[0] += step
        store(config.store_folder, f"step {number}", clock[0] + 1)
    assert follow()
    shown = [line.split('"id":"')[1].split('"')[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(shown) == ["first", *(f"step {number}" for number in range(len(steps)))]
