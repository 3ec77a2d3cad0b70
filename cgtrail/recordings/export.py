"""`cgtrail export`: a recording in a format that other programs read."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import click

from cgtrail.config import Config
from cgtrail.logs import notice
from cgtrail.recordings import casts, tlog, transcript
from cgtrail.recordings.events import Event, Recording
from cgtrail.recordings.find import Session, SessionError, one
from cgtrail.store import open_store
from enrich.printable import message, text

FORMATS: dict[str, Callable[[Session, Iterable[Event]], Iterator[bytes]]] = {
    "asciicast": casts.version3,
    "asciicast2": casts.version2,
    "tlog": tlog.messages,
    "txt": transcript.lines,
}
_STEP = 1_000_000_000


def run(config: Config, prefix: str, form: str, output: Path | None, *, force: bool) -> None:
    """Write a session's recording to a file or, where `output` is None, to standard output; say what is missing in it.

    A file appears when it is complete, for its owner only; one that is there stays unless `force`. Raises
    SessionError, StoreError and OSError.
    """
    with closing(open_store(config)) as store:
        recording = Recording(store, one(store, prefix))
        with _written(output, force=force) as write, _progress(recording) as told:
            shown = form == "txt" and output is None and sys.stdout.isatty()
            for line in FORMATS[form](recording.session, told(recording.events())):
                write(_safe(line) if shown else line)
    for words in remarks(recording):
        notice(f"cgtrail: {words}")


def remarks(recording: Recording) -> Iterator[str]:
    """What there is to say of a recording that was read to its end and is not whole."""
    session = recording.session
    if session.end is None:
        yield f"session {session.id} is still open: there may be more later"
    if session.partial:
        yield f"session {session.id} was open before it was recorded: its beginning is missing"
    if recording.missing:
        yield f"{recording.missing:,} documents of the recording are not in the store"
    if recording.skipped:
        yield f"{recording.skipped:,} bytes were shown that are not in the recording"
    if recording.damaged:
        yield f"{recording.damaged:,} documents are damaged or stand twice, and were left out as far as they are"


def _safe(line: bytes) -> bytes:
    """Letters from right to left would reorder what stands beside them on a terminal."""
    return f"{message(line.decode().rstrip(chr(10)))}\n".encode()


@contextmanager
def _written(output: Path | None, *, force: bool) -> Iterator[Callable[[bytes], object]]:
    """Where lines go. A file is made beside its name and gets it at the end."""
    if output is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    _refuse(output, force=force)
    made = output.with_name(f".{output.name}.{os.getpid()}.part")
    file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(file, "wb") as opened:
            yield opened.write
        if force:
            os.replace(made, output)
        else:
            os.link(made, output)
    except FileExistsError:
        _refuse(output, force=False)
        raise
    finally:
        with suppress(FileNotFoundError):
            os.unlink(made)


def _refuse(output: Path, *, force: bool) -> None:
    try:
        mode = os.lstat(output).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise SessionError(f"{text(str(output))} is no regular file: choose another name, or leave out -o")
    if not force:
        raise SessionError(f"{text(str(output))} exists already: choose another name, or add --force")


@contextmanager
def _progress(recording: Recording) -> Iterator[Callable[[Iterable[Event]], Iterable[Event]]]:
    """A bar for who watches, unless the export itself goes there; nothing for a file."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda events: events
        return
    length = max(recording.length() // _STEP, 1)
    with click.progressbar(length=length, file=sys.stderr, label="exporting") as bar:

        def counted(events: Iterable[Event]) -> Iterator[Event]:
            last = 0
            for event in events:
                now = min(event.at // _STEP, length)
                if now > last:
                    bar.update(now - last)
                    last = now
                yield event
            bar.update(length - last)

        yield counted
