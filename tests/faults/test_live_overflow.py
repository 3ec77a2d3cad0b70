"""A ring that overflows, through agent, spool and worker: what is stored and what is told lost is all that was done."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.live import Rig, by_cause, by_record, counts, rig
from tests.faults.livestorm import Storm, done, storm
from tests.kernel.dockerd import Dockerd
from tests.kernel.flood import SMALL

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

ROUNDS = 300
"""Of one container: some three times what the ring holds."""


def assert_exact(live: Rig, box: Storm, before: Counter[str]) -> None:
    """A container's documents hold every record of its rounds, stored or lost, by type; status says the same.

    `before`: records of its own start.
    """
    told = counts(live.documents(box.container.id))
    assert by_record(told) - before == done(box.rounds())
    assert live.account(box.container.cgroup_id)["lost"] == dict(by_cause(told))


def test_overflow(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """While the agent is stopped the ring overflows: what each container lost is told by type and cause, exactly."""
    with ExitStack() as stack:
        live = stack.enter_context(rig(docker_daemon, tmp_path, capture_ring_bytes=SMALL))
        live.start_agent()
        live.start_worker()
        made = [stack.enter_context(storm(docker_daemon, tmp_path / f"storm-{i}")) for i in range(2)]
        live.settle()
        before = [by_record(counts(live.documents(box.container.id))) for box in made]
        with live.frozen():
            for box in made:
                box.begin(ROUNDS)
            for box in made:
                box.rest(ROUNDS)
        live.settle()
        for box, start in zip(made, before, strict=True):
            lost = counts(live.losses(box.container.id))
            assert by_cause(lost).keys() == {"over_budget"}  # half a ring, and of the rest what each leaves free
            assert by_record(lost).keys() == {"Exec", "ExecFailed", "Fork", "Exit"}
            assert_exact(live, box, start)
        for box in made:  # and it serves as before
            box.batch(10)
        live.settle()
        for box, start in zip(made, before, strict=True):
            assert_exact(live, box, start)
