"""What a worker knows, saved and restored anywhere in any stream, is all that it knew, and nothing else."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpf.enums import Cause
from bpf.events import CgroupAttach, CgroupMkdir, Exec, Header, SshLogin
from bpf.schema import Record
from enrich.document import Document
from enrich.enricher import Enricher
from enrich.pipeline import steps
from enrich.secrets.rules import builtin
from enrich.snapshot import SnapshotError, restore, save, schema
from enrich.steps.processes import ProcessTree
from enrich.steps.registry import RegistryView
from enrich.steps.release import Release
from shipper.wire.frame import Frame, wrap
from shipper.wire.reader import Damage, Gap, GapCause
from shipper.wire.records import (
    AgentStart,
    Clock,
    ContainerEvent,
    HostInfo,
    KeyframeBegin,
    KeyframeEnd,
    Loss,
    RuntimeInfo,
    State,
    TenantEvent,
    TenantInfo,
    Tick,
    UserNames,
)
from tests.unit.spooled import MS, garbage
from tests.unit.stream import (
    BOOT,
    SECOND,
    UNIX,
    Stream,
    cgroup,
    contained,
    container,
    end,
    exec_,
    fork,
    host_cgroup,
    process,
    removed,
    running,
)

ID = bytes(range(16))
Piece = Frame | Gap | Damage
Told = list[tuple[str, int, str, bytes]]


@dataclass
class Pieces:
    """What a reader would give of a stream that is made up as it goes."""

    now: int = 10 * SECOND
    number: int = 0
    made: list[Piece] = field(default_factory=list)

    def frame(self, records: Sequence[Record | bytes]) -> None:
        """A frame of these records, each a millisecond later."""
        payload = b""
        for record in records:
            if isinstance(record, Header):
                record.time = self.now
                if isinstance(record, Clock):
                    record.realtime += UNIX + self.now
            self.now += MS
            payload += wrap(record if isinstance(record, bytes) else record.encode())
        time = UNIX + self.now
        self.made.append(Frame(ID, ID, ID, self.number, len(records), payload, time=time))
        self.number += 1

    def gap(self, frames: int) -> None:
        """Frames that can't be read, behind damage."""
        self.made.append(Damage(self.number, "0.seg", self.number, 1, b"x", "crc32 differs"))
        self.made.append(Gap(self.number, self.number + frames, GapCause.FRAME_DAMAGED))
        self.number += frames


PIDS, BOXES = st.integers(2, 6), st.integers(70, 72)


def acting(draw: st.DrawFn) -> Record:
    """A record of the kernel about a process."""
    pid, parent, box = draw(PIDS), draw(PIDS), draw(BOXES)
    numbered: dict[str, Any] = {
        "cgroup_id": box,
        "owner": draw(st.sampled_from([0, box])),
        "sequence": draw(st.integers(0, 30)),
    }
    numbered |= {"pgid": draw(PIDS), "sid": draw(PIDS)}
    numbered |= {"mount_ns": draw(st.integers(1, 2)), "vpid": draw(st.integers(1, 2))}
    match draw(st.integers(0, 5)):
        case 0:
            return fork(pid, parent, parent_comm=b"runc", **numbered)
        case 1:
            program = draw(st.sampled_from([b"/bin/sh", b"/bin/\xff", b"/sbin/sshd", b"/sbin/cron", b"/usr/bin/runc"]))
            return exec_(pid, parent, program, b"-c", **numbered)
        case 2:
            return running(pid, parent, b"/bin/sleep", exe_inode=draw(st.integers(0, 1)), **numbered)
        case 3:
            return process(CgroupAttach, pid, parent, **numbered)
        case 4:
            return process(SshLogin, pid, parent, connection=b"192.0.2.1 5000 192.0.2.2 22", **numbered)
        case _:
            return end(pid, parent, exit_flags=draw(st.integers(0, 1)), **numbered)


