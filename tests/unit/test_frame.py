"""Frames as bytes, and the records in them."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.wire import frame as wire
from shipper.wire.frame import (
    DISCARDED,
    HEADER_SIZE,
    MAX_PAYLOAD,
    PREFIX,
    Frame,
    FrameError,
    TornFrameError,
    walk,
    wrap,
)

STREAM, HOST, BOOT = bytes(range(16)), b"h" * 16, b"b" * 16
ids = st.binary(min_size=16, max_size=16)
records = st.lists(st.binary(max_size=60), max_size=8)


def frame_of(*contents: bytes, number: int = 3) -> Frame:
    """A frame with these records."""
    return Frame(STREAM, HOST, BOOT, number, len(contents), b"".join(map(wrap, contents)), b"p" * 16)


def discarded(content: bytes) -> bytes:
    """A record as the ring holds it after its writer gave it up."""
    whole = wrap(content)
    return struct.pack("<I", len(content) | DISCARDED) + whole[4:]


u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


@given(ids, ids, ids, ids, u64, u64, u32, records, st.binary(max_size=9))
def test_what_is_encoded_is_decoded(
    stream: bytes,
    host: bytes,
    boot: bytes,
    previous: bytes,
    number: int,
    time: int,
    flags: int,
    contents: list[bytes],
    behind: bytes,
) -> None:
    """A frame comes back equal, whatever stands behind it, and its header tells its size and all but the payload."""
    made = Frame(stream, host, boot, number, len(contents), b"".join(map(wrap, contents)), previous, time, flags)
    data = made.encode()
    assert wire.decode(data + behind) == wire.decode(memoryview(data + behind)) == made
    assert wire.size(data + behind) == wire.size(data[:HEADER_SIZE]) == len(data)
    assert wire.head(data[:HEADER_SIZE]) == replace(made, payload=b"")


@given(records)
def test_records_are_found_where_they_are(contents: list[bytes]) -> None:
    """Every record of a payload is named by its index, offset and length."""
    made = frame_of(*contents)
    found = [(index, made.payload[offset : offset + length]) for index, offset, length in made.records()]
    assert found == list(enumerate(contents))


def test_frames_stand_end_to_end() -> None:
    """A frame's size is where the next one begins."""
    first, second = frame_of(b"one", number=0), frame_of(number=1)
    data = first.encode() + second.encode()
    behind = wire.size(data)
    assert (wire.decode(data), wire.decode(data[behind:])) == (first, second)
    assert behind + wire.size(data[behind:]) == len(data)


def test_every_flipped_bit_is_noticed() -> None:
    """No single bit of a frame can change without a FrameError."""
    data = frame_of(b"cat /etc/passwd", b"").encode()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            wire.decode(bytes(damaged))


def test_every_truncation_is_torn() -> None:
    """A frame whose end is missing is torn, at whatever byte it ends."""
    data = frame_of(b"cat /etc/passwd").encode()
    for length in range(len(data)):
        with pytest.raises(TornFrameError):
            wire.decode(data[:length])


def test_a_header_that_is_cut_has_no_size() -> None:
    """What the header would tell is not guessed from a part of it."""
    data = frame_of(b"cat /etc/passwd").encode()
    for length in range(HEADER_SIZE):
        with pytest.raises(TornFrameError, match=f"{length} bytes left"):
            wire.size(data[:length])
        with pytest.raises(TornFrameError, match=f"{length} bytes left"):
            wire.head(data[:length])


@given(st.binary(max_size=HEADER_SIZE + 50))
def test_random_bytes_are_no_frame(data: bytes) -> None:
    """Bytes from nowhere raise FrameError and nothing else."""
    for read in (wire.decode, wire.size, wire.head):
        with pytest.raises(FrameError):
            read(data)


