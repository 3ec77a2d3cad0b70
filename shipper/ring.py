"""Drains the kernel's ring buffer in spans: record headers are looked at, contents are copied once.

Layout: kernel/bpf/ringbuf.c and include/uapi/linux/bpf.h. The consumer position is a page of its own, the producer
position another, then the data, mapped twice in a row so that no span wraps.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from shipper.wire.frame import DISCARDED, PREFIX

BUSY = 1 << 31
_PAGE = mmap.PAGESIZE


class Ring:
    """The ring of one map. x86-64 only: positions are read and written with plain loads and stores (TSO)."""

    def __init__(self, fd: int, size: int) -> None:
        self._mask = size - 1
        self.size = size
        self._consumer_map = mmap.mmap(fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._producer_map = mmap.mmap(fd, _PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        self._consumer = memoryview(self._consumer_map)[:8].cast("Q")
        self._producer = memoryview(self._producer_map)[:8].cast("Q")
        self._data = memoryview(self._producer_map)[_PAGE:]
        self._words = self._data.cast("I")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for view in (self._words, self._data, self._producer, self._consumer):
            view.release()
        self._producer_map.close()
        self._consumer_map.close()

    def waiting(self) -> int:
        """Bytes written and not yet drained."""
        return self._producer[0] - self._consumer[0]

    def drain(self, cut: frozenset[int], limit: int) -> Iterator[tuple[bytes, int, int]]:
        """Yields (span, records, cut): consecutive records as they lie in the ring, at most `limit` bytes of them.

        A record of a type in `cut` ends its span, and the last number is its offset there (-1 otherwise), so that the
        caller can put something behind it. What was yielded is free for the kernel once the next span is asked for.
        Ends at the position that the producer had at the call, or at a record still being written.
        """
        at, end = self._consumer[0], self._producer[0]
        start, count = at, 0
        words, mask = self._words, self._mask  # this loop is most of the agent's work
        while at < end:
            offset = at & mask
            word = words[offset >> 2]
            if word & BUSY:
                break
            step = ((word & ~DISCARDED) + PREFIX + 7) & ~7  # frame.stride, without its call
            if at + step - start > limit and at > start:
                if count:
                    yield self._span(start, at), count, -1
                self._consumer[0] = start = at
                count = 0
            number = words[(offset + PREFIX) >> 2] & 0xFFFF
            at += step
            if word & DISCARDED:  # it stays in the span, where frame.walk passes over it
                continue
            count += 1
            if number in cut:
                yield self._span(start, at), count, at - step + PREFIX - start
                self._consumer[0] = start = at
                count = 0
        if count:
            yield self._span(start, at), count, -1
        self._consumer[0] = at

    def _span(self, start: int, end: int) -> bytes:
        offset = start & self._mask
        return bytes(self._data[offset : offset + end - start])
