"""`cgtrail deadletters`: what could not become a document, or that no store would take: look at it, try it again."""

from __future__ import annotations

import base64
import multiprocessing
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import click
import orjson

from bpf.schema import RecordError, decode
from cgtrail.config import Config
from cgtrail.halves import open_sink
from cgtrail.letters import changing, reading
from cgtrail.logs import notice
from cgtrail.past import history, making
from cgtrail.records import shown
from cgtrail.signals import stop_on_signal
from enrich.again import deadly
from enrich.letters import KeptLetters, Letter, LetterKind
from enrich.losses import Trouble
from enrich.printable import json_line, text
from enrich.render import timestamp
from enrich.retry import Retry

MAX_DUMP = 4096
"""Bytes of a body that are shown as a hex dump."""
_COLUMNS = f"{'ID':<48}  {'KIND':<8}  {'TIME':<30}  REASON"
_MIN_REASON = 40


def ls(config: Config, sink: str, *, as_json: bool) -> None:
    """Print every letter, the newest last. Raises LettersError."""
    with reading(config, sink) as letters:
        found = iter(()) if letters is None else letters.all() if as_json else letters.heads()
        for number, letter in enumerate(found):
            if as_json:
                click.echo(json_line(orjson.dumps(_heads(letter) | {"body": base64.b64encode(letter.body).decode()})))
                continue
            if not number:
                click.echo(click.style(_COLUMNS, bold=True))
            line = f"{text(letter.id):<48}  {letter.kind:<8}  {_time(letter):<30}  {text(letter.reason)}"
            click.echo(_cut(line))


def show(config: Config, sink: str, name: str, *, raw: bool) -> None:
    """Print all that is known of one letter, or only its bytes. Raises LettersError and click.UsageError."""
    with reading(config, sink) as letters:
        (letter,) = _named(letters, [name])
    if raw:
        if sys.stdout.isatty():
            message = "--raw: a terminal is no place for bytes from containers: send them to a file or a program"
            raise click.UsageError(message)
        sys.stdout.buffer.write(letter.body)
        sys.stdout.buffer.flush()
        return
    for key, value in _heads(letter).items():
        click.echo(f"{key:<8}{text(str(value))}")
    click.echo()
    for line in _document(letter) if letter.kind is LetterKind.DOCUMENT else _bytes(letter):
        click.echo(line)


def replay(config: Config, sink: str, names: tuple[str, ...], *, everything: bool) -> int:
    """Try letters again; returns 1 when one of them stays, 0 when none does. Raises LettersError, click.UsageError."""
    if bool(names) == everything:
        message = "name the letters to try again, or give --all: `cgtrail deadletters list` shows them"
        raise click.UsageError(message)
    with reading(config, sink) as letters:
        if everything:
            chosen = list(letters.all()) if letters else []
            left = [letter for letter in chosen if letter.deadly]
            chosen = [letter for letter in chosen if not letter.deadly]
        else:
            chosen, left = _named(letters, names), []
    failed = _alone(config, sink, [letter for letter in chosen if letter.deadly])
    failed += _try(config, sink, [letter for letter in chosen if not letter.deadly])
    notice(f"cgtrail: {len(chosen) - failed} dead letters done, {failed} stay")
    if left:
        notice(f"cgtrail: {len(left)} more are records that a worker died of: name one to try it again")
    return 1 if failed or left else 0


def _try(config: Config, sink: str, chosen: list[Letter]) -> int:
    """Try letters in this process; returns how many stay."""
    if not chosen:
        return 0
    ids = {letter.id for letter in chosen}
    stop = stop_on_signal()
    with (
        changing(config, sink) as letters,
        closing(history(config, stop)) as kept,
        closing(open_sink(config, sink)) as opened,
    ):
        places = deadly(letter for letter in letters.heads() if letter.id not in ids)
        retry = Retry(kept, opened, stop, making(config, places))
        retry.run(chosen)
        letters.add(retry.met)
        for letter in chosen:
            if letter.id in retry.stays:
                letters.blame(letter.id, retry.stays[letter.id])
            else:
                letters.remove(letter.id)
    for name, reason in retry.stays.items():
        notice(f"cgtrail: {text(name)} stays: {text(reason)}")
    return len(retry.stays)


