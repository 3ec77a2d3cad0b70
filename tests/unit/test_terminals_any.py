"""Records of terminals in any order, with any values: nothing fails, all is counted, and a restart tells the same."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bpf.enums import Change, TerminalFlag
from bpf.events import (
    CgroupRmdir,
    Header,
    Terminal,
    TtyChange,
    TtyInput,
    TtyOpen,
    TtyOutput,
    TtySignal,
    TtyUring,
    TtyWrite,
)
from bpf.schema import Record
from enrich.enricher import Enricher
from shipper.wire.frame import Frame, wrap
from shipper.wire.records import Clock, HostInfo, KeyframeBegin, KeyframeEnd, Tick
from tests.unit.any_record import records_of
from tests.unit.at_terminal import TTY, At
from tests.unit.stream import BOOT, SECOND, UNIX, container, end, exec_, fork

ID = bytes(range(16))
CONTENTS = [b"", b"$ ", b"Password: ", b"a", b"\r", b"\n", b"*", b"\xe2\x82", b"\xac", b"-----BEGIN PRIVATE KEY-----\n"]
CONTENTS += [b"x" * 20000, b"\x1b[31m", b"ghp_0123456789abcdefghij", b"ABCDEFGHIJ012345 "]
NUMBERS = st.integers(0, 3)
TERMINALS = [TtyChange, TtyInput, TtyOpen, TtyOutput, TtySignal, TtyUring, TtyWrite]


@st.composite
def at_terminal(draw: st.DrawFn) -> Terminal:
    """A record of one of a few terminals, whose counts may be anything near."""
    flags = draw(st.sampled_from([0, 0, *map(int, TerminalFlag)]))
    known: dict[str, Any] = {"cgroup_id": 77, "home": draw(st.sampled_from([0, 77, 78])), "device": 77}
    known |= {"index": draw(st.integers(0, 1)), "generation": draw(st.integers(1, 3)), "terminal_flags": flags}
    known |= {name: draw(st.sampled_from([0, 20, 21])) for name in ("leader", "foreground", "opener", "tgid")}
    known |= {name: draw(st.sampled_from([0, 0, 5, 1000])) for name in ("shown", "consumed", "typed")}
    known |= {"lflag": draw(st.sampled_from([0, 2, 8, 10])), "rows": draw(st.integers(0, 1))}
    cls = draw(st.sampled_from(TERMINALS))
    content = draw(st.sampled_from(CONTENTS))
    size = len(content) + draw(st.sampled_from([0, 0, 7]))
    if cls is TtyOutput:
        known |= {"writer": draw(NUMBERS) + 20, "writers": draw(NUMBERS), "drained": draw(NUMBERS) * 100}
    if cls in (TtyOutput, TtyInput, TtyWrite):
        known |= {"content": content, "size": size}
    if cls is TtyChange:
        known["change"] = draw(st.sampled_from(Change))
    if cls is TtySignal:
        known["signal"] = draw(st.integers(1, 2))
    return cls(**known)


OTHERS: list[Record] = [Tick(), Tick(), Tick(), KeyframeBegin(), KeyframeEnd(), CgroupRmdir(cgroup_id=77)]
OTHERS += [*container(), *container(policy=1), fork(20, 1, vpid=1, parent_comm=b"runc"), fork(21, 20)]
OTHERS += [exec_(20, 1, b"/bin/sh", tty=TTY), exec_(21, 20, b"/bin/script", tty=TTY, sid=20)]
OTHERS += [end(20, 1, tty=TTY), end(21, 20, tty=TTY, sid=20), Clock(realtime=0)]


@st.composite
def frames(draw: st.DrawFn) -> list[Frame]:
    """A stream of such records, a frame each, with pauses."""
    records: list[Record] = [HostInfo(host_name=b"node", boot_id=BOOT), Clock(), *container()]
    records += draw(st.lists(st.one_of(at_terminal(), at_terminal(), st.sampled_from(OTHERS)), max_size=25))
    made, now = [], 10 * SECOND
    for number, record in enumerate(records):
        record.time = now  # type: ignore[attr-defined]
        if isinstance(record, Clock):
            record.realtime = UNIX + now
        made.append(Frame(ID, ID, ID, number, 1, wrap(record.encode()), time=UNIX + now))
        now += draw(st.sampled_from([0, 1_000_000, 400_000_000, 6 * SECOND]))
    return made


@settings(deadline=None, max_examples=150)
@given(frames(), st.integers(0, 30))
def test_restart(stream: list[Frame], place: int) -> None:
    """Nothing fails; no two documents have an id; recordings are dense and rise; a restart anywhere is not seen."""
    whole, after, place = Enricher(ID), [], min(place, len(stream))
    body = b""
    for number, frame in enumerate(stream):
        if number == place:
            body = whole.save()
        output = whole.take(frame)
        assert [letter.reason for letter in output.letters] == []
        after.append([(d.id, d.encode()) for d in output.documents])
        for document in output.documents:
            assert document.kind != "terminal" or document.source["event"]["id"] == document.id
    last = [(d.id, d.encode()) for d in whole.finish().documents]
    ids = Counter(identity for identity, _ in chain(*after, last))
    assert [identity for identity, count in ids.items() if count > 1] == []
    if body:
        again = Enricher(ID)
        again.restore(body)
        rest = [[(d.id, d.encode()) for d in again.take(frame).documents] for frame in stream[place:]]
        assert rest == after[place:]
        assert [(d.id, d.encode()) for d in again.finish().documents] == last


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(CONTENTS), st.sampled_from([0, 0, 7]), st.booleans()), max_size=30))
def test_captured_and_skipped_are_all(pieces: list[tuple[bytes, int, bool]]) -> None:
    """What was captured and what was skipped is what was shown, to the byte, in documents and at the end."""
    terminal = At()
    records: list[Record] = [HostInfo(boot_id=BOOT), *container()]
    for content, more, lost in pieces:
        record = terminal.output(content, size=len(content) + more)
        records += [Tick()] if lost else [record]
    records += [terminal.change(Change.HANGUP)]
    whole, documents = Enricher(ID), []
    for number, each in enumerate(records):
        assert isinstance(each, Header)
        each.time = (number + 10) * SECOND // 4
        documents += whole.take(Frame(ID, ID, ID, number, 1, wrap(each.encode()), time=UNIX)).documents
    told = [d.source for d in documents if d.kind == "terminal"]
    ends = [d.source for d in documents if d.source["event"]["action"] == "session_closed"]
    assert [d["cgtrail"]["terminal"]["number"] for d in told] == list(range(1, len(told) + 1))
    captured = sum(d["process"]["io"]["total_bytes_captured"] for d in told)
    for last in ends:
        io, session = last["process"]["io"], last["cgtrail"]["session"]
        assert io["total_bytes_captured"] == captured
        assert io["total_bytes_captured"] + io["total_bytes_skipped"] == session["shown"] == terminal.shown
        assert sum(d["process"]["io"]["total_bytes_skipped"] for d in told) <= io["total_bytes_skipped"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(TERMINALS).flatmap(records_of), max_size=8))
def test_any_values(records: list[Record]) -> None:
    """Whatever the fields of records are, they make documents that can be written."""
    whole = Enricher(ID)
    for number, record in enumerate([*records, Tick(), KeyframeBegin(), KeyframeEnd()]):
        output = whole.take(Frame(ID, ID, ID, number, 1, wrap(record.encode()), time=UNIX))
        assert [letter.reason for letter in output.letters] == []
        assert all(document.encode() for document in output.documents)
    assert all(document.encode() for document in whole.finish().documents)
