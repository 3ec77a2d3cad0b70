"""Documents say how a process's tree was entered, and with which process."""

from __future__ import annotations

from typing import Any

import pytest

from bpf.events import CgroupAttach, SshLogin, Task
from enrich.render import UNSET
from enrich.steps.entries import Entries
from shipper.wire.records import KeyframeBegin, KeyframeEnd, UserNames
from tests.unit.stream import BOX, SECOND, Stream, cgroup, contained, container, end, exec_, fork, host_cgroup, process
from tests.unit.stream import running as found

OUTSIDE, INSIDE = 1, 2
"""Mount namespaces of the host and of the container."""
SSH = b"192.0.2.7 50022 198.51.100.1 22"


def begun(**options: Any) -> Stream:
    """A stream that knows a container with an init, process 10."""
    stream = Stream(**options)
    stream.feed(*container(started=stream.now))
    return enter(stream, 10, b"/sbin/init", vpid=1)


def enter(stream: Stream, pid: int, *args: bytes, **fields: Any) -> Stream:
    """A runtime puts a process into the container by its three stages; the last one, `pid`, starts a program."""
    where = {name: fields[name] for name in ("cgroup_id", "owner") if name in fields}
    stage = {"mount_ns": OUTSIDE, "parent_comm": b"runc"} | where
    stream.feed(
        process(CgroupAttach, pid - 2, 1, comm=b"runc:[0:PARENT]", **stage),
        exec_(pid - 2, 1, b"/usr/bin/runc", b"init", comm=b"exe", **stage),
        fork(pid - 1, pid - 2, mount_ns=OUTSIDE, comm=b"runc:[1:CHILD]", **where),
        fork(pid, pid - 1, mount_ns=INSIDE, comm=b"runc:[2:INIT]", **where),
        end(pid - 1, pid - 2, **where),
        end(pid - 2, 1, **where),
        exec_(pid, pid - 1, *args, mount_ns=INSIDE, **fields),
    )
    return stream


def ran(stream: Stream, pid: int, parent: int, *args: bytes, **fields: Any) -> dict[str, Any]:
    """The document of a program that a new child of a process starts."""
    stream.feed(fork(pid, parent, mount_ns=INSIDE, sid=1))
    return stream.one(exec_(pid, parent, *(args or (b"/bin/ls",)), **{"mount_ns": INSIDE, "sid": 1} | fields))


def entry(document: dict[str, Any]) -> tuple[str, str, int, bool]:
    """How it was entered: cgtrail's word, ECS's, the leader's pid, and whether the document is the leader's own."""
    leader = document["process"]["entry_leader"]
    return document["cgtrail"]["entry"], leader["entry_meta"]["type"], leader["pid"], leader["same_as_process"]


def test_init() -> None:
    """A container's first process leads what descends from it, from its first program on."""
    stream = begun()
    stages, init = stream.documents[:-1], stream.documents[-1]
    assert not any("entry_leader" in document["process"] for document in stages)
    assert entry(init) == ("init", "container", 10, True)
    child = ran(stream, 11, 10)
    assert entry(child) == ("init", "container", 10, False)
    assert child["process"]["entry_leader"]["entity_id"] == init["process"]["entity_id"]
    assert child["process"]["entry_leader"]["start"] == init["process"]["start"]
    assert child["process"]["entry_leader"]["name"] == "init"


def test_exec() -> None:
    """A process put in later, as by docker exec, leads a tree of its own; so does the next one."""
    stream = begun()
    enter(stream, 20, b"/bin/sh", vpid=20, uid=1000)
    enter(stream, 30, b"/bin/sh", vpid=30)
    assert entry(stream.documents[-1]) == ("exec", "container", 30, True)
    grandchild = ran(stream, 22, 20)
    assert entry(grandchild) == ("exec", "container", 20, False)
    assert grandchild["process"]["entry_leader"]["user"] == {"id": "1000"}
    assert entry(ran(stream, 11, 10))[0] == "init"


def test_a_leader_that_starts_another_program() -> None:
    """It goes on leading, under its new name."""
    stream = begun()
    again = stream.one(exec_(10, 9, b"/usr/sbin/nginx", mount_ns=INSIDE))
    assert entry(again) == ("init", "container", 10, True)
    assert ran(stream, 11, 10)["process"]["entry_leader"]["name"] == "nginx"


