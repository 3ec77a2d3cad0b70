"""Documents name the process, its parent and its leaders, however the records came."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest

from bpf.enums import ImageFlag
from bpf.events import CgroupAttach, ExecFailed, Task
from enrich.arguments import KEPT_BYTES
from enrich.steps.host import Host
from enrich.steps.processes import ProcessTree
from shipper.wire.records import KeyframeBegin, KeyframeEnd
from tests.unit.stream import BOOT, SECOND, Stream, arguments, container, end, exec_, fork, process, running


def begun(*, forks: bool = False) -> Stream:
    """A stream that knows the container."""
    stream = Stream(forks=forks)
    stream.feed(*container())
    return stream


def test_entity_id() -> None:
    """The entity id is the hash of boot id, pid and start, whatever the process runs."""
    stream = begun()
    life = struct.pack("<16sIQ", bytes.fromhex(BOOT.decode().replace("-", "")), 2, 2_000_000)
    expected = hashlib.blake2b(life, digest_size=16).hexdigest()
    documents = stream.feed(exec_(2, 1, b"/bin/sh"), exec_(2, 1, b"/bin/ls"), end(2, 1))
    assert {d["process"]["entity_id"] for d in documents} == {expected}
    assert [d["process"]["name"] for d in documents] == ["sh", "ls", "ls"]


def test_parent_known() -> None:
    """A parent that was recorded is named in full, as it was at that moment."""
    stream = begun()
    stream.feed(exec_(2, 1, b"/bin/sh", b"-c", b"ls"), fork(3, 2))
    parent = stream.one(exec_(3, 2, b"/bin/ls"))["process"]["parent"]
    assert (parent["pid"], parent["name"], parent["executable"]) == (2, "sh", "/bin/sh")
    assert parent["args"] == ["/bin/sh", "-c", "ls"]
    assert stream.one(exec_(2, 1, b"/bin/true"))["process"]["name"] == "true"


def test_long_parent() -> None:
    """What a process was given is stored once, and its beginning with its end and each child."""
    stream = begun()
    long = b"x" * KEPT_BYTES
    own = stream.one(exec_(2, 1, b"/bin/sh", long))["process"]
    assert own["args"] == ["/bin/sh", long.decode()]
    assert own["command_line"] == f"/bin/sh {long.decode()}"
    parent = stream.one(exec_(3, 2, b"/bin/ls"))["process"]["parent"]
    ended = stream.one(end(2, 1))["process"]
    for shown in (parent, ended):
        assert shown["command_line"] == own["command_line"][:KEPT_BYTES] + "…"
        assert "args" not in shown
        assert shown["executable"] == "/bin/sh"


def test_parent_after_another_exec() -> None:
    """A parent that starts another program is named by it from then on."""
    stream = begun()
    stream.feed(exec_(2, 1, b"/bin/sh"))
    assert stream.one(exec_(3, 2, b"/bin/ls"))["process"]["parent"]["name"] == "sh"
    stream.feed(exec_(2, 1, b"/bin/dash"))
    assert stream.one(exec_(4, 2, b"/bin/ls"))["process"]["parent"]["name"] == "dash"


def test_parents_start_moves_with_the_clock() -> None:
    """A parent's start is told by the clock that holds at the child's document, as the child's own is."""
    stream = begun()
    stream.feed(exec_(2, 1, b"/bin/sh"))
    before = stream.one(exec_(3, 2, b"/bin/ls"))["process"]["parent"]["start"]
    host = stream.steps[0]
    assert isinstance(host, Host)
    host.offset += SECOND
    after = stream.one(exec_(4, 2, b"/bin/ls"))["process"]["parent"]["start"]
    assert (before[17:19], after[17:19]) == ("20", "21")


def test_parent_unknown() -> None:
    """A parent that was never recorded, as a container's shim, has the name and the id that the record gives."""
    stream = begun()
    document = stream.one(exec_(2, 1, b"/bin/sh", parent_comm=b"containerd-shim"))
    other = stream.one(exec_(3, 1, b"/bin/sh", parent_comm=b"containerd-shim"))
    assert document["process"]["parent"]["name"] == "containerd-shim"
    assert document["process"]["parent"]["entity_id"] == other["process"]["parent"]["entity_id"]
    assert "executable" not in document["process"]["parent"]


def test_pid_reused() -> None:
    """A pid that comes again with another start is another process, with nothing of the first."""
    stream = begun()
    stream.feed(exec_(2, 1, b"/bin/sh"))
    document = stream.one(exec_(3, 2, b"/bin/ls", parent_start=9_000_000, parent_comm=b"other"))
    assert document["process"]["parent"]["name"] == "other"
    again = stream.one(exec_(2, 1, b"/bin/new", start=9_000_000))
    assert again["process"]["entity_id"] != stream.documents[0]["process"]["entity_id"]


