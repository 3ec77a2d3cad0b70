"""Documents tell of the parent and the leaders what Elastic's Session View and rules read of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bpf.events import CgroupAttach, SshLogin
from enrich import render
from enrich.arguments import KEPT_BYTES
from enrich.item import PATH_BYTES
from shipper.wire.records import UserNames
from tests.unit.stream import Stream, container, end, exec_, fork, process, running, undeclared

TTY = 136 << 20 | 3
USERS = {"uid": 1000, "gid": 100, "real_uid": 1001, "saved_uid": 1002}
LEADERS = ("group_leader", "session_leader", "entry_leader")
OTHERS = ("parent", *LEADERS)


def begun() -> Stream:
    """A stream that knows the container, and what it calls its users."""
    stream = Stream()
    names = UserNames(key=b"docker/77", mount_ns=9, users=b"1000:alice\x001001:real\x001002:saved", groups=b"100:staff")
    stream.feed(*container(), names)
    return stream


def shell(stream: Stream, *args: bytes, **fields: Any) -> dict[str, Any]:
    """The container's first process, at a terminal."""
    told = {"vpid": 1, "mount_ns": 9, "tty": TTY, "cwd": b"/home/alice", "parent_comm": b"runc:[2:INIT]"} | USERS
    stream.feed(fork(2, 1, parent_comm=b"runc", comm=b"runc:[2:INIT]"))
    return stream.feed(exec_(2, 1, b"/bin/sh", *args, **told | fields))[-1]


def test_all_that_is_known_of_them() -> None:
    """A parent that leads group, session and entry is told in full under each of these names."""
    stream = begun()
    shell(stream, b"-c", b"ls")
    ls = stream.one(exec_(3, 2, b"/bin/ls", pgid=2, sid=2, mount_ns=9, **USERS))
    for other in OTHERS:
        told = ls["process"][other]
        assert (told["pid"], told["name"], told["executable"]) == (2, "sh", "/bin/sh")
        assert (told["args"], told["args_count"], told["command_line"]) == (["/bin/sh", "-c", "ls"], 3, "/bin/sh -c ls")
        assert (told["working_directory"], told["interactive"]) == ("/home/alice", True)
        assert told["tty"] == {"char_device": {"major": 136, "minor": 3}}
        assert told["user"] == {"id": "1000", "name": "alice"}
        assert told["group"] == {"id": "100", "name": "staff"}
        assert told["real_user"] == {"id": "1001", "name": "real"}
        assert told["saved_user"] == {"id": "1002", "name": "saved"}
        assert told["entity_id"] == stream.documents[0]["process"]["entity_id"]
        assert told["start"] == stream.documents[0]["process"]["start"]
    assert [ls["process"][leader]["same_as_process"] for leader in LEADERS] == [False] * 3
    assert "same_as_process" not in ls["process"]["parent"]
    assert undeclared(ls) == set()


def test_one_that_leads_itself() -> None:
    """A leader's own documents say of its leaders what they say of itself, and that it is the same."""
    stream = begun()
    own = shell(stream, b"-i")["process"]
    ended = stream.one(end(2, 1, mount_ns=9, **USERS))["process"]
    for shown in (own, ended):
        for leader in LEADERS:
            told = shown[leader]
            assert told.pop("same_as_process") is True
            assert {name: told[name] for name in ("entity_id", "pid", "name", "args", "start", "user")} == {
                name: shown[name] for name in ("entity_id", "pid", "name", "args", "start", "user")
            }


def test_a_leader_that_has_ended() -> None:
    """What a leader was stands in documents of those it leaves behind, with the terminal that its end gives up."""
    stream = begun()
    shell(stream)
    stream.feed(fork(3, 2, pgid=2, sid=2), end(2, 1, pgid=2, sid=2))
    left = stream.one(exec_(3, 1, b"/bin/sleep", pgid=2, sid=2))["process"]
    for leader in LEADERS:
        assert (left[leader]["name"], left[leader]["interactive"], left[leader]["user"]["id"]) == ("sh", True, "1000")


