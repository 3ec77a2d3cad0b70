"""Record declarations, and records as bytes."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shipper.wire.records  # noqa: F401  declares its records
from bpf import schema
from bpf.events import Exec, Exit, Fork, Header
from bpf.schema import (
    RECORDS,
    S32,
    U16,
    U32,
    U64,
    DeclarationError,
    Name,
    Record,
    RecordError,
    Text,
    decode,
    field,
    record,
)
from tests.unit.any_record import OWN, any_record, records_of

FREE = 60_000
"""A number that no record has."""


@pytest.fixture(autouse=True)
def _only_real_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "RECORDS", dict(RECORDS))


def shown(given_record: Record, names: tuple[str, ...]) -> dict[str, Any]:
    """The named fields of a record."""
    return {name: getattr(given_record, name) for name in names}


@given(any_record, st.binary(max_size=20), st.binary(max_size=20))
def test_what_is_encoded_is_decoded(made: Record, before: bytes, behind: bytes) -> None:
    """Every declared record comes back equal, wherever it stands among other bytes."""
    data = made.encode()
    read = decode(before + data + behind, len(before), len(data))
    names = tuple(name for name in made.layout.names if name not in OWN)
    assert type(read) is type(made)
    assert shown(read, names) == shown(made, names)
    assert shown(read, OWN) == {"type": made.layout.number, "fixed": made.layout.fixed.size, "length": len(data)}
    assert read.encode() == data


@pytest.mark.parametrize("cls", RECORDS.values(), ids=lambda cls: cls.__name__)
def test_every_record_is_documented(cls: type[Record]) -> None:
    """Every record says what it is, and each of its fields what it holds."""
    assert cls.__doc__
    assert not [f.name for f in cls.layout.fields() if not f.meaning]


@pytest.mark.parametrize("cls", RECORDS.values(), ids=lambda cls: cls.__name__)
def test_every_record_begins_with_the_header(cls: type[Record]) -> None:
    """Number, sizes, time, cgroup, cpu, pid and uid stand at the same offsets in every record."""
    assert cls.layout.names[: len(Header.layout.names)] == Header.layout.names
    assert cls.layout.blocks[0] == Header.layout.blocks[0]


def test_padding_before_a_field_is_refused() -> None:
    """A field that is not aligned is named, with how far it is off."""
    with pytest.raises(DeclarationError, match=r"Bad\.wide: 4 bytes past its alignment"):

        @record()
        class Bad(Record):
            narrow: U32 = field(None, "narrow")
            wide: U64 = field(None, "wide")


def test_padding_at_the_end_is_refused() -> None:
    """A block whose size is no multiple of 8 is named, with what is missing."""
    with pytest.raises(DeclarationError, match=r"Bad: 6 bytes short of 8"):

        @record()
        class Bad(Record):
            narrow: U16 = field(None, "narrow")


def test_padding_in_a_block_is_refused_though_the_whole_has_none() -> None:
    """Each block stands for itself: it is a structure of its own in C."""
    with pytest.raises(DeclarationError, match=r"Bad: 4 bytes short of 8"):

        @record(FREE)
        class Bad(Header):
            narrow: U32 = field(None, "narrow")


def test_names_need_no_alignment() -> None:
    """A name is bytes, so it may stand anywhere in its block."""

    @record()
    class Good(Header):
        first: U32 = field(None, "first")
        name: Name = field(None, "name", default=b"")
        last: U32 = field(None, "last")

    assert Good.layout.fixed.size == Header.layout.fixed.size + 24


def test_a_number_is_used_once() -> None:
    """The second record of a number is refused, and the first one named."""
    with pytest.raises(DeclarationError, match=r"Again: number 1 is taken by Exec"):

        @record(1)
        class Again(Header):
            """Another."""

    assert RECORDS[1] is Exec


@pytest.mark.parametrize("hint", [int, bytes, str, "int | None"])
def test_a_field_needs_a_wire_type(hint: object) -> None:
    """A field whose type doesn't say how it travels is named."""
    body = {"__annotations__": {"plain": hint}, "plain": field(None, "plain"), "__module__": __name__}
    with pytest.raises(DeclarationError, match=r"Bad\.plain: .*not a wire type"):
        record()(type("Bad", (Header,), body))


def test_a_field_needs_a_meaning() -> None:
    """A field that was not made by `field` is named."""
    with pytest.raises(DeclarationError, match=r"Bad\.bare: .*field\(\)"):

        @record()
        class Bad(Header):
            bare: U64 = 0


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> type[Record]:
    """A record of Fork's number as a later version may have it: fields and a text appended."""
    monkeypatch.delitem(schema.RECORDS, 3)

    @record(3)
    class Grown(Fork):
        more: U64 = field(None, "more")
        even: S32 = field(None, "even")
        note: Text = field(None, "note", default=b"")

    return Grown


