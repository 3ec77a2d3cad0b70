"""The ledger finds every record that went missing, to the record, and never one that did not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpf.enums import Cause
from bpf.schema import Record
from enrich.item import Step
from enrich.steps.ledger import Ledger
from shipper.wire.records import AgentStart, KeyframeBegin, KeyframeEnd, Loss
from tests.unit.stream import BOX, SECOND, Stream, container, fork, host_cgroup, removed

TICK = SECOND // 5
WHOLE = 1 << 32
OTHER = 78


def begun(*, agent: bool = True) -> Stream:
    """A stream of an agent that has just started, with one container; or one that is read from the middle."""
    stream = Stream()
    stream.feed(*container(), *container(OTHER), *([AgentStart()] if agent else []))
    return stream


def ledger(stream: Stream) -> Ledger:
    """The stream's ledger."""
    known: list[Step] = stream.steps
    return next(step for step in known if isinstance(step, Ledger))


def numbered(number: int, owner: int = BOX) -> Record:
    """A record of the kernel with a number of its owner."""
    return fork(number % 1000 + 2, 1, cgroup_id=owner or BOX, owner=owner, sequence=number % WHOLE)


def told(count: int, owner: int = BOX, cause: Cause = Cause.RING_FULL) -> Loss:
    """Losses that were counted."""
    return Loss(cgroup_id=owner, count=count, cause=cause, record_type=3)


def alarms(documents: list[dict[str, Any]]) -> dict[int, int]:
    """Owner → records that were not delivered, of documents."""
    lost: Counter[int] = Counter()
    for document in documents:
        loss = document["cgtrail"].get("loss", {})
        if loss.get("cause") == "not_delivered":
            lost[document["cgtrail"]["cgroup"]["id"]] += loss["count"]
    return dict(lost)


def settled(stream: Stream) -> dict[int, int]:
    """Alarms of the whole stream once nothing has moved for a while."""
    for _ in range(3):
        stream.wait(TICK)
    return alarms(stream.documents)


def balance(stream: Stream, owner: int = BOX) -> dict[str, Any]:
    """An owner's account, as it is shown, without the container's name."""
    shown = ledger(stream).balances()[owner]
    shown.pop("container", None)
    return shown


def test_all_is_well() -> None:
    """Nothing lost is nothing told."""
    stream = begun()
    stream.feed(*(numbered(number) for number in range(1, 50)))
    assert settled(stream) == {}
    assert balance(stream) == {"seen": 49, "received": 49, "lost": {}}


def test_the_container_is_named() -> None:
    """Who looks at accounts sees whose they are, and the alarm's document is the container's."""
    stream = begun()
    stream.feed(numbered(1), numbered(3))
    assert settled(stream) == {BOX: 1}
    assert ledger(stream).balances()[BOX]["container"] == "lab"
    assert stream.documents[-1]["container"]["name"] == "lab"
    assert stream.documents[-1]["event"]["dataset"] == "cgtrail.loss"


def test_a_gap_is_counted_to_the_record() -> None:
    """What was numbered, and neither came nor was counted, is told once, when its owner has been still for a tick."""
    stream = begun()
    stream.feed(numbered(1), numbered(2), numbered(10), numbered(14))
    assert alarms(stream.wait(TICK)) == {}
    assert alarms(stream.wait(TICK)) == {BOX: 10}
    assert settled(stream) == {BOX: 10}
    assert balance(stream) == {"seen": 14, "received": 4, "lost": {"not_delivered": 10}}
    stream.feed(numbered(15), numbered(17))
    assert settled(stream) == {BOX: 11}


def test_the_beginning_counts() -> None:
    """After an agent's start, the first numbers that are missing are missed."""
    stream = begun()
    stream.feed(numbered(4))
    assert settled(stream) == {BOX: 3}


def test_two_owners_have_two_accounts() -> None:
    """A loss is told of the container that has it."""
    stream = begun()
    stream.feed(numbered(1), numbered(1, OTHER), numbered(3, OTHER), numbered(2))
    assert settled(stream) == {OTHER: 1}


def test_out_of_order() -> None:
    """Processors may pass each other: numbers count, not their order."""
    stream = begun()
    stream.feed(*(numbered(number) for number in (2, 1, 5, 3, 4, 8, 7)))
    stream.wait(TICK)
    stream.feed(numbered(6))
    assert settled(stream) == {}


