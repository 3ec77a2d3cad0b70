"""The `cgtrail` command: help, options, exit codes, what goes to which stream."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from cgtrail import command, config, errors, status_halves
from cgtrail.cli import cli, main
from enrich.document import Document
from enrich.sinks import Status
from enrich.sinks.sqlite import SqliteSink
from enrich.statefile import own_file
from shipper.lock import only
from shipper.status import LOCK, STATUS
from tests.unit.frames import commit, stream_in

COMMANDS = sorted(cli.commands)
SHELLS = ("bash", "zsh", "fish")
SECONDS = 30
"""How long to wait for what must come."""


@dataclass
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("CGTRAIL_", "DOCKER_", "_CGTRAIL"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.setattr(command, "_log_to_stderr", lambda verbose: verbose)  # it is for the whole process


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process, as its entry point does."""

    def run_it(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["cgtrail", *map(str, arguments)])
        try:
            main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code or 0
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return run_it


def start(*arguments: object, through: Sequence[str] = (), **settings: Any) -> subprocess.Popen[str]:
    """Runs the command in a process of its own."""
    return subprocess.Popen(
        [*through, sys.executable, "-m", "cgtrail", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def finish(process: subprocess.Popen[str]) -> Result:
    """Waits for its end."""
    out, err = process.communicate(timeout=SECONDS)
    return Result(process.returncode, out, err)


def document(number: int, name: str = "ls") -> Document:
    """A process document."""
    at = time.time_ns() - (1_000 - number) * 1_000_000
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 10**9)) + f".{at % 10**9:09d}Z"
    source = {
        "@timestamp": stamp,
        "event": {"id": f"id-{number}", "dataset": "cgtrail.process", "action": "exec", "sequence": number},
        "container": {"id": "c" * 64, "name": "web"},
        "process": {"name": name, "pid": number, "command_line": f"{name} /etc/{number}"},
        "cgtrail": {"tenant": {"id": ["green", "red"]}},
    }
    return Document(f"id-{number}", at, "process", source)


def store(folder: Path, *documents: Document) -> Path:
    """A data folder with these documents."""
    with closing(SqliteSink(folder / "store", 30)) as sink:
        assert {outcome.status for outcome in sink.write(documents)} <= {Status.OK}
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with ten documents."""
    return store(tmp_path / "data", *(document(number) for number in range(10)))


# Help


def test_every_command_has_help() -> None:
    """Every command says in its first line what it does."""
    for name in COMMANDS:
        assert cli.commands[name].get_short_help_str(limit=200).endswith("."), name


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_every_option_has_help(name: str | None) -> None:
    """Every option says what it does, and every argument is explained in its command's help."""
    shown: click.Command = cli if name is None else cli.commands[name]
    for parameter in shown.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help[0].isupper()
            assert parameter.help.rstrip("]").endswith((".", "exists", "cgtrail")), parameter.help
        else:
            assert str(parameter.name) in str(shown.help).lower()


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_shown(run: Run, name: str, option: str) -> None:
    """Help goes to standard output and is no error."""
    result = run(name, option)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: cgtrail {name} ")


def test_every_command_is_listed(run: Run) -> None:
    """`cgtrail --help` lists every command."""
    result = run("--help")
    assert result.code == 0
    listed = {line.split()[0] for line in result.out.partition("Commands:")[2].splitlines() if line.strip()}
    assert listed >= set(COMMANDS)


def test_help_needs_no_heavy_modules() -> None:
    """What only some commands need is imported when they run, so that help and completion answer at once."""
    heavy = ["docker", "luqum", "sqlite3", "orjson", "shipper", "enrich"]
    code = f"import sys, cgtrail.cli; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_the_version_is_told() -> None:
    """`python -m cgtrail` is the command."""
    result = finish(start("--version"))
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("cgtrail, version ")


def test_the_wrong_command_line_is_explained(run: Run) -> None:
    """A command or option that doesn't exist ends with 2, and a hint."""
    for arguments in (["serach"], ["search", "--contaner", "x"], ["search", "--limit", "0"], ["completion", "tcsh"]):
        result = run(*arguments)
        assert (result.code, result.out) == (2, "")
        assert "Usage: " in result.err


