"""What a record says is in its document, under the declared names and as text that can be shown."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import pytest

from bpf.schema import RECORDS
from enrich.document import Part
from shipper.wire.records import HostInfo, Loss
from tests.unit.stream import BOOT, SECOND, Stream, container, end, exec_, undeclared

TEXTS_OF_EXE = ("process.executable", "cgtrail.exec.filename", "process.args")


def document(*args: bytes, **fields: Any) -> dict[str, Any]:
    """The document of one exec."""
    return Stream().feed(*container(), exec_(2, 1, *args, **fields))[0]


def test_time() -> None:
    """@timestamp is the record's boot time on the stream's clock, to the nanosecond."""
    stream = Stream()
    stream.feed(*container())
    stream.now = 12 * SECOND + 345_678_901
    assert stream.one(exec_(2, 1, b"/bin/ls"))["@timestamp"] == "2023-11-14T22:13:32.345678901Z"


def test_ids() -> None:
    """An id is the record's place in its stream; a sequence orders what has the same time."""
    stream = Stream()
    stream.feed(*container())
    first, second = stream.feed(exec_(2, 1, b"/bin/a"), exec_(3, 1, b"/bin/b"))
    assert first["event"]["id"] == "0123456789abcdef0123456789abcdef-0-4"
    assert first["event"]["sequence"] < second["event"]["sequence"]


def test_not_utf8() -> None:
    """Bytes that are no text are shown as \\xHH, with all of the field's bytes beside; others have nothing beside."""
    made = document(b"/bin/x", b"a\xffb")
    assert made["process"]["args"] == ["/bin/x", "a\\xffb"]
    assert base64.b64decode(made["cgtrail"]["raw"]["process.args"]) == b"/bin/x\0a\xffb\0"
    assert "raw" not in document(b"/bin/x", "é\n\x1b".encode())["cgtrail"]


def test_nothing_leaks_into_the_next() -> None:
    """Documents share parts; what one has beside them, the next has not."""
    stream = Stream()
    odd, plain = stream.feed(*container(), exec_(2, 1, b"/bin/a\xff", comm=b"\xfe"), exec_(3, 1, b"/bin/b"))
    again = stream.one(exec_(4, 1, b"/bin/c", comm=b"\xfe"))
    assert set(odd["cgtrail"]["raw"]) == {"cgtrail.process.comm", *TEXTS_OF_EXE}
    assert "raw" not in plain["cgtrail"]
    assert set(again["cgtrail"]["raw"]) == {"cgtrail.process.comm"}