@pytest.mark.parametrize("before", [True, False])
def test_losses_are_told_before_or_after(before: bool) -> None:
    """A loss that is told explains its numbers, whether they show before it or after."""
    stream = begun()
    stream.feed(numbered(1))
    if before:
        stream.feed(told(3))
        assert balance(stream)["seen"] == 4
        stream.wait(TICK)
        stream.wait(TICK)
        stream.feed(numbered(5))
    else:
        stream.feed(numbered(5))
        stream.wait(TICK)
        stream.feed(told(3))
    assert settled(stream) == {}
    assert balance(stream) == {"seen": 5, "received": 2, "lost": {"ring_full": 3}}


def test_a_part_is_explained() -> None:
    """What losses don't explain is told."""
    stream = begun()
    stream.feed(numbered(1), told(3), told(2, cause=Cause.SPOOL_FULL), numbered(10))
    assert settled(stream) == {BOX: 3}
    lost = {"ring_full": 3, "spool_full": 2, "not_delivered": 3}
    assert balance(stream) == {"seen": 10, "received": 2, "lost": lost}


def test_what_has_no_number_explains_none() -> None:
    """Programs that could not run numbered nothing: their count hides no loss of the host's records."""
    stream = begun()
    stream.feed(numbered(1, 0), told(100, 0, Cause.RECURSION), numbered(5, 0))
    assert settled(stream) == {0: 3}
    assert balance(stream, 0)["seen"] == 5


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_numbers_begin_anew_at_32_bits(lost: int) -> None:
    """Behind 2^32 - 1 comes 0, which elsewhere is no number."""
    stream = begun()
    stream.feed(numbered(1))
    account = ledger(stream).accounts[BOX]
    account.highest = account.received = WHOLE - 3
    numbers = [WHOLE + each for each in (-2, -1, 0, 1, 2, 3, 4)]
    stream.feed(*(numbered(number) for number in numbers if not 0 < number - WHOLE <= lost))
    assert settled(stream) == ({BOX: lost} if lost else {})
    assert balance(stream)["seen"] == WHOLE + 4


def test_not_counted() -> None:
    """A record without a number, of an owner that the kernel did not count, is none of the ledger's."""
    stream = begun()
    stream.feed(numbered(0), numbered(1), numbered(0))
    assert settled(stream) == {}
    assert balance(stream) == {"seen": 1, "received": 1, "lost": {}}


def test_begun_in_the_middle() -> None:
    """Who reads from a keyframe on knows nothing of the numbers before, and all of those behind."""
    stream = begun(agent=False)
    stream.feed(told(5), numbered(1000))
    assert settled(stream) == {}
    stream.feed(numbered(1003))
    assert settled(stream) == {BOX: 2}


def test_another_agent() -> None:
    """With an agent's start the kernel's numbers begin anew; what is missing before it is told, and closed."""
    stream = begun()
    stream.feed(numbered(1), numbered(2), numbered(9), AgentStart(), numbered(1), numbered(2))
    assert settled(stream) == {BOX: 6}
    assert balance(stream) == {"seen": 2, "received": 2, "lost": {}}
    assert balance(stream, -1) == {"seen": 0, "received": 0, "lost": {}}


def test_a_container_that_ends() -> None:
    """Its account is settled and closed: what it lost is told, and counted among those that are gone."""
    stream = begun()
    stream.feed(numbered(1), told(1), numbered(4), removed())
    assert settled(stream) == {BOX: 1}
    assert BOX not in ledger(stream).accounts
    assert balance(stream, -1) == {"seen": 4, "received": 2, "lost": {"ring_full": 1, "not_delivered": 1}}


def test_a_container_whose_end_was_not_seen() -> None:
    """A keyframe that does not name it ends it; what it had lost by then is told first."""
    stream = begun()
    stream.feed(numbered(1), numbered(4), KeyframeBegin(), *container(OTHER), KeyframeEnd())
    assert settled(stream) == {BOX: 2}
    assert BOX not in ledger(stream).accounts
    assert balance(stream, -1)["seen"] == 4


