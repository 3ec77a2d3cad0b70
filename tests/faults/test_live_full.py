"""A spool that nobody reads fills up: less and less is recorded, all of it is counted, and reading makes it undone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bpf.events import Cause, CgroupMkdir, Header
from shipper.admission import NARROW_ARGUMENTS, NARROW_FORKS, REFUSE
from shipper.wire.frame import KEYFRAME
from shipper.wire.records import FIRST, CgroupInfo, KeyframeEnd, Loss, State
from tests.faults.conftest import Effort
from tests.faults.live import PATIENCE, Counts, Document, Rig, by_cause, by_record, counts, documents, rig
from tests.faults.livestorm import Round, Storm, done, programs, storm
from tests.kernel.capture import TRIGGER
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, wait_until

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

BOUND = 16 << 20
ROUNDS = 30
LONG, CUT = 60_000, 4096
"""Bytes of an argument, and of all arguments once they are cut."""


def fill(live: Rig, box: Storm, step: float, rounds: int) -> None:
    """Go on in batches until the policy has taken a step, or the next, when others fill the spool too."""
    while live.stream.size < step * BOUND:
        box.batch(rounds, padding=LONG)
        live.written()
    wait_until(lambda: live.facts()["admission"] >= step, f"the step at {step}", PATIENCE)


def recorded(live: Rig, owner: int) -> Counts:
    """Records of the kernel that stand in the spool."""
    found = (r for r in live.records() if isinstance(r, Header) and r.type < FIRST and r.owner == owner)
    return Counter(("stored", type(record).__name__) for record in found)


def assert_cut(found: list[Document], rounds: list[Round], *, cut: bool) -> None:
    """The programs of these rounds have all of their arguments, or as much as is left, and say so."""
    by_argument = dict(programs(found))
    for argument in [each.argument for each in rounds if each.argument in by_argument]:
        document = by_argument[argument]
        whole = [TRIGGER, "nothing", argument, "x" * LONG]
        size = sum(len(text) + 1 for text in whole)
        assert document["cgtrail"]["args"] == {"bytes": size, "truncated": cut}
        shown = sum(len(text) + 1 for text in document["process"]["args"])
        assert shown <= CUT + 1 if cut else shown == size


def assert_told_still(live: Rig, container: Container) -> None:
    """While kernel records are refused, the stream still tells of new containers, losses and time."""
    live.written()
    told = list(live.records())
    assert any(isinstance(r, CgroupMkdir) and r.cgroup_id == container.cgroup_id for r in told)
    infos = [r for r in told if isinstance(r, CgroupInfo) and r.cgroup_id == container.cgroup_id]
    assert infos[-1].state == State.COMPLETE
    assert any(isinstance(r, Loss) and r.cause == Cause.SPOOL_FULL for r in told)
    numbers = [frame.number for frame in live.frames()]
    assert numbers == list(range(len(numbers))), "nothing was removed"


def room_again(live: Rig) -> None:
    """Wait until the policy is undone; meanwhile only whole intervals go that the worker does not need any more."""

    def wide() -> bool:
        oldest = live.stream.segments()[0]
        begin = oldest.head()
        assert begin is not None
        assert begin.flags & KEYFRAME
        assert oldest.first <= live.position().needs
        return bool(live.facts()["admission"] == 0)

    wait_until(wide, "the policy to be undone", PATIENCE)
    assert live.stream.segments()[0].first > 0


def test_full_spool(docker_daemon: Dockerd, tmp_path: Path, effort: Effort) -> None:
    """Arguments are cut first, then forks left out, then all but cgroups: counted by cause, until somebody reads."""
    seconds = 5 if effort.long else 1  # the longer, the surer retention looks while snapshots still need the past
    with (
        rig(
            docker_daemon, tmp_path, spool_max_bytes=BOUND, spool_keyframe_seconds=3600, enrich_snapshot_seconds=seconds
        ) as live,
        storm(docker_daemon, tmp_path / "storm") as box,
    ):
        live.start_agent()
        live.written()
        before = by_record(recorded(live, box.container.cgroup_id))
        fill(live, box, NARROW_ARGUMENTS, 10)
        whole, cut = box.rounds(), box.batch(ROUNDS, padding=LONG)
        fill(live, box, NARROW_FORKS, 100)
        forkless = box.batch(ROUNDS, padding=LONG)
        fill(live, box, REFUSE, 100)
        refused = box.batch(ROUNDS, padding=LONG)
        with docker_daemon.container("busybox", *FOREVER, name="while-full") as meanwhile:
            wait_until(lambda: live.facts()["unread_by"] == ["sqlite"], "retention to look for room", PATIENCE)
            assert_told_still(live, meanwhile)
            live.start_worker()
            room_again(live)
            again = box.batch(ROUNDS, padding=LONG)
            live.settle()
            live.assert_healed(meanwhile, "while-full")
        found = live.documents(box.container.id)
        told = counts(found)
        assert by_record(told) - before == done(box.rounds())
        assert by_cause(told).keys() == {"narrowed", "spool_full"}
        assert {record for cause, record in told if cause == "narrowed"} == {"Fork"}
        assert told["narrowed", "Fork"] >= len(forkless) + len(refused)
        assert not {argument for argument, _ in programs(found)} & {each.argument for each in refused}
        assert_cut(found, whole[:10], cut=False)
        assert_cut(found, cut + forkless, cut=True)
        assert_cut(found, again, cut=False)
        assert live.account(box.container.cgroup_id)["lost"] == dict(by_cause(told))
        assert not [d for d in documents(live.data, "event.action:loss") if "frame" in d["cgtrail"]["loss"]["cause"]]
        ends = [r.incomplete for r in live.records() if isinstance(r, KeyframeEnd)]
        assert ends[-1] == 0, "a keyframe tells what was refused"