def test_permitted_capabilities() -> None:
    """Those in effect are told by name; those permitted where there are some: older records have none of these."""
    root = document(b"/bin/a", capabilities=1, permitted=1 << 21 | 1)["process"]["thread"]["capabilities"]
    assert root == {"effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}
    assert document(b"/bin/a")["process"]["thread"]["capabilities"] == {"effective": []}


def test_host() -> None:
    """The host's machine and system are told where its agent tells them; an older one does not."""
    stream = Stream()
    stream.feed(*container())
    before = stream.one(exec_(2, 1, b"/bin/a"))["host"]
    stream.feed(HostInfo(host_name=b"other", boot_id=BOOT, architecture=b"x86_64", system=b"Debian GNU/Linux 12"))
    after = stream.one(exec_(3, 1, b"/bin/a"))
    assert ("architecture" in before, "full" in before["os"]) == (False, False)
    assert (after["host"]["architecture"], after["host"]["os"]["full"]) == ("x86_64", "Debian GNU/Linux 12")
    assert (after["related"]["hosts"], undeclared(after)) == (["other"], set())


def test_no_user() -> None:
    """A process without a user id of its own is a document without one."""
    made = document(b"/bin/ls", uid=2**32 - 1, gid=2**32 - 1)
    assert "user" not in made
    assert "user" not in made["process"]


@pytest.mark.parametrize(
    ("raw", "args"),
    [(b"", []), (b"\0", [""]), (b"a\0\0", ["a", ""]), (b"a\0b", ["a", "b"])],
    ids=["none", "one empty", "last empty", "cut"],
)
def test_args(raw: bytes, args: list[str]) -> None:
    """Arguments come back one by one, empty ones included."""
    made = document(b"/bin/x", args=raw, args_bytes=len(raw))
    assert (made["process"]["args"], made["process"]["args_count"]) == (args, len(args))


def test_truncated() -> None:
    """Arguments that are not all there are marked, with their length in memory."""
    made = document(b"/bin/x", args=b"ab", args_bytes=100)
    assert made["cgtrail"]["args"] == {"bytes": 100, "truncated": True}


def test_unset_is_absent() -> None:
    """An id that nobody set, a terminal that is none, and a time that is none are not in the document."""
    made = document(b"/bin/x", login_uid=2**32 - 1, tty=0)
    assert "login_user" not in made["cgtrail"]
    assert "tty" not in made["process"]
    assert made["process"]["interactive"] is False


def test_terminal_zero() -> None:
    """/dev/pts/0 is a terminal."""
    made = document(b"/bin/x", tty=136 << 20)
    assert made["process"]["tty"]["char_device"] == {"major": 136, "minor": 0}
    assert made["process"]["interactive"] is True


def test_capabilities() -> None:
    """Capabilities are shown by name, those that are newer than our list by number."""
    made = document(b"/bin/x", capabilities=1 | 1 << 21 | 1 << 60)
    assert made["process"]["thread"]["capabilities"]["effective"] == ["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_60"]


@pytest.mark.parametrize(
    ("status", "code", "signal"),
    [
        (0, 0, None),
        (0x0500, 5, None),
        (0xFF00, 255, None),
        (9, 137, "SIGKILL"),
        (0x8B, 139, "SIGSEGV"),
        (64, 192, "SIGRTMAX"),
    ],
)
def test_end(status: int, code: int, signal: str | None) -> None:
    """An end tells the exit code as a shell does, the signal, and how long the process lived."""
    stream = Stream()
    stream.feed(*container(), exec_(2, 1, b"/bin/x"))
    made = stream.one(end(2, 1, status=status))
    assert (made["process"]["exit_code"], made["cgtrail"].get("signal")) == (code, signal)
    assert made["event"]["type"] == ["end"]
    assert made["event"]["duration"] == 10 * SECOND + 5_000_000 - 2_000_000


def test_loss() -> None:
    """A loss is a document of its kind: what, how many, why, when, whose."""
    stream = Stream()
    stream.feed(*container())
    made = stream.one(Loss(cgroup_id=77, count=12, cause=1, record_type=1, since=9 * SECOND))
    assert made["event"]["dataset"] == "cgtrail.loss"
    assert made["cgtrail"]["loss"] == {"count": 12, "cause": "ring_full", "record": "Exec"}
    assert made["event"]["start"] < made["event"]["end"] == made["@timestamp"]
    assert made["container"]["name"] == "lab"


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        ("debian", {"name": "debian"}),
        ("debian:12", {"name": "debian", "tag": ["12"]}),
        ("reg.example:5000/a/b:v1", {"name": "reg.example:5000/a/b", "tag": ["v1"]}),
        ("reg.example:5000/a/b", {"name": "reg.example:5000/a/b"}),
        ("a:v1@sha256:" + "0" * 64, {"name": "a", "tag": ["v1"]}),
        ("sha256:" + "0" * 64, {"name": "sha256:" + "0" * 64}),
    ],
)
def test_image(reference: str, image: dict[str, Any]) -> None:
    """An image reference is shown with its tag apart; a registry's port is none."""
    made = Stream().feed(*container(image=reference.encode()), exec_(2, 1, b"/bin/x"))[0]
    assert made["container"]["image"] == image


def test_only_declared_fields() -> None:
    """Every field of every document is declared, so that it can be searched and mapped."""
    stream = Stream(forks=True)
    full = {f.name: 1 for f in RECORDS[1].layout.fields() if f.wire.kind in {"long", "id", "boot_ns", "capabilities"}}
    hostile = {"flags": 63, "error": -13, "tty": 136 << 20, "args": b"\xff\0", "cwd": b"\xff", "filename": b"x\xff"}
    del full["type"], full["fixed"], full["length"], full["cgroup_id"]
    stream.feed(
        *container(labels=b'{"a.b": "c"}'), exec_(2, 1, b"/bin/x", **full | hostile), end(1, 1, start=1, status=9)
    )
    stream.feed(Loss(cgroup_id=77, count=1, cause=9, record_type=1, since=1))
    assert len(stream.documents) == 3
    for made in stream.documents:
        assert undeclared(made) == set()


def test_json() -> None:
    """A document is valid JSON whatever the bytes."""
    made = document(bytes(range(1, 256)), b"\xed\xa0\x80", cwd=b"/\xff")
    assert json.loads(json.dumps(made)) == made


def test_parts_are_small() -> None:
    """The JSON of a piece that is kept with a process takes no more room than it needs."""
    parts = [Part(number=number, name="some words") for number in range(1000)]
    tracemalloc.start()
    try:
        for part in parts:
            part.json()
        assert tracemalloc.get_traced_memory()[0] < 1000 * 200
    finally:
        tracemalloc.stop()
