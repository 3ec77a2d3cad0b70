"""What a worker knows does not grow with what it was told, only with what lives: keyframes and time clear the rest."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import Phase, given, settings

from bpf.events import CgroupRmdir, Exec
from bpf.schema import Record
from enrich.enricher import Enricher
from shipper.wire.frame import Frame, wrap
from shipper.wire.records import KeyframeBegin, KeyframeEnd, Tick
from tests.fuzz.generators import PAYLOADS
from tests.fuzz.test_fuzz import SHORT
from tests.fuzz.worker import NEXT_FRAME, pieces
from tests.unit.frames import BOOT, HOST, ID
from tests.unit.stream import SECOND

SLACK = 80
"""Bytes by which numbers that have become larger may be longer."""
_QUIET = 100 * SECOND


def _frame(number: int, *records: Record) -> Frame:
    return Frame(ID, HOST, BOOT, number, len(records), b"".join(wrap(record.encode()) for record in records), time=1)


def sizes(payload: bytes, rounds: int) -> list[int]:
    """Bytes of a worker's state after each round of the same records, a keyframe that names nothing, and a pause."""
    enricher, numbers, found = Enricher(ID), count(), []
    records = b"".join(piece.payload for piece in pieces(payload) if isinstance(piece, Frame))
    for round_ in range(1, rounds + 1):
        enricher.take(Frame(ID, HOST, BOOT, next(numbers), 0, records, time=1))
        now = round_ * 10 * _QUIET
        enricher.take(_frame(next(numbers), KeyframeBegin(time=now), KeyframeEnd(time=now)))
        for tick in range(1, 4):
            enricher.take(_frame(next(numbers), Tick(time=now + tick * _QUIET)))
        found.append(len(enricher.save()))
    return found


@pytest.mark.parametrize("kind", [Exec, CgroupRmdir])
def test_a_time_ahead_holds_nothing_back(kind: type[Record]) -> None:
    """One record that claims a time to come, and each that comes behind it is forgotten in its time all the same."""
    first, later = kind(time=2**64 - 1, cgroup_id=7), kind(time=SECOND, cgroup_id=8)
    found = sizes(NEXT_FRAME.join(wrap(each.encode()) for each in (first, later)), 8)
    assert found[7] <= found[2] + SLACK


def test_state_does_not_grow() -> None:
    """Whatever the records are, the eighth time leaves no more than the third."""

    @settings(SHORT, phases=[Phase.generate])
    @given(PAYLOADS)
    def check(payload: bytes) -> None:
        found = sizes(payload, 8)
        assert found[7] <= found[2] + SLACK

    check()
