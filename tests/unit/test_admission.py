"""What a filling spool takes: steps down and back, and an account of everything that was refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpf.enums import Cause, Narrow
from bpf.events import CgroupMkdir, CgroupRmdir, Exec, Exit, Fork, Header
from bpf.schema import decode
from shipper.admission import (
    BACK,
    FULL,
    NARROW_ARGUMENTS,
    NARROW_FORKS,
    NARROW_OUTPUT,
    REFUSE,
    STEPS,
    Admission,
)
from shipper.spool import Spool
from shipper.wire.frame import DISCARDED, walk, wrap
from shipper.wire.reader import Reader
from shipper.wire.records import Clock, Loss, Tick
from tests.unit.frames import BOOT, HOST, frames_of, told

MAX = 10_000_000
NOW = 7_000_000_000
EXEC, FORK, EXIT, MKDIR = (cls.layout.number or 0 for cls in (Exec, Fork, Exit, CgroupMkdir))


def filled(percent: float) -> Admission:
    """An admission whose spool filled up to here from nothing."""
    admission = Admission(MAX)
    admission.measure(int(percent * MAX / 100))
    return admission


def span_of(*records: Header) -> bytes:
    """Records as the ring has them."""
    return b"".join(wrap(record.encode()) for record in records)


def records_in(payload: bytes) -> list[Header]:
    """The records of a payload."""
    found = [decode(payload, offset, length) for offset, length in walk(payload)]
    assert all(isinstance(record, Header) for record in found)
    return [record for record in found if isinstance(record, Header)]


def accounts(losses: list[Loss]) -> dict[tuple[int, int, int], int]:
    """What losses tell: owner, cause, type → count."""
    told = {(loss.cgroup_id, loss.cause, loss.record_type): loss.count for loss in losses}
    assert len(told) == len(losses)
    return told


LIVE = (
    Exec(cgroup_id=1, owner=10, exe=b"/bin/sh"),
    Fork(cgroup_id=2, owner=10),
    Exec(cgroup_id=3, owner=10, args=b"x\0" * 50),
    Exit(cgroup_id=4, owner=0),
)
BIRTH = CgroupMkdir(cgroup_id=20, owner=20, path=b"/docker/" + b"a" * 64, parent_id=1, level=2)
DEATH = CgroupRmdir(cgroup_id=21, owner=21)


# Steps


@pytest.mark.parametrize(
    ("percent", "level", "narrow"),
    [
        (0, 0.0, Narrow.NONE),
        (79.99, 0.0, Narrow.NONE),
        (80, NARROW_OUTPUT, Narrow.OUTPUT),
        (84.99, NARROW_OUTPUT, Narrow.OUTPUT),
        (85, NARROW_ARGUMENTS, Narrow.ARGUMENTS),
        (89.99, NARROW_ARGUMENTS, Narrow.ARGUMENTS),
        (90, NARROW_FORKS, Narrow.FORKS),
        (93.99, NARROW_FORKS, Narrow.FORKS),
        (94, REFUSE, Narrow.FORKS),
        (99.99, REFUSE, Narrow.FORKS),
        (100, FULL, Narrow.FORKS),
        (5000, FULL, Narrow.FORKS),
    ],
)
def test_less_is_taken_as_it_fills(percent: float, level: float, narrow: Narrow) -> None:
    """The fixed order: what terminals show, arguments, forks, all records, everything."""
    admission = filled(percent)
    assert (admission.level, admission.narrow) == (level, narrow)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_taken_back_well_below_it(step: float) -> None:
    """It holds until the spool has fallen a twentieth below, so that it does not come and go with every frame."""
    admission = Admission(MAX)
    edge = round(step * MAX)
    assert not admission.measure(edge - 1) or admission.level < step
    assert admission.measure(edge)
    assert admission.level == step
    assert not admission.measure(edge - 1)
    assert not admission.measure(edge - round(BACK * MAX) + 1)
    assert admission.level == step
    assert admission.measure(edge - round(BACK * MAX) - 1)
    assert admission.level < step
    assert admission.measure(edge)
    assert admission.level == step


def test_steps_are_taken_back_one_by_one() -> None:
    """Each at its own mark."""
    admission = filled(100)
    levels = []
    for percent in range(100, 70, -1):
        admission.measure(percent * MAX // 100)
        levels.append((percent, admission.level))
    changes = [after for before, after in itertools.pairwise(levels) if after[1] != before[1]]
    assert changes == [(94, REFUSE), (88, NARROW_FORKS), (84, NARROW_ARGUMENTS), (79, NARROW_OUTPUT), (74, 0.0)]


def test_what_is_left_out_is_told_by_name() -> None:
    """Each step leaves out what those before it do, and everything is there again below them."""
    told = [[what for what, holds in filled(percent).narrowed.items() if holds] for percent in (79, 80, 85, 90, 100)]
    whole = ["output", "arguments", "forks"]
    assert told == [[], whole[:1], whole[:2], whole, whole]


def test_a_spool_that_was_emptied_takes_all_at_once() -> None:
    """No step is waited for."""
    admission = filled(100)
    assert admission.measure(0)
    assert (admission.level, admission.narrow) == (0.0, Narrow.NONE)


@given(st.lists(st.integers(0, 2 * MAX), max_size=30))
def test_the_step_fits_the_fill(fills: list[int]) -> None:
    """Never less strict than the fill asks for, never more strict than a twentieth above it; changes are told."""
    admission = Admission(MAX)
    for fill in fills:
        before = admission.level
        assert admission.measure(fill) == (admission.level != before)
        strict = max((step for step in STEPS if fill >= step * MAX), default=0.0)
        lenient = max((step for step in STEPS if fill >= (step - BACK) * MAX - 1), default=0.0)
        assert strict <= admission.level <= lenient
        assert admission.level <= max(before, strict)


# Who is admitted


def flood(admission: Admission, owner: int, count: int = 10_000) -> int:
    """So many records of one owner, in spans of a hundred; how many are taken."""
    span = span_of(*[Fork(cgroup_id=owner, owner=owner)] * 100)
    return sum(admission.admit(span, 100, NOW)[1] for _ in range(count // 100))


ROOM = (REFUSE - NARROW_OUTPUT) * MAX
FORK_BYTES = len(span_of(Fork()))


def test_a_flood_leaves_room() -> None:
    """One that floods gets half of what is left, the next one half of the rest; who is quiet loses nothing."""
    admission = filled(80)
    taken = [flood(admission, owner) for owner in (1, 2)]
    assert [round(count * FORK_BYTES / ROOM, 2) for count in taken] == [0.5, 0.25]
    assert flood(admission, 3, 100) == 100
    told = accounts(admission.take(NOW))
    assert told == {
        (owner, Cause.OVER_BUDGET, FORK): 10_000 - count for owner, count in zip((1, 2), taken, strict=True)
    }
    assert not admission.gap


def test_what_was_removed_is_no_more_held() -> None:
    """As the spool is emptied, one that flooded may go on; below the first step nothing is held against it."""
    admission = filled(80)
    first = flood(admission, 1)
    used = int(0.8 * MAX) + first * FORK_BYTES
    admission.measure(used)
    assert flood(admission, 1) == 0
    admission.measure(int(used * 0.95))
    assert 0 < flood(admission, 1) < first
    admission.measure(0)
    admission.measure(int(0.8 * MAX))
    assert flood(admission, 1) == first


def test_births_and_deaths_know_no_budget() -> None:
    """Without them nobody would know whose the other records are."""
    admission = filled(80)
    flood(admission, BIRTH.owner)
    assert admission.admit(span_of(BIRTH, DEATH), 2, NOW)[1] == 2


# What is admitted


@pytest.mark.parametrize("percent", [0, 85, 93])
def test_below_refusal_a_span_is_taken_as_it_is(percent: int) -> None:
    """Narrowing is the kernel's; nothing is counted here."""
    admission, span = filled(percent), span_of(*LIVE, BIRTH)
    taken, count = admission.admit(span, 5, NOW)
    assert taken == span
    assert count == 5
    assert (admission.refused, admission.gap, admission.take(NOW)) == ({}, False, [])


@pytest.mark.parametrize("percent", [94, 100])
def test_at_refusal_only_the_registrys_records_are_taken(percent: int) -> None:
    """Births and deaths of cgroups come through byte for byte and in order; the rest is counted by owner and type."""
    admission = filled(percent)
    taken, count = admission.admit(span_of(LIVE[0], BIRTH, *LIVE[1:], DEATH), 6, NOW)
    assert taken == span_of(BIRTH, DEATH)
    assert (count, [type(record) for record in records_in(taken)]) == (2, [CgroupMkdir, CgroupRmdir])
    assert admission.gap
    losses = admission.take(NOW + 5)
    full = Cause.SPOOL_FULL
    assert accounts(losses) == {(10, full, EXEC): 2, (10, full, FORK): 1, (0, full, EXIT): 1}
    assert {(loss.time, loss.since) for loss in losses} == {(NOW + 5, NOW)}


def test_a_span_of_which_nothing_is_taken_is_empty() -> None:
    """There is no frame to write."""
    assert filled(94).admit(span_of(*LIVE), 4, NOW) == (b"", 0)


def test_given_up_records_are_neither_taken_nor_counted() -> None:
    """The kernel counts what it gave up."""
    given_up = bytearray(span_of(BIRTH, *LIVE))
    for offset, length in list(walk(bytes(given_up))):
        given_up[offset - 8 : offset - 4] = (length | DISCARDED).to_bytes(4, "little")
    admission = filled(94)
    assert admission.admit(bytes(given_up) + span_of(DEATH), 1, NOW) == (span_of(DEATH), 1)
    assert admission.take(NOW) == []


# What is refused


def test_a_refused_payload_is_counted() -> None:
    """By owner and type, with the cause that is given; what only user space makes is made again, and isn't counted."""
    admission = Admission(MAX)
    admission.refuse(span_of(*LIVE, BIRTH, Tick(time=1), Clock()), Cause.DISK, NOW)
    disk = Cause.DISK
    assert admission.gap
    assert accounts(admission.take(NOW)) == {
        (10, disk, EXEC): 2,
        (10, disk, FORK): 1,
        (0, disk, EXIT): 1,
        (20, disk, MKDIR): 1,
    }


def test_the_account_begins_anew_when_it_was_taken() -> None:
    """What was told is not told again, and the next span of time begins with the next refusal."""
    admission = Admission(MAX)
    admission.refuse(span_of(LIVE[0]), Cause.DISK, NOW)
    admission.refuse(span_of(LIVE[0]), Cause.DISK, NOW + 1)
    (loss,) = admission.take(NOW + 2)
    assert (loss.count, loss.since) == (2, NOW)
    assert admission.take(NOW + 3) == []
    admission.refuse(span_of(LIVE[0]), Cause.DISK, NOW + 4)
    (loss,) = admission.take(NOW + 5)
    assert (loss.count, loss.since) == (1, NOW + 4)


def test_causes_have_accounts_of_their_own() -> None:
    """A full spool and a full disk are two things."""
    admission = Admission(MAX)
    admission.refuse(span_of(LIVE[0]), Cause.DISK, NOW)
    admission.refuse(span_of(LIVE[0], LIVE[0]), Cause.SPOOL_FULL, NOW)
    assert accounts(admission.take(NOW)) == {(10, Cause.DISK, EXEC): 1, (10, Cause.SPOOL_FULL, EXEC): 2}


def test_a_refused_loss_is_told_later() -> None:
    """With the cause, the owner and the beginning that it had; it adds to what is refused since."""
    loss = Loss(time=NOW - 1, cgroup_id=10, count=41, since=NOW - 9, cause=Cause.RING_FULL, record_type=EXEC)
    again = Loss(time=NOW - 1, cgroup_id=10, count=1, since=NOW - 5, cause=Cause.RING_FULL, record_type=EXEC)
    admission = Admission(MAX)
    admission.refuse(span_of(loss, LIVE[0], again), Cause.DISK, NOW)
    losses = admission.take(NOW + 1)
    assert accounts(losses) == {(10, Cause.RING_FULL, EXEC): 42, (10, Cause.DISK, EXEC): 1}
    assert {loss.since for loss in losses} == {NOW - 9}


def test_a_loss_without_a_beginning_has_none_to_give() -> None:
    """Zero is not the oldest of times."""
    admission = Admission(MAX)
    admission.refuse(span_of(Loss(cgroup_id=1, count=1, cause=Cause.RING_FULL)), Cause.DISK, NOW)
    (loss,) = admission.take(NOW)
    assert loss.since == NOW


def test_refused_records_are_totalled_once() -> None:
    """However often the Loss that tells of them is refused itself."""
    admission = Admission(MAX)
    admission.refuse(span_of(*LIVE), Cause.DISK, NOW)
    for _ in range(10):
        losses = admission.take(NOW)
        admission.refuse(span_of(*losses), Cause.DISK, NOW)
    assert sum(accounts(admission.take(NOW)).values()) == 4
    assert admission.totals == {Cause.DISK: 4}


owners = st.integers(0, 3)
live = st.one_of(
    st.builds(lambda owner: Exec(owner=owner, exe=b"/x"), owners), st.builds(lambda owner: Fork(owner=owner), owners)
)
steps = st.lists(st.tuples(st.lists(live, min_size=1, max_size=5), st.booleans(), st.booleans()), max_size=12)


@given(steps)
def test_every_record_is_stored_or_told(steps: list[tuple[list[Header], bool, bool]]) -> None:
    """Whatever is refused, and whichever losses are refused again: at last the account is exact."""
    admission, sent, told_counts = Admission(MAX), 0, 0
    for records, refused, tell in steps:
        payload = span_of(*records, *(admission.take(NOW) if tell else []))
        sent += len(records)
        if refused:
            admission.refuse(payload, Cause.DISK, NOW)
        else:
            stored = records_in(payload)
            told_counts += sum(record.count if isinstance(record, Loss) else 1 for record in stored)
    told_counts += sum(loss.count for loss in admission.take(NOW))
    assert told_counts == sent


def test_the_registrys_records_reach_readers_while_the_rest_is_refused(tmp_path: Path) -> None:
    """From the ring to a reader: births, deaths, and the loss of all others."""
    admission = filled(96)
    with Spool(tmp_path, HOST, BOOT) as spool:
        taken, count = admission.admit(span_of(LIVE[0], BIRTH, LIVE[1], DEATH), 4, NOW)
        spool.add(taken, count)
        for loss in admission.take(NOW):
            spool.add(wrap(loss.encode()), 1)
        spool.commit()
        (frame,) = frames_of(told(Reader(spool.stream)))
    found = records_in(frame.payload)
    assert frame.count == len(found) == 4
    assert [record.encode() for record in found[:2]] == [BIRTH.encode(), DEATH.encode()]
    assert all(isinstance(record, Loss) for record in found[2:])
