"""Every command that reads says the same of both stores, byte by byte."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pexpect
import pytest

from cgtrail import command, config
from cgtrail.cli import main
from enrich.document import Document
from enrich.stores.values import date
from tests.golden.test_golden import GOLDEN
from tests.servers.elastic import Elastic
from tests.servers.prepared import prepare
from tests.servers.stores import keep, put
from tests.unit.taped import SECOND, Tape

pytestmark = pytest.mark.elasticsearch
PATIENCE = 60
HOSTILE = "\x1b]0;owned\x07\x1b[31m\u202e\x00rm\x9b2J"
RECORDED = "57d2891409146dd3"
"""The session in tests/golden."""
Run = Callable[..., tuple[Any, bytes, bytes]]


def golden() -> Iterator[Document]:
    """What was recorded of a demonstration."""
    for line in GOLDEN.read_bytes().splitlines():
        source = orjson.loads(line)
        time = date("@timestamp", source["@timestamp"]).start
        yield Document(source["event"]["id"], time, source["event"]["dataset"].removeprefix("cgtrail."), source)


def taped() -> list[Document]:
    """Sessions with all that there can be in them."""
    tape = Tape().opened().shown("hello \x1b[31mred\x1b[m\r\n", 1 * SECOND).typed("data\n", 2 * SECOND)
    tape.masked("9-16", 3 * SECOND)
    tape.lost(2, 100)
    first = tape.command("cat <<EOF", 4 * SECOND)
    tape.command("EOF", 5 * SECOND, continues=first, prompt="> ")
    line = tape.command(f"ls {HOSTILE}", 6 * SECOND, 7 * SECOND, exit_code=2)
    tape.ran(f"ls {HOSTILE}", 6 * SECOND + 1, line).ran("cron", 8 * SECOND)
    tape.shown("long " * 3_000, 9 * SECOND)
    tape.closed(20 * SECOND)
    other = Tape(id="77ab" * 4, start=tape.start + 3 * SECOND, container=HOSTILE, user=("1000", "alice")).opened()
    other.command("sleep 9", 1 * SECOND)
    return tape.documents + other.documents


@pytest.fixture(scope="module")
def stored(es: Elastic, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a data folder and a namespace that hold the same."""
    documents = [*golden(), *taped()]
    data, namespace = tmp_path_factory.mktemp("data"), es.namespace()
    keep(data / "store", documents)
    prepare(es, namespace)
    put(es, namespace, documents)
    return es.settings(namespace=namespace) | {"CGTRAIL_DATA": str(data)}


