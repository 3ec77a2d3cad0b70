"""Whatever standard input, output and error are, a command does its work, and its exit code tells how it ended."""

from __future__ import annotations

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cgtrail import errors

CGTRAIL = shlex.join([sys.executable, "-m", "cgtrail"])
ODD = ["2>&-", "2>/dev/full", "<&- >&- 2>&-", "<&- 2>/dev/null"]


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell's line does."""
    env = os.environ | environment
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize("streams", ODD)
@pytest.mark.parametrize(("command", "code"), [("search", 0), ("search '('", 2), ("spool ls", 1), ("status", 1)])
def test_the_exit_code_needs_no_stream(tmp_path: Path, streams: str, command: str, code: int) -> None:
    """It is the same as with all of them."""
    assert shell(f"{CGTRAIL} {command} --data {tmp_path}/x").returncode == code
    done = shell(f"{CGTRAIL} {command} --data {tmp_path}/x {streams}")
    assert done.returncode == code
    assert "Traceback" not in done.stderr + done.stdout


def test_a_closed_stream_gets_nobodys_file(tmp_path: Path) -> None:
    """What is meant for standard error stands in no file that was opened in its place."""
    assert shell(f"{CGTRAIL} enrich --once --data {tmp_path} 0<&- 1>&- 2>&-").returncode == 0
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"info" in file.read_bytes()]


@pytest.mark.parametrize("command", ["check", "check --json", "--help", "search --help"])
def test_a_reader_that_goes_away(tmp_path: Path, command: str) -> None:
    """`| head -1` ends a command quietly."""
    done = shell(f"set -o pipefail; {CGTRAIL} {command} --data {tmp_path} | head -1 >/dev/null")
    assert done.stderr == ""
    assert "Traceback" not in done.stdout


def test_output_that_has_no_room(tmp_path: Path) -> None:
    """It is an error, with its next step."""
    done = shell(f"{CGTRAIL} check --data {tmp_path} >/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device; make room" in done.stderr


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": ""}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}])
def test_any_terminal_will_do(tmp_path: Path, environment: dict[str, str]) -> None:
    """Nothing but text goes to a pipe, and no locale is needed."""
    done = shell(f"{CGTRAIL} check --data {tmp_path}", **environment)
    assert done.returncode in {0, 3}
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["check", "check --json", "status", "status --json", "search", "spool ls"])
def test_a_folder_whose_name_is_no_text(tmp_path: Path, command: str) -> None:
    """Its bytes are shown escaped, and end nothing."""
    done = shell(f"cd {tmp_path} && mkdir $'\\xff' && {CGTRAIL} {command} --data $'\\xff'")
    assert done.returncode in {0, 1, 3}
    assert "Traceback" not in done.stderr
    assert not command.endswith("--json") or all(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EMFILE, errno.ENOTDIR, errno.EIO])
def test_the_systems_errors_name_place_and_next_step(number: int) -> None:
    """And what happened, without its number."""
    told = errors.told(OSError(number, os.strerror(number), "/x/y"))
    assert told.startswith(f"/x/y: {os.strerror(number)}; ")
    assert "`cgtrail check`" in told
    assert "[Errno" not in told


def test_few_open_files_are_told(tmp_path: Path) -> None:
    """The limit is named, not the disk."""
    done = shell(f"ulimit -n 9; {CGTRAIL} enrich --once --data {tmp_path}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr
