"""`cgtrail deadletters`: what it prints, what it delivers, and its exit codes."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cgtrail.deadletters import _time
from enrich.documents import Documents
from enrich.item import Item
from enrich.letters import DeadLetters, Letter, LetterKind
from enrich.sinks import Status
from enrich.sinks.memory import MemorySink
from enrich.statefile import own_file
from enrich.steps.processes import ProcessTree
from enrich.stores.lucene import parse
from enrich.stores.sqlite import SqliteStore
from shipper.wire.records import State
from tests.unit import spooled
from tests.unit.fickle import Fickle
from tests.unit.ran import Run, stored, work
from tests.unit.spooled import Spooled, garbage, letters
from tests.unit.stream import SECOND, UNIX, container, exec_

ID = spooled.ID.hex()
HOSTILE = b"\x1b]0;x\x07\x9b\xe2\x80\xae"


def reasons(stream: Spooled) -> dict[str, str]:
    """The dead letters that there are, and why."""
    return {letter.id: letter.reason for letter in letters(stream.data)}


def as_of(kind: int) -> bytes:
    """A record of a program whose type is one that this version does not know."""
    known = exec_(77, 1, b"/bin/" + HOSTILE)
    known.time = 20 * SECOND
    return kind.to_bytes(2, "little") + known.encode()[2:]


# Looking


def test_there_are_none(run: Run, tmp_path: Path) -> None:
    """Without letters nothing is printed, and no database is made by looking."""
    for arguments in (["list"], ["list", "--json"], ["replay", "--all"]):
        result = run("deadletters", *arguments)
        assert (result.code, result.out) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_table(run: Run, spool: Spooled) -> None:
    """A line a letter, the newest last, nothing of it raw."""
    first = spool.add(garbage(body=HOSTILE))
    second = spool.add(as_of(300))
    work(spool)
    with closing(DeadLetters(own_file(spool.data, "deadletters.db"))) as kept:
        kept.blame(f"{ID}-{second}-0", f"not understood: {HOSTILE.decode(errors='replace')}\nsecond line")
    result = run("deadletters", "list")
    assert (result.code, result.err) == (0, "")
    header, *lines = result.out.splitlines()
    assert re.sub(r"\x1b\[\d*m", "", header).split() == ["ID", "KIND", "TIME", "REASON"]
    assert [line.split()[:2] for line in lines] == [[f"{ID}-{first}-0", "record"], [f"{ID}-{second}-0", "record"]]
    assert "2023-11-14T" in lines[0]
    assert not set("\x07\x9b\u202e") & set(result.out)


def test_json(run: Run, spool: Spooled) -> None:
    """--json is an object a line, with the bytes as base64."""
    frame = spool.add(garbage(body=HOSTILE))
    work(spool)
    (line,) = run("deadletters", "list", "--json").out.splitlines()
    shown = json.loads(line)
    assert base64.b64decode(shown.pop("body")) == garbage(body=HOSTILE)
    assert shown.pop("reason").startswith("not_understood: ")
    assert shown.pop("time").startswith("2023-")
    assert shown == {
        "id": f"{ID}-{frame}-0",
        "kind": "record",
        "stream": ID,
        "frame": frame,
        "index": 0,
        "behind": frame + 1,
    }


def test_a_record_is_shown(run: Run, spool: Spooled) -> None:
    """What is known of it, why it is here, and its bytes as a dump."""
    spool.add(garbage(body=b"hello" + HOSTILE))
    work(spool)
    shown = run("deadletters", "show", ID).out
    assert "reason  not_understood: record type 99 is not known" in shown
    assert "still not understood: record type 99" in shown
    assert "00000000  63 00 08 00 17 00 00 00  68 65 6c 6c 6f 1b 5d 30  |c.......hello.]0|" in shown
    assert not set("\x07\x1b\x9b") & set(shown)


def test_a_record_that_can_be_decoded_now(run: Run, spool: Spooled) -> None:
    """Its fields are shown, whatever a container wrote into them."""
    record = exec_(9, 1, b"/bin/" + HOSTILE)
    body = record.encode()
    with closing(DeadLetters(own_file(spool.data, "deadletters.db"))) as kept:
        kept.add([Letter(f"{ID}-1-0", LetterKind.RECORD, ID, 1, 0, 2, UNIX, "failed: KeyError", body)])
    shown = run("deadletters", "show", f"{ID}-1-0").out
    assert "tgid = 9" in shown
    assert "/bin/" in shown
    assert not set("\x07\x1b\x9b\u202e") & set(shown)


def test_a_document_is_shown(run: Run, spool: Spooled) -> None:
    """A rejected document is shown as JSON for people."""
    frame = spool.add(exec_(9, 1, b"/bin/" + HOSTILE))
    name = f"{ID}-{frame}-0"
    spooled.work(spool.data, Fickle(lambda document, _: Status.REJECTED if document.id == name else None))
    shown = run("deadletters", "show", name).out
    assert json.loads(shown.partition("\n\n")[2])["process"]["pid"] == 9
    assert not set("\x07\x1b\x9b\u202e") & set(shown)


def test_a_large_one_is_cut(run: Run, spool: Spooled) -> None:
    """A dump ends where nobody reads on; --raw gives every byte."""
    data = os.urandom(100_000)
    spool.add(garbage(body=data))
    work(spool)
    shown = run("deadletters", "show", ID).out
    assert len(shown.splitlines()) < 300
    assert "95,912 bytes more: --raw gives all" in shown


def test_raw_bytes(spool: Spooled) -> None:
    """--raw writes exactly the bytes, and to no terminal."""
    spool.add(garbage(body=HOSTILE))
    work(spool)
    arguments = [sys.executable, "-m", "cgtrail", "deadletters", "show", ID, "--raw", "--data", str(spool.data)]
    assert subprocess.check_output(arguments) == garbage(body=HOSTILE)
    master, terminal = pty.openpty()
    refused = subprocess.run(arguments, stdout=terminal, stderr=subprocess.PIPE, check=False)
    os.close(terminal)
    assert refused.returncode == 2
    assert b"--raw" in refused.stderr
    os.close(master)


@pytest.mark.parametrize("name", ["nothing", ID[:5], f"{ID}-9-"])
@pytest.mark.parametrize("what", ["show", "replay"])
def test_a_name_that_is_none(run: Run, spool: Spooled, what: str, name: str) -> None:
    """An id that there is not, or a beginning that several have, is an error that says so and what to do."""
    spool.add(garbage(), garbage())
    spool.add(garbage())
    work(spool)
    result = run("deadletters", what, name)
    assert (result.code, result.out) == (2, "")
    assert repr(name) in result.err
    assert "`cgtrail deadletters list`" in result.err
    assert len(letters(spool.data)) == 3


def test_one_name_or_all(run: Run, spool: Spooled) -> None:
    """`replay` wants to know what: ids, or --all, and not both."""
    spool.add(garbage())
    work(spool)
    for arguments in ([], [ID, "--all"]):
        result = run("deadletters", "replay", *arguments)
        assert result.code == 2
        assert "--all" in result.err


@pytest.mark.parametrize("what", ["list", "show", "replay"])
def test_a_damaged_database_is_named(run: Run, tmp_path: Path, what: str) -> None:
    """What can't be read is one line that names the file, and it is left where it is."""
    path = own_file(tmp_path, "deadletters.db")
    path.write_bytes(b"no database " * 1000)
    result = run("deadletters", what, *([] if what == "list" else [ID]))
    assert (result.code, result.out) == (1, "")
    assert str(path) in result.err
    assert result.err.count("\n") == 1
    assert path.read_bytes() == b"no database " * 1000


