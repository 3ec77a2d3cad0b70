"""`cgtrail replay`: a recording played in the terminal."""

from __future__ import annotations

import sys

import click

from cgtrail import table
from cgtrail.config import Config
from cgtrail.logs import notice
from cgtrail.recordings.events import Recording
from cgtrail.recordings.export import remarks
from cgtrail.recordings.find import one
from cgtrail.recordings.player import Player
from cgtrail.recordings.tty import Terminal
from cgtrail.search import open_store


def run(config: Config, prefix: str, *, speed: float, longest: float, start: int) -> None:
    """Play a session from `start`, nanoseconds after its beginning. Pauses take `longest` seconds at most.

    Raises SessionError, StoreError, and click.UsageError where there is no terminal to play it on.
    """
    if not sys.stdout.isatty():
        message = "replay plays on a terminal, and standard output is none: `cgtrail export ID --format txt` makes text"
        raise click.UsageError(message)
    store = open_store(config)
    recording = Recording(store, one(store, prefix))
    name = f"{table.container(recording.session.document)}  {recording.session.id}"
    with Terminal() as terminal:
        Player(recording, terminal.desk, name, speed=speed, longest=longest).run(start)
    for words in remarks(recording):
        notice(f"cgtrail: {words}")
