"""Who a process is, is recorded as its container sees it, and as the host does where the two differ."""

from __future__ import annotations

import pytest

from bpf.events import Exec, Fork
from tests.kernel.capture import Capture, Seen
from tests.kernel.dockerd import Container
from tests.kernel.oracle import device, plain, task_of, task_told

pytestmark = pytest.mark.kernel

PTS_MAJOR = 136
OVERFLOW_ID = 65_534
"""What a user namespace shows for an id that it does not map."""
SEVEN_EXTENTS = "0 0 1\n10 3 1\n20 5 1\n30 7 1\n40 9 1\n50 11 1\n60 1000 2\n"
"""More than the five that the kernel keeps in place."""


def targets(seen: Seen) -> dict[str, tuple[Exec, dict[str, object]]]:
    """Each target's record beside its own report, by its argv[0]."""
    reports = {plain(report["args"][0]): report for report in seen.reports if "args" in report}
    records = {r.args.split(b"\0")[0]: r for r in seen.of(Exec) if r.filename == b"/triggers/report"}
    assert reports.keys() == records.keys()
    assert len(records) == len(seen.of(Exec)) - 1
    return {name.decode(): (records[name], reports[name]) for name in reports}


def test_uids(capture: Capture, container: Container) -> None:
    """Real, effective and saved user ids are told apart."""
    seen = capture.trigger(container, "identity-uids", "1001", "1002", "1003")
    ((record, report),) = targets(seen).values()
    assert task_of(record) == task_told(report)
    assert (record.gid, record.host_uid, record.capabilities) == (2002, 1002, 0)
    (told,) = (report["uids"] for report in seen.reports if "args" not in report)
    (fork,) = seen.started(Fork)
    assert [fork.real_uid, fork.uid, fork.saved_uid] == told == [1001, 1002, 1003]


def test_root_of_a_user_namespace(capture: Capture, container: Container) -> None:
    """Who is root in a user namespace of its own is root there and itself on the host."""
    seen = capture.trigger(container, "identity-userns", "0 1000 1", "0", "0", "0", user="alice")
    ((record, report),) = targets(seen).values()
    assert task_of(record) == task_told(report)
    assert (record.uid, record.host_uid, record.gid) == (0, 1000, OVERFLOW_ID)
    assert record.user_ns != seen.of(Exec)[0].user_ns


def test_many_extents(capture: Capture, container: Container) -> None:
    """Ids are mapped through a map of more extents than the kernel keeps in place."""
    seen = capture.trigger(container, "identity-userns", SEVEN_EXTENTS, "40", "61", "61")
    ((record, report),) = targets(seen).values()
    assert task_of(record) == task_told(report)
    assert (record.real_uid, record.uid, record.host_uid) == (40, 61, 1001)


def test_terminal(capture: Capture, container: Container) -> None:
    """A process with a controlling terminal has its device, others have none."""
    seen = capture.trigger(container, "identity-tty")
    (index,) = (report["index"] for report in seen.reports if "index" in report)
    ((record, report),) = targets(seen).values()
    assert task_of(record) == task_told(report)
    assert record.tty == device(PTS_MAJOR, index)
    assert seen.of(Exec)[0].tty == 0


def test_groups(capture: Capture, container: Container) -> None:
    """The process group and the session are those that the process reports, under the host's numbers."""
    seen = capture.trigger(container, "identity-groups")
    parent = seen.of(Exec)[0]
    found = targets(seen)
    for record, report in found.values():
        assert task_of(record) == task_told(report)
        for number, told in ((record.pgid, report["pgid"]), (record.sid, report["sid"])):
            assert number == (record.tgid if told == record.vpid else parent.pgid)
    own = {name: (record.pgid == record.tgid, record.sid == record.tgid) for name, (record, _) in found.items()}
    assert own == {"same": (False, False), "group": (True, False), "session": (True, True)}
    assert {(fork.pgid, fork.sid) for fork in seen.started(Fork)} == {(parent.pgid, parent.sid)}
