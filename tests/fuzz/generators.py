"""Inputs with a form, which mutation alone rarely finds: for hypothesis and, through it, for the fuzzer."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from bpf.events import Header
from bpf.schema import RECORDS, Record
from shipper.wire.frame import wrap
from shipper.wire.records import CgroupInfo, ContainerInfo, HostInfo
from tests.fuzz.worker import NEXT_FRAME, gap
from tests.unit.any_record import OWN, any_record, values_of
from tests.unit.frames import OTHER_ID, chained, frame
from tests.unit.stream import BOOT

_EXTREMES = st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1])
_FEW = st.integers(1, 4)
_LABELS = [b"", b"{", b"[1]", b"null", b'{"a":1}', b'{"a":"\\ud800"}', b'{"a":NaN}', b"[" * 5000, b'{"a":"b"}', b"\xff"]
_CROWDED = {"cgroup_id", "owner", "tgid", "ppid", "pgid", "sid", "start", "parent_start"}
"""Fields with few values, so that records meet each other."""

_MEETING = {
    "key": st.sampled_from([b"", b"docker/a", b"lxc/b", b"\xff/\xff/"]),
    "runtime": st.sampled_from([b"", b"docker", b"\xff"]),
    "tenant_id": st.sampled_from([b"", b"a", b"\xff"]),
    "tenants": st.sampled_from([b"", b"a", b"a\0\xff", b"\0\0"]),
    "users": st.sampled_from([b"", b"1:a", b"1:\xff\x002:b\0:\0x", "٣:a".encode()]),
    "connection": st.sampled_from([b"", b"::1 22", b"fe80::1%\x1b 1 2 3", b"\xff 1", b"1.2.3.4 99999999999999999999"]),
    "comm": st.sampled_from([b"runc:[2:INIT]", b"sshd", b"\xff", b""]),
    "parent_comm": st.sampled_from([b"runc", b"sshd", b"cron", b""]),
    "exe": st.sampled_from([b"/usr/sbin/sshd", b"/usr/sbin/cron", b"/bin/sh", b"\xff", b""]),
    "change": st.integers(0, 6),
    "life": st.integers(0, 4),
}
"""The same for what is no number."""


def _value(name: str, kind: type[Record]) -> st.SearchStrategy[object]:
    (declared,) = (each for each in kind.layout.fields() if each.name == name)
    bits = 8 * declared.wire.size
    if declared.wire.tail or declared.wire.ctype == "char" or declared.wire.code.islower():
        return values_of(declared)
    extremes = _EXTREMES.map(lambda number: number & (1 << bits) - 1)
    return _FEW | extremes if name in _CROWDED else _FEW | extremes | values_of(declared)


def _of(kind: type[Record]) -> st.SearchStrategy[Record]:
    names = [name for name in kind.layout.names if name not in OWN]
    told: dict[str, st.SearchStrategy[object]] = {name: _value(name, kind) for name in names}
    told |= {name: value for name, value in _MEETING.items() if name in kind.layout.names}
    if kind is ContainerInfo:
        told |= {"labels": st.sampled_from(_LABELS), "state": st.integers(0, 2)}
    if kind is CgroupInfo:
        told["kind"] = st.integers(0, 3)
    if kind is HostInfo:
        told["boot_id"] = st.sampled_from([BOOT, b"", b"no boot", b"\xff", BOOT * 9])
    return st.builds(kind, **told)


HOSTILE = st.sampled_from(list(RECORDS.values())).flatmap(_of)
"""Records of every kind with few and extreme values."""


def _numbered(raw: bytes, number: int, fixed: int) -> bytes:
    """A record under another number, with another size of its fixed part."""
    return number.to_bytes(2, "little") + fixed.to_bytes(2, "little") + raw[4:]


_ENCODED = (HOSTILE | any_record).map(lambda made: made.encode())
_MISTOLD = st.builds(_numbered, _ENCODED, st.integers(0, 300), st.integers(0, 400))
_SHORT = st.builds(
    lambda number, fixed, body: _numbered(bytes(4) + (8 + len(body)).to_bytes(4, "little") + body, number, fixed),
    st.integers(0, 2**16 - 1),
    st.sampled_from([0, 8, Header.layout.fixed.size, 400]),
    st.binary(max_size=60),
)
PAYLOADS = st.lists(
    (_ENCODED | _MISTOLD | _SHORT | st.binary(min_size=2, max_size=60) | st.just(b"")).map(wrap)
    | st.just(NEXT_FRAME)
    | st.integers(1, 255).map(gap),
    max_size=30,
).map(b"".join)
"""Streams of a worker (tests.fuzz.worker.pieces)."""

_FRAMES = [each.encode() for each in chained(*(b"%d" % number * 9 for number in range(6)), keyframes=[0])]
_FORGED = st.builds(lambda number: frame(number, b"forged").encode(), _FEW | st.sampled_from([63, 64, 2**64 - 1]))
_STRANGE = frame(2, b"of another stream").encode().replace(_FRAMES[0][32:48], OTHER_ID)


def _joined(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts)


SEGMENTS = st.lists(st.sampled_from(_FRAMES) | _FORGED | st.just(_STRANGE) | st.binary(max_size=40), max_size=12).map(
    _joined
)
"""Segment files of whole frames in any order, twice, forged, of other streams, with anything between them."""

_WORDS = [
    "a",
    "rm",
    '"b c"',
    "*",
    "?",
    "a*b?",
    "\\*",
    "é",
    "\0",
    "-1",
    "1",
    "2026-11-22",
    "true",
    '""',
    "TO",
    "/x/",
    "~",
    "^2",
]
_FIELDS = ["process.name", "process.pid", "process.interactive", "@timestamp", "container.labels.a b", "_exists_"]
_FIELDS += ["process.command_line", "container.labels", "event.id", "nothing"]
_WORD = st.sampled_from(_WORDS) | st.lists(st.sampled_from(_WORDS), min_size=2, max_size=6).map("".join)
_RANGES = st.builds("{}{} TO {}{}".format, st.sampled_from("[{"), _WORD, _WORD, st.sampled_from("]}"))
_VALUES = _WORD | _RANGES | st.builds("{}{}".format, st.sampled_from([">", ">=", "<", "<="]), _WORD)
_CLAUSES = _WORD | st.builds("{}:{}".format, st.sampled_from(_FIELDS), _VALUES)
QUERIES = st.recursive(
    _CLAUSES,
    lambda inner: (
        st.builds("{} {} {}".format, inner, st.sampled_from(["AND", "OR", "&&", "||", "NOT", "", "+", "-"]), inner)
        | st.builds("{}({})".format, st.sampled_from(["", "NOT ", "!", "-", "+", "process.name:"]), inner)
    ),
    max_leaves=12,
).map(str.encode)
"""Queries as people, and those who mean harm, write them."""