# Options that stand anywhere


@pytest.mark.parametrize("name", COMMANDS)
def test_shared_options_are_every_commands(name: str) -> None:
    """Every command takes --data, --config and --verbose behind its name, too."""
    own = {option for parameter in cli.commands[name].params for option in parameter.opts}
    assert own >= {"--data", "--config", "--verbose", "-v"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "{folder}", "search"],
        ["search", "--data", "{folder}"],
        ["search", "x", "--data={folder}"],
        ["--data", "/elsewhere", "search", "--data", "{folder}"],
        ["--config", "{config}", "search"],
        ["search", "--config", "{config}"],
        ["--config", "/elsewhere.toml", "search", "--config", "{config}"],
        ["--config", "{other}", "search", "--data", "{folder}"],
    ],
)
def test_data_and_config_stand_anywhere(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    """--data and --config count before and behind the command's name; of two the one behind."""
    folder, file, other = tmp_path / "wanted", tmp_path / "x.toml", tmp_path / "other.toml"
    file.write_text(f"data = '{folder}'\n")
    other.write_text("data = '/elsewhere'\n")
    result = run(*(argument.format(folder=folder, config=file, other=other) for argument in arguments))
    assert result.code == 0
    assert f"nothing has been recorded in {folder} yet" in result.err


@pytest.mark.parametrize("name", ["CGTRAIL_DATA", "CGTRAIL_CONFIG"])
def test_the_environment_counts(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Folder and file may come from the environment; an option overrules it."""
    file = tmp_path / "x.toml"
    file.write_text(f"data = '{tmp_path}/wanted'\n")
    monkeypatch.setenv(name, str(file if name == "CGTRAIL_CONFIG" else tmp_path / "wanted"))
    assert f"nothing has been recorded in {tmp_path}/wanted yet" in run("search").err
    assert "nothing has been recorded in /option yet" in run("search", "--data", "/option").err


# Errors


def test_an_unknown_store_is_a_hint(run: Run, tmp_path: Path) -> None:
    """Searching where nothing was recorded finds nothing, says what to do, and makes no folder."""
    for arguments in (["search"], ["search", "--json", "process.name:ls"]):
        result = run("--data", tmp_path / "none", *arguments)
        assert (result.code, result.out) == (0, "")
        assert result.err.count("\n") == 1
        assert "start `cgtrail up`" in result.err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "query", ["process.name:[", "(ls", "a AND", "no.such.field:1", "process.pid:x", "name~2", '"open', "--kind=nothing"]
)
@pytest.mark.parametrize("name", ["search", "tail"])
def test_a_query_that_makes_no_sense_is_one_line(run: Run, data: Path, name: str, query: str) -> None:
    """A query's error is one line on standard error, and the exit code 2."""
    result = run("--data", data, name, query)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("cgtrail: ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("text", ["dat = '/x'", "data = 5", "data = "])
@pytest.mark.parametrize(
    "name",
    [name for name in COMMANDS if name not in {"completion", "deadletters", "secrets", "setup", "spool", "tenants"}],
)
def test_a_wrong_configuration_ends_every_command(run: Run, tmp_path: Path, name: str, text: str) -> None:
    """No command runs with a configuration that it doesn't understand: one line, and the exit code 2."""
    file = tmp_path / "x.toml"
    file.write_text(text)
    result = run(name, "--config", file, *(["3f2a"] if name in {"export", "replay"} else []))
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"cgtrail: {file}: ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("name", errors._EXIT_CODES)
def test_every_expected_error_exists(name: str) -> None:
    """The table of expected errors names exceptions that there are, and their exit codes are documented."""
    module, _, kind = name.rpartition(".")
    error = getattr(importlib.import_module(module), kind)
    assert issubclass(error, Exception)
    made = error.__new__(error)
    assert errors.expected(made) == errors._EXIT_CODES[name] in (1, 2)


def test_a_bug_is_not_an_expected_error() -> None:
    """Errors of ours are not hidden behind a message."""
    assert [errors.expected(bug) for bug in (KeyError("x"), TypeError("x"), ValueError("x"), AssertionError())] == [
        None
    ] * 4


def test_a_second_worker_is_refused(tmp_path: Path) -> None:
    """Two workers on one folder: the second ends with 1 and names the first."""
    with only(tmp_path / "enrich.sqlite.lock", "worker"):
        result = finish(start("enrich", "--once", "--data", tmp_path))
    assert result.code == 1
    assert result.err == (
        f"cgtrail: worker {os.getpid()} already works on {tmp_path}; stop it, or choose another folder with --data\n"
    )


def test_an_empty_spool_is_soon_enriched(tmp_path: Path) -> None:
    """`enrich --once` ends when there is nothing to do."""
    result = finish(start("enrich", "--once", "--data", tmp_path / "data"))
    assert (result.code, result.out) == (0, "")


# Searching


def test_documents_are_found(run: Run, data: Path) -> None:
    """A table has a header and the newest document first."""
    result = run("search", "--data", data)
    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert "COMM" in lines[0]
    assert [line.split()[-1] for line in lines[1:]] == [f"/etc/{number}" for number in reversed(range(10))]


def test_json_is_one_document_a_line(run: Run, data: Path) -> None:
    """--json prints nested documents and nothing else."""
    result = run("search", "--data", data, "--json", "--sort", "asc", "process.pid:>=7")
    assert [json.loads(line)["process"]["pid"] for line in result.out.splitlines()] == [7, 8, 9]


@pytest.mark.parametrize(("name", "value", "plain"), [("NO_COLOR", "1", True), ("TERM", "dumb", True),
                                                       ("NO_COLOR", "", False)])  # fmt: skip
def test_colours_that_are_not_wanted(data: Path, name: str, value: str, plain: bool) -> None:
    """On a terminal, none is written with NO_COLOR, nor where the terminal has none."""
    main_end, end = os.openpty()
    settings = {key: known for key, known in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm", name: value}
    process = subprocess.Popen(
        [sys.executable, "-m", "cgtrail", "search", "--data", str(data)], stdout=end, stderr=end, env=settings
    )
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: nobody has its other end any more
        while chunk := os.read(main_end, 65536):
            shown += chunk
    os.close(main_end)
    assert process.wait(SECONDS) == 0
    assert b"ARGS" in shown
    assert (b"\x1b" not in shown) is plain


def test_words_of_a_query_need_no_quotes(run: Run, data: Path) -> None:
    """Several arguments are one query."""
    result = run("search", "--data", data, "--json", "process.pid:3", "OR", "process.pid:4")
    assert len(result.out.splitlines()) == 2


def test_filters_narrow_the_search(run: Run, data: Path) -> None:
    """Container, tenant, kind and times are options of their own."""
    for arguments, count in [
        (["--container", "web"], 10),
        (["--container", "cccc"], 10),
        (["--container", "db"], 0),
        (["--tenant", "red"], 10),
        (["--tenant", "blue"], 0),
        (["--tenant", "red", "--container", "db"], 0),
        (["--kind", "process"], 10),
        (["--kind", "loss"], 0),
        (["--kind", "container"], 0),
        (["--kind", "tenant", "--tenant", "red"], 0),
        (["--since", "1h"], 10),
        (["--until", "1h"], 0),
    ]:
        assert len(run("search", "--data", data, "--json", *arguments).out.splitlines()) == count, arguments


def test_tail_of_a_tenant(data: Path) -> None:
    """A follower of a tenant gets what is stored of it, and nothing of others."""
    process = start("tail", "--data", data, "--json", "--tenant", "red")
    assert process.stdout is not None
    deadline = time.monotonic() + SECONDS
    number = 100
    with process:
        while not select.select([process.stdout], [], [], 0.1)[0]:
            assert time.monotonic() < deadline
            other = document(number, "other")
            other.source["cgtrail"] = {"tenant": {"id": ["blue"]}}
            store(data, other, document(number + 1, "mine"))
            number += 2
        process.send_signal(signal.SIGINT)
        lines = finish(process).out.splitlines()
    assert {json.loads(line)["process"]["name"] for line in lines} == {"mine"}


def test_a_limit_that_cuts_is_told(run: Run, data: Path) -> None:
    """Who sees only a part is told so, on standard error."""
    result = run("search", "--data", data, "--json", "--limit", 3)
    assert len(result.out.splitlines()) == 3
    assert "3 documents shown; there may be more: use --limit" in result.err


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_hostile_names_are_never_sent_raw(run: Run, tmp_path: Path, option: list[str]) -> None:
    """No byte from a container reaches a terminal raw."""
    data = store(tmp_path / "data", document(1, "\x1b]0;x\x07\u202e\n\x9b"))
    result = run("search", "--data", data, *option)
    assert len(result.out.splitlines()) == (1 if option else 2)
    assert not set("\x07\u202e\x9b") & set(result.out)
    assert "\x1b]" not in result.out


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`cgtrail search | head` ends quietly."""
    data = store(tmp_path / "data", *(document(number) for number in range(1_000)))
    process = start("search", "--data", data, "--json", "--limit", 1_000)
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(SECONDS) == 0


POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs") if os.geteuid() == 0 else ()
"""Takes from root all that makes it root: what is left is the owner of its files."""


@pytest.mark.parametrize("name", ["search", "status"])
def test_reading_needs_no_root(data: Path, name: str) -> None:
    """Whoever owns a store can search it."""
    result = finish(start(name, "--data", data, "--json", through=POWERLESS))
    assert (result.code, result.err) == (1 if name == "status" else 0, "")
    assert len(result.out.splitlines()) == (1 if name == "status" else 10)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
@pytest.mark.parametrize("name", ["search", "tail", "status"])
def test_a_store_of_somebody_else_is_explained(data: Path, name: str) -> None:
    """Who may not read a store is told which file it is, in one line."""
    for path in [data, *data.rglob("*")]:
        os.chown(path, 65534, 65534)
    data.chmod(0o700)
    result = finish(start(name, "--data", data, "--json", through=POWERLESS))
    assert (result.code, result.out) == (1, "")
    assert str(data) in result.err
    assert result.err.count("\n") == 1


# Following, status


def test_ctrl_c_ends_tail_quietly(data: Path) -> None:
    """Ctrl-C is no error message; the exit code is the shell's for SIGINT."""
    process = start("tail", "--data", data)
    assert process.stdout is not None
    with process:
        assert "COMM" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        result = finish(process)
    assert (result.code, result.out, result.err.strip()) == (130, "", "")


def test_tail_shows_what_is_stored_from_now_on(data: Path) -> None:
    """A follower gets new documents at once, and none that was there before."""
    process = start("tail", "--data", data, "--json", "process.name:*")
    assert process.stdout is not None
    deadline = time.monotonic() + SECONDS
    number = 100
    with process:
        while not select.select([process.stdout], [], [], 0.1)[0]:  # it doesn't say when it has begun
            assert time.monotonic() < deadline
            store(data, document(number, "new"))
            number += 1
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest = finish(process).out.splitlines()
    assert {shown["process"]["name"] for shown in [first, *map(json.loads, rest)]} == {"new"}


def test_status_says_that_nothing_runs(run: Run, tmp_path: Path) -> None:
    """Without agent and worker the exit code is 1, and every number is 0."""
    result = run("status", "--data", tmp_path)
    assert (result.code, result.err) == (1, "")
    assert result.out.count("not running") == 2
    shown = json.loads(run("status", "--data", tmp_path, "--json").out)
    assert shown["spool"] == {"streams": 0, "frames": 0, "bytes": 0, "backlog_frames": 0, "backlog_seconds": 0}
    assert shown["store"] == {"name": str(tmp_path / "store"), "days": 0, "documents": 0, "error": None}


def test_status_says_what_runs(run: Run, data: Path) -> None:
    """With agent and worker the exit code is 0, their processes are named, and documents are counted."""
    with only(data / LOCK, "agent"), only(data / "enrich.sqlite.lock", "worker"):
        result = run("status", "--data", data, "--json")
    shown = json.loads(result.out)
    assert result.code == 0
    well = {"running": True, "answering": True, "silent_since": None, "pid": os.getpid()}
    assert shown["agent"] == shown["worker"] == well
    assert shown["store"]["documents"] == 10


@pytest.mark.parametrize("silent", ["agent", "worker"])
@pytest.mark.parametrize("ago", [60, -3600], ids=["hangs", "hangs, and the clock was set back"])
def test_status_says_who_does_not_answer(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch, silent: str, ago: int
) -> None:
    """Who holds its lock and has written no status for long is no half that works; since when is told."""
    monkeypatch.setattr(status_halves, "LOOK_SECONDS", 0)
    locks = {"agent": data / LOCK, "worker": own_file(data, "lock")}
    told = {"agent": data / STATUS, "worker": own_file(data, "status.json")}
    with only(locks["agent"], "agent"), only(locks["worker"], "worker"):
        for name in locks:
            told[name].write_text("{}")
        assert run("status", "--data", data).code == 0
        stopped = int(time.time()) - ago
        for file in (locks[silent], told[silent]):
            os.utime(file, (stopped, stopped))
        result = run("status", "--data", data)
        shown = json.loads(run("status", "--data", data, "--json").out)
    since = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(stopped))
    assert result.code == 1
    assert f"not answering since {since} (pid {os.getpid()})" in result.out
    assert result.out.count("not answering") == 1
    assert (shown[silent]["running"], shown[silent]["answering"], shown[silent]["silent_since"]) == (True, False, since)


@pytest.mark.parametrize("hours", [2, -2])
def test_a_clock_that_was_just_set_hangs_nobody(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Old files say nothing then: who writes its status again in the next moment answers."""
    monkeypatch.setattr(time, "sleep", lambda _: (data / STATUS).write_text("{}"))
    with only(data / LOCK, "agent"), only(own_file(data, "lock"), "worker"):
        (data / STATUS).write_text("{}")
        for file in (data / LOCK, data / STATUS):
            os.utime(file, (time.time() + hours * 3600,) * 2)
        shown = run("status", "--data", data, "--json")
    assert shown.code == 0
    assert json.loads(shown.out)["agent"]["answering"]


def test_status_says_how_far_the_worker_is_behind(run: Run, data: Path) -> None:
    """In frames, and in seconds from the last that it took."""
    commit(stream_in(data / "spool", 1), 7)
    own_file(data, "status.json").write_text(json.dumps({"frame_time": time.time_ns() - 90 * 10**9}))
    seconds = json.loads(run("status", "--data", data, "--json").out)["spool"]["backlog_seconds"]
    assert seconds >= 90
    assert re.search(r"7 not stored yet, \d+\.\d s behind", run("status", "--data", data).out)


# Completion


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """Each shell; those that are not installed are skipped by name."""
    name = str(request.param)
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def test_completion_scripts_parse(run: Run, shell: str, tmp_path: Path) -> None:
    """Each shell takes its script."""
    result = run("completion", shell)
    script = tmp_path / "script"
    script.write_text(result.out)
    assert (result.code, result.err) == (0, "")
    assert "_CGTRAIL_COMPLETE" in result.out
    subprocess.run([shell, "-n", str(script)], check=True, capture_output=True)


@pytest.mark.parametrize("name", SHELLS)
def test_every_shell_has_a_script(run: Run, name: str) -> None:
    """A script is printed also where its shell is not installed."""
    assert "cgtrail" in run("completion", name).out


def test_commands_and_options_are_completed() -> None:
    """What the script asks for is answered with the commands and options there are."""
    for words, position, expected in [
        ("cgtrail sea", "1", "plain,search"),
        ("cgtrail search --lim", "2", "plain,--limit"),
    ]:
        asked = {"_CGTRAIL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": position}
        code = "import sys; sys.argv = ['cgtrail']; from cgtrail.cli import main; main()"
        answer = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=False
        )
        assert answer.stdout.split() == [expected]
