"""A container has so many bytes of long arguments at once, and so many a second; beyond, they are cut, for it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpf.events import Exec, ExecFailed
from tests.faults.livestorm import Storm, storm
from tests.kernel.capture import Capture, capturing
from tests.kernel.dockerd import Dockerd

pytestmark = pytest.mark.kernel

SHORT, BURST = 4096, 8 << 20
"""Bytes that are always recorded; that a container has at once, of what is longer."""
RATE = 1_000_000_000 >> 11
"""Bytes a second that are given back."""
LONG, ROUNDS = 60_000, 300
"""Of three rounds, one starts a program, one fails to and then starts one: twice what there is at once."""


def programs(capture: Capture, box: Storm) -> list[Exec | ExecFailed]:
    """The programs that a storm started, or could not start."""
    found = (record for record in capture.records if isinstance(record, Exec | ExecFailed))
    return [record for record in found if record.owner == box.container.cgroup_id and record.args_bytes > SHORT]


def test_long_arguments(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Whole as long as there is room, then cut and saying so; another container's are whole meanwhile."""
    with (
        capturing() as capture,
        storm(docker_daemon, tmp_path / "loud") as loud,
        storm(docker_daemon, tmp_path / "quiet") as quiet,
    ):
        loud.batch(ROUNDS, padding=LONG)
        capture.drain()
        quiet.batch(3, padding=LONG)
        capture.drain()
    made = programs(capture, loud)
    assert len(made) == ROUNDS
    whole = [record for record in made if len(record.args) == record.args_bytes]
    assert {len(record.args) for record in made if record not in whole} == {SHORT}
    assert made[: len(made) // 3] == whole[: len(made) // 3]
    seconds = (made[-1].time - made[0].time) / 1e9
    taken = sum(record.args_bytes - SHORT for record in whole)
    assert BURST - LONG < taken <= BURST + RATE * seconds + LONG
    assert [len(record.args) == record.args_bytes for record in programs(capture, quiet)] == [True, True, True]
