"""Targets: the small files beside the spool."""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout, suppress
from pathlib import Path

from cgtrail import deadletters
from cgtrail import status as status_command
from cgtrail.config import Config, ConfigError, environment, keys, load, variable
from cgtrail.status_lines import lines
from enrich.letters import DeadLetters, Letter, LetterKind, LettersError
from enrich.pipeline import steps
from enrich.sinks import DUPLICATE, OK, Status
from enrich.sinks.sqlite import SqliteSink
from enrich.snapshot import SnapshotError, restore, save
from enrich.statefile import StateError, damage_named, own_file
from enrich.stores import StoreError, dayfile
from enrich.stores.lucene import parse
from enrich.stores.sqlite import SqliteStore
from shipper.status import STATUS
from shipper.wire.position import Position, PositionFile
from tests.unit.meaning import DOCUMENTS, NOON, SECOND

LETTER = Letter("00-1-9", LetterKind.RECORD, "00", 1, 2, 2, 1, "failed: why", b"body")
QUERY = parse("passwd OR NOT process.name:l*")

_ran: list[str] | None = None
"""What ran meanwhile that might do harm, while somebody looks."""
_HARMLESS = {"pickle.find_class", "sys.excepthook"}
"""The second tells of a bytearray that is cut: CPython says so beside the exception."""


def position(data: bytes) -> None:
    """Any file is positions that a reader can have, or none; the same content with a fitting crc too."""
    for content in (data, b'{"streams":%b,"crc":%d}' % (data, zlib.crc32(data))):
        with _file(content) as path:
            known = PositionFile(path).load()
            assert all(isinstance(each, Position) and 0 <= each.needs <= each.next for each in known.values())
            if known:
                PositionFile(path).store(known)
                assert PositionFile(path).load() == known


def snapshot(data: bytes) -> None:
    """Any bytes are a snapshot or a SnapshotError, and nothing of them runs; what was restored can be saved."""
    known = steps()
    with _little_memory(), _nothing_runs():
        try:
            restore(data, known)
        except SnapshotError as error:
            str(error)
            known = []
    with suppress(RecursionError):
        save(known)


def status(data: bytes) -> None:
    """Whatever the status files of agent and worker hold, `cgtrail status` shows what can be understood."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(data=folder)
        (config.folder / STATUS).write_bytes(data)
        own_file(config.folder, "status.json").write_bytes(data)
        shown = status_command.collect(config)
        assert all(isinstance(line, str) for line in lines(shown))


def configuration(data: bytes) -> None:
    """Any file is a configuration or a ConfigError; a child process can be given the same."""
    with _file(data) as path:
        try:
            known = load(path, {}, {})
        except ConfigError as error:
            str(error)
            return
    told = {variable(key) for key in keys()}
    assert load(None, {name: value for name, value in environment(known).items() if name in told}, {}) == known


def letters(data: bytes) -> None:
    """Any file is dead letters that can be listed, or a LettersError."""
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        config = Config(data=folder)
        own_file(config.folder, "deadletters.db").write_bytes(data)
        try:
            deadletters.ls(config, "sqlite", as_json=False)
        except LettersError as error:
            str(error)
        try:
            with (
                damage_named(config.folder, "sqlite"),
                closing(DeadLetters(own_file(config.folder, "deadletters.db"))) as kept,
            ):
                kept.add([LETTER])
                assert LETTER.id in kept.ids()
        except StateError as error:
            str(error)


def store(data: bytes) -> None:
    """Any day file is searched and written, or is an error that names it."""
    with tempfile.TemporaryDirectory() as folder:
        document = DOCUMENTS[0]
        path = dayfile.path_of(Path(folder), dayfile.day_of(document.time))
        path.write_bytes(data)
        try:
            for body in SqliteStore(Path(folder)).search(QUERY, limit=100):
                assert isinstance(body, bytes)
        except StoreError as error:
            named = str(path) in str(error)
            assert named
        with closing(SqliteSink(Path(folder), 7, clock=lambda: NOON / SECOND)) as sink:
            (outcome,) = sink.write([document])
            assert outcome in {OK, DUPLICATE} or (outcome.status is Status.RETRY and str(path) in outcome.reason)


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        yield path


@contextmanager
def _little_memory() -> Iterator[None]:
    """What asks for gigabytes gets a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _nothing_runs() -> Iterator[None]:
    global _ran  # noqa: PLW0603  an audit hook can't be removed
    found: list[str] = []
    _ran = found
    try:
        yield
    finally:
        _ran = None
    assert not found, f"bytes made Python do {found}"


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _ran is not None and event not in _HARMLESS:  # told afterwards: what is raised here, the unpickling may swallow
        _ran.append(f"{event}{arguments}")


sys.addaudithook(_audit)
