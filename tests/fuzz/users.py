"""Targets: a container's files of users and groups."""

from __future__ import annotations

from shipper.users_reader import GROUPS_BYTES, NAME_BYTES, USERS_BYTES, parse


def users(data: bytes) -> None:
    """Any passwd or group gives each id one name at most, that of its first line, in so many bytes, and ends."""
    for ids, most in ((2, USERS_BYTES), (1, GROUPS_BYTES), (2, 20)):
        told, left_out = parse(data, most, ids=ids)
        assert len(told) <= most
        entries = [entry.partition(b":") for entry in told.split(b"\0") if told]
        names = {int(number): name for number, _, name in entries}
        assert len(names) == len(entries)
        first = _first(data, ids)
        for number, name in names.items():
            assert 0 < len(name) <= NAME_BYTES
            assert first[number] == name
        assert len(names.keys() ^ first.keys()) <= left_out <= data.count(b"\n") + 1


def _first(data: bytes, ids: int) -> dict[int, bytes]:
    """The same in a plain way: the first line's name of each id, whatever it is."""
    found: dict[int, bytes] = {}
    for line in data.split(b"\n"):
        fields = line.lstrip().split(b":")
        numbers = fields[2 : 2 + ids]
        if len(numbers) < ids or line.lstrip()[:1] in {b"#", b"+", b"-"}:
            continue
        told = [int(number) if number.isdigit() and len(number) <= 20 else 2**32 for number in numbers]
        if max(told) < 2**32:
            found.setdefault(told[0], fields[0])
    return found
