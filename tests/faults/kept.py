"""What a worker has left behind, and whether it is what it should be."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cgtrail.halves import worker_on
from enrich.letters import DeadLetters, Letter
from enrich.sinks.memory import MemorySink
from enrich.statefile import own_file
from shipper.wire.position import position_file
from tests.faults.writer import begun

_STREAM = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
Documents = dict[str, str]
"""Id → body; a stream's random id is replaced by its place, so that two spools of one storm can be compared."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Documents and dead letters."""

    documents: Documents
    letters: dict[str, tuple[str, bytes]]
    """Id → kind and bytes."""


def undisturbed(data: Path, scratch: Path, *, forks: bool = False, called: Mapping[str, str] | None = None) -> Kept:
    """What one worker that nobody disturbs makes of a copy of a data folder's spool. `called`: other names."""
    shutil.copytree(data / "spool", scratch / "spool", ignore=shutil.ignore_patterns("readers"))
    return remade(scratch, forks=forks, called=called)


def remade(data: Path, *, forks: bool = False, called: Mapping[str, str] | None = None) -> Kept:
    """What a worker that has never been there makes of a data folder's spool; the documents stay in memory."""
    position_file(data / "spool", "memory").path.unlink(missing_ok=True)
    for file in data.glob("enrich.memory.*"):
        file.unlink()
    sink = MemorySink()
    with worker_on(data, "memory", sink, threading.Event(), forks=forks) as worker:
        worker.run(follow=False)
        assert isinstance(worker.letters, DeadLetters)
        letters = list(worker.letters.all())
    found = {ident: document.encode().decode() for ident, document in sink.documents.items()}
    return called_so(called or names(data), found, letters)


def kept(data: Path) -> Kept:
    """What stands in a data folder's store and among its dead letters."""
    letters = DeadLetters(own_file(data, "deadletters.db"))
    try:
        return called_so(names(data), stored(data), list(letters.all()))
    finally:
        letters.close()


def stored(data: Path) -> Documents:
    """What stands in a data folder's store: id → body."""
    found: Documents = {}
    for file in sorted((data / "store").glob("*.db")):
        for ident, body in rows(file):
            assert ident not in found, f"{ident} stands in two day files"
            found[ident] = body
    return found


def rows(file: Path) -> list[tuple[str, str]]:
    """Id and body of every document of a day file, which must be sound, its index included."""
    db = sqlite3.connect(file)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.execute("INSERT INTO lines (lines) VALUES ('integrity-check')")
        return db.execute("SELECT id, body FROM docs ORDER BY seq").fetchall()
    finally:
        db.close()


def assert_same(found: Kept, wanted: Kept, told: object) -> None:
    """The same ids, the same bodies, the same dead letters. `told`: how to repeat the run."""
    assert_documents(found.documents, wanted.documents, told)
    assert found.letters == wanted.letters, f"{told}: other dead letters: {_few(found.letters.keys() ^ wanted.letters)}"


def assert_documents(found: Mapping[str, str], wanted: Mapping[str, str], told: object) -> None:
    """The same ids, and for each the same body, byte for byte."""
    lost, more = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    assert not lost, f"{told}: {len(lost)} of {len(wanted)} documents are lost, such as {_few(lost)}"
    assert not more, f"{told}: {len(more)} documents too many, such as {_few(more)}"
    changed = sorted(ident for ident in wanted if found[ident] != wanted[ident])
    first = "".join(f"\n{found[ident]}\ninstead of\n{wanted[ident]}" for ident in changed[:1])
    assert not changed, f"{told}: {len(changed)} documents changed, such as {_few(changed)}:{first}"


def names(data: Path, before: str = "") -> dict[str, str]:
    """Stream → a name that does not depend on its random id: its place in a data folder's spool, `before` it a word."""
    return {stream.id.hex(): f"{before}stream{place}" for place, stream in enumerate(begun(data / "spool"))}


def named(data: Path, found: Mapping[str, str]) -> Documents:
    """Documents under the names of a data folder's streams."""
    return renamed(names(data), found)


def renamed(called: Mapping[str, str], found: Mapping[str, str]) -> Documents:
    """Documents under names that do not depend on the random ids of streams."""
    return {_named(called, ident): _named(called, body) for ident, body in found.items()}


def called_so(called: Mapping[str, str], found: Mapping[str, str], letters: Iterable[Letter]) -> Kept:
    """Documents and dead letters under such names."""
    return Kept(renamed(called, found), {_named(called, each.id): (each.kind.value, each.body) for each in letters})


def _named(called: Mapping[str, str], text: str) -> str:
    return _STREAM.sub(lambda found: called.get(found[0], found[0]), text)


def _few(ids: object) -> list[str]:
    return sorted(ids)[:5]  # type: ignore[call-overload,no-any-return]
