"""What is published of a spool, in which order, and how far it counts as published."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from shipper.publish.in_flight import InFlight, Sent
from shipper.publish.pieces import Outgoing, Pieces
from shipper.wire.frame import Frame
from shipper.wire.message import End
from shipper.wire.position import Position
from shipper.wire.reader import Damage, Gap, GapCause
from tests.unit.spooled import ID, Spooled, five
from tests.unit.stream import UNIX

LATER = bytes(range(16, 32))
HOST = b"h" * 16


def later(data: Path, frames: int = 2) -> Spooled:
    """A second boot's stream."""
    stream = Spooled(data, LATER, UNIX + 1)
    stream.keyframe(first=True)
    stream.tick(frames - 1)
    return stream


def read(data: Path, **positions: int) -> list[Outgoing]:
    """All that a publisher that begins at these positions reads."""
    known = {{"first": ID, "later": LATER}[name].hex(): Position(number) for name, number in positions.items()}
    return list(Pieces(data / "spool", known).read())


def shown(found: list[Outgoing]) -> list[tuple[str, str, int, int]]:
    """Whose, what, its number and the position behind it."""
    names = {ID: "first", LATER: "later"}
    return [(names[each.stream], type(each.piece).__name__, each.piece.number, each.behind) for each in found]


def test_the_oldest_stream_comes_first_and_its_end_before_the_next(tmp_path: Path) -> None:
    """Frames by their numbers, then the end with their count, then the next boot's; the newest has no end."""
    first = five(tmp_path)
    later(tmp_path)
    count = first.number
    wanted = [("first", "Frame", number, number + 1) for number in range(count)]
    wanted += [("first", "End", count, count + 1), ("later", "Frame", 0, 1), ("later", "Frame", 1, 2)]
    assert shown(read(tmp_path)) == wanted
    assert {each.host for each in read(tmp_path)} == {HOST}


def test_it_begins_where_all_before_was_acknowledged(tmp_path: Path) -> None:
    """In the middle of a stream, right before its end, and behind it."""
    count = five(tmp_path).number
    later(tmp_path, 1)
    rest = [("first", "End", count, count + 1), ("later", "Frame", 0, 1)]
    assert shown(read(tmp_path, first=count - 1)) == [("first", "Frame", count - 1, count), *rest]
    assert shown(read(tmp_path, first=count)) == rest
    assert shown(read(tmp_path, first=count + 1)) == rest[1:]
    assert read(tmp_path, first=count + 1, later=1) == []


def test_it_goes_on_with_what_is_written_meanwhile(tmp_path: Path) -> None:
    """Frames, and a stream that ends with frames nobody had read yet."""
    first = five(tmp_path)
    pieces = Pieces(tmp_path / "spool", {})
    assert len(list(pieces.read())) == first.number
    assert list(pieces.read()) == []
    first.tick(2)
    later(tmp_path, 1)
    names = [type(each.piece).__name__ for each in pieces.read()]
    assert names == ["Frame", "Frame", "End", "Frame"]
    assert list(pieces.read()) == []


def test_damage_is_told_and_counts_only_with_its_gap(tmp_path: Path) -> None:
    """Where frames can't be read, workers hear of it as a worker beside the spool does; a restart tells both again."""
    stream = five(tmp_path)
    stream.damage(3)
    (damage, gap) = [each for each in read(tmp_path) if not isinstance(each.piece, Frame)]
    assert isinstance(damage.piece, Damage)
    assert gap.piece == Gap(3, 4, GapCause.FRAME_DAMAGED)
    assert (damage.behind, gap.behind) == (3, 4)
    assert [type(each.piece) for each in read(tmp_path, first=damage.behind)][:2] == [Damage, Gap]


def test_a_stream_that_can_not_be_read_at_all_has_its_hosts_key(tmp_path: Path) -> None:
    """Its end is told to the partition of the host that the other streams name."""
    first = Spooled(tmp_path)
    first.tick()
    first.segment(0).path.write_bytes(b"?" * 200)
    later(tmp_path, 1)
    found = read(tmp_path)
    assert [type(each.piece) for each in found] == [Damage, Gap, End, Frame]
    assert {each.host for each in found} == {HOST}


def test_a_stream_without_a_frame_is_not_told(tmp_path: Path) -> None:
    """An agent that ended before its first commit: nobody has heard of its stream."""
    Spooled(tmp_path)
    later(tmp_path, 1)
    assert shown(read(tmp_path)) == [("later", "Frame", 0, 1)]


def test_a_stream_that_was_removed_meanwhile_ends_where_it_was_read_to(tmp_path: Path) -> None:
    """Somebody empties the spool under a publisher that had come to its end."""
    first = five(tmp_path)
    pieces = Pieces(tmp_path / "spool", {})
    count = len(list(pieces.read()))
    for file in first.stream.path.iterdir():
        file.unlink()
    first.stream.path.rmdir()
    later(tmp_path, 1)
    found = list(pieces.read())
    assert [each.piece for each in found if isinstance(each.piece, End)] == [End(count)]


@pytest.mark.parametrize("arrivals", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]])
def test_a_position_moves_only_over_what_has_arrived_with_all_before_it(arrivals: list[int]) -> None:
    """Whatever the order in which acknowledgements come, none is settled early and none twice."""
    sent = [Sent("a", Position(number + 1), 0, 0) for number in range(4)]
    flight = InFlight()
    for each in sent:
        flight.add(each)
    settled: list[int] = []
    for step, number in enumerate(arrivals):
        sent[number].arrive()
        settled += [each.behind.next for each in flight.settle()]
        contiguous = next((n for n in range(4) if n not in arrivals[: step + 1]), 4)
        assert settled == list(range(1, contiguous + 1))
    assert len(flight) == 0
    assert flight.age == 0


def test_a_piece_knows_its_place_for_ever(tmp_path: Path) -> None:
    """What was read can't be changed while it waits for its acknowledgement."""
    five(tmp_path)
    outgoing = read(tmp_path)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        outgoing.behind = 7  # type: ignore[misc]


def test_what_is_written_below_a_position_is_sent(tmp_path: Path) -> None:
    """A spool that lost its end numbers its next frames as those that were published: they are not passed over."""
    stream = five(tmp_path)
    count = stream.number
    pieces = Pieces(tmp_path / "spool", {ID.hex(): Position(count + 3)})
    assert list(pieces.read()) == []
    stream.tick(1)
    assert shown(list(pieces.read())) == [("first", "Frame", count, count + 1)]