def telling(draw: st.DrawFn) -> Record:
    """A record of the registry: cgroups and containers in any order, of few keys, now and then of none that is told."""
    box, key = draw(BOXES), draw(st.sampled_from([b"docker/a", b"docker/b", b"lxc/c"]))
    policy, tenant = draw(st.integers(0, 7)), draw(st.sampled_from([b"t1", b"t2"]))
    made: list[Record] = [
        contained(
            key,
            state=draw(st.sampled_from(State)),
            labels=draw(st.sampled_from([b"", b'{"a": "b"}', b"no JSON"])),
            tenants=draw(st.sampled_from([b"", b"t1", b"t1\0t2"])),
            policy=policy,
        ),
        cgroup(box, key, kind=draw(st.integers(1, 2)), started=draw(st.sampled_from([0, 5, 10 * SECOND]))),
        host_cgroup(box),
        removed(box),
        CgroupMkdir(cgroup_id=box, path=b"/x"),
        TenantInfo(tenant_id=tenant, policy=policy),
        TenantEvent(tenant_id=tenant, change=draw(st.integers(0, 6)), key=key, policy=policy),
        ContainerEvent(key=key, life=draw(st.integers(0, 4)), realtime=UNIX),
        RuntimeInfo(runtime=b"docker", connected=draw(st.integers(0, 1))),
        UserNames(key=key, mount_ns=draw(st.integers(1, 2)), users=b"0:root\0none", groups=b"0:\xff"),
    ]
    return draw(st.sampled_from(made))


