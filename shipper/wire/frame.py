"""Frames: up to 256 KiB of records with what names and protects them; what the spool stores and Kafka carries.

A frame is a header and a payload. The payload holds records as the kernel's ring buffer lays them out
(include/uapi/linux/bpf.h, BPF_RINGBUF_HDR_SZ): an 8-byte prefix with the record's length in its first four bytes, the
record, padding to 8. So the agent copies whole spans of the ring and looks at no record twice. All numbers are
little-endian.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"CGTF"
VERSION = 1
MAX_PAYLOAD = 256 * 1024
"""Bytes. A single record never exceeds it: the kernel side's scratch is 128 KiB."""
PREFIX = 8
DISCARDED = 1 << 30

# magic, version, header size | payload bytes, crc32 of all that follows, payload included
_GUARD = struct.Struct("<4sHHII")
# frame number, records, spare | stream, host, boot | digest of the payload, digest of the frame before
_BODY = struct.Struct("<QII16s16s16s16s16s")
HEADER_SIZE = _GUARD.size + _BODY.size


class FrameError(ValueError):
    """Bytes that are no frame, or a damaged one; the message says what is wrong."""


class TornFrameError(FrameError):
    """The bytes end before the frame does: it is still being written, or its writer was killed."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `stream`, `host` and `boot` are 16-byte ids; (stream, number) names it for ever."""

    stream: bytes
    host: bytes
    boot: bytes
    number: int
    count: int
    payload: bytes
    previous: bytes = bytes(16)

    @property
    def digest(self) -> bytes:
        """16 bytes of BLAKE2b (RFC 7693) over the payload."""
        return hashlib.blake2b(self.payload, digest_size=16).digest()

    def encode(self) -> bytes:
        """The frame's bytes."""
        ids = (self.stream, self.host, self.boot, self.digest, self.previous)
        body = _BODY.pack(self.number, self.count, 0, *ids)
        crc = zlib.crc32(self.payload, zlib.crc32(body))
        return _GUARD.pack(MAGIC, VERSION, HEADER_SIZE, len(self.payload), crc) + body + self.payload

    def records(self) -> Iterator[tuple[int, int, int]]:
        """(index, offset, length) of every record in the payload. Raises FrameError when lengths don't add up."""
        for index, (offset, length) in enumerate(walk(self.payload)):
            yield index, offset, length


def decode(data: bytes | memoryview | mmap.mmap, offset: int = 0) -> tuple[Frame, int]:
    """The frame at `offset` and the offset behind it.

    Raises TornFrameError where the data ends too early, FrameError for anything else that is no frame.
    """
    if len(data) - offset < HEADER_SIZE:
        message = f"{len(data) - offset} bytes left, a frame's header has {HEADER_SIZE}"
        raise TornFrameError(message)
    magic, version, header_size, length, crc = _GUARD.unpack_from(data, offset)
    if magic != MAGIC:
        message = f"at byte {offset}: {bytes(magic)!r} instead of {MAGIC!r}"
        raise FrameError(message)
    if version != VERSION or header_size != HEADER_SIZE or length > MAX_PAYLOAD:
        message = f"at byte {offset}: frame version {version}, header {header_size}, payload {length} bytes"
        raise FrameError(message)
    start, end = offset + _GUARD.size, offset + HEADER_SIZE + length
    if end > len(data):
        message = f"at byte {offset}: {len(data) - offset} of {HEADER_SIZE + length} bytes"
        raise TornFrameError(message)
    if zlib.crc32(data[start:end]) != crc:
        message = f"at byte {offset}: crc32 differs"
        raise FrameError(message)
    number, count, _, stream, host, boot, _, previous = _BODY.unpack_from(data, start)
    return Frame(stream, host, boot, number, count, bytes(data[offset + HEADER_SIZE : end]), previous), end


def walk(payload: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """(offset, length) of every record in a payload. Raises FrameError when a record passes the end."""
    at, end = 0, len(payload)
    while at < end:
        word = int.from_bytes(payload[at : at + 4], "little")
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