def test_each_sink_has_its_own(run: Run, spool: Spooled) -> None:
    """--sink says whose dead letters."""
    spool.add(garbage())
    work(spool)
    assert run("deadletters", "list", "--sink", "stdout").out == ""
    assert len(run("deadletters", "list", "--sink", "sqlite").out.splitlines()) == 2


# Trying again


def test_documents_are_sent_again(run: Run, spool: Spooled) -> None:
    """A document that the store takes now is stored and removed; one that it does not stays, and the code is 1."""
    with closing(DeadLetters(own_file(spool.data, "deadletters.db"))) as kept:
        for number, source in enumerate(
            (
                {"event": {"id": f"{ID}-0-0", "dataset": "cgtrail.process"}, "process": {"name": "ls"}},
                {"event": {"id": f"{ID}-1-0", "dataset": "cgtrail.process", "sequence": "no number"}},
            )
        ):
            body = json.dumps(source).encode()
            kept.add([Letter(f"{ID}-{number}-0", LetterKind.DOCUMENT, ID, number, 0, number + 1, UNIX, "full", body)])
    result = run("deadletters", "replay", "--all")
    assert result.code == 1
    assert "1 dead letters done, 1 stay" in result.err
    assert stored(spool) == {f"{ID}-0-0": "ls"}
    (reason,) = reasons(spool).values()
    assert "event.sequence" in reason


