"""Reads and writes protobuf's wire format (protobuf.dev, "Encoding"), as much as containerd's messages need.

Google's runtime would take 6 MB of the agent's memory for what are a few lines here.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST = 10
"""Bytes of a varint."""


class Message:
    """The fields of one message, by number; those that are missing have their type's empty value."""

    def __init__(self, raw: bytes) -> None:
        """Raises ValueError for what is no message."""
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(raw):
            self._fields.setdefault(number, []).append(value)

    def text(self, number: int) -> str:
        """A string; what is no UTF-8 is replaced."""
        return self.raw(number).decode(errors="replace")

    def raw(self, number: int) -> bytes:
        """Bytes, or a message that is not decoded yet."""
        return next((value for value in reversed(self._fields.get(number, [])) if isinstance(value, bytes)), b"")

    def number(self, number: int) -> int:
        """An int64 or the like, not zigzag-coded."""
        found = next((value for value in reversed(self._fields.get(number, [])) if isinstance(value, int)), 0)
        return found - (1 << 64) if found >= 1 << 63 else found

    def message(self, number: int) -> Message:
        """A message within this one."""
        return Message(self.raw(number))

    def messages(self, number: int) -> Iterator[Message]:
        """Those of a repeated field."""
        return (Message(value) for value in self._fields.get(number, []) if isinstance(value, bytes))

    def mapping(self, number: int) -> dict[str, str]:
        """A map of strings."""
        return {entry.text(1): entry.text(2) for entry in self.messages(number)}


def string(number: int, value: str) -> bytes:
    """A field of text."""
    raw = value.encode(errors="replace")
    return _varint(number << 3 | _BYTES) + _varint(len(raw)) + raw


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(raw):
        tag, at = _read(raw, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _read(raw, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _read(raw, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"no protobuf message: wire type {kind} at byte {at}")
        if size > len(raw) - at:
            raise ValueError(f"no protobuf message: {size} bytes at byte {at} of {len(raw)}")
        yield number, raw[at : at + size] if kind == _BYTES else int.from_bytes(raw[at : at + size], "little")
        at += size


def _read(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(raw[at : at + _LONGEST]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & (1 << 64) - 1, at + index + 1
    raise ValueError(f"no protobuf message: a number without an end at byte {at}")


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))
