"""How a record is declared: a class of typed fields, from which everything else is derived.

A record is `header | blocks | tail`. Each class adds one *block* of fixed-size fields to those of its base class;
fields of type `Text` or `Args` live in the tail and leave a 32-bit size in their block. From the class come its C
structure (`bpf.generate`), its decoder and encoder (here), its ECS names and its line in the field reference.

Rules of change: fields are only appended to a record's last block, numbers are never used again, and a breaking
change is a new number. Implicit padding is refused, because it leaks stale kernel memory and moves the tail.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, get_type_hints

WIRE_ALIGNMENT = 8
"""Records start at multiples of this many bytes, as the kernel's ring buffer places them."""


class DeclarationError(TypeError):
    """A record class breaks a rule of this module; the message names the class, the field and the mend."""


class RecordError(ValueError):
    """Bytes that are not a record of the declared layout; the message says what was found and expected."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How one field travels: `code` for `struct`, the C type, its size in bytes, and what kind of value it is.

    `kind` names the treatment in documents (`enrich.render`); `tail` marks variable-length bytes.
    """

    code: str
    ctype: str
    size: int
    kind: str
    tail: bool = False


U16 = Annotated[int, Wire("H", "__u16", 2, "long")]
U32 = Annotated[int, Wire("I", "__u32", 4, "long")]
U64 = Annotated[int, Wire("Q", "__u64", 8, "long")]
S32 = Annotated[int, Wire("i", "__s32", 4, "long")]
Id32 = Annotated[int, Wire("I", "__u32", 4, "id")]
"""A number that names something (uid, audit session); 2^32-1 means unset. Shown as a keyword, as ECS does."""
Namespace = Annotated[int, Wire("I", "__u32", 4, "namespace")]
"""A namespace by its inode number (namespaces(7))."""
BootNs = Annotated[int, Wire("Q", "__u64", 8, "boot_ns")]
"""Nanoseconds since boot, suspend included (CLOCK_BOOTTIME)."""
Capabilities = Annotated[int, Wire("Q", "__u64", 8, "capabilities")]
"""A bit set of capabilities, bit n = capability n of <linux/capability.h>."""
Device = Annotated[int, Wire("I", "__u32", 4, "device")]
"""The kernel's own dev_t: major << 20 | minor (<linux/kdev_t.h>). 0 is no device."""
Name = Annotated[bytes, Wire("16s", "char", 16, "name")]
"""A NUL-padded name of at most 15 bytes (TASK_COMM_LEN). Any bytes: an attacker chooses them."""
Text = Annotated[bytes, Wire("I", "__u32", 4, "text", tail=True)]
"""Bytes of any length in the tail, meant as text. Any bytes: an attacker chooses them."""
Args = Annotated[bytes, Wire("I", "__u32", 4, "args", tail=True)]
"""Arguments in the tail, each ended by NUL, as they lie in the process's memory."""


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field: its name here and in C, its ECS name (or None: not in documents), its meaning."""

    name: str
    wire: Wire
    ecs: str | None
    meaning: str


def field(ecs: str | None, meaning: str, *, default: int | bytes = 0) -> Any:
    """Declare a field: its ECS (or `cgtrail.`) name in documents, and one line on what it holds.

    `default` is for code that makes records; what is decoded always has its value from the wire.
    """
    return dataclasses.field(default=default, metadata={"ecs": ecs, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Layout:
    """What is derived from a record class once: its blocks, and the precompiled fixed part."""

    number: int | None
    action: str
    family: str
    blocks: tuple[tuple[str, tuple[Field, ...]], ...]
    fixed: struct.Struct
    names: tuple[str, ...]
    tails: tuple[tuple[int, str], ...]
    names_at: tuple[int, ...]

    def fields(self) -> Iterator[Field]:
        """Every field, in the order of the wire."""
        for _, fields in self.blocks:
            yield from fields


class Record:
    """The base of all records. Use `@record` on subclasses; this class adds decoding and encoding."""

    __slots__ = ()
    layout: ClassVar[Layout]
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    if TYPE_CHECKING:  # a dataclass makes the real one: every declared field, all with defaults

        def __init__(self, *values: Any, **fields: Any) -> None: ...

    @classmethod
    def decode(cls, data: bytes | memoryview, offset: int, length: int) -> Self:
        """The record in `data[offset:offset+length]`, whose header may say anything.

        A shorter fixed part than declared (an older writer) reads as zeros, a longer one (a newer writer) is
        skipped: fields are only appended. Raises RecordError when sizes don't add up.
        """
        layout = cls.layout
        start = data[offset + 2] | data[offset + 3] << 8
        if start == layout.fixed.size <= length:
            values: list[Any] = list(layout.fixed.unpack_from(data, offset))
        else:
            head = bytes(data[offset : offset + min(start, layout.fixed.size)])
            values = list(layout.fixed.unpack(head.ljust(layout.fixed.size, b"\0")))
        at, end = offset + start, offset + length
        for index, name in layout.tails:
            size = values[index]
            if at + size > end:
                message = f"{cls.__name__}.{name}: {size} bytes at {at - offset}, but the record has {length}"
                raise RecordError(message)
            values[index] = bytes(data[at : at + size])
            at += size
        for index in layout.names_at:
            values[index] = values[index].partition(b"\0")[0]
        return cls(*values)

    def encode(self) -> bytes:
        """The record's bytes, `length`, `fixed` and `type` filled in; for records that user space makes."""
        layout = type(self).layout
        tails = [getattr(self, name) for _, name in layout.tails]
        values = [getattr(self, name) for name in layout.names]
        for (index, _), tail in zip(layout.tails, tails, strict=True):
            values[index] = len(tail)
        length = layout.fixed.size + sum(map(len, tails))
        values[0:3] = [layout.number, layout.fixed.size, length]
        return layout.fixed.pack(*values) + b"".join(tails)