@given(st.binary(min_size=HEADER_SIZE, max_size=HEADER_SIZE + 50))
def test_random_bytes_behind_the_magic_are_no_frame(data: bytes) -> None:
    """Bytes that begin as a frame does raise FrameError and nothing else."""
    with pytest.raises(FrameError):
        wire.decode(wire.MAGIC + wire.VERSION.to_bytes(2, "little") + HEADER_SIZE.to_bytes(2, "little") + data)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, b"CGTX", "b'CGTX' instead of b'CGTF'"),
        (4, b"\x01\0", "frame version 1"),
        (6, b"\x07\0", "header 7"),
        (8, (MAX_PAYLOAD + 1).to_bytes(4, "little"), f"payload {MAX_PAYLOAD + 1} bytes"),
        (12, bytes(4), "crc32 differs"),
    ],
)
def test_damage_is_named(offset: int, value: bytes, message: str) -> None:
    """What is wrong is said, with the value that was found."""
    data = bytearray(frame_of(b"one").encode())
    data[offset : offset + len(value)] = value
    with pytest.raises(FrameError, match=message):
        wire.decode(bytes(data))


def test_the_largest_payload_fits() -> None:
    """A payload of MAX_PAYLOAD bytes can be read back."""
    made = frame_of(bytes(MAX_PAYLOAD - PREFIX))
    assert len(made.payload) == MAX_PAYLOAD
    assert wire.decode(made.encode()) == made


def test_the_digest_is_the_payloads() -> None:
    """Equal payloads have equal digests, whatever else differs; other payloads don't."""
    assert frame_of(b"a", number=1).digest == frame_of(b"a", number=2).digest != frame_of(b"b").digest


def test_discarded_records_are_passed_over() -> None:
    """Records that their writer gave up are no records, wherever they stand."""
    payload = discarded(b"x" * 13) + wrap(b"one") + discarded(b"") + discarded(b"yy") + wrap(b"two") + discarded(b"z")
    assert [payload[offset : offset + length] for offset, length in walk(payload)] == [b"one", b"two"]


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=10))
def test_walk_finds_what_was_not_discarded(given_records: list[tuple[bool, bytes]]) -> None:
    """Discarded and kept records may come in any order."""
    payload = b"".join(wrap(content) if keep else discarded(content) for keep, content in given_records)
    found = [payload[offset : offset + length] for offset, length in walk(payload)]
    assert found == [content for keep, content in given_records if keep]


@given(st.binary(max_size=200))
def test_a_damaged_payload_raises_nothing_else(payload: bytes) -> None:
    """Random bytes walked as records stay within the payload, or raise FrameError."""
    try:
        found = list(walk(payload))
    except FrameError:
        return
    assert all(offset + length <= len(payload) for offset, length in found)


@pytest.mark.parametrize("payload", [b"\x01", wrap(b"abc") + b"\x09\0\0\0\0\0\0\0", struct.pack("<II", 1, 0)])
def test_a_record_beyond_the_payload_is_refused(payload: bytes) -> None:
    """A record that would pass the payload's end is named by its place."""
    with pytest.raises(FrameError, match=r"record at byte \d+"):
        list(walk(payload))


@given(st.binary(max_size=300))
def test_a_wrapped_record_is_laid_out_as_the_rings(content: bytes) -> None:
    """Length, zero, the record, zeros up to a multiple of 8: BPF_RINGBUF_HDR_SZ and alignment."""
    whole = wrap(content)
    assert struct.unpack_from("<II", whole) == (len(content), 0)
    assert len(whole) == wire.stride(len(content))
    assert len(whole) % 8 == 0
    assert whole[PREFIX:].startswith(content)
    assert not any(whole[PREFIX + len(content) :])
    assert len(whole) - PREFIX - len(content) < 8


def test_an_older_version_is_no_frame() -> None:
    """Frames of version 1 had another header: they are refused, not misread."""
    assert wire.VERSION == 2
    data = bytearray(frame_of(b"one").encode())
    data[4:6] = (1).to_bytes(2, "little")
    for read in (wire.decode, wire.size, wire.head):
        with pytest.raises(FrameError, match="frame version 1, header 120"):
            read(bytes(data))