def test_one_that_becomes_somebody_else() -> None:
    """A leader that runs another program, or becomes another user, is told as it is from then on."""
    stream = begun()
    shell(stream)
    first = stream.one(exec_(3, 2, b"/bin/ls", sid=2))["process"]["session_leader"]
    stream.feed(exec_(2, 1, b"/bin/su", sid=2, uid=0))
    second = stream.one(exec_(4, 2, b"/bin/ls", sid=2))["process"]["session_leader"]
    assert [(each["name"], each["user"]["id"]) for each in (first, second)] == [("sh", "1000"), ("su", "0")]


def test_entry_keeps_who_entered() -> None:
    """The entry leader's user is the one that it entered as; the parent's is who it is now."""
    stream = begun()
    shell(stream)
    stream.feed(exec_(2, 1, b"/bin/su", sid=2, uid=0, mount_ns=9))
    child = stream.one(exec_(4, 2, b"/bin/ls", sid=2, mount_ns=9))["process"]
    assert (child["entry_leader"]["user"]["id"], child["parent"]["user"]["id"]) == ("1000", "0")


def test_names_that_are_told_later() -> None:
    """A container's names are read after it has started: what is told of its first process has them from then on."""
    stream = Stream()
    stream.feed(*container())
    shell(stream)
    before = stream.one(exec_(3, 2, b"/bin/ls", sid=2))["process"]["session_leader"]
    stream.feed(UserNames(key=b"docker/77", mount_ns=9, users=b"1000:alice"))
    after = stream.one(exec_(4, 2, b"/bin/ls", sid=2))["process"]["session_leader"]
    assert (before["user"], after["user"]) == ({"id": "1000"}, {"id": "1000", "name": "alice"})


def test_a_leader_that_is_not_known() -> None:
    """Of a leader that no record was about, the process id is told, and that it is another process."""
    own = begun().feed(exec_(3, 2, b"/bin/ls", pgid=8, sid=9))[-1]["process"]
    assert own["group_leader"] == {"pid": 8, "same_as_process": False}
    assert own["session_leader"] == {"pid": 9, "same_as_process": False}


def test_long_arguments_are_told_once() -> None:
    """A leader's long arguments are cut wherever others' documents, and its own, tell of it as a leader."""
    stream = begun()
    long = b"x" * 3 * KEPT_BYTES
    own = shell(stream, long)["process"]
    child = stream.one(exec_(3, 2, b"/bin/ls", pgid=2, sid=2))["process"]
    assert own["args"] == ["/bin/sh", long.decode()]
    for told in (*(own[leader] for leader in LEADERS), *(child[other] for other in OTHERS)):
        assert "args" not in told
        assert told["args_count"] == 2
        assert len(told["command_line"]) == KEPT_BYTES + 1