@st.composite
def record(draw: st.DrawFn) -> Record | bytes:
    """Any record that steps look at, in any order: streams with gaps have strange ones."""
    kind = draw(st.integers(0, 17))
    if kind < 7:
        return acting(draw)
    if kind < 12:
        return telling(draw)
    made: list[Record | bytes] = [
        Tick(),
        Loss(cgroup_id=draw(BOXES), count=draw(st.integers(0, 5)), cause=Cause.RING_FULL, record_type=1),
        draw(st.sampled_from([KeyframeBegin(), KeyframeEnd(), KeyframeEnd(incomplete=1)])),
        AgentStart(end=draw(st.integers(0, 2)), blind_since=UNIX),
        Clock(realtime=draw(st.sampled_from([0, SECOND, -3600 * SECOND]))),
        garbage(),
    ]
    return made[kind - 12]


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    """A stream, with its beginning and with pauses, and gaps now and then."""
    stream = Pieces()
    stream.frame([KeyframeBegin(), HostInfo(host_name=b"node", boot_id=BOOT), Clock(), AgentStart(), KeyframeEnd()])
    for _ in range(draw(st.integers(1, 8))):
        if draw(st.integers(0, 7)) == 0:
            stream.gap(draw(st.integers(1, 3)))
        stream.now += draw(st.sampled_from([0, SECOND // 5, 2 * SECOND, 11 * SECOND]))
        stream.frame(draw(st.lists(record(), min_size=1, max_size=8)))
    return stream.made


def told(documents: list[Document]) -> Told:
    """Documents, to be compared to the byte."""
    return [(document.id, document.time, document.kind, document.encode()) for document in documents]


def rest(enricher: Enricher, stream: list[Piece]) -> Told:
    """What comes of the rest of a stream, its end included."""
    documents: list[Document] = []
    for piece in stream:
        documents += enricher.take(piece).documents
    return told(documents + enricher.finish().documents)


@given(pieces(), st.booleans())
def test_any_place_is_a_place_to_go_on(stream: list[Piece], forks: bool) -> None:
    """Whoever is stopped behind any piece and restored makes exactly the documents that were still to come."""
    undisturbed = Enricher(ID, forks=forks)
    saved = [undisturbed.save()]
    after: list[Told] = []
    for piece in stream:
        after.append(told(undisturbed.take(piece).documents))
        saved.append(undisturbed.save())
    after.append(told(undisturbed.finish().documents))
    for place, body in enumerate(saved):
        again = Enricher(ID, forks=forks)
        again.restore(body)
        assert rest(again, stream[place:]) == list(chain.from_iterable(after[place:]))


def test_saving_changes_nothing() -> None:
    """The same state is the same bytes, and a restored one saves the same knowledge."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING), exec_(2, 1, b"/bin/sh"), fork(3, 2))
    again = steps()
    assert restore(save(stream.steps, number=7), again) == {"number": 7}
    assert [type(step) for step in again] == [type(step) for step in stream.steps]
    assert restore(save(again, number=8), steps()) == {"number": 8}


def test_what_is_shared_stays_shared() -> None:
    """A waiting document's container is told through the registry's object, and a leader is one for all it leads."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING), exec_(2, 1, b"/bin/sh"), exec_(3, 2, b"/bin/ls", pgid=2, sid=2))
    again = steps()
    restore(save(stream.steps), again)
    (registry,) = (step for step in again if isinstance(step, RegistryView))
    (tree,) = (step for step in again if isinstance(step, ProcessTree))
    (release,) = (step for step in again if isinstance(step, Release))
    assert {id(made.epoch) for _, made in release._held} == {id(registry.known(77))}
    assert len(release._held) == 2
    assert tree._live[3].group_leader is tree._live[3].session_leader is tree._live[2].identity
    assert again[0].fields is release._held[0][1].source["host"]  # type: ignore[attr-defined]


class Evil:
    """What a forged snapshot would have unpickled."""

    def __init__(self, callable_: Any, *arguments: Any) -> None:
        self._call = callable_, arguments

    def __reduce__(self) -> Any:
        """Calls when it is loaded."""
        return self._call


@pytest.mark.parametrize("name", ["system", "eval", "open", "Path", "getattr", "Exec"])
def test_a_foreign_class_never_comes_in(tmp_path: Path, name: str) -> None:
    """A forged snapshot is refused before anything of it runs, wherever in the state it hides."""
    file = tmp_path / "touched"
    evil = {
        "system": Evil(os.system, f"touch {file}"),
        "eval": Evil(eval, f"open({str(file)!r}, 'w')"),
        "open": Evil(open, str(file), "w"),
        "Path": Path(file),
        "getattr": Evil(getattr, "x", "upper"),
        "Exec": Exec(),
    }[name]
    known = [{attribute: getattr(step, attribute) for attribute in step.state} for step in steps()]
    known[0]["fields"] = {"name": evil}
    for body in (pickle.dumps((known, {"number": 1})), pickle.dumps(evil), pickle.dumps((known, {"number": evil}))):
        with pytest.raises(SnapshotError, match="no part of a worker's state"):
            restore(body, steps())
    assert not file.exists()


def test_bytes_that_are_no_snapshot() -> None:
    """Whatever the bytes are, and wherever they end, the one error says so. Changed ones are kept out by a crc."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING), exec_(2, 1, b"/bin/sh"), fork(3, 2))
    body = save(stream.steps, number=7)
    for data in (b"no pickle", pickle.dumps(None), pickle.dumps(([], {})), *(body[:cut] for cut in range(len(body)))):
        with pytest.raises(SnapshotError, match="no snapshot of this version"):
            restore(data, steps())


def test_of_other_steps() -> None:
    """A snapshot with more, fewer or other attributes is refused, and says which."""
    body = save(steps())
    with pytest.raises(SnapshotError, match="no snapshot of this version"):
        restore(body, steps()[:-1])
    with pytest.raises(SnapshotError, match="keeps"):
        restore(body, steps()[::-1])


def test_the_schema_tells_settings_and_steps_apart() -> None:
    """Another setting, another step or another order is another schema; the same is the same."""
    known = [schema(steps(), forks=False), schema(steps(), forks=True), schema(steps()[:-1]), schema(steps()[::-1])]
    assert len(set(known)) == len(known)
    rules = builtin().hash
    assert schema(steps(), forks=False, output="none", secrets=rules) == Enricher(ID).schema
    assert schema(steps(), forks=True, output="all", secrets=rules) == Enricher(ID, forks=True, output="all").schema


def test_a_step_names_all_that_it_learns() -> None:
    """A step whose attributes change with the stream names them in `state`: none is forgotten by a snapshot."""
    stream = Stream()
    fresh = steps()
    records = [
        *container(state=State.PENDING),
        fork(3, 2, owner=77, sequence=1),
        TenantInfo(tenant_id=b"t"),
        RuntimeInfo(runtime=b"docker"),
        KeyframeBegin(),
        running(5, 4, b"/bin/sh"),
        end(3),
        removed(),
        AgentStart(),
        Tick(),
    ]
    stream.feed(*records)
    no_state = {"_host", "_registry", "_tree", "_documents", "counts"}
    no_state |= {"_telling", "_witnesses", "_screen", "_input", "_alarms", "_finding", "_effort", "_output"}
    for step, new in zip(stream.steps, fresh, strict=True):
        for name, value in vars(step).items():
            if name not in step.state and not callable(value) and name not in no_state:
                assert value == vars(new)[name], f"{type(step).__name__}.{name} changes, and is not saved"