def test_an_orphan_inherits() -> None:
    """A descendant keeps its entry when everybody between has ended."""
    stream = begun()
    enter(stream, 20, b"/bin/sh")
    stream.feed(fork(21, 20), fork(22, 21), end(21, 20), end(20, 19))
    assert entry(stream.one(exec_(22, 1, b"/bin/ls")))[:3] == ("exec", "container", 20)


def test_host_pid_namespace() -> None:
    """With the host's pid namespace the first to come since the cgroup was made is init, in each of its lives."""
    stream = Stream()
    stream.feed(*container(started=5_000_000))
    enter(stream, 10, b"/bin/first", owner=BOX)
    enter(stream, 20, b"/bin/second", owner=BOX)
    assert [entry(d)[0] for d in stream.documents if "entry_leader" in d["process"]] == ["init", "exec"]
    stream.feed(cgroup(78, started=25_000_000))
    enter(stream, 30, b"/bin/third", owner=78, cgroup_id=78)
    assert entry(stream.documents[-1])[0] == "init"


def test_a_number_1_beside_the_first() -> None:
    """A process that is the first of a pid namespace of its own, put in beside a living init, is no init."""
    stream = begun()
    enter(stream, 20, b"/bin/sh", vpid=1)
    assert entry(stream.documents[-1])[0] == "exec"
    stream.feed(end(10, 9))
    enter(stream, 30, b"/sbin/init", vpid=1)
    assert entry(stream.documents[-1])[0] == "init"


def test_cloned_into_the_cgroup() -> None:
    """What a runtime forks right into the container was never moved, and comes from outside all the same."""
    stream = begun()
    stream.feed(fork(20, 5, parent_comm=b"crun", comm=b"crun", mount_ns=OUTSIDE))
    assert entry(stream.one(exec_(20, 5, b"/bin/sh", mount_ns=INSIDE))) == ("exec", "container", 20, True)


def test_a_parent_that_was_lost() -> None:
    """A process whose parent is not known came from nobody knows where: nothing is said, and nobody was put in."""
    stream = begun()
    stream.journal.clear()
    stream.feed(fork(20, 5, parent_comm=b"bash"))
    assert "entry_leader" not in stream.one(exec_(20, 5, b"/bin/sh"))["process"]
    assert "entry_leader" not in stream.one(exec_(21, 6, b"/bin/sh"))["process"]
    assert stream.journal == []


def test_names_of_the_image() -> None:
    """In the container's own mount namespace a program named like a runtime's is just a program."""
    stream = begun()
    enter(stream, 20, b"/tmp/runc")
    assert entry(stream.documents[-1]) == ("exec", "container", 20, True)


def test_moved_into_another_container() -> None:
    """Who is moved from one container into another was put into that one from outside."""
    stream = begun()
    stream.feed(*container(78, name=b"other"), process(CgroupAttach, 10, 9, cgroup_id=78, mount_ns=INSIDE))
    moved = stream.one(exec_(10, 9, b"/bin/sh", cgroup_id=78, mount_ns=3))
    assert (entry(moved)[0], moved["container"]["name"]) == ("exec", "other")
    assert "entered" in [d["event"]["action"] for d in stream.journal if d["container"]["name"] == "other"]


def test_a_shell_that_moved_itself_in() -> None:
    """A process of the host that is no runtime's leads what it starts in a container: that is entered once."""
    stream = begun()
    stream.journal.clear()
    stream.feed(process(CgroupAttach, 20, 1, mount_ns=OUTSIDE, comm=b"bash"))
    first, second = (ran(stream, pid, 20, mount_ns=OUTSIDE, parent_comm=b"bash") for pid in (21, 22))
    within = stream.one(exec_(22, 20, b"/bin/sh", mount_ns=INSIDE))
    assert {entry(each) for each in (first, second, within)} == {("exec", "container", 20, False)}
    assert [each["event"]["action"] for each in stream.journal] == ["entered"]
    assert entry(stream.one(exec_(20, 1, b"/bin/zsh", mount_ns=OUTSIDE))) == ("exec", "container", 20, True)


def test_moved_within_its_container() -> None:
    """Who moves to another cgroup of the same container was put nowhere."""
    stream = begun()
    stream.feed(cgroup(79), process(CgroupAttach, 10, 9, cgroup_id=79, mount_ns=INSIDE))
    assert entry(stream.one(exec_(10, 9, b"/bin/sh", cgroup_id=79))) == ("init", "container", 10, True)


# SSH, cron