def test_a_keyframe_with_a_hole_ends_nobody() -> None:
    """Who is not named by a keyframe that is not whole may live: its numbers go on."""
    stream = begun()
    stream.feed(numbered(1), KeyframeBegin(), KeyframeEnd(incomplete=1))
    settled(stream)
    stream.feed(numbered(2))
    assert settled(stream) == {}
    assert balance(stream)["received"] == 2


def test_who_acts_behind_a_keyframe_lives() -> None:
    """An owner that a keyframe did not name, and that acts before it is closed, is not closed."""
    stream = begun()
    stream.feed(numbered(1), KeyframeBegin(), *container(OTHER), KeyframeEnd(), numbered(2))
    settled(stream)
    stream.feed(numbered(3))
    assert settled(stream) == {}
    assert balance(stream)["received"] == 3


def test_a_cgroup_that_is_the_hosts() -> None:
    """What was recorded until its name was looked at is closed, and shown no more."""
    stream = begun()
    stream.feed(numbered(1, 99), host_cgroup(99), numbered(2, 99))
    assert settled(stream) == {}
    assert 99 not in ledger(stream).accounts


def test_the_host_is_never_closed() -> None:
    """The host has no cgroup that a keyframe could name."""
    stream = begun()
    stream.feed(numbered(1, 0), KeyframeBegin(), *container(), KeyframeEnd())
    settled(stream)
    stream.feed(numbered(2, 0))
    assert settled(stream) == {}
    assert balance(stream, 0)["received"] == 2


# What the kernel and the agent can do with a record, once it has its number.
DELIVERED, LATE, LOST, LOST_LATE, VANISHED = range(5)
FATES = st.sampled_from([DELIVERED, DELIVERED, DELIVERED, LATE, LOST, LOST_LATE])
OWNERS = st.sampled_from([0, BOX, OTHER])
Window = list[tuple[int, int]]
"""Owner and fate of each record between two ticks, in the order of their numbers."""


def played(windows: list[Window], data: st.DataObject) -> tuple[Stream, Counter[int], Counter[tuple[int, int]]]:
    """Windows as a stream: records of a window in any order, what is late a window later, losses told at ticks.

    Returns the stream, each owner's highest number, and how many met each fate.
    """
    stream = begun()
    highest: Counter[int] = Counter()
    fates: Counter[tuple[int, int]] = Counter()
    late: list[Record] = []
    uncounted: Counter[int] = Counter()
    for window in windows:
        records, late = late, []
        counted, uncounted = uncounted, Counter()
        for owner, fate in window:
            highest[owner] += 1
            fates[owner, fate] += 1
            if fate in {DELIVERED, LATE}:
                (records if fate == DELIVERED else late).append(numbered(highest[owner], owner))
            elif fate in {LOST, LOST_LATE}:
                (counted if fate == LOST else uncounted)[owner] += 1
        stream.feed(*data.draw(st.permutations(records)))
        stream.feed(*(told(count, owner) for owner, count in counted.items()))
        stream.wait(TICK)
    stream.feed(*late, *(told(count, owner) for owner, count in uncounted.items()))
    return stream, highest, fates


@given(st.lists(st.lists(st.tuples(OWNERS, FATES), max_size=8), max_size=12), st.data())
def test_no_false_alarm(windows: list[Window], data: st.DataObject) -> None:
    """Whatever comes late, out of order or is told as lost: no alarm, and accounts that add up."""
    stream, highest, fates = played(windows, data)
    assert settled(stream) == {}
    for owner, count in highest.items():
        shown = balance(stream, owner)
        assert shown["seen"] == count
        assert shown["received"] == fates[owner, DELIVERED] + fates[owner, LATE]
        assert sum(shown["lost"].values()) == fates[owner, LOST] + fates[owner, LOST_LATE]


@given(st.lists(st.lists(st.tuples(OWNERS, FATES | st.just(VANISHED)), max_size=8), max_size=12), st.data())
def test_every_loss_is_found(windows: list[Window], data: st.DataObject) -> None:
    """Exactly what vanished is told, of those who have it, however it lies among what is late or told as lost."""
    last = [(owner, DELIVERED) for owner in (0, BOX, OTHER)]
    stream, _, fates = played([*windows, last], data)
    vanished = {owner: count for (owner, fate), count in fates.items() if fate == VANISHED}
    assert settled(stream) == vanished