_START = struct.Struct("<HHI")
"""What every record begins with, in every version: number, bytes before the tail, bytes of the whole."""

RECORDS: dict[int, type[Record]] = {}
"""Every numbered record that was declared, by its number."""

T = TypeVar("T", bound=Record)


def record(number: int | None = None, *, action: str = "", family: str = "") -> Callable[[type[T]], type[T]]:
    """Make a class a record. Without a number it is a block that others build on.

    `action` is the ECS event.action of its documents; `family` the `bpf/<family>.bpf.c` whose programs send it.
    Raises DeclarationError for implicit padding, a number used twice, or a field without a wire type.
    """

    def declare(cls: type[T]) -> type[T]:
        own = dataclass(slots=True)(cls)
        own.layout = _layout(own, number, action, family)
        if number is not None:
            if number in RECORDS:
                message = f"{cls.__name__}: number {number} is taken by {RECORDS[number].__name__}"
                raise DeclarationError(message)
            RECORDS[number] = own
        return own

    return declare


def _layout(cls: type[Record], number: int | None, action: str, family: str) -> Layout:
    blocks: list[tuple[type, tuple[Field, ...]]] = []
    hints = get_type_hints(cls, include_extras=True)
    for base in reversed(cls.__mro__):
        own = [name for name in vars(base).get("__annotations__", {}) if name in cls.__dataclass_fields__]
        if own:
            blocks.append((base, tuple(_field(cls, name, hints[name]) for name in own)))
    for base, fields in blocks:
        _refuse_padding(base.__name__, fields)
    flat = [declared for _, fields in blocks for declared in fields]
    return Layout(
        number=number,
        action=action,
        family=family,
        blocks=tuple((base.__name__, fields) for base, fields in blocks),
        fixed=struct.Struct("<" + "".join(f.wire.code for f in flat)),
        names=tuple(f.name for f in flat),
        tails=tuple((i, f.name) for i, f in enumerate(flat) if f.wire.tail),
        names_at=tuple(i for i, f in enumerate(flat) if f.wire.ctype == "char"),
    )


def _field(cls: type[Record], name: str, hint: object) -> Field:
    wires = [item for item in getattr(hint, "__metadata__", ()) if isinstance(item, Wire)]
    if len(wires) != 1:
        message = f"{cls.__name__}.{name}: {hint} is not a wire type of bpf.schema"
        raise DeclarationError(message)
    metadata = cls.__dataclass_fields__[name].metadata
    if "ecs" not in metadata:
        message = f"{cls.__name__}.{name}: declare it with field(), which gives it a meaning"
        raise DeclarationError(message)
    return Field(name, wires[0], metadata["ecs"], metadata["meaning"])


def _refuse_padding(block: str, fields: tuple[Field, ...]) -> None:
    at = 0
    for declared in fields:
        align = min(declared.wire.size, WIRE_ALIGNMENT) if declared.wire.ctype != "char" else 1
        if at % align:
            message = f"{block}.{declared.name}: {at % align} bytes past its alignment; move wider fields up"
            raise DeclarationError(message)
        at += declared.wire.size
    if at % WIRE_ALIGNMENT:
        message = f"{block}: {WIRE_ALIGNMENT - at % WIRE_ALIGNMENT} bytes short of {WIRE_ALIGNMENT}; add a spare field"
        raise DeclarationError(message)


def decode(data: bytes | memoryview, offset: int, length: int) -> Record:
    """The record at `offset`, `length` bytes long. Raises RecordError for bytes that aren't a known record."""
    if length < _START.size or offset + length > len(data):
        message = f"a record of {length} bytes in the {len(data) - offset} that are left"
        raise RecordError(message)
    number, start, own_length = _START.unpack_from(data, offset)
    cls = RECORDS.get(number)
    if cls is None:
        message = f"record type {number} is not known to this version"
        raise RecordError(message)
    if own_length != length or not _START.size <= start <= length:
        message = f"{cls.__name__}: {own_length} bytes, {start} of them fixed, in a record of {length}"
        raise RecordError(message)
    return cls.decode(data, offset, length)