def test_a_document_that_was_no_json(run: Run, spool: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not even be kept as JSON is made again out of the stream."""
    made = Documents.source

    def huge(self: Documents, item: Item) -> dict[str, object] | None:
        source = made(self, item)
        return source | {"huge": 1 << 70} if source and item.frame == 3 else source

    with monkeypatch.context() as patched:
        patched.setattr(Documents, "source", huge)
        work(spool)
    assert list(reasons(spool)) == [f"{ID}-3-0"]
    assert run("deadletters", "replay", ID).code == 0
    assert stored(spool)[f"{ID}-3-0"] == "p4"
    assert reasons(spool) == {}


def test_records_are_tried_again(run: Run, spool: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newer version can do is delivered with all that its stream tells of it; what none can, stays."""
    taken = ProcessTree.__call__

    def fail(self: ProcessTree, item: Item) -> None:
        if getattr(item.record, "tgid", 0) in {3, 20}:
            raise ValueError("a bug")
        taken(self, item)

    frame = spool.add(*(exec_(pid, 6, b"/bin/p%d" % pid) for pid in range(10, 22)), garbage())
    spool.tick(3)
    with monkeypatch.context() as patched:
        patched.setattr(ProcessTree, "__call__", fail)
        work(spool)
    before = stored(spool)
    assert set(reasons(spool)) == {f"{ID}-2-0", f"{ID}-{frame}-10", f"{ID}-{frame}-12"}
    result = run("deadletters", "replay", "--all")
    assert result.code == 1
    assert f"{ID}-{frame}-12 stays: not_understood: " in result.err
    assert set(reasons(spool)) == {f"{ID}-{frame}-12"}
    delivered = {name: what for name, what in stored(spool).items() if name not in before}
    assert delivered == {f"{ID}-2-0": "p3", f"{ID}-{frame}-10": "p20"}
    (found,) = SqliteStore(spool.data / "store").search(parse("process.name:p20"), limit=5)
    assert json.loads(found)["process"]["parent"]["name"] == "p6"
    assert json.loads(found)["container"]["name"] == "lab"


def test_a_record_that_waits_for_its_container(run: Run, spool: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that leaves later than its record belongs to it all the same."""
    taken = ProcessTree.__call__

    def fail(self: ProcessTree, item: Item) -> None:
        if getattr(item.record, "tgid", 0) == 9:
            raise ValueError("a bug")
        taken(self, item)

    frame = spool.add(*container(99, state=State.PENDING), exec_(9, 1, b"/bin/p9", cgroup_id=99))
    with monkeypatch.context() as patched:
        patched.setattr(ProcessTree, "__call__", fail)
        work(spool)
    result = run("deadletters", "replay", "--all")
    assert (result.code, "not told yet" in result.err) == (1, True)
    spool.tick()
    spool.add(*container(99))
    assert run("deadletters", "replay", "--all").code == 0
    assert stored(spool)[f"{ID}-{frame}-2"] == "p9"


def test_the_spool_does_not_hold_it_any_more(run: Run, spool: Spooled) -> None:
    """A record whose frame was removed stays, with that as its reason."""
    spool.add(garbage())
    work(spool)
    spool.keyframe(*container())
    spool.segment(0).path.unlink()
    result = run("deadletters", "replay", "--all")
    assert result.code == 1
    assert list(reasons(spool).values()) == ["the spool does not hold it any more"]
    shutil.rmtree(spool.stream.path)
    assert run("deadletters", "replay", "--all").code == 1


def test_a_good_copy_was_put_back(run: Run, spool: Spooled) -> None:
    """Frames that can be read again are delivered whole; their records that fail are letters of their own."""
    torn = spool.add(exec_(10, 1, b"/bin/p10"), garbage())
    second = spool.add(exec_(11, 1, b"/bin/p11"))
    spool.tick(3)
    whole = spool.damage(torn)
    half = spool.damage(second)
    work(spool)
    ((name, reason),) = reasons(spool).items()
    assert [(letter.frame, letter.behind) for letter in letters(spool.data)] == [(torn, second + 1)]
    assert run("deadletters", "replay", "--all").code == 1
    assert reasons(spool) == {name: reason}
    spool.segment(torn).path.write_bytes(half)
    assert run("deadletters", "replay", name).code == 1
    assert reasons(spool)[name] != reason
    spool.segment(torn).path.write_bytes(whole)
    assert run("deadletters", "replay", name).code == 0
    assert stored(spool).items() >= {f"{ID}-{torn}-0": "p10", f"{ID}-{second}-0": "p11"}.items()
    assert list(reasons(spool)) == [f"{ID}-{torn}-1"]


def test_a_part_was_put_back(run: Run, spool: Spooled) -> None:
    """What can be read of damaged frames is delivered; the letter stays for the others."""
    torn = spool.add(exec_(10, 1, b"/bin/p10"))
    second = spool.add(exec_(11, 1, b"/bin/p11"))
    spool.tick(3)
    whole = spool.damage(torn)
    spool.damage(second)
    work(spool)
    (name,) = reasons(spool)
    spool.segment(torn).path.write_bytes(whole)
    spool.damage(second)
    assert run("deadletters", "replay", name).code == 1
    assert stored(spool)[f"{ID}-{torn}-0"] == "p10"
    assert reasons(spool)[name] == "the spool still does not hold these frames, or not all of them"


def test_what_was_refused_stays(run: Run, spool: Spooled) -> None:
    """A whole frame that another stream's or frame's place did not leave room for is no frame to be taken later."""
    body = spool.frame(exec_(9, 1, b"/bin/p9")).encode()
    with closing(DeadLetters(own_file(spool.data, "deadletters.db"))) as kept:
        for what in ("forked", "claimed"):
            place = (f"{ID}-2-{what}-00112233", LetterKind.FRAME, ID, 2, 0, 3)
            kept.add([Letter(*place, UNIX, f"it was {what}", body, "cgtrail.raw-0, 7")])
    assert run("deadletters", "replay", "--all").code == 1
    assert sorted(reasons(spool).values()) == ["it was claimed", "it was forked"]
    assert stored(spool) == {}
    shown = run("deadletters", "show", f"{ID}-2-forked").out
    assert "origin  cgtrail.raw-0, 7" in shown


def test_some_can_be_chosen(run: Run, spool: Spooled) -> None:
    """Only what is named is tried, and blamed."""
    frame = spool.add(garbage(), garbage())
    work(spool)
    with closing(DeadLetters(own_file(spool.data, "deadletters.db"))) as kept:
        for name in kept.ids():
            kept.blame(name, "before")
    run("deadletters", "replay", f"{ID}-{frame}-1")
    assert reasons(spool)[f"{ID}-{frame}-0"] == "before"
    assert reasons(spool)[f"{ID}-{frame}-1"].startswith("not_understood")


# Records that kill


@pytest.fixture
def deadly(spool: Spooled) -> str:
    """The id of a record that a worker has died of; behind it lies one that is not understood."""
    frame = spool.add(exec_(666, 1, b"/bin/deadly"))
    spool.add(garbage())
    spool.tick(3)
    with spooled.worker(spool.data, MemorySink()) as worker:
        for _ in range(3):
            worker.checkpoints.died(ID, frame, 0)
    work(spool)
    return f"{ID}-{frame}-0"


def kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record kills whoever takes it."""
    taken = ProcessTree.__call__

    def die(self: ProcessTree, item: Item) -> None:
        if getattr(item.record, "tgid", 0) == 666:
            os._exit(9)
        taken(self, item)

    monkeypatch.setattr(ProcessTree, "__call__", die)


def test_deadly_records_are_left_alone(run: Run, spool: Spooled, deadly: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """--all tries everything else, behind them too, and says that they are left."""
    kill(monkeypatch)
    result = run("deadletters", "replay", "--all")
    assert result.code == 1
    assert "0 dead letters done, 1 stay" in result.err
    assert "1 more are records that a worker died of" in result.err
    assert reasons(spool)[deadly].startswith("deadly: ")


def test_a_deadly_record_kills_only_a_child(
    run: Run, spool: Spooled, deadly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name it is tried, in a process of its own; the command survives, and says what became of it."""
    kill(monkeypatch)
    result = run("deadletters", "replay", deadly)
    assert result.code == 1
    assert f"{deadly} stays: deadly: a process died of it again (exit code 9)" in result.err
    assert reasons(spool)[deadly] == "deadly: a process died of it again (exit code 9)"
    assert "1 more are records" in run("deadletters", "replay", "--all").err


def test_a_deadly_record_that_kills_no_more(run: Run, spool: Spooled, deadly: str) -> None:
    """After the bug was mended it is delivered."""
    result = run("deadletters", "replay", deadly)
    assert (result.code, "1 dead letters done, 0 stay" in result.err) == (0, True)
    assert stored(spool)[deadly] == "deadly"
    assert deadly not in reasons(spool)


def test_a_letter_of_no_stream_and_no_time(run: Run, spool: Spooled) -> None:
    """Whoever wrote it: it is listed, and tried again it stays, for a reason that says so."""
    work(spool)
    with closing(DeadLetters(own_file(spool.data, "deadletters.db"))) as kept:
        odd = ("odd", LetterKind.FRAME, "\x1b[2Jzz", -7, 0, -9)
        kept.add([Letter(*odd, (1 << 63) - 1, "\x1b[2J", b"")])
    listed = run("deadletters", "list")
    assert "odd" in listed.out
    assert "\x1b" not in listed.out
    assert run("deadletters", "replay", "odd").code == 1
    assert "it names no stream" in run("deadletters", "list").out


def test_a_time_that_no_calendar_has() -> None:
    """It is shown as a number."""
    assert _time(Letter("odd", LetterKind.FRAME, "", 0, 0, 1, 1 << 100, "", b"")) == "1.268e+30 ns"
