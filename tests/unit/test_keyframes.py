"""Where in a topic a replay begins: at a keyframe before the time, however the search goes back to it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from enrich.history import SLACK_NS
from enrich.kafka.keyframes import Search, Seen
from enrich.sources import Taken
from shipper.wire.frame import KEYFRAME, Frame

ID, HOST = b"s" * 16, b"h" * 16
SECOND = 1_000_000_000
SINCE, UNTIL = 1000 * SECOND, 1060 * SECOND
STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from([1, 5, 40, -300])), min_size=1, max_size=40)
"""Of each frame: whether it is a keyframe, and how many seconds it is later than the one before."""


def frames(steps: list[tuple[bool, int]], first: int = 0, time: int = 900) -> list[Taken]:
    """Frames as they stand in a partition, one place behind the other."""
    found = []
    for number, (keyframe, seconds) in enumerate(steps, first):
        time += seconds
        frame = Frame(ID, HOST, HOST, number, 0, b"", time=time * SECOND, flags=KEYFRAME * keyframe)
        found.append(Taken(number + 10, number + 11, ID, frame))
    return found


def seen(*parts: list[Taken]) -> Seen:
    """What a search finds that looks at the last part first."""
    found = Search(SINCE, UNTIL)
    for part in reversed(parts):
        search = Search(SINCE, UNTIL)
        for taken in part:
            search.take(3, taken)
        found.further_back(search)
    return found.seen[ID]


def every(seconds: int, count: int, *, first: int = 0) -> Seen:
    """A keyframe each minute among frames each so many seconds, from a number on."""
    return seen(frames([(number * seconds % 60 == 0, seconds) for number in range(count)], first))


def test_the_last_keyframe_that_is_early_enough() -> None:
    """It lies more than the slack before the time, and the next one does not."""
    found = every(10, 40)
    begin = frames([(False, 10)] * 40)[(found.begin or 0) - 10].piece
    assert isinstance(begin, Frame)
    assert SINCE - SLACK_NS - 60 * SECOND < begin.time <= SINCE - SLACK_NS
    assert (found.wanted, found.headless, found.partition) == (True, False, 3)


def test_a_stream_that_began_in_that_time() -> None:
    """Where its first frame is seen nothing is missing before it."""
    found = seen(frames([(True, 1), (False, 1)], time=1010))
    assert (found.begin, found.place, found.headless, found.wanted) == (None, 10, False, True)


def test_what_begins_further_back() -> None:
    """A stream that is seen in its middle, and no keyframe before the time, is not whole yet."""
    assert seen(frames([(False, 1), (True, 1)], first=5, time=1010)).headless
    assert seen(frames([(False, 1)], first=5, time=5000)).headless
    assert not seen(frames([(False, 1)], first=5, time=500)).headless


def test_what_is_of_another_time() -> None:
    """Streams that ended before or began after are not read."""
    assert not seen(frames([(True, 1), (False, 1)], time=500)).wanted
    assert not seen(frames([(True, 1), (False, 1)], time=5000)).wanted


@given(STEPS, st.lists(st.integers(0, 40), max_size=3))
def test_in_parts_as_at_once(steps: list[tuple[bool, int]], cuts: list[int]) -> None:
    """However often it goes further back, it finds what it finds at once; clocks may be set back."""
    whole = frames(steps)
    edges = [0, *sorted(cuts), len(whole)]
    parts = [whole[begin:end] for begin, end in pairwise(edges)]
    at_once, found = seen(whole), seen(*(part for part in parts if part))
    for name in ("begin", "place", "first", "last", "late", "wanted", "ahead", "final", "headless"):
        assert getattr(found, name) == getattr(at_once, name), name


@given(STEPS)
def test_nothing_of_the_time_lies_before_the_beginning(steps: list[tuple[bool, int]]) -> None:
    """Frames before it are all too early, up to the first keyframe that is late."""
    whole = frames(steps)
    found = seen(whole)
    before = [taken.piece for taken in whole if taken.place < (found.begin or 0)]
    keyframes = [piece for piece in before if isinstance(piece, Frame) and piece.flags & KEYFRAME]
    assert all(piece.time <= SINCE - SLACK_NS for piece in keyframes)
