"""Registry, stream and kernel in step: in which order, and what heals by itself."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bpf.enums import Cause, Policy, Watch
from bpf.events import CgroupMkdir, CgroupRmdir
from bpf.schema import Record
from shipper import cgroups, tell
from shipper.inventory import SOON_NS, SWEEP_NS, Inventory
from shipper.runtimes.news import Heard, Lived, Metadata, News
from shipper.tenants.book import TenantBook
from shipper.tenants.model import EVERYTHING
from shipper.wire.records import CgroupInfo, ContainerEvent, ContainerInfo, Kind, Life, Loss, State, UserNames

ID, OTHER = "a" * 64, "b" * 64
KEY = f"docker/{ID}"
PATH = f"/docker/{ID}"
WEB = Metadata("docker", ID, name="web", labels={"cgtrail.tenant": "t1"})


@dataclass
class Kernel:
    """What the kernel's map would hold, and everything that was done, in order, with the stream's records."""

    room: int = 10
    watched: dict[int, tuple[int, Policy]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    birth: Policy = EVERYTHING

    def watch(self, cgroup_id: int, owner: int, policy: Policy) -> bool:
        """False: no room."""
        if cgroup_id not in self.watched and len(self.watched) >= self.room:
            return False
        self.watched.setdefault(cgroup_id, (owner, policy))
        self.done.append(f"watch {cgroup_id}")
        return True

    def unwatch(self, cgroup_id: int) -> None:
        """Stop."""
        self.watched.pop(cgroup_id, None)
        self.done.append(f"unwatch {cgroup_id}")

    def set_policy(self, owner: int, policy: Policy) -> bool:
        """False: it is not watched."""
        if owner not in self.watched:
            return False
        if self.watched[owner][1] != policy:
            self.watched[owner] = owner, policy
            self.done.append(f"policy {owner} {int(policy)}")
        return True

    def birth_policy(self, policy: Policy) -> None:
        """Of those that are made from now on."""
        if self.birth != policy:
            self.birth = policy
            self.done.append(f"birth {int(policy)}")

    def watched_cgroups(self) -> set[int]:
        """All."""
        return set(self.watched)


class NoLosses:
    """Nothing is ever lost."""

    def final(self, *_: int) -> Iterator[Loss]:
        """Nothing."""
        return iter(())


@dataclass
class Names:
    """Which containers users were asked for."""

    asked: list[str] = field(default_factory=list)

    def found(self, key: str, *_: object) -> None:
        """A container appeared."""
        self.asked.append(key)

    def gone(self, key: str) -> None:
        """It is gone."""
        self.asked.remove(key)

    def answers(self, *_: int) -> list[UserNames]:
        """None."""
        return []

    def known(self) -> list[UserNames]:
        """None."""
        return []

    def close(self) -> None:
        """Nothing to do."""


class Told:
    """A runtime that says what a test makes it say."""

    name = "docker"
    error: str | None = None
    expected = True

    def __init__(self) -> None:
        self.updates: queue.SimpleQueue[News] = queue.SimpleQueue()

    def start(self) -> None:
        """Nothing to do."""

    wait_listed = stop = start


@dataclass
class Host:
    """An inventory on a host of folders."""

    root: Path
    data: Path
    kernel: Kernel = field(default_factory=Kernel)
    runtime: Told = field(default_factory=Told)
    names: Names = field(default_factory=Names)
    put: list[Record] = field(default_factory=list)
    now: int = 1_000_000_000_000

    def __post_init__(self) -> None:
        book = TenantBook([], "cgtrail.tenant", EVERYTHING, self.data / "tenants.json")
        kernel, losses, names = cast("Any", self.kernel), cast("Any", NoLosses()), cast("Any", self.names)
        self.inventory = Inventory(self.root, kernel, losses, [self.runtime], book, self._record, users=names)

    def _record(self, record: Record) -> None:
        self.put.append(record)
        self.kernel.done.append(type(record).__name__)

    def say(self, *told: News) -> list[str]:
        """What is done about news."""
        for each in told:
            self.runtime.updates.put(each)
        return self.doing(lambda: self.inventory.news(lambda: self.kernel.done.append("drain")))

    def born(self, number: int, path: str, watch: Watch = Watch.CONTAINER) -> list[str]:
        """What is done about a birth that the kernel has watched or not."""
        if watch in {Watch.CONTAINER, Watch.PROVISIONAL}:
            self.kernel.watched[number] = number, Policy.EXEC
        made = CgroupMkdir(time=5, cgroup_id=number, watch=watch, path=path.encode())
        return self.doing(lambda: self.inventory.born(made))

    def died(self, number: int) -> list[str]:
        """What is done about an end; the kernel drops its entry itself."""
        self.kernel.watched.pop(number, None)
        return self.doing(lambda: self.inventory.died(CgroupRmdir(cgroup_id=number)))

    def swept(self) -> list[str]:
        """What a whole sweep does."""
        self.now += SWEEP_NS

        def whole() -> None:
            before = self.inventory.sweeps
            self.inventory.sweep(self.now)
            while self.inventory.sweeps == before:
                self.inventory.sweep(self.now)

        return self.doing(whole)

    def make(self, path: str) -> int:
        """A cgroup's folder; its id."""
        folder = self.root / path.removeprefix("/")
        folder.mkdir(parents=True)
        return folder.stat().st_ino

    def doing(self, action: Callable[[], None]) -> list[str]:
        """What was done meanwhile."""
        self.kernel.done.clear()
        action()
        return list(self.kernel.done)

    def last(self, kind: type[Record]) -> Any:
        """The last record of a kind."""
        return [record for record in self.put if isinstance(record, kind)][-1]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host without a container."""
    root, data = tmp_path / "cgroup", tmp_path / "data"
    root.mkdir()
    data.mkdir()
    made = Host(root, data)
    monkeypatch.setattr(tell, "boot_ns", lambda: made.now)
    return made


def test_the_stream_is_told_before_the_kernel_follows(host: Host) -> None:
    """Metadata, cgroup, then the policy; a container that the kernel watches is not put in again."""
    host.say(WEB)
    assert host.born(7, PATH) == ["TenantInfo", "ContainerInfo", "TenantEvent", "CgroupInfo", "policy 7 7"]
    assert host.names.asked == [KEY]


def test_a_hosts_cgroup_is_taken_out(host: Host) -> None:
    """One that was recorded until its path was looked at."""
    host.runtime.expected = False
    host.say()
    assert host.born(7, "/some/job", Watch.PROVISIONAL) == ["CgroupInfo", "unwatch 7"]


def test_a_cgroup_that_a_runtime_claims_is_the_containers_own(host: Host) -> None:
    """The kernel watched it provisionally: it becomes a container's."""
    host.born(7, "/default/web", Watch.PROVISIONAL)
    claimed = Metadata("docker", "web", cgroup="/default/web")
    assert host.say(claimed) == ["ContainerInfo", "CgroupInfo", "watch 7", "policy 7 7"]


