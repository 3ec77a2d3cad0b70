"""`cgtrail spool`: what the spool holds, its records, and whether all of it is whole."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from bpf.events import Exec, TtyInput, TtyOutput, TtyWrite
from bpf.schema import Record
from cgtrail import command, config, spool_verify
from cgtrail.cli import cli, main
from cgtrail.records import shown
from cgtrail.spool import SHORT
from shipper import spool as writer
from shipper.retention import Bounds, Retention
from shipper.spool import Spool
from shipper.wire.frame import HEADER_SIZE, KEYFRAME, Frame, wrap
from shipper.wire.position import Position, position_file
from shipper.wire.records import AgentStop, KeyframeBegin, KeyframeEnd, Tick
from shipper.wire.segment import COMMITTED, Stream, streams
from tests.unit.frames import BOOT, HOST, ID, NO_FILES, OTHER_ID, SECOND, chained, commit, stream_in, write

START = 1_700_000_000 * SECOND
PAYLOAD = wrap(KeyframeBegin().encode()) + wrap(KeyframeEnd().encode())
"""What an interval's first frame holds, but for its time."""
COMMANDS = sorted(cli.commands["spool"].commands) if isinstance(cli.commands["spool"], click.Group) else []


@dataclass
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Its output, as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def rows(self) -> list[list[str]]:
        """Its output's lines, in cells."""
        return [re.split(r"  +", line) for line in self.out.splitlines()]


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Run:
    """Runs `cgtrail spool` on tmp_path in this process, as its entry point does."""
    for name in [name for name in os.environ if name.startswith("CGTRAIL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.setattr(command, "_log_to_stderr", lambda verbose: verbose)

    def run_it(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["cgtrail", "--data", str(tmp_path), "spool", *map(str, arguments)])
        try:
            main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code or 0
        sys.stdout.flush()
        printed = capfdbinary.readouterr()
        return Result(code, printed.out.decode(), printed.err.decode())

    return run_it


def record(tmp_path: Path, hours: range = range(3), boot: bytes = BOOT) -> Stream:
    """An agent's spool: an hour's keyframe in two frames, then two frames more, a minute apart."""
    with Spool(tmp_path / "spool", HOST, boot) as spool:
        for hour in hours:
            shell = Exec(time=hour, tgid=7, exe=b"/bin/\xff\x1b[2J", args=b"ls\0-l\0")
            frames: list[list[Record]] = [
                [KeyframeBegin(time=hour), KeyframeEnd(time=hour)],
                [shell],
                [Tick(time=hour)],
            ]
            for minute, added in enumerate(frames):
                spool.time = START + (hour * 60 + minute) * 60 * SECOND
                if minute == 0:
                    spool.keyframe()
                for each in added:
                    spool.add(wrap(each.encode()), 1)
                spool.commit()
    return spool.stream


def stored(tmp_path: Path, reader: str, positions: dict[Stream, Position]) -> None:
    """Write a reader's positions."""
    position_file(tmp_path / "spool", reader).store({stream.id.hex(): place for stream, place in positions.items()})


def rewritten(stream: Stream, change: Callable[[list[Frame]], list[Frame]]) -> list[Frame]:
    """One segment of frames, changed and encoded with right checksums."""
    frames = change(chained(*(b"record %d" % number for number in range(4)), keyframes=[0]))
    write(stream, frames)
    commit(stream, frames[-1].number + 1)
    return frames


# Help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    """Every command says what it does, and every option of it too."""
    group = cli.commands["spool"]
    assert isinstance(group, click.Group)
    assert group.commands[name].get_short_help_str(limit=200).endswith(".")
    for option in group.commands[name].params:
        assert isinstance(option, click.Option)
        assert option.help
    assert f"cgtrail spool {name}" in run(name, "--help").out


def test_commands_are_completed() -> None:
    """A shell completes the group's commands and their options."""
    completed = ShellComplete(cli, {}, "cgtrail", "_CGTRAIL_COMPLETE")
    assert [item.value for item in completed.get_completions(["spool"], "")] == ["cat", "ls", "verify"]
    assert {item.value for item in completed.get_completions(["spool", "cat"], "--")} > {"--from", "--to", "--stream"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_spool_is_explained(run: Run, tmp_path: Path, name: str) -> None:
    """One line that names the folder and what to do; exit code 1."""
    result = run(name)
    assert (result.code, result.out) == (1, "")
    assert (
        result.err
        == f"cgtrail: {tmp_path}/spool: there is no spool; start `cgtrail up`, or name a folder with --data\n"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_an_empty_spool_is_no_error(run: Run, tmp_path: Path, name: str) -> None:
    """There may be no stream, or one without frames."""
    (tmp_path / "spool").mkdir()
    assert run(name).code == 0
    with Spool(tmp_path / "spool", HOST, BOOT):
        assert run(name).code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_configuration_is_explained(run: Run, name: str, tmp_path: Path) -> None:
    """One line, and the exit code 2."""
    file = tmp_path / "x.toml"
    file.write_text("[spool]\nmax_bytes = 1\n")
    result = run(name, "--config", file)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"cgtrail: {file}: spool.max_bytes is 1; it must be from 16777216")


# ls


def test_every_interval_is_a_row(run: Run, tmp_path: Path) -> None:
    """Stream, time of the keyframe, frames, bytes; then readers; then the size and its bound."""
    stream = record(tmp_path)
    rows = run("ls").rows
    assert rows[0] == ["STREAM", "SINCE", "FRAMES", "COUNT", "BYTES", "STORED BY"]
    size = stream.intervals()[0].size
    for hour in range(3):
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(START // SECOND + hour * 3600))
        frames = f"{3 * hour}..{3 * hour + 2}"
        assert rows[1 + hour] == [stream.id.hex()[:SHORT], since, frames, "3", f"{size:,}", "-"]
    assert rows[5:7] == [
        ["READER", "STREAM", "NEXT", "NEEDS", "BEHIND"],
        ["sqlite", stream.id.hex()[:SHORT], "0", "0", "9"],
    ]
    assert rows[-1] == [f"{stream.size:,} bytes of 2,147,483,648 (0.0%)"]


def test_readers_are_told_with_what_they_lack(run: Run, tmp_path: Path) -> None:
    """Who has stored an interval, who needs it, and how far each is; undeclared readers too."""
    old, new = record(tmp_path), record(tmp_path, range(3, 4), b"c" * 16)
    stored(tmp_path, "sqlite", {old: Position(10, 10), new: Position(1, 0)})
    stored(tmp_path, "mine", {old: Position(6, 3)})
    objects = run("ls", "--json").objects
    intervals = [row for row in objects if "first" in row]
    assert [(row["first"], row["end"], row["stored_by"], row["needed_by"]) for row in intervals] == [
        (0, 3, ["mine", "sqlite"], []),
        (3, 6, ["mine", "sqlite"], ["mine"]),
        (6, 9, ["sqlite"], ["mine"]),
        (0, 3, [], ["mine", "sqlite"]),
    ]
    assert [row["stream"] for row in intervals] == [old.id.hex()] * 3 + [new.id.hex()]
    assert [(row["reader"], row["declared"], row["behind"]) for row in objects if "reader" in row] == [
        ("mine", False, 6),
        ("sqlite", True, 2),
    ]
    assert objects[-1] == {
        "spool": str(tmp_path / "spool"),
        "bytes": old.size + new.size,
        "max_bytes": 2147483648,
    }
    rows = run("ls").rows
    assert [row[-1] for row in rows[1:5]] == ["mine, sqlite", "mine, sqlite", "sqlite", "-"]
    short_old, short_new = (stream.id.hex()[:SHORT] for stream in (old, new))
    assert rows[7:11] == [
        ["mine (not declared)", short_old, "6", "3", "3"],
        ["mine (not declared)", short_new, "0", "0", "3"],
        ["sqlite", short_old, "9", "9", "0"],
        ["sqlite", short_new, "1", "0", "2"],
    ]


def test_what_expired_is_nobodys_backlog(run: Run, tmp_path: Path) -> None:
    """A reader that never came is behind by what there still is."""
    stream = record(tmp_path)
    stream.segments()[0].path.unlink()
    (sqlite,) = [row for row in run("ls", "--json").objects if "reader" in row]
    assert sqlite["behind"] == 6


def test_bytes_of_all_rows_are_the_spools(run: Run, tmp_path: Path) -> None:
    """Damage and empty segments are counted as they lie on disk."""
    stream = record(tmp_path)
    stream.segments()[1].path.write_bytes(b"\xff" * 999)
    (stream.path / f"{9:020d}.seg").touch()
    objects = run("ls", "--json").objects
    assert sum(row["bytes"] for row in objects if "first" in row) == objects[-1]["bytes"] == stream.size
    assert run("ls").code == 0


def test_an_interval_without_a_time_is_shown(run: Run, tmp_path: Path) -> None:
    """Its first frame is damaged, or nothing of it is committed yet."""
    stream = stream_in(tmp_path / "spool")
    (stream.path / f"{0:020d}.seg").write_bytes(b"\xff" * 300)
    commit(stream, 0)
    assert run("ls").rows[1] == [ID.hex()[:SHORT], "?", "-", "0", "300", "sqlite"]


def test_a_readers_name_is_never_sent_raw(run: Run, tmp_path: Path) -> None:
    """A file may have any name."""
    record(tmp_path)
    stored(tmp_path, "\x1b[2J\u202eevil", {})
    for result in (run("ls"), run("ls", "--json")):
        assert "evil" in result.out
        assert not {"\x1b", "\u202e"} & set(result.out)


# cat


def test_every_record_is_printed(run: Run, tmp_path: Path) -> None:
    """In order, each with its stream, frame and index, and its fields as `trace` shows them."""
    stream = record(tmp_path, range(1))
    result = run("cat")
    assert (result.code, result.err) == (0, "")
    told = result.objects
    assert [(row["stream"], row["frame"], row["index"], row["type"]) for row in told] == [
        (stream.id.hex(), 0, 0, "keyframe_begin"),
        (stream.id.hex(), 0, 1, "keyframe_end"),
        (stream.id.hex(), 1, 0, "exec"),
        (stream.id.hex(), 2, 0, "tick"),
    ]
    assert (told[2]["tgid"], told[2]["args"], base64.b64decode(told[2]["exe_base64"])) == (
        7,
        ["ls", "-l"],
        b"/bin/\xff\x1b[2J",
    )


@pytest.mark.parametrize("made", [Tick(time=5), Exec(exe=b"/x", args=b"a\0b\0", cwd=b"\xff")])
def test_a_record_shows_every_field(made: Record) -> None:
    """All that is declared, but for the number, which is the type's name."""
    names = {declared.name for declared in made.layout.fields()}
    assert shown(made).keys() - {f"{name}_base64" for name in names} == names


TYPED = b"cat key\x1b[2J\xff"


@pytest.mark.parametrize("made", [TtyOutput(content=TYPED), TtyInput(content=TYPED), TtyWrite(content=TYPED)])
def test_a_terminals_content_is_only_shown_when_asked_for(run: Run, tmp_path: Path, made: Record) -> None:
    """Else its length is; and never does it reach a terminal as it is."""
    with Spool(tmp_path / "spool", HOST, BOOT) as spool:
        spool.keyframe()
        spool.add(wrap(made.encode()), 1)
        spool.commit()
    (told,) = run("cat").objects
    assert told["content_bytes"] == len(TYPED)
    assert "key" not in json.dumps(told)
    (told,) = run("cat", "--content").objects
    assert base64.b64decode(told["content_base64"]) == TYPED
    assert "\x1b" not in run("cat", "--content").out


def test_nothing_is_sent_raw(run: Run, tmp_path: Path) -> None:
    """What containers wrote can't move a cursor."""
    record(tmp_path)
    result = run("cat")
    assert "\\u001b[2J" in result.out
    assert not re.search(r"[^\x20-\x7e\n]", result.out)


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        (["--from", "3600"], range(3, 9)),
        (["--from", "3660"], range(4, 9)),
        (["--from", "3601"], range(4, 9)),
        (["--to", "3600"], range(3)),
        (["--to", "3601"], range(4)),
        (["--from", "3600", "--to", "3720"], range(3, 5)),
        (["--from", "9000"], range(0)),
        (["--to", "0"], range(0)),
        (["--from", "3600", "--to", "3600"], range(0)),
        (["--frame", "0"], range(1)),
        (["--frame", "8"], range(8, 9)),
        (["--frame", "4", "--from", "9000"], range(0)),
        ([], range(9)),
    ],
)
def test_frames_are_chosen(run: Run, tmp_path: Path, options: list[str], frames: range) -> None:
    """By the time at which they were written, its end not included, and by number. Times here: seconds from START."""
    record(tmp_path)
    for index, given in enumerate(options):
        if index and options[index - 1] in {"--from", "--to"}:
            stamp = time.gmtime(START // SECOND + int(given))
            options = [*options[:index], time.strftime("%Y-%m-%dT%H:%M:%SZ", stamp), *options[index + 1 :]]
    result = run("cat", *options)
    assert (result.code, result.err) == (0, "")
    assert sorted({row["frame"] for row in result.objects}) == list(frames)


def test_a_clock_that_was_set_back_hides_no_frame(run: Run, tmp_path: Path) -> None:
    """Frames are chosen by their own times, wherever they stand."""
    stream = stream_in(tmp_path / "spool")
    times = [100, 200, 50, 150, 120]
    frames = [
        replace(each, time=START + at * SECOND, flags=KEYFRAME)
        for each, at in zip(chained(*[b""] * 5), times, strict=True)
    ]
    for each in frames:
        write(stream, [each])
    commit(stream, 5)
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START // SECOND + 110))
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START // SECOND + 160))
    assert [row["frame"] for row in run("cat", "--from", begin).objects] == [1, 3, 4]
    assert [row["frame"] for row in run("cat", "--to", begin).objects] == [0, 2]
    assert [row["frame"] for row in run("cat", "--from", begin, "--to", end).objects] == [3, 4]


def test_a_stream_is_chosen_by_its_id(run: Run, tmp_path: Path) -> None:
    """Any beginning of it, in capitals too."""
    old, new = record(tmp_path), record(tmp_path, range(1), b"c" * 16)
    for stream in (old, new):
        for prefix in (stream.id.hex()[:12], stream.id.hex().upper()):
            assert {row["stream"] for row in run("cat", "--stream", prefix).objects} == {stream.id.hex()}


def test_a_choice_of_nothing_is_explained(run: Run, tmp_path: Path) -> None:
    """What is not there is one line that says what is; exit code 1."""
    stream = record(tmp_path)
    short = stream.id.hex()[:SHORT]
    result = run("cat", "--stream", "zz\x1b")
    assert (result.code, result.out) == (1, "")
    assert result.err == f"cgtrail: --stream 'zz\\x1b': no stream's id begins so; there are: {short}\n"
    result = run("cat", "--frame", "9")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        f"cgtrail: --frame 9: no stream has so many frames, which are counted from 0: {short} has 9\n"
    )
    assert run("cat", "--from", "soon").code == 2
    assert run("cat", "--frame", "-1").code == 2


def test_damage_and_gaps_are_objects(run: Run, tmp_path: Path) -> None:
    """Between the records, where they are; the command ends well."""
    stream = record(tmp_path)
    segments = stream.segments()
    segments[0].path.unlink()
    data = bytearray(segments[1].path.read_bytes())
    data[HEADER_SIZE] ^= 1
    segments[1].path.write_bytes(data)
    segments[2].path.write_bytes(b"")
    result = run("cat")
    assert result.code == 0
    shown = [{key: row[key] for key in row if key in {"frame", "damage", "gap"}} for row in result.objects]
    assert shown == [
        {"frame": 0, "gap": {"end": 3, "cause": "frame_expired"}},
        {
            "frame": 3,
            "damage": {
                "segment": segments[1].path.name,
                "offset": 0,
                "length": HEADER_SIZE + len(PAYLOAD),
                "reason": "crc32 differs",
            },
        },
        {"frame": 3, "gap": {"end": 4, "cause": "frame_damaged"}},
        {"frame": 4},
        {"frame": 5},
        {"frame": 6, "gap": {"end": 9, "cause": "frame_missing"}},
    ]


def test_what_is_no_record_is_told(run: Run, tmp_path: Path) -> None:
    """A record of another version, and a payload whose lengths don't add up, are told with their bytes or reason."""
    stream = stream_in(tmp_path / "spool")
    unknown = bytes([0xFF, 0x7F, 8, 0, 8, 0, 0, 0])
    payload = wrap(unknown) + wrap(Tick(time=3).encode()) + b"\x09\0\0\0\0\0\0\0"
    write(stream, [Frame(ID, HOST, BOOT, 0, 3, payload)])
    commit(stream, 1)
    told = run("cat").objects
    assert [(row["frame"], row.get("index"), row.get("type")) for row in told] == [
        (0, 0, None),
        (0, 1, "tick"),
        (0, None, None),
    ]
    assert told[0]["problem"] == "record type 32767 is not known to this version"
    assert base64.b64decode(told[0]["base64"]) == unknown
    assert told[2]["problem"].startswith("record at byte")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`| head` ends it quietly."""
    with Spool(tmp_path / "spool", HOST, BOOT) as spool:
        for _ in range(20_000):
            spool.add(wrap(Tick().encode()), 1)
    arguments = [sys.executable, "-m", "cgtrail", "--data", str(tmp_path), "spool", "cat"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["frame"] == 0
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# verify


def test_a_whole_spool_verifies(run: Run, tmp_path: Path) -> None:
    """Exit code 0; nothing on standard error, which is no terminal."""
    record(tmp_path)
    result = run("verify")
    assert (result.code, result.out, result.err) == (0, "9 frames in 1 streams: all is well\n", "")


def test_a_stream_that_was_gone_on_with_verifies(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through new agents, rotated segments and new boots; also with a torn tail that no agent has cut yet."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 500)
    stream = record(tmp_path)
    with stream.segments()[-1].path.open("ab") as opened:
        opened.write(b"CGTF torn")
    assert run("verify").code == 0
    record(tmp_path, range(3, 6))
    newest = record(tmp_path, range(6, 8), b"c" * 16)
    with newest.segments()[-1].path.open("ab") as opened:
        opened.write(b"CGTF torn")
    result = run("verify")
    assert (result.code, result.out) == (0, "24 frames in 2 streams: all is well\n")


@pytest.mark.parametrize("removed", [1, 2])
def test_a_removed_past_is_no_problem(run: Run, tmp_path: Path, removed: int) -> None:
    """The first frame that is left has a predecessor that is gone."""
    stream = record(tmp_path)
    for segment in stream.segments()[:removed]:
        segment.path.unlink()
    assert run("verify").code == 0


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_changed_byte_is_found(tmp_path: Path, mask: int) -> None:
    """Whichever byte of a committed frame or of the count changes, file and place of the frame are told."""
    stream = stream_in(tmp_path / "spool")
    frames = chained(b"one", b"two" * 9, b"three")
    file = write(stream, frames)
    commit(stream, 3)
    sizes = [len(each.encode()) for each in frames]
    whole = file.read_bytes()
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= mask
        file.write_bytes(data)
        hit = next(index for index in range(3) if at < sum(sizes[: index + 1]))
        problems = list(spool_verify.Check(stream).run())
        assert (problems[0].file, problems[0].offset) == (file, sum(sizes[:hit]))
        assert f"frames {hit} to {hit} are missing" in problems[1].what
        assert len(problems) == 2
    file.write_bytes(whole)
    assert list(spool_verify.Check(stream).run()) == []
    counted = (stream.path / COMMITTED).read_bytes()
    for at in range(len(counted)):
        (stream.path / COMMITTED).write_bytes(counted[:at] + bytes([counted[at] ^ mask]) + counted[at + 1 :])
        (problem,) = spool_verify.Check(stream).run()
        assert problem.file == stream.path / COMMITTED


def test_every_cut_is_found(tmp_path: Path) -> None:
    """Wherever a file ends too early."""
    stream = stream_in(tmp_path / "spool")
    file = write(stream, chained(b"one", b"two" * 9, b"three"))
    commit(stream, 3)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        problems = list(spool_verify.Check(stream).run())
        assert "to 2 are missing" in problems[-1].what


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_segment_is_found(run: Run, tmp_path: Path, missing: int) -> None:
    """Behind the first that is kept, every number must be there."""
    stream = record(tmp_path)
    stream.segments()[missing].path.unlink()
    result = run("verify")
    assert result.code == 1
    assert f"frames {3 * missing} to {3 * missing + 2} are missing" in result.out
    assert result.out.endswith("6 frames in 1 streams: 1 problems\n")


def test_a_stream_without_segments_lacks_everything(run: Run, tmp_path: Path) -> None:
    """Its count says that there were frames, and its folder that nobody removed it for age."""
    commit(stream_in(tmp_path / "spool"), 4)
    result = run("verify")
    assert result.code == 1
    assert "frames 0 to 3 are missing" in result.out


def _other_previous(frames: list[Frame]) -> list[Frame]:
    return [*frames[:2], replace(frames[2], previous=b"x" * 16), frames[3]]


def _first_with_a_predecessor(frames: list[Frame]) -> list[Frame]:
    return [replace(frames[0], previous=b"x" * 16), *frames[1:]]


def _other_digest(frames: list[Frame]) -> list[Frame]:
    return [*frames[:3], replace(frames[3], digest=b"x" * 16)]


def _other_count(frames: list[Frame]) -> list[Frame]:
    return [*frames[:2], replace(frames[2], count=7), frames[3]]


def _other_lengths(frames: list[Frame]) -> list[Frame]:
    broken = replace(frames[2], payload=b"\x09\0\0\0\0\0\0\0", digest=b"")
    return [*frames[:2], broken, replace(frames[3], previous=broken.digest)]


def _left_out(frames: list[Frame]) -> list[Frame]:
    return [frames[0], *frames[2:]]


def _repeated(frames: list[Frame]) -> list[Frame]:
    return [frames[0], frames[1], frames[0], *frames[2:]]


@pytest.mark.parametrize(
    ("change", "number", "what"),
    [
        (_other_previous, 2, "it follows a payload of digest 787878"),
        (_first_with_a_predecessor, 0, "it follows a payload of digest 787878"),
        (_other_digest, 3, "and its header says 787878"),
        (_other_count, 2, "it has 1 records, and its header says 7"),
        (_other_lengths, 2, "record at byte 0: 9 bytes, 0 left"),
        (_left_out, 1, "frames 1 to 1 are missing"),
        (_repeated, 2, "frame 0 stands behind frame 1"),
    ],
)
def test_what_checksums_hide_is_found(
    run: Run, tmp_path: Path, change: Callable[[list[Frame]], list[Frame]], number: int, what: str
) -> None:
    """Frames that are whole each and don't fit together, or whose header tells something else."""
    stream = stream_in(tmp_path / "spool")
    frames = rewritten(stream, change)
    result = run("verify")
    assert result.code == 1
    offset = sum(len(each.encode()) for each in frames[:number])
    file = stream.segments()[0].path
    problem, total = result.out.splitlines()
    assert problem.startswith(f"{file}: byte {offset}: ")
    assert what in problem
    assert total.endswith("1 problems")


def test_another_streams_frame_is_found(run: Run, tmp_path: Path) -> None:
    """A file that was copied from elsewhere."""
    stream = stream_in(tmp_path / "spool")
    write(stream, [Frame(OTHER_ID, HOST, BOOT, 0, 1, wrap(b"x"))])
    commit(stream, 1)
    assert f"a frame of stream {OTHER_ID.hex()}" in run("verify").out


def test_a_segment_of_another_name_is_found(run: Run, tmp_path: Path) -> None:
    """Its name says which frame is its first."""
    stream = record(tmp_path)
    segments = stream.segments()
    segments[1].path.rename(segments[1].path.with_name(f"{1:020d}.seg"))
    result = run("verify")
    assert result.code == 1
    assert "begins with frame 1 by its name, which was read before" in result.out


def test_the_count_may_be_beyond_what_there_is(run: Run, tmp_path: Path) -> None:
    """Frames that were committed and are not there are missing."""
    stream = record(tmp_path)
    commit(stream, 12)
    result = run("verify")
    assert result.code == 1
    assert f"{stream.path}: frames 9 to 11 are missing" in result.out


def test_nothing_is_made_up_while_an_agent_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent commits, rotates and removes the old meanwhile: that is no problem, however often it is checked."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 1000)
    folder, problems, done = tmp_path / "spool", list[str](), threading.Event()

    def write_on() -> None:
        with Spool(folder, HOST, BOOT) as spool:
            for number in range(400):
                if number % 10 == 0:
                    spool.keyframe()
                    Retention(folder, Bounds(20_000, 1 << 62)).run(spool.stream.size)
                spool.add(wrap(AgentStop(time=number).encode()), 1)
                spool.commit()
        done.set()

    thread = threading.Thread(target=write_on)
    thread.start()
    checked = 0
    while not done.is_set() or not checked:
        for stream in streams(folder):
            check = spool_verify.Check(stream)
            problems += map(str, check.run())
            checked += check.frames
    thread.join()
    assert problems == []
    assert checked > 0


def test_ls_and_cat_work_while_an_agent_writes(run: Run, tmp_path: Path) -> None:
    """They show what is committed."""
    with Spool(tmp_path / "spool", HOST, BOOT) as spool:
        spool.add(wrap(Tick(time=1).encode()), 1)
        spool.commit()
        spool.add(wrap(Tick(time=2).encode()), 1)
        assert [row["time"] for row in run("cat").objects] == [1]
        assert run("ls").rows[1][2] == "0..0"
        spool.commit()
        assert [row["time"] for row in run("cat").objects] == [1, 2]
        assert run("verify").code == 0


@pytest.mark.parametrize("what", NO_FILES)
def test_a_segment_that_is_no_file(run: Run, tmp_path: Path, what: Callable[[Path], None]) -> None:
    """Every command works on what can be read, and says what can't; the count may be such a file too."""
    stream = stream_in(tmp_path / "spool")
    frames = chained(*(b"record %d" % number for number in range(4)), keyframes=[0, 2])
    write(stream, frames[:2]).unlink()
    write(stream, frames[2:])
    commit(stream, 4)
    what(stream.path / f"{0:020d}.seg")
    assert run("ls").code == 0
    assert '"gap"' in run("cat").out
    assert (run("verify").code, "0 bytes that are no frame" in run("verify").out) == (1, True)
    (stream.path / COMMITTED).unlink()
    what(stream.path / COMMITTED)
    assert run("ls").code == 0
    assert '"frame":3' in run("cat").out
    assert "missing or damaged; 4 frames are whole" in run("verify").out
