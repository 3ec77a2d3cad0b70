"""`cgtrail replay`: a recording played in the terminal."""

from __future__ import annotations

import sys
from contextlib import closing

import click

from cgtrail import table
from cgtrail.config import Config
from cgtrail.logs import notice
from cgtrail.recordings.events import Recording
from cgtrail.recordings.export import remarks
from cgtrail.recordings.find import SessionError, one
from cgtrail.recordings.player import Player
from cgtrail.recordings.tty import Terminal
from cgtrail.store import open_store


def run(
    config: Config, prefix: str, *, speed: float, longest: float, start: int | None, command: str | None = None
) -> None:
    """Play a session from `start`, nanoseconds after its beginning, or from a `command`, its number or id.

    Pauses take `longest` seconds at most. Raises SessionError, StoreError, and click.UsageError where there is no
    terminal to play it on.
    """
    if not sys.stdout.isatty():
        message = "replay plays on a terminal, and standard output is none: `cgtrail export ID --format txt` makes text"
        raise click.UsageError(message)
    if start is not None and command is not None:
        message = "--from and --command: it begins at one place; leave one of them out"
        raise click.UsageError(message)
    with closing(open_store(config)) as store:
        recording = Recording(store, one(store, prefix))
        begin = (start or 0) if command is None else _typed_at(recording, command)
        name = f"{table.container(recording.session.document)}  {recording.session.id}"
        with Terminal() as terminal:
            Player(recording, terminal.desk, name, speed=speed, longest=longest).run(begin)
    for words in remarks(recording):
        notice(f"cgtrail: {words}")


def _typed_at(recording: Recording, wanted: str) -> int:
    """When a command was typed. Raises SessionError where there is none of this number or id."""
    for command in recording.commands():
        if wanted in (str(command.number), command.id):
            return command.at
    name = recording.session.id
    message = f"session {name} has no command {wanted}: `cgtrail journal --session {name}` tells their numbers"
    raise SessionError(message)
