"""A spool that nobody reads fills up: less and less is recorded, all of it is counted, and reading makes it undone."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from bpf.enums import Cause
from bpf.events import CgroupMkdir
from shipper.admission import NARROW_ARGUMENTS, NARROW_FORKS, REFUSE
from shipper.wire.frame import KEYFRAME
from shipper.wire.records import CgroupInfo, ContainerInfo, KeyframeEnd, Loss, State
from tests.faults.conftest import Effort
from tests.faults.live import PATIENCE, Counts, Document, Rig, by_cause, by_record, counts, documents, rig
from tests.faults.livestorm import FORK, KINDS, Round, Storm, done, programs, storm
from tests.kernel.capture import TRIGGER, cgroup
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, wait_until

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

BOUND = 32 << 20
FLOOD, ROUNDS, FEW = 800, 30, 6
"""Rounds: more than fit above the second step with their arguments cut; some; and so few that nobody feels them."""
LONG, CUT = 60_000, 4096
"""Bytes of an argument, and of all arguments once they are cut."""
BIRTHS = 200
"""Of cgroups, between two looks at the spool."""


def step(live: Rig, level: float) -> None:
    """Wait until the policy has taken a step, and this one."""
    wait_until(lambda: live.facts()["admission"] >= level, f"the step at {level}", PATIENCE)
    assert live.facts()["admission"] == level


def fill(live: Rig, box: Storm) -> None:
    """Come to where arguments are cut, and not much further: half of the way at once, no more than the ring takes."""
    while (missing := NARROW_ARGUMENTS * BOUND - live.stream.size) > 0:
        box.batch(max(1, min(ROUNDS, int(missing / LONG / 2))), padding=LONG)
        live.written()
    step(live, NARROW_ARGUMENTS)


def flood(live: Rig, box: Storm) -> None:
    """Do more than there is room for, and see that it is counted."""
    box.batch(FLOOD, padding=LONG)
    live.written()
    assert (box.container.cgroup_id, Cause.OVER_BUDGET) in losses(live, box)


def losses(live: Rig, *boxes: Storm) -> set[tuple[int, int]]:
    """Who of these containers has lost something, and why."""
    owners = {box.container.cgroup_id for box in boxes}
    return {(r.cgroup_id, r.cause) for r in live.records() if isinstance(r, Loss) and r.cgroup_id in owners}


def refuse(live: Rig, container: Container) -> None:
    """Come to where everybody's records are refused, by births and deaths, which are taken all the way."""
    while live.stream.size < REFUSE * BOUND:
        for _ in range(BIRTHS):
            with cgroup(container.cgroup / "below"):
                pass
        live.written()
    step(live, REFUSE)


def arguments(rounds: list[Round]) -> set[str]:
    """What the programs of these rounds were given; some only fork."""
    return {each.argument for each in rounds if each.number % len(KINDS) != FORK}


def names(live: Rig, box: Storm) -> set[str]:
    """What the programs that are stored were given."""
    return {argument for argument, _ in programs(live.documents(box.container.id))}


def assert_cut(found: list[Document], rounds: list[Round], *, cut: bool) -> None:
    """The programs of these rounds have all of their arguments, or as much as is left, and say so."""
    by_argument = dict(programs(found))
    for argument in arguments(rounds):
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
    keys = {r.key for r in told if isinstance(r, CgroupInfo) and r.cgroup_id == container.cgroup_id}
    infos = [r for r in told if isinstance(r, ContainerInfo) and r.key in keys]
    assert infos[-1].state == State.COMPLETE
    assert any(isinstance(r, Loss) and r.cause == Cause.SPOOL_FULL for r in told)
    ends = [r.incomplete for r in told if isinstance(r, KeyframeEnd)]
    assert ends == [0, 0, 0, 1, 1], "the keyframe of a step says so when processes are missing in it"
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


def assert_exact(live: Rig, box: Storm) -> Counts:
    """Every record of a container's rounds is stored or told lost, and status says the same; what is told."""
    told = counts(live.documents(box.container.id))
    assert by_record(told) == done(box.rounds())
    assert live.account(box.container.cgroup_id)["lost"] == dict(by_cause(told))
    return told


def assert_quiet(told: Counts, forkless: list[Round], refused: list[Round]) -> None:
    """Who does little lost forks from their step on, the rest from the next one on, and nothing else."""
    assert by_cause(told).keys() == {"narrowed", "spool_full"}
    by = {cause: by_record(Counter({k: n for k, n in told.items() if k[0] == cause})) for cause, _ in told}
    assert by["narrowed"] == {"Fork": len(forkless + refused)}
    assert by["narrowed"] + by["spool_full"] == done(refused) + Counter(Fork=len(forkless))


def assert_one_pays(live: Rig, first: Storm, quiet: Storm) -> None:
    """A flood costs nobody else anything, and does not bring the spool to its next step."""
    flood(live, first)
    quiet.batch(FEW)
    live.written()
    assert losses(live, first, quiet) == {(first.container.cgroup_id, Cause.OVER_BUDGET)}
    assert live.stream.size < NARROW_FORKS * BOUND


def test_full_spool(docker_daemon: Dockerd, tmp_path: Path, effort: Effort) -> None:
    """Arguments are cut, who floods is left out, then everybody's forks, then all but cgroups, until somebody reads."""
    seconds = 5 if effort.long else 1  # the longer, the surer retention looks while snapshots still need the past
    settings: Document = {"spool_max_bytes": BOUND, "spool_keyframe_seconds": 3600, "enrich_snapshot_seconds": seconds}
    with ExitStack() as stack:
        live = stack.enter_context(rig(docker_daemon, tmp_path, **settings))
        boxes = [stack.enter_context(storm(docker_daemon, tmp_path / f"storm-{i}")) for i in range(4)]
        first, second, third, quiet = boxes
        live.start_agent()
        quiet.batch(FEW)
        fill(live, first)
        whole, cut = first.rounds(), first.batch(ROUNDS, padding=LONG)
        assert_one_pays(live, first, quiet)
        flood(live, second)
        step(live, NARROW_FORKS)
        calm, forkless = quiet.rounds(), quiet.batch(FEW)
        live.written()
        flood(live, third)
        refuse(live, first.container)
        refused = {box: box.batch(FEW) for box in boxes}
        with docker_daemon.container("busybox", *FOREVER, name="while-full") as meanwhile:
            wait_until(lambda: live.facts()["unread_by"] == ["sqlite"], "retention to look for room", PATIENCE)
            assert_told_still(live, meanwhile)
            live.start_worker()
            room_again(live)
            again = first.batch(ROUNDS, padding=LONG)
            live.settle()
            live.assert_healed(meanwhile, "while-full")
        for box in (first, second, third):
            assert by_cause(assert_exact(live, box)).keys() == {"over_budget", "narrowed", "spool_full"}
            assert not names(live, box) & arguments(refused[box])
        assert_quiet(assert_exact(live, quiet), forkless, refused[quiet])
        assert names(live, quiet) == arguments(calm + forkless)
        found = live.documents(first.container.id)
        assert_cut(found, whole[:10], cut=False)
        assert_cut(found, cut, cut=True)
        assert_cut(found, again, cut=False)
        assert not [d for d in documents(live.data, "event.action:loss") if "frame" in d["cgtrail"]["loss"]["cause"]]
        ends = [r.incomplete for r in live.records() if isinstance(r, KeyframeEnd)]
        assert ends[-1] == 0, "a keyframe tells what was refused"