def test_forked_child_is_its_parent() -> None:
    """A fork that has not started a program yet is shown with its parent's."""
    stream = begun(forks=True)
    stream.feed(exec_(2, 1, b"/bin/bash", b"script"))
    forked = stream.one(fork(3, 2))
    assert forked["event"]["action"] == "fork"
    assert forked["process"]["args"] == ["/bin/bash", "script"]


def test_subshell_end_is_silent() -> None:
    """The end of what was only forked is no document, unless forks are."""
    quiet, full = begun(), begun(forks=True)
    assert quiet.feed(fork(3, 2), end(3, 2)) == []
    assert [d["event"]["action"] for d in full.feed(fork(3, 2), end(3, 2))] == ["fork", "end"]


def test_entered_and_left() -> None:
    """What was moved into a container and ends there without a program of its own is silent too."""
    assert begun().feed(process(CgroupAttach, 3, 2, comm=b"runc:[2:INIT]"), end(3, 2)) == []


def test_end_without_beginning() -> None:
    """The end of a process whose beginning was lost is a document of its own."""
    document = begun().one(end(3, 2, status=0x0500, comm=b"lost"))
    assert (document["process"]["name"], document["process"]["exit_code"]) == ("lost", 5)


def test_found_running() -> None:
    """A process found running is a parent in full, and its end is a document."""
    stream = begun()
    assert stream.feed(running(2, 1, b"/bin/sh", b"-i")) == []
    assert stream.one(exec_(3, 2, b"/bin/ls"))["process"]["parent"]["args"] == ["/bin/sh", "-i"]
    assert stream.one(end(2, 1))["process"]["args"] == ["/bin/sh", "-i"]


def test_leaders() -> None:
    """Group and session leaders are named, also when they have ended before."""
    stream = begun()
    stream.feed(exec_(2, 1, b"/bin/bash"), fork(3, 2, sid=2))
    pipeline = stream.feed(
        exec_(3, 2, b"/bin/cat", sid=2), fork(4, 3, pgid=3, sid=2), end(3, 2, pgid=3, sid=2), end(2, 1)
    )
    assert pipeline[0]["process"]["session_leader"]["name"] == "bash"
    last = stream.one(exec_(4, 1, b"/bin/wc", pgid=3, sid=2))
    assert last["process"]["group_leader"]["pid"] == 3
    assert last["process"]["session_leader"]["pid"] == 2


def test_failed_exec_changes_nothing() -> None:
    """A failed exec tells what was tried, and the process stays what it was."""
    stream = begun()
    stream.feed(exec_(2, 1, b"/bin/sh"))
    tried = {"filename": b"/opt/x", "args": b"x\0-v\0", "args_bytes": 5, "error": -2}
    document = stream.one(process(ExecFailed, 2, 1, cwd=b"/tmp", **tried))
    assert (document["event"]["action"], document["event"]["outcome"]) == ("exec", "failure")
    assert document["error"] == {"code": "ENOENT"}
    assert document["process"]["args"] == ["x", "-v"]
    assert (document["process"]["executable"], document["process"]["name"]) == ("/opt/x", "x")
    assert stream.one(end(2, 1))["process"]["executable"] == "/bin/sh"


def test_snapshot_raises_no_dead() -> None:
    """A process that ended while a keyframe was written is not brought back by it."""
    stream = begun()
    stream.feed(
        exec_(2, 1, b"/bin/sh"), KeyframeBegin(), *container(), end(2, 1), running(2, 1, b"/bin/sh"), KeyframeEnd()
    )
    document = stream.one(exec_(3, 2, b"/bin/ls", parent_comm=b"?"))
    assert document["process"]["parent"]["name"] == "?"


def test_keyframe_ends_absent() -> None:
    """A process that a keyframe does not name has ended."""
    stream = begun()
    stream.feed(exec_(2, 1, b"/bin/sh"), exec_(4, 1, b"/bin/zsh"))
    stream.feed(KeyframeBegin(), *container(), running(4, 1, b"/bin/zsh"), KeyframeEnd())
    assert "executable" not in stream.one(exec_(3, 2, b"/bin/ls"))["process"]["parent"]
    assert stream.one(exec_(5, 4, b"/bin/ls"))["process"]["parent"]["executable"] == "/bin/zsh"


def test_memfd() -> None:
    """A program in memory is named as its file, not as the descriptor it was started by."""
    fields = {"filename": b"/dev/fd/3", "flags": 1}
    document = begun().one(exec_(2, 1, b"/memfd:evil", **fields))
    assert (document["process"]["name"], document["cgtrail"]["exec"]["memfd"]) == ("memfd:evil", True)