def served(stream: Stream) -> Stream:
    """An SSH server in the container, process 12, has made a process for a session: 14."""
    ran(stream, 12, 10, b"/usr/sbin/sshd", b"-D")
    ran(stream, 13, 12, b"/usr/lib/openssh/sshd-session", sid=13)
    stream.feed(fork(14, 13, sid=13))
    return stream


def login(pid: int = 14, connection: bytes = SSH, **fields: Any) -> Task:
    """The kernel's record of a login."""
    return process(SshLogin, pid, 13, connection=connection, **fields)


def test_ssh() -> None:
    """A login leads its session; where it came from is what its environment claims, and marked so."""
    stream = served(begun())
    stream.feed(login(uid=1000))
    shell = stream.one(exec_(14, 13, b"/bin/bash", uid=1000))
    assert entry(shell) == ("sshd", "sshd", 14, True)
    assert shell["process"]["entry_leader"]["entry_meta"]["source"] == {"ip": "192.0.2.7"}
    assert (shell["cgtrail"]["entry_claimed"], shell["cgtrail"]["entry_port"]) == (True, 50022)
    child = ran(stream, 15, 14)
    assert entry(child) == ("sshd", "sshd", 14, False)
    assert child["process"]["entry_leader"]["entry_meta"]["source"] == {"ip": "192.0.2.7"}
    assert "entry_claimed" not in ran(stream, 16, 10)["cgtrail"]


def test_ssh_told_behind() -> None:
    """Where the login's record comes behind the exec's, that document has the entry, and those behind the address."""
    stream = served(begun())
    shell = stream.one(exec_(14, 13, b"/bin/bash"))
    assert entry(shell) == ("sshd", "sshd", 14, True)
    assert "source" not in shell["process"]["entry_leader"]["entry_meta"]
    stream.feed(login())
    assert ran(stream, 15, 14)["process"]["entry_leader"]["entry_meta"]["source"] == {"ip": "192.0.2.7"}


@pytest.mark.parametrize("before", [True, False])
def test_ssh_without_a_session(*, before: bool) -> None:
    """Without a session of its own, the login's record alone makes it one."""
    stream = served(begun())
    started = exec_(14, 13, b"/bin/scp", sid=13)
    stream.feed(*([login(), started] if before else [started, login()]))
    assert entry(stream.documents[-1])[0] == ("sshd" if before else "init")
    assert entry(ran(stream, 15, 14))[:3] == ("sshd", "sshd", 14)


def test_servers_own_programs() -> None:
    """What an SSH server starts of itself, or without a session, is no login."""
    stream = served(begun())
    assert entry(stream.one(exec_(14, 13, b"/usr/lib/openssh/sshd-auth")))[0] == "init"
    assert entry(ran(stream, 20, 12, b"/usr/bin/true", sid=12))[0] == "init"


@pytest.mark.parametrize("program", [b"/usr/sbin/sshd", b"/usr/sbin/dropbear", b"/usr/bin/sss_ssh_authorizedkeys"])
def test_no_login(program: bytes) -> None:
    """What an SSH server starts without a connection, itself again or a helper, is none, nor is what follows."""
    stream = served(begun())
    started = exec_(14, 13, program, sid=13)
    stream.feed(login(connection=b""), started, login(connection=b""))
    assert entry(stream.documents[-1])[0] == "init"
    again = stream.one(exec_(14, 13, b"/usr/bin/helper", sid=13))
    assert entry(again)[0] == "init"


@pytest.mark.parametrize(
    ("connection", "source", "port"),
    [
        (b"2001:db8::1 22 ::1 22", "2001:db8::1", 22),
        (b"fe80::1%\x1b[31m 22 ::1 22", "fe80::1", 22),
        (b"192.0.2.7 99999 a b", "192.0.2.7", None),
        (b"192.0.2.7", "192.0.2.7", None),
        (b"evil.example 22 ::1 22", None, None),
        (b"\xff\xff 1", None, None),
        (b"", None, None),
    ],
)
def test_claims(connection: bytes, source: str | None, port: int | None) -> None:
    """Only what is an address and a port is shown of what a container chose."""
    stream = served(begun())
    shell = stream.feed(login(connection=connection), exec_(14, 13, b"/bin/bash"))[0]
    assert shell["process"]["entry_leader"]["entry_meta"].get("source") == (source and {"ip": source})
    assert shell["cgtrail"].get("entry_port") == port


