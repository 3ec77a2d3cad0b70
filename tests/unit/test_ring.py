"""Draining a ring that is laid out as the kernel lays out its own, in a memory file."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.ring import BUSY, Ring
from shipper.wire.frame import DISCARDED, PREFIX, stride, walk

SIZE = 1 << 16
PAGE = mmap.PAGESIZE
NONE: frozenset[int] = frozenset()
CUT = frozenset({5, 6})
MUCH = 1 << 20


class Kernel:
    """The kernel's side: writes records and moves the producer's position."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.produced = 0

    def write(self, number: int, content: bytes = b"", flags: int = 0) -> int:
        """A record of a type; returns where it begins."""
        record = struct.pack("<H", number) + content
        data = (struct.pack("<II", len(record) | flags, 7) + record).ljust(stride(len(record)), b"\0")
        at = self.produced
        for offset in range(len(data)):
            place = (at + offset) % SIZE
            os.pwrite(self._fd, data[offset : offset + 1], 2 * PAGE + place)
            os.pwrite(self._fd, data[offset : offset + 1], 2 * PAGE + SIZE + place)  # the same pages, mapped again
        self.produced += len(data)
        os.pwrite(self._fd, struct.pack("<Q", self.produced), PAGE)
        return at

    def finish(self, at: int, content: bytes) -> None:
        """Let a record that was being written be whole."""
        word = struct.pack("<I", 2 + len(content))
        os.pwrite(self._fd, word, 2 * PAGE + at % SIZE)
        os.pwrite(self._fd, word, 2 * PAGE + SIZE + at % SIZE)

    @property
    def consumed(self) -> int:
        """The consumer's position: what stands before it may be overwritten."""
        return int.from_bytes(os.pread(self._fd, 8, 0), "little")

    def begin_at(self, position: int) -> None:
        """Let the ring have been used before."""
        self.produced = position
        os.pwrite(self._fd, struct.pack("<Q", position), 0)
        os.pwrite(self._fd, struct.pack("<Q", position), PAGE)


@pytest.fixture
def fd() -> Iterator[int]:
    """An empty ring's file descriptor."""
    opened = os.memfd_create("ring")
    os.ftruncate(opened, 2 * PAGE + 2 * SIZE)
    yield opened
    os.close(opened)


@pytest.fixture
def kernel(fd: int) -> Kernel:
    """Who writes it."""
    return Kernel(fd)


@pytest.fixture
def ring(fd: int) -> Iterator[Ring]:
    """Who drains it."""
    with Ring(fd, SIZE) as opened:
        yield opened


def contents(span: bytes) -> list[bytes]:
    """What a span's records hold, their type left out."""
    return [span[offset + 2 : offset + length] for offset, length in walk(span)]


def test_an_empty_ring_gives_nothing(ring: Ring, kernel: Kernel) -> None:
    """No record, no span."""
    assert list(ring.drain(CUT, MUCH)) == []
    assert (ring.waiting(), kernel.consumed) == (0, 0)


def test_records_come_in_one_span(ring: Ring, kernel: Kernel) -> None:
    """Consecutive records are one span, copied as they lie, with their number."""
    for content in (b"one", b"", b"three"):
        kernel.write(1, content)
    assert ring.waiting() == kernel.produced
    ((span, count, cut),) = ring.drain(CUT, MUCH)
    assert (contents(span), count, cut) == ([b"one", b"", b"three"], 3, -1)
    assert (ring.waiting(), kernel.consumed) == (0, kernel.produced)
    assert list(ring.drain(CUT, MUCH)) == []


def test_a_type_to_cut_at_ends_its_span(ring: Ring, kernel: Kernel) -> None:
    """The offset is that of the record itself, so that it can be read and something be put behind it."""
    for number, content in [(1, b"a"), (5, b"first"), (1, b"b"), (1, b"c"), (6, b"second"), (5, b"third"), (1, b"d")]:
        kernel.write(number, content)
    given_spans = list(ring.drain(CUT, MUCH))
    assert [(contents(span), count) for span, count, _ in given_spans] == [
        ([b"a", b"first"], 2),
        ([b"b", b"c", b"second"], 3),
        ([b"third"], 1),
        ([b"d"], 1),
    ]
    assert [span[cut : cut + 4] if cut >= 0 else None for span, _, cut in given_spans] == [
        b"\x05\0fi",
        b"\x06\0se",
        b"\x05\0th",
        None,
    ]


def test_spans_keep_a_limit(ring: Ring, kernel: Kernel) -> None:
    """No span is longer than the limit."""
    for _ in range(10):
        kernel.write(1, bytes(38))
    spans = list(ring.drain(CUT, 3 * stride(40)))
    assert [count for _, count, _ in spans] == [3, 3, 3, 1]
    assert all(len(span) <= 3 * stride(40) for span, _, _ in spans)


def test_a_record_beyond_the_limit_comes_alone(ring: Ring, kernel: Kernel) -> None:
    """A record that is longer than the limit is not held back for ever."""
    for size in (10, 500, 10):
        kernel.write(1, bytes(size))
    assert [len(contents(span)[0]) for span, _, _ in ring.drain(CUT, 100)] == [10, 500, 10]


