"""What a message carries is what was put in, and nothing else is taken for one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.wire.frame import HEADER_SIZE, KEYFRAME, Frame, FrameError
from shipper.wire.message import (
    BEGIN,
    KIND,
    MAX_BYTES,
    MAX_NUMBER,
    MAX_REASON,
    NUMBER,
    OPENED,
    STREAM,
    End,
    Message,
    MessageError,
    Piece,
    encode,
    read,
)
from shipper.wire.reader import MAX_DAMAGE, Damage, Gap, GapCause
from shipper.wire.refused import named, telling, who_we_are, words

IDS = st.binary(min_size=16, max_size=16)
NUMBERS = st.integers(0, MAX_NUMBER - 1)
MOMENTS = st.integers(0, (1 << 63) - 1)
FRAMES = st.builds(
    Frame,
    stream=IDS,
    host=IDS,
    boot=IDS,
    number=NUMBERS,
    count=st.integers(0, (1 << 32) - 1),
    payload=st.binary(max_size=500),
    previous=IDS,
    time=st.integers(0, (1 << 64) - 1),
    flags=st.sampled_from([0, KEYFRAME]),
)
GAPS = st.builds(
    lambda number, length, cause: Gap(number, min(number + length, MAX_NUMBER), cause),
    NUMBERS,
    st.integers(1, 1 << 40),
    st.sampled_from(GapCause),
)
OTHERS = st.one_of(
    st.builds(Damage, NUMBERS, st.text(max_size=30), NUMBERS, NUMBERS, st.binary(max_size=500), st.text(max_size=90)),
    GAPS,
    st.builds(End, NUMBERS),
)


def told(message: Message) -> tuple[bytes, int, Piece]:
    """What a reader makes of it."""
    found = read(message.key, message.value, message.headers)
    return found.stream, found.opened, found.piece


@given(FRAMES, MOMENTS)
def test_frames_come_back(frame: Frame, opened: int) -> None:
    """Every field; a frame to begin at says so without being opened."""
    message = encode(frame.host, frame.stream, opened, frame)
    assert told(message) == (frame.stream, opened, frame)
    assert bool(frame.flags & KEYFRAME) == (BEGIN in dict(message.headers))
    assert message.key == frame.host.hex().encode()


@given(OTHERS, IDS, IDS, MOMENTS)
def test_everything_else_comes_back(piece: Piece, host: bytes, stream: bytes, opened: int) -> None:
    """Damage, gaps and ends too."""
    assert told(encode(host, stream, opened, piece)) == (stream, opened, piece)


@given(FRAMES, st.data())
def test_a_flipped_bit_is_noticed(frame: Frame, data: st.DataObject) -> None:
    """Wherever in the value it flips, it is no frame any more, or not the one that the headers name."""
    message = encode(frame.host, frame.stream, 1, frame)
    value = bytearray(message.value)
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    value[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MessageError) as caught:
        read(message.key, bytes(value), message.headers)
    assert (caught.value.stream, caught.value.number) == (frame.stream, frame.number)


@given(FRAMES, st.data())
def test_a_cut_or_padded_frame_is_noticed(frame: Frame, data: st.DataObject) -> None:
    """A value that ends early, or has bytes behind the frame."""
    message = encode(frame.host, frame.stream, 1, frame)
    cut = message.value[: data.draw(st.integers(0, len(message.value) - 1))]
    for value in (cut, message.value + b"\0"):
        with pytest.raises(MessageError):
            read(message.key, value, message.headers)


HEADERS = st.lists(
    st.tuples(st.sampled_from([STREAM, KIND, NUMBER, "cgtrail.opened", "other"]), st.none() | st.binary(max_size=40)),
    max_size=6,
)


@given(st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=300), HEADERS)
def test_anything_else_is_refused_by_one_error(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """A topic may hold anybody's messages: no other error leaves."""
    with suppress(MessageError):
        read(key, value, headers)