def test_a_change_stands_behind_what_happened_before(host: Host) -> None:
    """The ring is drained before a running container gets another name or tenant."""
    host.say(WEB)
    host.born(7, PATH)
    renamed = Metadata("docker", ID, name="web", labels={"cgtrail.tenant": "t2"})
    assert host.say(renamed)[:3] == ["drain", "TenantInfo", "ContainerInfo"]


def test_a_removal_stands_behind_what_the_container_did(host: Host) -> None:
    """It is told once the ring was drained; then the container is forgotten."""
    host.say(WEB)
    host.born(7, PATH)
    assert host.say(Lived(KEY, Life.REMOVED, 9)) == []
    host.died(7)
    assert host.doing(host.inventory.drained)[-1] == "ContainerEvent"
    assert host.last(ContainerEvent).life == Life.REMOVED
    assert host.say(Lived(KEY, Life.REMOVED)) == []
    assert host.doing(host.inventory.drained) == []
    assert host.names.asked == []


@pytest.mark.parametrize("lives", [True, False])
def test_what_commands_attached_is_kept_while_it_lives(host: Host, *, lives: bool) -> None:
    """A daemon that lists a running container no more does not undo what was said of it; its end does."""
    host.say(WEB)
    host.born(7, PATH)
    host.inventory.book.add("audit", "a test")
    host.inventory.book.attach("audit", {KEY: ID}, "a test")
    host.say(Lived(KEY, Life.REMOVED))
    if not lives:
        host.died(7)
    host.inventory.drained()
    assert dict(host.inventory.book.attached("audit")) == ({KEY: ID} if lives else {})


def test_a_runtime_that_is_not_heard_is_told(host: Host) -> None:
    """Once."""
    assert host.say(Heard("docker", connected=True), Heard("docker", connected=True)) == ["RuntimeInfo"]


def test_a_sweep_heals_what_was_missed(host: Host) -> None:
    """A birth that nobody told of is watched, a death is noticed, and an entry without a cgroup goes."""
    host.say(WEB)
    found = host.make(PATH)
    host.kernel.watched |= {99: (99, Policy.EXEC), 98: (98, Policy.EXEC)}
    host.born(99, f"/docker/{OTHER}")
    assert f"watch {found}" in host.swept()
    assert set(host.kernel.watched) == {found}
    assert list(host.inventory.registry.containers) == [KEY]
    assert host.swept() == []


