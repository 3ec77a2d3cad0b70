"""How fast documents are sent to Elasticsearch."""

from __future__ import annotations

import pytest

from enrich.elasticsearch.pace import MAX_DOCUMENTS, SLOW_SECONDS, Pace


def test_full_speed_at_first() -> None:
    """As much as is allowed is sent until a server says no."""
    pace = Pace(1 << 20, 4)
    pace.went(pace.turn, 0.1)
    assert (pace.bytes, pace.documents, pace.in_flight) == (1 << 20, MAX_DOCUMENTS, 4)


def test_half_after_a_refusal_and_back_by_steps() -> None:
    """A refusal halves size and flights; requests that go well bring them back, each a little."""
    pace = Pace(1 << 20, 4)
    pace.pressed(pace.turn)
    assert (pace.bytes, pace.documents, pace.in_flight) == (1 << 19, MAX_DOCUMENTS // 2, 2)
    sizes = []
    while pace.bytes < 1 << 20 or pace.in_flight < 4:
        pace.went(pace.turn, 0.1)
        sizes.append(pace.bytes)
    assert len(sizes) > 4
    assert sizes == sorted(sizes)
    assert max(sizes) == 1 << 20


def test_refusals_that_were_on_their_way_count_once() -> None:
    """Four requests in flight that are refused together halve the pace once, not to a sixteenth."""
    pace = Pace(1 << 20, 4)
    turn = pace.turn
    for _ in range(4):
        pace.pressed(turn)
    assert pace.bytes == 1 << 19
    pace.pressed(pace.turn)
    assert pace.bytes == 1 << 18


def test_it_never_stands_still() -> None:
    """However often a server refuses, something is sent."""
    pace = Pace(1000, 2)
    for _ in range(50):
        pace.pressed(pace.turn)
        pace.too_large(pace.bytes)
    assert pace.bytes >= 1
    assert pace.documents >= 1
    assert pace.in_flight == 1


def test_a_slow_answer_makes_requests_smaller() -> None:
    """An answer that took long counts as a sign of pressure, a milder one."""
    pace = Pace(1 << 20, 4)
    pace.went(pace.turn, SLOW_SECONDS * 2)
    assert 1 << 19 < pace.bytes < 1 << 20
    assert pace.in_flight == 3


def test_what_is_too_large_is_not_tried_again() -> None:
    """A proxy's bound is kept, however well everything else goes."""
    pace = Pace(1 << 20, 1)
    pace.too_large(1 << 19)
    for _ in range(100):
        pace.went(pace.turn, 0.1)
    assert pace.bytes == 1 << 18


@pytest.mark.parametrize(("size", "flights"), [(0, 1), (1, 0)])
def test_nothing_allowed(size: int, flights: int) -> None:
    """A bound that allows nothing is an error that says so."""
    with pytest.raises(ValueError, match="1 at least"):
        Pace(size, flights)