def test_chain_is_freed() -> None:
    """A process that forks and ends, again and again, leaves nothing behind: an `Identity` names no other."""
    stream = begun()
    for pid in range(2, 2000):
        stream.feed(fork(pid, pid - 1), end(pid - 1, pid - 2))
    (tree,) = (step for step in stream.steps if isinstance(step, ProcessTree))
    assert len(tree._live) == 1


def found(pid: int, parent: int = 1, exe: bytes = b"/bin/sh", **fields: Any) -> Task:
    """A process that was found running, as the kernel tells it: without its arguments."""
    return running(pid, parent, exe, args=b"", args_bytes=9, **fields)


def shown(stream: Stream, pid: int) -> dict[str, Any]:
    """What a new child of a process has to say of it."""
    parent: dict[str, Any] = stream.one(exec_(90, pid, b"/bin/ls"))["process"]["parent"]
    return parent


@pytest.mark.parametrize("inside", [True, False])
def test_arguments_of_a_found_process(*, inside: bool) -> None:
    """What a process that was found running says of itself is its arguments, inside the keyframe or behind it."""
    stream = begun()
    stream.feed(KeyframeBegin(), *container(), found(2))
    assert "args" not in shown(stream, 2)
    told = [arguments(2, b"sh", b"-c", b"a b"), KeyframeEnd()]
    assert stream.feed(*(told if inside else reversed(told))) == []
    parent = shown(stream, 2)
    assert (parent["name"], parent["executable"]) == ("sh", "/bin/sh")
    assert (parent["args"], parent["command_line"]) == (["sh", "-c", "a b"], "sh -c 'a b'")
    assert stream.one(end(2, 1))["process"]["command_line"] == "sh -c 'a b'"


@pytest.mark.parametrize(("size", "cut"), [(KEPT_BYTES + 1, 0), (KEPT_BYTES, 1), (4096, 1)])
def test_arguments_cut(size: int, cut: int) -> None:
    """Of long ones, or where there were more, the command line ends in …, and there is no list."""
    stream = begun()
    stream.feed(KeyframeBegin(), *container(), found(2), arguments(2, args=b"x" * size, cut=cut), KeyframeEnd())
    parent = shown(stream, 2)
    assert parent["command_line"] == "x" * KEPT_BYTES + "…"
    assert "args" not in parent


def test_arguments_never_replace() -> None:
    """What an exec told stays, as does what was told first: later, a process can say what it wants."""
    stream = begun()
    stream.feed(exec_(2, 1, b"/bin/sh", b"of exec"), KeyframeBegin(), *container(), found(2), found(3), found(4))
    stream.feed(arguments(3, b"first"), exec_(4, 1, b"/bin/sh"), KeyframeEnd())
    for pid in (2, 3, 4):
        stream.feed(arguments(pid, b"lie"))
    assert [shown(stream, pid)["args"] for pid in (2, 3, 4)] == [["/bin/sh", "of exec"], ["first"], ["/bin/sh"]]


def test_arguments_of_nobody() -> None:
    """Those of a process that has ended, is not known, or is another one with its number make nothing."""
    stream = begun()
    stream.feed(KeyframeBegin(), *container(), found(2), found(3), KeyframeEnd(), end(3, 1))
    assert stream.feed(arguments(2, b"x", start=2_000_001), arguments(3, b"x"), arguments(4, b"x")) == []
    for pid in (2, 3, 4):
        assert "args" not in shown(stream, pid)


def test_arguments_of_a_program_unseen() -> None:
    """A program whose start was lost has its own arguments, not those of the one before."""
    stream = begun()
    stream.feed(KeyframeBegin(), *container(), found(2, exe_inode=1), arguments(2, b"old"), KeyframeEnd())
    stream.feed(KeyframeBegin(), *container(), found(2, exe=b"/bin/new", exe_inode=2), KeyframeEnd())
    assert "args" not in shown(stream, 2)
    stream.feed(arguments(2, b"new"))
    assert shown(stream, 2)["args"] == ["new"]


def test_arguments_of_a_forked_child() -> None:
    """A child of one that was found, forked before its arguments came, gets its own at the next keyframe."""
    stream = begun(forks=True)
    stream.feed(KeyframeBegin(), *container(), found(2), fork(3, 2), arguments(2, b"sh", b"x"), KeyframeEnd())
    assert "args" not in shown(stream, 3)
    stream.feed(KeyframeBegin(), *container(), found(2), found(3, 2, flags=int(ImageFlag.FORKED)))
    stream.feed(arguments(3, b"sh", b"x"), KeyframeEnd())
    assert shown(stream, 3)["args"] == ["sh", "x"]