@pytest.fixture
def run(
    stored: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """Runs the command in this process; gives how it ended and what it said."""
    for name, value in stored.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.setattr(command, "_log_to_stderr", lambda verbose: verbose)

    def run_it(*arguments: str) -> tuple[Any, bytes, bytes]:
        monkeypatch.setattr(sys, "argv", ["cgtrail", *arguments])
        try:
            main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code or 0
        return code, *capsysbinary.readouterr()

    return run_it


COMMANDS = [
    "search --since 2020-01-01 --limit 1000",
    "search --json --limit 1000",
    "search --json --sort asc --limit 1000",
    "search --json --limit 7",
    "search ls",
    "search process.name:ls OR process.args:ls",
    "search NOT process.name:ls --kind process --json",
    "search --kind terminal process.io.text:long* --json",
    "search --kind command",
    "search --container web",
    "search --container cgtrail-demo --json",
    "search --tenant t1 --json",
    "sessions",
    "sessions --json",
    "sessions --user alice",
    "sessions --open --limit 1",
    "journal --container web",
    "journal --container web --input --processes --ends",
    "journal --container web --format csv",
    "journal --tenant t1 --format json",
    "journal --session 3f2a --processes",
    f"journal --session {RECORDED}",
    "journal --container cgtrail-demo --json",
    "journal --container cgtrail-demo --processes --kind process",
    "journal --container web --since 2026-11-22T12:00:05Z --until 2026-11-22T12:00:07Z",
    "journal --container nobody",
    "journal --session 9999",
    *(f"export {name} --format {form}" for name in (RECORDED, "3f2a", "77") for form in
      ("asciicast", "asciicast2", "tlog", "txt")),
    "export 99",
]  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_the_same_answer(run: Run, line: str) -> None:
    """Code, output and remarks are those of the local store."""
    here = run(*line.split(), "--store", "sqlite")
    there = run(*line.split(), "--store", "elasticsearch")
    assert here == there
    assert here[1] or here[2]
    assert b"\x1b]" not in there[1].replace(b"\\u001b]", b"") or "export" in line


def test_nothing_is_stored_yet(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another namespace is empty, which is said, and no error."""
    monkeypatch.setenv("CGTRAIL_ELASTICSEARCH_NAMESPACE", "nobody")
    for line in ("search", "sessions", "journal --container web"):
        code, out, err = run(*line.split(), "--store", "elasticsearch")
        assert (code, out) == (0, b"")
        assert b"nothing is stored in logs-cgtrail.*-nobody at http://127.0.0.1:" in err


def test_configured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """store.read chooses; the option wins."""
    wanted = run("sessions", "--json")
    monkeypatch.setenv("CGTRAIL_STORE_READ", "elasticsearch")
    assert run("sessions", "--json") == wanted
    monkeypatch.setenv("CGTRAIL_ELASTICSEARCH_HOSTS", "http://127.0.0.1:1")
    code, out, err = run("sessions", "--json")
    assert (code, out) == (1, b"")
    assert b"127.0.0.1:1" in err
    assert err.count(b"\n") == 1
    assert run("--data", os.environ["CGTRAIL_DATA"], "sessions", "--json", "--store", "sqlite") == wanted


@pytest.mark.parametrize("name", [RECORDED, "3f2a"])
def test_replay(stored: dict[str, str], name: str) -> None:
    """What is left on the screen is the same."""
    environment = os.environ | stored | {"TERM": "xterm"}
    last: list[bytes] = []
    for store in ("sqlite", "elasticsearch"):
        told = ["-m", "cgtrail", "replay", name, "--speed", "64", "--max-pause", "0", "--store", store]
        player: pexpect.spawn[bytes] = pexpect.spawn(sys.executable, told, env=environment, dimensions=(40, 120))
        player.expect("end", timeout=PATIENCE)
        player.send("q")
        player.expect(pexpect.EOF, timeout=PATIENCE)
        assert isinstance(player.before, bytes)
        last.append(player.before.rpartition(b"\x1b[?1049l")[2])
        player.close()
        assert player.exitstatus == 0
    assert last[0] == last[1]


@pytest.mark.parametrize("line", ["tail --json process.name:new*", "journal --container box --follow --json"])
def test_followed(es: Elastic, stored: dict[str, str], tmp_path: Path, line: str) -> None:
    """What is stored from now on comes once, in the order of both stores, whatever its time."""
    namespace = es.namespace()
    prepare(es, namespace)
    environment = os.environ | stored | {"CGTRAIL_DATA": str(tmp_path)}
    environment |= {"CGTRAIL_ELASTICSEARCH_NAMESPACE": namespace}

    def batch(number: int) -> list[Document]:
        tape = Tape(id=f"{number:016x}", start=1_795_305_600 * SECOND + (10 - number) * SECOND, container="box")
        for n in range(40):
            tape.ran(f"new{number}-{n}", n)
        return tape.documents

    def store(number: int) -> None:
        keep(tmp_path / "store", batch(number))
        put(es, namespace, batch(number), refresh=False)

    store(0)
    es.ask("POST", f"logs-cgtrail.process-{namespace}/_refresh")
    wanted = [each.encode() for number in ((0, 1, 2) if "journal" in line else (1, 2)) for each in batch(number)]
    following = [
        subprocess.Popen(
            [sys.executable, "-m", "cgtrail", *line.split(), "--store", name], env=environment, stdout=subprocess.PIPE
        )
        for name in ("sqlite", "elasticsearch")
    ]
    try:
        outputs: list[list[bytes]] = [[], []]
        past = 40 if "journal" in line else 0
        for each, output in zip(following, outputs, strict=True):
            assert each.stdout is not None
            output += [each.stdout.readline().rstrip(b"\n") for _ in range(past)]
        if not past:
            time.sleep(5)  # until both stand at the end, which they don't say
        for number in (1, 2):
            store(number)
            for each, output in zip(following, outputs, strict=True):
                assert each.stdout is not None
                output += [each.stdout.readline().rstrip(b"\n") for _ in range(40)]
        assert outputs[0] == outputs[1]
        assert list(map(orjson.loads, outputs[0])) == list(map(orjson.loads, wanted))
    finally:
        for each in following:
            each.kill()
            each.communicate()