def test_a_sweep_is_no_race(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is born while it walks stays, and what ends is not brought back, whatever the walk saw."""
    ending = host.make(PATH)
    host.born(ending, PATH)
    walked = {ending: PATH}

    def walk(*_: object) -> Iterator[tuple[int, str]]:
        host.died(ending)
        host.born(77, f"/docker/{OTHER}")
        return iter(walked.items())

    monkeypatch.setattr(cgroups, "walk", walk)
    host.swept()
    assert set(host.kernel.watched) == {77}
    assert list(host.inventory.registry.containers) == [f"docker/{OTHER}"]


def test_a_sweep_that_did_not_see_all_ends_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cgroup below a folder that can't be read lives on, and so does its entry in the kernel."""
    hidden = host.make(PATH)
    host.born(hidden, PATH)

    def walk(_: Path, unread: list[str]) -> Iterator[tuple[int, str]]:
        unread.append("/docker")
        return iter(())

    monkeypatch.setattr(cgroups, "walk", walk)
    assert host.swept() == []
    assert set(host.kernel.watched) == {hidden}


def test_a_full_map_is_told_and_survived(host: Host) -> None:
    """The container that found no room is a loss, shown as not recorded, and is recorded once there is room."""
    host.kernel.room = 0
    host.say(WEB)
    number = host.make(PATH)
    assert host.born(number, PATH, Watch.REFUSED)[-1] == "Loss"
    loss = host.last(Loss)
    assert (loss.cause, loss.cgroup_id, loss.count) == (Cause.UNWATCHED, number, 0)
    (shown,) = host.inventory.picture()
    assert (shown["name"], shown["recorded"]) == ("web", False)
    host.kernel.room = 10
    host.inventory.widened = False
    with capture_logs() as logs:
        host.doing(lambda: host.inventory.sweep(host.now))
    assert [(log["log_level"], log["container"]) for log in logs] == [("info", KEY)]
    (shown,) = host.inventory.picture()
    assert (shown["recorded"], host.inventory.widened) == (True, True)


def test_cgroups_below_one_without_room_follow_it(host: Host) -> None:
    """What lies in a container that found no room is told of once, and is recorded as soon as the container is."""
    host.kernel.room = 0
    host.say(WEB)
    top = host.make(PATH)
    host.born(top, PATH, Watch.REFUSED)
    host.inventory.adopt({8: f"{PATH}/init"})
    host.inventory.adopt({9: f"{PATH}/init/deeper"})
    assert [type(record) for record in host.put].count(Loss) == 1
    host.kernel.room = 10
    host.doing(host.inventory._watch_refused)
    assert host.kernel.watched.keys() == {top, 8, 9}


def test_room_that_is_not_enough(host: Host) -> None:
    """What there is room for is recorded, and of the rest none is asked for again once one was refused."""
    host.kernel.room = 0
    paths = [f"/docker/{number:064x}" for number in range(10)]
    for path in paths:
        host.born(host.make(path), path, Watch.REFUSED)
    host.kernel.room = 3
    host.inventory.sweep(host.now)
    assert len(host.kernel.watched) == 3
    assert sum(shown["recorded"] for shown in host.inventory.picture()) == 3
    host.kernel.room = 10
    host.inventory.sweep(host.now)
    assert len(host.kernel.watched) == 3  # within the same second
    host.inventory.sweep(host.now + SOON_NS)
    assert len(host.kernel.watched) == 10


def test_one_that_ended_takes_no_room(host: Host) -> None:
    """The end of a container that is not watched is told by nobody: that is seen when there would be room."""
    host.kernel.room = 0
    number = host.make(PATH)
    host.born(number, PATH, Watch.REFUSED)
    (host.root / PATH.removeprefix("/")).rmdir()
    host.kernel.room = 10
    host.inventory.sweep(host.now)
    assert (host.kernel.watched, host.inventory.picture()) == ({}, [])


def test_a_map_that_is_full_from_the_beginning(host: Host) -> None:
    """Nothing stands before the first keyframe; behind it, each that found no room is told of once, and counted."""
    host.kernel.room = 0
    tops = {host.make(f"/docker/{each}") for each in (ID, OTHER)}
    host.inventory.begin()
    assert host.put == []
    for _ in range(2):
        assert [what for what in host.swept() if what == "Loss"] in (["Loss"] * 2, [])
    told = [record for record in host.put if isinstance(record, Loss)]
    assert {loss.cgroup_id for loss in told} == tops
    assert (len(told), host.inventory.unwatched) == (2, 2)


def test_a_policy_that_is_wider_wants_a_look_at_what_runs(host: Host) -> None:
    """A container that is recorded from now on has processes that nobody knows."""
    host.inventory.book.add("quiet", "a test", asked=Policy.TERMINAL)
    host.inventory.regroup(lambda: None)
    host.say(Metadata("docker", ID, labels={"cgtrail.tenant": "quiet"}))
    host.born(7, PATH)
    assert host.kernel.watched[7][1] == Policy.TERMINAL
    assert not host.inventory.widened
    host.say(WEB)
    assert host.kernel.watched[7][1] == EVERYTHING
    assert host.inventory.widened


def test_a_terminal_that_is_recorded_from_now_on_wants_a_look(host: Host) -> None:
    """It may be open already, and so quiet that nothing else tells of it."""
    host.say(WEB)
    host.born(7, PATH)
    for asked, widened in ((Policy.EXEC, False), (Policy.EXEC | Policy.OUTPUT, True)):
        host.inventory.widened = False
        if "t1" not in host.inventory.book.current.known:
            host.inventory.book.add("t1", "a test", asked=asked)
        else:
            host.inventory.book.change("t1", "a test", asked=asked)
        host.inventory.regroup(lambda: None)
        host.say(Metadata("docker", ID, labels={"cgtrail.tenant": "t1"}))
        assert host.kernel.watched[7][1] == asked
        assert host.inventory.widened == widened


def test_what_is_made_while_tenants_change(host: Host) -> None:
    """From before the ring is drained until all is told, a birth has what those before and those after both allow."""
    doing: list[str] = host.kernel.done

    def drain() -> None:
        doing.append("drain")

    host.inventory.book.add("quiet", "a test", asked=Policy.TERMINAL)
    told = ["TenantInfo", "TenantEvent"]
    assert host.doing(lambda: host.inventory.regroup(drain)) == ["birth 3", "drain", *told]
    host.inventory.book.change("quiet", "a test", asked=Policy.OUTPUT)
    assert host.doing(lambda: host.inventory.regroup(drain)) == ["birth 1", "drain", *told, "birth 5"]
    host.inventory.book.remove("quiet")
    assert host.doing(lambda: host.inventory.regroup(drain)) == ["drain", "TenantEvent", "birth 7"]


def test_a_runtime_that_comes_or_goes(host: Host) -> None:
    """Who may still tell of a container decides what is recorded of it: at once, in stream and kernel alike."""
    host.runtime.expected = False
    host.say()
    host.born(7, PATH)
    assert host.kernel.watched[7][1] == EVERYTHING
    host.inventory.book.add("quiet", "a test", asked=Policy.TERMINAL)
    host.inventory.regroup(lambda: None)
    at_first = Policy.EXEC | Policy.TERMINAL
    for expected, policy, state in ((True, at_first, State.PENDING), (False, EVERYTHING, State.COMPLETE)):
        host.runtime.expected = expected
        keyframe = [record for record in host.inventory.all(host=False) if isinstance(record, ContainerInfo)]
        assert [record.policy for record in keyframe] == [host.kernel.watched[7][1]]
        assert host.say() == ["drain", "ContainerInfo", f"policy 7 {int(policy)}"]
        told = host.last(ContainerInfo)
        assert (told.state, told.policy, host.kernel.watched[7][1]) == (state, policy, policy)
        assert host.say() == []


def test_the_beginning_is_quiet(host: Host) -> None:
    """What there is when the agent begins is watched, and told by the first keyframe alone."""
    number = host.make(PATH)
    host.runtime.updates.put(WEB)
    assert f"watch {number}" in host.doing(host.inventory.begin)
    assert host.kernel.watched == {number: (number, EVERYTHING)}
    assert host.put == []
    told = list(host.inventory.all(host=False))
    assert [type(record) for record in told][-2:] == [ContainerInfo, CgroupInfo]
    hosts = [record for record in host.inventory.all(host=True) if isinstance(record, CgroupInfo)]
    assert {record.kind for record in hosts} == {Kind.HOST, Kind.CONTAINER}


def test_what_found_no_room_at_the_beginning_is_told_behind_the_keyframe(host: Host) -> None:
    """Nothing stands before the stream's first keyframe; the loss is told by the first sweep."""
    host.kernel.room = 0
    host.make(PATH)
    host.runtime.updates.put(WEB)
    assert "Loss" not in host.doing(host.inventory.begin)
    assert host.swept() == ["Loss"]
