"""A small spool with one byte changed, or cut off there: what is lost is told, and nothing else changes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shipper.wire.frame import HEADER_SIZE
from tests.faults.conftest import Effort
from tests.faults.damage import Place, Small, undelivered
from tests.faults.kept import Kept, remade
from tests.faults.storm import drizzle
from tests.faults.writer import write

pytestmark = pytest.mark.faults

MEMORY = Path("/dev/shm")
SAMPLE = 30
"""So many bytes of one header are tried when not all are."""


@dataclass(frozen=True, slots=True)
class Drizzle:
    """A small spool, and what comes of it undamaged."""

    data: Path
    small: Small
    wanted: Kept


@pytest.fixture
def small(seed: int) -> Iterator[Drizzle]:
    """The small spool of this run; in memory, where thousands of workers are quick."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        data = Path(folder) / "data"
        write(data / "spool", drizzle(seed))
        wanted = remade(data)
        assert not wanted.letters
        yield Drizzle(data, Small(data / "spool"), wanted)


def bytes_of(small: Small, effort: Effort, rng: random.Random) -> list[tuple[Path, int]]:
    """All bytes of all segments; or one of each frame, and a sample of one header and what follows it."""
    if effort.long:
        return [(place.segment, at) for place in small.places for at in range(place.offset, place.end)]
    one = rng.choice(small.places)
    header = rng.sample(range(one.offset, one.offset + HEADER_SIZE + 16), SAMPLE)
    each = [(place.segment, rng.randrange(place.offset, place.end)) for place in small.places]
    return [*each, *((one.segment, at) for at in header)]


def expected_losses(small: Small, lost: list[Place], cause: str) -> dict[str, tuple[str, int]]:
    """The loss of frames at the end of the newest stream can't be told yet: more may come."""
    newest = len(small.streams) - 1
    if lost[-1] == small.places[-1] and lost[0].stream == newest:
        return {}
    return {f"stream{lost[0].stream}-{lost[0].number}-gap": (cause, len(lost))}


def assert_told(small: Drizzle, found: Kept, lost: list[Place], cause: str, damage: bytes) -> None:
    """Which frames are gone, how many records of each owner, and the bytes that stood there."""
    gaps = {
        ident: (told["cause"], told["frames"])
        for ident, body in found.documents.items()
        if "frames" in (told := json.loads(body).get("cgtrail", {}).get("loss", {}))
    }
    assert gaps == expected_losses(small.small, lost, cause)
    assert [body for _, body in found.letters.values()] == [damage] * bool(damage)
    for stream in range(len(small.small.streams)):
        wanted = small.small.undelivered(stream, lost)
        assert wanted is None or undelivered(found.documents, stream) == wanted


def assert_rest(small: Drizzle, found: Kept, lost: list[Place]) -> None:
    """Whatever did not need the lost frames is as it was; nothing is made up of what has nothing to do with them."""
    wanted = small.wanted.documents
    for ident, body in wanted.items():
        if found.documents.get(ident) != body:
            assert small.small.affected(ident, body, lost), f"{ident}: {found.documents.get(ident)} instead of {body}"
    for ident in found.documents.keys() - wanted.keys():
        own = json.loads(found.documents[ident])["cgtrail"].get("loss", {}).get("cause")
        told = own in {"frame_damaged", "frame_missing", "not_delivered"}
        assert told or small.small.affected(ident, found.documents[ident], lost), f"{ident} is new"


def check(small: Drizzle, segment: Path, at: int, *, cut: bool, bits: int = 0) -> None:
    """Damage one byte, run a worker, and put it right again."""
    before = segment.read_bytes()
    lost = small.small.lost(segment, at, cut=cut)
    segment.write_bytes(before[:at] + (b"" if cut else bytes([before[at] ^ bits]) + before[at + 1 :]))
    damage = segment.read_bytes()[lost[0].offset : at if cut else lost[0].end]
    try:
        found = remade(small.data)
        assert_told(small, found, lost, "frame_damaged" if damage else "frame_missing", damage)
        assert_rest(small, found, lost)
    finally:
        segment.write_bytes(before)


def test_flipped(small: Drizzle, effort: Effort, rng: random.Random) -> None:
    """A changed byte costs its frame, and what depended on it; all of that is told."""
    for segment, at in bytes_of(small.small, effort, rng):
        bits = rng.randint(1, 255)
        try:
            check(small, segment, at, cut=False, bits=bits)
        except Exception as error:
            error.add_note(f"byte {at} of {segment.parent.name}/{segment.name} changed by {bits:#x}")
            raise


def test_cut(small: Drizzle, effort: Effort, rng: random.Random) -> None:
    """A segment that ends too early costs the frames behind, and all of that is told."""
    for segment, at in bytes_of(small.small, effort, rng):
        try:
            check(small, segment, at, cut=True)
        except Exception as error:
            error.add_note(f"{segment.parent.name}/{segment.name} cut at byte {at}")
            raise


def test_removed(small: Drizzle) -> None:
    """A whole segment that is gone is told as missing frames."""
    for segment in {place.segment for place in small.small.places}:
        lost = small.small.lost(segment, 0, cut=True)
        aside = segment.rename(segment.with_suffix(".aside"))
        found = remade(small.data)
        aside.rename(segment)
        cause = "frame_expired" if not lost[0].number else "frame_missing"
        assert_told(small, found, lost, cause, b"")
        assert_rest(small, found, lost)


def test_count_damaged(small: Drizzle) -> None:
    """Without the file that tells how many frames are on disk, or with a byte of it changed, what is whole counts."""
    for stream in small.small.streams:
        counted = stream.path / "committed"
        before = counted.read_bytes()
        for damaged in (None, b"", *(before[:at] + b"\x5a" + before[at + 1 :] for at in range(len(before)))):
            counted.unlink() if damaged is None else counted.write_bytes(damaged)
            found = remade(small.data)
            counted.write_bytes(before)
            assert found == small.wanted