def test_a_newer_writer_is_understood(grown: type[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later version appended is skipped, its texts too."""
    data = grown(time=5, tgid=7, comm=b"sh", more=9, even=-1, note=b"later").encode()
    monkeypatch.setitem(schema.RECORDS, 3, Fork)
    read = decode(data, 0, len(data))
    assert isinstance(read, Fork)
    assert (read.time, read.tgid, read.comm) == (5, 7, b"sh")


def test_an_older_writer_is_understood(grown: type[Record]) -> None:
    """What an earlier version didn't have reads as zero and empty."""
    data = Fork(time=5, tgid=7, comm=b"sh").encode()
    read = decode(data, 0, len(data))
    assert type(read) is grown
    assert shown(read, ("time", "tgid", "comm")) == {"time": 5, "tgid": 7, "comm": b"sh"}
    assert shown(read, ("more", "even", "note")) == {"more": 0, "even": 0, "note": b""}


@given(records_of(Exec), st.integers(1, 200))
def test_a_longer_fixed_part_moves_the_tail(made: Record, extra: int) -> None:
    """Texts are found behind the fixed part that the record has, not the one that is declared."""
    data = bytearray(made.encode())
    size = Exec.layout.fixed.size
    data[size:size] = b"\xff" * extra
    struct.pack_into("<HHI", data, 0, 1, size + extra, len(data))
    read = decode(bytes(data), 0, len(data))
    tails = tuple(name for _, name in Exec.layout.tails)
    assert shown(read, tails) == shown(made, tails)


def test_a_name_ends_at_its_first_nul() -> None:
    """Whatever stands behind a name's end is not part of it; a full name needs no end."""
    data = Exit(comm=b"sh\0garbage", parent_comm=b"0123456789abcdef").encode()
    read = decode(data, 0, len(data))
    assert isinstance(read, Exit)
    assert (read.comm, read.parent_comm) == (b"sh", b"0123456789abcdef")


@pytest.mark.parametrize(
    ("change", "length", "message"),
    [
        ((), 7, "7 bytes"),
        ((), 0, "0 bytes"),
        ((), 10_000, "10000 bytes in the"),
        (((0, FREE),), None, f"record type {FREE} is not known"),
        (((2, 7),), None, "Exec: .* 7 of them fixed"),
        (((2, 0),), None, "Exec: .* 0 of them fixed"),
        (((2, 60_000),), None, "Exec: .* 60000 of them fixed"),
        (((4, 1),), None, "Exec: 1 bytes"),
    ],
)
def test_damage_is_named(change: tuple[tuple[int, int], ...], length: int | None, message: str) -> None:
    """What is wrong with a record's sizes or number is said, with the values that were found."""
    data = bytearray(Exec(exe=b"/bin/sh", args=b"sh\0").encode())
    for offset, value in change:
        struct.pack_into("<H", data, offset, value)
    with pytest.raises(RecordError, match=message):
        decode(bytes(data), 0, len(data) if length is None else length)


def test_a_tail_beyond_the_record_is_refused() -> None:
    """A text that is said to be longer than what is left is named."""
    data = bytearray(Exec(args=b"sh\0").encode())
    names = [f.name for f in Exec.layout.fields()]
    before = list(Exec.layout.fields())[: names.index("args")]
    offset = struct.calcsize("<" + "".join(f.wire.code for f in before))
    struct.pack_into("<I", data, offset, 4)
    with pytest.raises(RecordError, match=r"Exec\.args: 4 bytes"):
        decode(bytes(data), 0, len(data))


def only_record_error(data: bytes, offset: int, length: int) -> None:
    """Decode, and let nothing pass but a record or RecordError."""
    try:
        read = decode(data, offset, length)
    except RecordError:
        return
    assert type(read) in RECORDS.values()


@given(st.binary(max_size=400), st.integers(0, 420), st.integers(0, 500))
def test_random_bytes_raise_nothing_else(data: bytes, offset: int, length: int) -> None:
    """Bytes from nowhere are a record or a RecordError."""
    only_record_error(data, offset, length)


@given(any_record, st.data())
def test_damaged_records_raise_nothing_else(made: Record, data: st.DataObject) -> None:
    """A record with bytes changed, cut off or added is still a record, or a RecordError."""
    raw = bytearray(made.encode())
    positions = st.integers(0, len(raw) - 1) | st.integers(0, 7)  # number and sizes more often than the rest
    for position, value in data.draw(st.lists(st.tuples(positions, st.integers(0, 255)), max_size=6)):
        raw[position] = value
    cut = data.draw(st.integers(0, len(raw)) | st.just(len(raw)))
    length = data.draw(st.just(cut) | st.integers(0, len(raw) + 50))
    only_record_error(bytes(raw[:cut]), 0, length)
    only_record_error(bytes(raw), 0, len(raw))


@given(any_record)
def test_every_truncation_is_a_record_error(made: Record) -> None:
    """A record that lacks its last bytes is refused at every length."""
    raw = made.encode()
    for length in {*range(min(len(raw), 64)), *range(max(0, len(raw) - 64), len(raw))}:
        with pytest.raises(RecordError):
            decode(raw[:length], 0, length)
