"""`cgtrail enrich --from`: history again, beside whatever runs."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from enrich.sinks.sqlite import SqliteSink
from enrich.stores.query import All
from enrich.stores.sqlite import SqliteStore
from tests.unit import spooled
from tests.unit.ran import Run, stored, work
from tests.unit.spooled import Spooled, garbage, letters
from tests.unit.stream import exec_

ID = spooled.ID.hex()
HOSTILE = b"\x1b]0;x\x07\x9b\xe2\x80\xae"


def test_enrich_from(run: Run, spool: Spooled, tmp_path: Path) -> None:
    """Documents of the past go where the sink says; what is there is told from what is new."""
    work(spool)
    before = stored(spool)
    result = run("enrich", "--from", "2023-11-14")
    assert (result.code, result.out) == (0, "")
    assert re.search(r"cgtrail: 5 documents, 0 of them new; 2023-.*Z to .*Z; \d+\.\d s\n", result.err)
    for file in (tmp_path / "store").iterdir():
        file.unlink()
    assert "5 documents, 5 of them new" in run("enrich", "--from", "2023-11-14").err
    assert stored(spool) == before
    assert "5 documents, 5 of them new" in run("enrich", "--from", "2023-11-14", "--into", tmp_path / "other").err
    assert len(SqliteStore(tmp_path / "other").after({}, All(), limit=100)[0]) == 5


def test_enrich_from_to_stdout(run: Run, spool: Spooled) -> None:
    """To standard output nothing is written but documents."""
    result = run("enrich", "--from", "2023-11-14", "--sink", "stdout")
    assert [json.loads(line)["process"]["name"] for line in result.out.splitlines()] == spooled.FIVE
    assert spool.number


def test_how_far_the_spool_reaches(run: Run, spool: Spooled) -> None:
    """Who asks for more than there is is told what there is, and gets that."""
    result = run("enrich", "--from", "2020-01-01")
    assert "the spool reaches back to 2023-11-14T22:13:30.0" in result.err
    assert "5 documents" in result.err
    assert "reaches" not in run("enrich", "--from", "2023-11-15").err
    assert spool.number


def test_no_spool_to_read(run: Run, tmp_path: Path) -> None:
    """Without a spool there is an error, and nothing is made."""
    result = run("enrich", "--from", "1h")
    assert (result.code, result.out) == (1, "")
    assert f"{tmp_path}/spool: there is no spool" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--once", "--from", "1h"],
        ["--to", "1h"],
        ["--into", "/x"],
        ["--from", "1h", "--into", "/x", "--sink", "stdout"],
        ["--from", "yesterday"],
        ["--from", "99999999999999d"],
        ["--once", "--from", "1970-01-01T00:00Z"],
        ["--from", "1h", "--to", "2h"],
    ],
)
def test_options_that_do_not_fit(run: Run, arguments: list[str]) -> None:
    """Options that mean nothing together are an error that names them."""
    result = run("enrich", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "Error: " in result.err


def test_from_the_beginning_of_time(run: Run, spool: Spooled) -> None:
    """0 is a time as any other."""
    assert "5 documents" in run("enrich", "--from", "1970-01-01T00:00Z").err
    assert spool.number


def test_beside_a_worker(run: Run, spool: Spooled) -> None:
    """A worker that runs keeps its lock, its position and its letters while history is made again."""
    spool.add(garbage())
    with closing(SqliteSink(spool.data / "store", 36500)) as sink, spooled.worker(spool.data, sink) as worker:
        worker.run(follow=False)
        kept = {path: path.read_bytes() for path in spool.data.glob("enrich.*") if "db-" not in path.name}
        assert run("enrich", "--from", "2023-11-14").code == 0
        assert run("deadletters", "list").code == 0
        assert {path: path.read_bytes() for path in kept} == kept
        assert run("deadletters", "replay", "--all").code == 1
        spool.add(garbage(), exec_(50, 1, b"/bin/p50"))
        worker.run(follow=False)
    assert "p50" in stored(spool).values()
    assert len(letters(spool.data)) == 2