def test_cron() -> None:
    """What cron starts, itself or by a child that it forked, is an entry; cron is not."""
    stream = begun()
    assert entry(ran(stream, 12, 10, b"/usr/sbin/cron", b"-f"))[0] == "init"
    stream.feed(fork(13, 12))
    assert entry(ran(stream, 14, 13, b"/bin/sh")) == ("cron", "cron", 14, True)
    assert entry(ran(stream, 15, 14)) == ("cron", "cron", 14, False)


def test_cron_of_busybox() -> None:
    """Its shell starts it as /proc/self/exe."""
    stream = begun()
    own = {"exe": b"/bin/busybox", "filename": b"/proc/self/exe"}
    assert entry(ran(stream, 12, 10, b"crond", b"-f", **own))[0] == "init"
    assert entry(ran(stream, 14, 12, b"sh", b"-c", b"x", exe=b"/bin/busybox")) == ("cron", "cron", 14, True)


@pytest.mark.parametrize(
    ("executable", "args"), [(b"/proc/self/exe", (b"crond",)), (b"/bin/busybox", (b"busybox", b"crond", b"-f"))]
)
def test_busybox_cron(executable: bytes, args: tuple[bytes, ...]) -> None:
    """Busybox starts its own cron by no name of its own; another of its programs is no cron."""
    stream = begun()
    stream.feed(fork(12, 10, sid=1), exec_(12, 10, *args, filename=executable, sid=1))
    stream.feed(fork(13, 12))
    assert entry(ran(stream, 14, 13, b"/bin/sh"))[0] == "cron"
    stream.feed(fork(22, 10, sid=1), exec_(22, 10, b"xargs", b"/etc/crond", filename=b"/bin/xargs", sid=1))
    assert entry(ran(stream, 24, 22, b"/bin/sh"))[0] == "init"


def test_names() -> None:
    """The leader's user has the name that the container gives it."""
    stream = Stream()
    stream.feed(*container(), UserNames(key=b"docker/77", mount_ns=INSIDE, users=b"0:root"))
    enter(stream, 10, b"/sbin/init", uid=0)
    assert stream.documents[-1]["process"]["entry_leader"]["user"] == {"id": "0", "name": "root"}


def test_names_in_a_user_namespace_of_ones_own() -> None:
    """Who makes a user namespace chooses which ids are shown there: they have no names, nor has who leads such."""
    stream = Stream()
    stream.feed(*container(), UserNames(key=b"docker/77", mount_ns=INSIDE, users=b"0:root\x001000:alice"))
    enter(stream, 10, b"/sbin/init", uid=0, user_ns=5, vpid=1)
    enter(stream, 20, b"/bin/sh", uid=1000, user_ns=5)
    assert stream.documents[-1]["user"]["name"] == "alice"
    liar = stream.one(exec_(20, 19, b"/bin/sh", mount_ns=INSIDE, uid=0, user_ns=6))
    assert liar["user"] == {"id": "0"}
    assert "name" not in liar["process"]["real_user"]
    stream.feed(end(10, 9))
    enter(stream, 10, b"/sbin/init", vpid=1, uid=0, user_ns=7)
    assert stream.documents[-1]["user"]["name"] == "root"
    assert stream.documents[-1]["process"]["entry_leader"]["user"]["name"] == "root"


# What was found running


def test_found() -> None:
    """What runs already is placed by its ancestors, whichever order they are told in, and marked partial."""
    stream = Stream()
    stream.feed(KeyframeBegin(), *container())
    stream.feed(found(12, 11, b"/bin/child"), found(11, 10, b"/bin/bash"), found(10, 9, b"/sbin/init", vpid=1))
    stream.feed(found(30, 8, b"/bin/sh"), found(31, 30, b"/bin/sh"), KeyframeEnd())
    child, other = ran(stream, 13, 12), ran(stream, 32, 31)
    assert (entry(child), entry(other)) == (("init", "container", 10, False), ("exec", "container", 30, False))
    assert child["cgtrail"]["partial"] is True
    assert stream.journal == []


def test_found_and_at_work() -> None:
    """One that does something before the keyframe is over is placed then, with its ancestors."""
    stream = Stream()
    stream.feed(KeyframeBegin(), *container(), found(10, 9, b"/sbin/init", vpid=1), found(11, 10, b"/bin/bash"))
    assert entry(ran(stream, 12, 11)) == ("init", "container", 10, False)
    (entries,) = (step for step in stream.steps if isinstance(step, Entries))
    assert entries._found == {}


