"""Frames: up to 256 KiB of records with what names and protects them; what the spool stores and Kafka carries.

A frame is a header and a payload. The payload holds records as the kernel's ring buffer lays them out
(include/uapi/linux/bpf.h, BPF_RINGBUF_HDR_SZ): an 8-byte prefix with the record's length in its first four bytes, the
record, padding to 8. So the agent copies whole spans of the ring and looks at no record twice. All numbers are
little-endian.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"CGTF"
VERSION = 2
KEYFRAME = 1
"""Flag of a frame whose first record is KeyframeBegin: a reader can begin here."""
MAX_PAYLOAD = 256 * 1024
"""Bytes. A single record never exceeds it: the kernel side's scratch is 128 KiB."""
PREFIX = 8
DISCARDED = 1 << 30

# magic, version, header size | payload bytes, crc32 of all that follows, payload included
_GUARD = struct.Struct("<4sHHII")
# frame number, time, records, flags | stream, host, boot | digest of the payload, digest of the frame before
_BODY = struct.Struct("<QQII16s16s16s16s16s")
_WORD = struct.Struct("<I")
HEADER_SIZE = _GUARD.size + _BODY.size


class FrameError(ValueError):
    """Bytes that are no frame, or a damaged one; the message says what is wrong."""


class TornFrameError(FrameError):
    """The bytes end before the frame does: it is still being written, or its writer was killed."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `stream`, `host` and `boot` are 16-byte ids; (stream, number) names it for ever.

    `time`, in nanoseconds since 1970, is when its records were asked for: whatever had happened by then on the host
    stands in this frame or in one before it.
    """

    stream: bytes
    host: bytes
    boot: bytes
    number: int
    count: int
    payload: bytes
    previous: bytes = bytes(16)
    time: int = 0
    flags: int = 0
    digest: bytes = b""
    """16 bytes of BLAKE2b (RFC 7693) over the payload; computed when it is not given."""

    def __post_init__(self) -> None:
        """Computes the digest once."""
        if not self.digest:
            object.__setattr__(self, "digest", hashlib.blake2b(self.payload, digest_size=16).digest())

    def encode(self) -> bytes:
        """The frame's bytes."""
        ids = (self.stream, self.host, self.boot, self.digest, self.previous)
        body = _BODY.pack(self.number, self.time, self.count, self.flags, *ids)
        crc = zlib.crc32(self.payload, zlib.crc32(body))
        return _GUARD.pack(MAGIC, VERSION, HEADER_SIZE, len(self.payload), crc) + body + self.payload

    def records(self) -> Iterator[tuple[int, int, int]]:
        """(index, offset, length) of every record in the payload. Raises FrameError when lengths don't add up."""
        for index, (offset, length) in enumerate(walk(self.payload)):
            yield index, offset, length


def size(data: bytes | memoryview) -> int:
    """How many bytes the frame has that begins with this header of at least HEADER_SIZE bytes.

    Raises TornFrameError where the header is not whole, FrameError for what is no header of this version.
    """
    if len(data) < HEADER_SIZE:
        message = f"{len(data)} bytes left, a frame's header has {HEADER_SIZE}"
        raise TornFrameError(message)
    magic, version, header_size, length, _ = _GUARD.unpack_from(data)
    if magic != MAGIC:
        message = f"{bytes(magic)!r} instead of {MAGIC!r}"
        raise FrameError(message)
    if version != VERSION or header_size != HEADER_SIZE or length > MAX_PAYLOAD:
        message = f"frame version {version}, header {header_size}, payload {length} bytes"
        raise FrameError(message)
    return HEADER_SIZE + int(length)


def decode(data: bytes | memoryview) -> Frame:
    """The frame that `data` begins with.

    Raises TornFrameError where the data ends too early, FrameError for anything else that is no frame.
    """
    whole = size(data)
    if whole > len(data):
        message = f"{len(data)} of {whole} bytes"
        raise TornFrameError(message)
    if zlib.crc32(data[_GUARD.size : whole]) != _GUARD.unpack_from(data)[-1]:
        raise FrameError("crc32 differs")
    return _frame(data, bytes(data[HEADER_SIZE:whole]))


def head(data: bytes) -> Frame:
    """What a header says of its frame, the payload left out: nothing is verified. Raises FrameError as `size` does."""
    size(data)
    return _frame(data, b"")


def _frame(data: bytes | memoryview, payload: bytes) -> Frame:
    number, time, count, flags, stream, host, boot, digest, previous = _BODY.unpack_from(data, _GUARD.size)
    return Frame(stream, host, boot, number, count, payload, previous, time, flags, digest)


def walk(payload: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """(offset, length) of every record in a payload. Raises FrameError when a record passes the end."""
    at, end = 0, len(payload)
    while at < end:
        if end - at < PREFIX:
            message = f"record at byte {at}: {end - at} bytes left of its prefix's {PREFIX}"
            raise FrameError(message)
        (word,) = _WORD.unpack_from(payload, at)
        length = word & ~DISCARDED
        if at + PREFIX + length > end:
            message = f"record at byte {at}: {length} bytes, {end - at - PREFIX} left"
            raise FrameError(message)
        if not word & DISCARDED:
            yield at + PREFIX, length
        at += stride(length)


def wrap(record: bytes) -> bytes:
    """A record that user space made, laid out as the ring lays out the kernel's."""
    return (struct.pack("<II", len(record), 0) + record).ljust(stride(len(record)), b"\0")


def stride(length: int) -> int:
    """How many bytes a record of `length` takes in a payload, its prefix and padding included."""
    return (length + PREFIX + 7) & ~7
