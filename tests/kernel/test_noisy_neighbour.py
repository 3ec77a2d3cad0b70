"""A container that floods, and one beside it: whatever the first one does, every program of the second is there."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.live import Rig, by_cause, by_record, counts, rig
from tests.faults.livestorm import Storm, done, programs, storm
from tests.kernel.dockerd import Dockerd

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

ROUNDS = 1500
"""Of the quiet container: a thousand programs, for every third round starts none."""
LONG = 100_000
"""Bytes of an argument."""


def noise(live: Rig, boxes: list[Storm]) -> set[str]:
    """What the loud ones did is stored, or counted on their own account, to the record; why it was lost."""
    causes: set[str] = set()
    for box in boxes:
        told = counts(live.documents(box.container.id))
        assert by_record(told) >= done(box.rounds())
        assert live.account(box.container.cgroup_id)["lost"] == dict(by_cause(told))
        causes |= by_cause(told).keys()
    return causes


def assert_all_there(live: Rig, box: Storm, start: Counter[str]) -> None:
    """Every program that it started is found by its mark, once; nothing of it was lost."""
    found = live.documents(box.container.id)
    marks = Counter(argument for argument, document in programs(found) if document["event"]["outcome"] == "success")
    assert marks == {each.argument: 1 for each in box.rounds() if each.number % 3 != 2}
    assert len(marks) == ROUNDS * 2 // 3
    told = counts(found)
    assert by_record(told) - start == done(box.rounds())
    assert by_cause(told) == {}


@pytest.mark.parametrize("held_up", [False, True], ids=["at work", "held up"])
@pytest.mark.parametrize("padding", [0, LONG], ids=["programs", "long arguments"])
def test_noisy_neighbour(docker_daemon: Dockerd, tmp_path: Path, padding: int, *, held_up: bool) -> None:
    """Others start programs as fast as they can while one starts its own; also while the agent stands still.

    Then one that floods leaves a quarter of the ring, 4 MiB, of which the quiet one takes 1.5 MiB.
    """
    with ExitStack() as stack:
        live = stack.enter_context(rig(docker_daemon, tmp_path))
        live.start_agent()
        live.start_worker()
        quiet, *loud = (
            stack.enter_context(storm(docker_daemon, tmp_path / f"storm-{i}")) for i in range(2 if held_up else 3)
        )
        live.settle()
        start = by_record(counts(live.documents(quiet.container.id)))
        with ExitStack() as freezer:
            if held_up:
                freezer.enter_context(live.frozen())
            for box in loud:
                box.begin(padding=padding)
            quiet.batch(ROUNDS)
            for box in loud:
                box.end()
                box.rest()
        live.settle()
        assert_all_there(live, quiet, start)
        lost = noise(live, loud)
        if held_up and padding:
            assert "over_budget" in lost