@pytest.mark.parametrize("byte", [b"x", b"'", b"\x01", b"\xff", b"\0", b'"', "\u20ac".encode()])
def test_what_is_told_of_others_is_bounded(byte: bytes) -> None:
    """Whatever arguments and paths are made of, four relatives add little to a document; its own has all of it."""
    stream = begun()
    long, path = byte * (2000 // len(byte)), b"/" + (byte.strip(b"\0") or b"x") * (4000 // len(byte))
    own = shell(stream, long, exe=path, cwd=path)["process"]
    child = stream.one(exec_(3, 2, b"/bin/ls", pgid=2, sid=2))["process"]
    for told in (*(own[leader] for leader in LEADERS), *(child[other] for other in OTHERS)):
        assert len(orjson.dumps(told)) < 2 * (KEPT_BYTES + PATH_BYTES) + 1000
        assert own["executable"].startswith(told["executable"].removesuffix("…"))
    assert len(own["executable"]) == len(own["working_directory"]) >= len(path.decode(errors="replace"))
    assert own["command_line"] == render.command_line(own["args"])
    ended = stream.one(end(2, 1, mount_ns=9))["process"]
    assert len(ended["command_line"]) <= KEPT_BYTES + 1


def test_what_fits_is_told_whole() -> None:
    """The longest arguments and paths that fit are told as they are; one byte more, and they end in an ellipsis."""
    for more in (0, 1):
        stream = begun()
        path = b"/" + b"p" * (PATH_BYTES - 1 + more)
        shell(stream, b"x" * (KEPT_BYTES - len(b"/bin/sh ") + more), cwd=path)
        told = stream.one(exec_(3, 2, b"/bin/ls", pgid=2, sid=2))["process"]["parent"]
        assert told["working_directory"] == path[:PATH_BYTES].decode() + "…" * more
        assert told["command_line"].endswith("…" if more else "x")
        assert len(told["command_line"]) == KEPT_BYTES + more


def test_secrets_of_leaders_are_named() -> None:
    """A document that shows a leader's masked arguments says that something was masked."""
    stream = begun()
    shell(stream, b"-c", b"mysql --password=hunter2hunter2")
    stream.feed(exec_(3, 2, b"/bin/sh", pgid=2, sid=2))
    deep = stream.one(exec_(4, 3, b"/bin/ls", pgid=2, sid=2))
    assert "hunter2" not in str(deep)
    assert deep["cgtrail"]["secrets"]


def test_found_running() -> None:
    """A leader that was found running has no arguments until they are told, and then has."""
    stream = begun()
    stream.feed(running(2, 1, b"/bin/sh", b"-i", tty=TTY))
    told = stream.one(exec_(3, 2, b"/bin/ls", sid=2))["process"]["session_leader"]
    assert (told["args"], told["args_count"], told["interactive"]) == (["/bin/sh", "-i"], 2, True)


CONNECTION = b"192.0.2.7 50000 192.0.2.1 22"


@pytest.mark.parametrize(
    ("connection", "variables"),
    [
        (CONNECTION, ["SSH_CONNECTION=192.0.2.7 50000 192.0.2.1 22"]),
        (b"fe80::1%eth0 50000 fe80::2%eth0 22", ["SSH_CONNECTION=fe80::1 50000 fe80::2 22"]),
        (b"192.0.2.7 50000 192.0.2.1 22 --password=hunter2hunter2", None),
        (b"192.0.2.7 50000 \x1b]0;x\x07 22", None),
        (b"192.0.2.7 50000", None),
        (b"nowhere", None),
        (b"", None),
    ],
)
def test_environment_of_a_login(connection: bytes, variables: list[str] | None) -> None:
    """The login's own documents have SSH_CONNECTION where it is two addresses and ports; nobody else's have it."""
    stream = begun()
    stream.feed(running(10, 1, b"/usr/sbin/sshd"), fork(14, 10), process(SshLogin, 14, 10, connection=connection))
    login = stream.feed(exec_(14, 10, b"/bin/sh"))[-1]
    assert login["process"].get("env_vars") == variables
    assert login["cgtrail"].get("entry_claimed") is (True if b"192" in connection or b"fe80" in connection else None)
    child = stream.one(exec_(15, 14, b"/bin/ls", sid=14))
    assert "env_vars" not in child["process"]


def test_related() -> None:
    """All users, the host, and where an SSH client is said to have come from, are found in one place."""
    stream = begun()
    stream.feed(running(10, 1, b"/usr/sbin/sshd"), fork(14, 10), process(SshLogin, 14, 10, connection=CONNECTION))
    login = stream.feed(exec_(14, 10, b"/bin/sh", mount_ns=9, uid=1000, real_uid=1001, saved_uid=7))[-1]
    assert login["related"] == {"user": ["7", "alice", "real"], "hosts": ["node"], "ip": ["192.0.2.7"]}
    assert undeclared(login) == set()


OTHER = 88
FOREIGN = {"entity_id", "pid", "name", "start"}


def neighbours() -> Stream:
    """Two containers of two tenants; in the first a shell whose arguments are its own business."""
    stream = Stream()
    stream.feed(*container(container_id=b"a" * 64, tenants=b"first\0"))
    stream.feed(*container(OTHER, container_id=b"b" * 64, tenants=b"second\0"))
    shell(stream, b"-c", b"own --password=hunter2hunter2 business")
    return stream


def test_those_of_another_container() -> None:
    """A parent or leader in another container is told by id and name alone: what it runs is not for these tenants."""
    stream = neighbours()
    stream.feed(fork(4, 2, pgid=2, sid=2, cgroup_id=OTHER))
    ls = stream.one(exec_(4, 2, b"/bin/ls", pgid=2, sid=2, cgroup_id=OTHER))
    assert ls["cgtrail"]["tenant"]["id"] == ["second"]
    assert "business" not in str(ls)
    assert "secrets" not in ls["cgtrail"]
    for other in ("parent", "group_leader", "session_leader"):
        told = ls["process"][other]
        assert told.keys() - {"same_as_process"} == FOREIGN
        assert told["entity_id"] == stream.documents[0]["process"]["entity_id"]
    assert "business" in str(stream.one(exec_(5, 2, b"/bin/ls", sid=2)))


def test_one_that_moved_to_another_container() -> None:
    """Who moves keeps its executable there, but not how it was started; those it leaves behind don't see it there."""
    stream = neighbours()
    stream.feed(exec_(3, 2, b"/bin/enter", b"business", pgid=2, sid=2), fork(6, 3, pgid=3, sid=2))
    stream.feed(process(CgroupAttach, 3, 2, pgid=3, sid=2, cgroup_id=OTHER), fork(4, 3, pgid=3, cgroup_id=OTHER))
    ls = stream.one(exec_(4, 3, b"/bin/ls", pgid=3, sid=2, cgroup_id=OTHER))
    assert "business" not in str(ls)
    assert ls["process"]["parent"]["executable"] == "/bin/enter"
    left = stream.one(exec_(6, 3, b"/bin/ls", pgid=3, sid=2))["process"]
    assert left["parent"].keys() == FOREIGN
    assert left["entry_leader"]["args"]
    stream.feed(exec_(3, 2, b"/bin/next", b"elsewhere", pgid=3, sid=2, cgroup_id=OTHER))
    assert "elsewhere" not in str(stream.one(end(6, 3, pgid=3, sid=2)))


def test_an_entry_leader_that_moved() -> None:
    """How a tree was entered, and as whom, stays known when its leader has gone elsewhere."""
    stream = neighbours()
    stream.feed(process(CgroupAttach, 2, 1, cgroup_id=OTHER))
    entry = stream.one(exec_(5, 2, b"/bin/ls", sid=2))["process"].get("entry_leader")
    assert entry is None  # who is forked now comes from there
    stream = neighbours()
    stream.feed(fork(5, 2, sid=2), process(CgroupAttach, 2, 1, cgroup_id=OTHER))
    entry = stream.one(exec_(5, 2, b"/bin/ls", sid=2))["process"]["entry_leader"]
    assert entry.keys() == FOREIGN | {"entry_meta", "user", "same_as_process"}


def test_a_cgroup_that_a_container_made() -> None:
    """Who moves to one that nobody told of yet is known in full there: the kernel says whose it is."""
    stream = Stream()
    stream.feed(*container())
    shell(stream, b"-c", b"business", owner=77)
    stream.feed(fork(3, 2, owner=77), process(CgroupAttach, 3, 2, cgroup_id=OTHER, owner=77))
    stream.feed(exec_(3, 2, b"/bin/ls", sid=2, cgroup_id=OTHER, owner=77), *container(OTHER, key=b"docker/77"))
    told = stream.documents[-1]["process"]
    assert (told["parent"]["args"][-1], told["session_leader"]["args"][-1]) == ("business", "business")