def test_another_hosts_key_is_refused() -> None:
    """A frame under a key that is not its host's."""
    frame = Frame(b"s" * 16, b"h" * 16, b"b" * 16, 3, 0, b"")
    message = encode(frame.host, frame.stream, 1, frame)
    with pytest.raises(MessageError, match="is of host"):
        read(b"x" * 32, message.value, message.headers)
    with pytest.raises(MessageError, match="headers say"):
        read(message.key, message.value, encode(frame.host, b"t" * 16, 1, frame).headers)


def test_no_message_is_larger_than_a_topic_allows() -> None:
    """The largest frame, and as much of damage as is kept."""
    frame = Frame(b"s" * 16, b"h" * 16, b"b" * 16, 0, 1, b"\0" * (256 << 10))
    damage = Damage(0, "x" * 24, 0, MAX_DAMAGE, b"\0" * MAX_DAMAGE, "crc32 differs")
    for piece in (frame, damage):
        assert HEADER_SIZE < len(encode(frame.host, frame.stream, 1, piece).value) <= MAX_BYTES
    with pytest.raises(FrameError):
        Frame(b"s" * 16, b"h" * 16, b"b" * 16, 0, 1, b"\1").records().__next__()


def test_a_reason_wins_over_its_consequences() -> None:
    """Of what a client says at once, the login's refusal is what an operator needs to hear."""
    said = ["_ALL_BROKERS_DOWN", "_TRANSPORT", "_AUTHENTICATION", "_PURGE_QUEUE"]
    assert max(said, key=telling) == "_AUTHENTICATION"
    assert max(["_GAPLESS_GUARANTEE", "MSG_SIZE_TOO_LARGE"], key=telling) == "MSG_SIZE_TOO_LARGE"
    assert words("_AUTHENTICATION").advice
    assert "NEVER_HEARD_OF" in words("NEVER_HEARD_OF").sentence


HOSTILE = {
    "lists in lists": (b"gap", b"\x81\xa1x" + b"\x91" * 200_000 + b"\xc0"),
    "a text that is no UTF-8": (
        b"damage",
        b"\x85\xa7segment\xa2\xff\xff\xa6offset\x01\xa6length\x01\xa6reason\xa1a\xa4data\xc4\x01a",
    ),
    "a gap to the end of time": (b"gap", b"\x82\xa3end\xcf" + b"\xff" * 8 + b"\xa5cause\xadframe_missing"),
    "a kind as large as a message": (b"k" * 900_000, b""),
}
"""Values that somebody wrote who may write to the topic."""


@pytest.mark.parametrize(("kind", "value"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_values(kind: bytes, value: bytes) -> None:
    """Refused by the one error, which still says whose they claim to be, in a few words."""
    headers = [(STREAM, b"aa" * 16), (OPENED, b"1"), (KIND, kind), (NUMBER, b"7")]
    with pytest.raises(MessageError) as caught:
        read(b"key", value, headers)
    assert (caught.value.stream, caught.value.number) == (b"\xaa" * 16, 7)
    assert len(str(caught.value)) <= MAX_REASON + 1


@pytest.mark.parametrize("number", [b"-1", b"%d" % MAX_NUMBER, b"9" * 400_000, b"\xff", b"", b"x"])
def test_hostile_numbers(number: bytes) -> None:
    """A number that no frame can have names none."""
    headers = [(STREAM, b"aa" * 400_000), (OPENED, b"1"), (KIND, b"end"), (NUMBER, number)]
    for each in (headers, [(STREAM, b"aa" * 16), *headers[1:]]):
        with pytest.raises(MessageError) as caught:
            read(b"key", b"", each)
        assert caught.value.stream is None
        assert len(str(caught.value)) <= MAX_REASON + 1


def test_what_tls_was_refused_for_is_no_broker_that_is_away() -> None:
    """The client's name for it is that of a connection that was lost; its text is not."""
    text = "Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42"
    assert named("_TRANSPORT", text) == "_SSL"
    assert named("_TRANSPORT", "SSL handshake failed: Disconnected: connecting to a PLAINTEXT listener?") == "_SSL"
    assert named("_TRANSPORT", "Connect to ipv4#127.0.0.1:9092 failed: Connection refused") == "_TRANSPORT"
    assert who_we_are("_SSL")
    assert not who_we_are("NOT_ENOUGH_REPLICAS")