def _alone(config: Config, sink: str, chosen: list[Letter]) -> int:
    """Try records that workers died of, each in a process of its own; returns how many stay."""
    failed = 0
    for letter in chosen:
        child = multiprocessing.get_context("fork").Process(target=_child, args=(config, sink, letter))
        child.start()
        child.join()
        failed += child.exitcode != 0
        if child.exitcode not in {0, 1}:
            how = f"{Trouble.DEADLY}: a process died of it again (exit code {child.exitcode})"
            with changing(config, sink) as letters:
                letters.blame(letter.id, how)
            notice(f"cgtrail: {text(letter.id)} stays: {how}")
    return failed


def _child(config: Config, sink: str, letter: Letter) -> None:
    sys.exit(_try(config, sink, [letter]))


def _named(letters: KeptLetters | None, names: Iterable[str]) -> list[Letter]:
    """The letters of these ids, or of the beginnings of ids. Raises click.UsageError."""
    ids = letters.ids() if letters else []
    found = {}
    for name in names:
        fitting = [name] if name in ids else [known for known in ids if known.startswith(name)]
        if len(fitting) != 1:
            what = f"{len(fitting)} dead letters' ids begin" if fitting else "no dead letter's id begins"
            message = f"{what} with {name!r}: `cgtrail deadletters list` shows them"
            raise click.UsageError(message)
        letter = letters.get(fitting[0]) if letters else None
        if letter is None:
            message = f"{fitting[0]} has just been delivered"
            raise click.UsageError(message)
        found[letter.id] = letter
    return list(found.values())


def _time(letter: Letter) -> str:
    """Whoever writes to the topic may write of any time, also of one that no calendar has."""
    try:
        return timestamp(letter.time)
    except (OverflowError, ValueError, OSError):
        return f"{letter.time:.3e} ns"


def _heads(letter: Letter) -> dict[str, Any]:
    """All of a letter but its body."""
    told = {
        "id": letter.id,
        "kind": letter.kind.value,
        "time": _time(letter),
        "stream": letter.stream,
        "frame": letter.frame,
        "index": letter.index,
        "behind": letter.behind,
        "reason": letter.reason,
    }
    return told | {"origin": letter.origin} if letter.origin else told


def _document(letter: Letter) -> Iterator[str]:
    """A document as JSON for people; one that is no JSON, as text."""
    try:
        lines = orjson.dumps(orjson.loads(letter.body), option=orjson.OPT_INDENT_2).split(b"\n")
    except orjson.JSONDecodeError:
        yield text(letter.body.decode(errors="backslashreplace"))
        return
    yield from (json_line(line).decode() for line in lines)


def _bytes(letter: Letter) -> Iterator[str]:
    """A record's fields, if it can be decoded now, and the bytes."""
    if letter.kind is LetterKind.RECORD:
        try:
            record = decode(letter.body, 0, len(letter.body))
        except RecordError as error:
            yield text(f"still not understood: {error}")
        else:
            yield from (f"{name} = {text(str(value))}" for name, value in shown(record).items())
        yield ""
    for at in range(0, min(len(letter.body), MAX_DUMP), 16):
        row = letter.body[at : at + 16]
        seen = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{at:08x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  |{seen}|"
    if len(letter.body) > MAX_DUMP:
        yield f"… {len(letter.body) - MAX_DUMP:,} bytes more: --raw gives all"


def _cut(line: str) -> str:
    """On a terminal, a line of the table stays one line."""
    room = max(shutil.get_terminal_size().columns, len(_COLUMNS) - len("REASON") + _MIN_REASON)
    return f"{line[: room - 1]}…" if sys.stdout.isatty() and len(line) > room else line