def test_found_ssh() -> None:
    """A session that was found running is one, without its address."""
    stream = Stream()
    stream.feed(KeyframeBegin(), *container(), found(10, 9, b"/usr/sbin/sshd", vpid=1), found(11, 10, b"/bin/bash"))
    stream.feed(KeyframeEnd())
    assert entry(ran(stream, 12, 11)) == ("sshd", "sshd", 11, False)


def test_a_keyframe_changes_no_entry() -> None:
    """Who was seen to enter stays what it was."""
    stream = begun()
    enter(stream, 20, b"/bin/sh", vpid=20)
    stream.feed(
        KeyframeBegin(), *container(), found(10, 9, b"/sbin/init", vpid=1), found(20, 19, b"/bin/sh"), KeyframeEnd()
    )
    assert entry(ran(stream, 21, 20))[:3] == ("exec", "container", 20)


def test_a_program_that_started_unseen() -> None:
    """A container's first process whose program nobody saw start: it is the first when a keyframe finds it at work."""
    stream = Stream()
    stream.feed(*container())
    stream.feed(fork(10, 5, vpid=1, comm=b"runc:[1:CHILD]", parent_comm=b"runc", mount_ns=INSIDE))
    stage = found(10, 5, b"", vpid=1, comm=b"runc:[2:INIT]", exe=b"/usr/sbin/runc", mount_ns=INSIDE)
    for program in (stage, found(10, 5, b"", vpid=1, exe=b"/bin/sh", exe_inode=7, mount_ns=INSIDE)):
        stream.feed(KeyframeBegin(), *container(), program, KeyframeEnd())
    assert entry(ran(stream, 11, 10)) == ("init", "container", 10, False)
    stream.feed(end(11, 10))
    assert stream.journal == []


def test_a_first_process_that_was_not_recorded() -> None:
    """Where programs were not recorded at its birth, who is put into a container later is not its first process."""
    stream = Stream()
    stream.feed(*container(started=stream.now))
    stream.feed(process(CgroupAttach, 8, 1, comm=b"runc:[0:PARENT]", mount_ns=OUTSIDE, parent_comm=b"runc"))
    enter(stream, 20, b"/bin/true", vpid=7)
    stream.feed(end(20, 19))
    assert [document["event"]["action"] for document in stream.journal] == ["entered"]


def test_long_chains() -> None:
    """A chain of thousands that were found in the worst order is placed without recursion, and leaves nothing."""
    stream = Stream()
    stream.feed(KeyframeBegin(), *container())
    stream.feed(*(found(pid, pid - 1, b"/bin/sh", vpid=pid - 9) for pid in range(3000, 9, -1)), KeyframeEnd())
    assert entry(ran(stream, 3001, 3000)) == ("init", "container", 10, False)


def test_impossible_ancestors() -> None:
    """Processes that claim to be each other's parents are placed all the same."""
    stream = Stream()
    stream.feed(KeyframeBegin(), *container(), found(10, 11, b"/a"), found(11, 10, b"/b"), found(12, 12, b"/c"))
    assert stream.feed(KeyframeEnd(), exec_(10, 11, b"/bin/ls"), exec_(12, 12, b"/bin/ls")) != []


# The host


def test_host_logins() -> None:
    """On the host, services lead themselves; a login id that is new to a tree is a login; SSH is SSH."""
    stream = Stream(capture_host=True)
    nobody = {"login_uid": UNSET}
    running = found(1, 0, b"/sbin/init", **nobody), found(10, 1, b"/sbin/getty", **nobody)
    stream.feed(KeyframeBegin(), host_cgroup(), *running, KeyframeEnd())
    assert entry(ran(stream, 11, 10, **nobody)) == ("init", "init", 10, False)
    stream.feed(fork(12, 10))
    shell = stream.one(exec_(12, 10, b"/bin/bash", login_uid=1000))
    assert entry(shell) == ("login", "terminal", 12, True)
    assert entry(ran(stream, 13, 12, login_uid=1000)) == ("login", "terminal", 12, False)


def test_state_of_the_steps_is_bounded() -> None:
    """What enters and ends leaves nothing behind."""
    stream = begun()
    for number in range(200):
        enter(stream, 100 + 10 * number, b"/bin/sh")
        stream.feed(end(100 + 10 * number, 0))
    (entries,) = (step for step in stream.steps if isinstance(step, Entries))
    assert entries._found == {}
    assert stream.wait(SECOND) == []
    stream.feed(contained(name=b"x"))