def test_draining_stops_at_a_record_being_written(ring: Ring, kernel: Kernel) -> None:
    """What stands behind an unfinished record waits, so that order is kept."""
    kernel.write(1, b"one")
    busy = kernel.write(1, b"two", BUSY)
    kernel.write(1, b"three")
    assert [contents(span) for span, _, _ in ring.drain(CUT, MUCH)] == [[b"one"]]
    assert kernel.consumed == busy
    assert list(ring.drain(CUT, MUCH)) == []
    kernel.finish(busy, b"two")
    assert [contents(span) for span, _, _ in ring.drain(CUT, MUCH)] == [[b"two", b"three"]]
    assert kernel.consumed == kernel.produced


@pytest.mark.parametrize("number", [1, 5])
def test_discarded_records_are_none(ring: Ring, kernel: Kernel, number: int) -> None:
    """A record that its writer gave up is neither counted nor cut at, and its room is free again."""
    kernel.write(1, b"one")
    kernel.write(number, b"given up", DISCARDED)
    kernel.write(1, b"two")
    ((span, count, cut),) = ring.drain(CUT, MUCH)
    assert (contents(span), count, cut) == ([b"one", b"two"], 2, -1)
    for _ in range(3):
        kernel.write(number, bytes(50), DISCARDED)
    assert list(ring.drain(CUT, 100)) == []
    assert kernel.consumed == kernel.produced


def test_a_span_is_free_once_the_next_is_asked_for(ring: Ring, kernel: Kernel) -> None:
    """The kernel may not overwrite what the caller has not finished with."""
    first, second = kernel.write(5, b"one"), kernel.write(5, b"two")
    draining = ring.drain(CUT, MUCH)
    next(draining)
    assert kernel.consumed == first
    next(draining)
    assert kernel.consumed == second
    assert next(draining, None) is None
    assert kernel.consumed == kernel.produced


def test_a_caller_that_gives_up_gets_its_span_again(ring: Ring, kernel: Kernel) -> None:
    """A span whose caller didn't come back for more was not consumed."""
    kernel.write(5, b"one")
    kernel.write(1, b"two")
    for _ in range(2):
        assert contents(next(ring.drain(CUT, MUCH))[0]) == [b"one"]
    assert [contents(span) for span, _, _ in ring.drain(CUT, MUCH)] == [[b"one"], [b"two"]]


def test_what_is_written_meanwhile_waits(ring: Ring, kernel: Kernel) -> None:
    """A drain ends at the position that the producer had when it began: a flood can't keep it busy for ever."""
    kernel.write(5, b"one")
    draining = ring.drain(CUT, MUCH)
    next(draining)
    kernel.write(5, b"two")
    assert list(draining) == []
    assert [contents(span) for span, _, _ in ring.drain(CUT, MUCH)] == [[b"two"]]


def test_spans_go_over_the_end(ring: Ring, kernel: Kernel) -> None:
    """A span that goes over the ring's end is one piece, as the data is mapped twice in a row."""
    kernel.begin_at(5 * SIZE - 64)
    for number in range(8):
        kernel.write(1, b"record %d" % number)
    ((span, count, _),) = ring.drain(CUT, MUCH)
    assert (contents(span), count) == ([b"record %d" % number for number in range(8)], 8)
    assert kernel.consumed == kernel.produced > 5 * SIZE


@given(
    st.lists(st.tuples(st.sampled_from([1, 5, 6, 300]), st.binary(max_size=90), st.sampled_from([0, 0, DISCARDED]))),
    st.integers(0, 3 * SIZE // 8),
    st.integers(1, 400),
)
@settings(max_examples=50)
def test_every_record_comes_once_and_in_order(written: list[tuple[int, bytes, int]], begin: int, limit: int) -> None:
    """Whatever is written, wherever it lies, spans give it completely, and are cut where they should be."""
    opened = os.memfd_create("ring")
    try:
        os.ftruncate(opened, 2 * PAGE + 2 * SIZE)
        kernel = Kernel(opened)
        kernel.begin_at(8 * begin)
        for number, content, flags in written:
            kernel.write(number, content, flags)
        with Ring(opened, SIZE) as ring:
            spans = list(ring.drain(CUT, limit))
        expected = [(number, content) for number, content, flags in written if not flags]
        found = [
            (int.from_bytes(span[offset : offset + 2], "little"), span[offset + 2 : offset + length])
            for span, _, _ in spans
            for offset, length in walk(span)
        ]
        assert found == expected
        assert sum(count for _, count, _ in spans) == len(expected)
        assert all(count == 1 or len(span) <= limit for span, count, _ in spans)
        for span, count, cut in spans:
            numbers = [(offset, int.from_bytes(span[offset : offset + 2], "little")) for offset, _ in walk(span)]
            assert len(numbers) == count
            assert [offset for offset, number in numbers if number in CUT] == ([cut] if cut >= 0 else [])
            assert cut in (-1, numbers[-1][0])
        assert kernel.consumed == kernel.produced
    finally:
        os.close(opened)


def test_closing_gives_the_memory_back(fd: int) -> None:
    """Nothing of the ring stays mapped; the prefix of a record is 8 bytes, as the kernel's."""
    with Ring(fd, SIZE) as ring:
        Kernel(fd).write(1, b"one")
        ((span, _, _),) = ring.drain(NONE, MUCH)
    assert contents(span) == [b"one"]
    assert PREFIX == 8
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert "memfd:ring" not in maps.read()
