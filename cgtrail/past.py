"""`cgtrail enrich --from`: documents of the past again, beside a worker that runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from cgtrail.config import Config
from cgtrail.halves import open_sink
from cgtrail.logs import notice
from cgtrail.secrets import rules
from cgtrail.signals import stop_on_signal
from enrich.letters import DeadLetters
from enrich.render import timestamp
from enrich.replay import Place, Replay, Stretch, deadly, oldest, stretches
from enrich.statefile import own_file


def run(config: Config, sink: str, since: int, until: int | None, into: Path | None) -> None:
    """Send the documents from `since` up to `until` to a sink, and say what became of it.

    Both are nanoseconds since 1970; None is now. `into` is another folder for the local store. Raises ReplayError,
    LettersError, StoreError, and click.Abort when it was stopped.
    """
    began = time.monotonic()
    until = time.time_ns() if until is None else until
    chosen = stretches(config.spool_folder, since, until)
    _tell_reach(oldest(config.spool_folder), since)
    stop = stop_on_signal()
    with closing(open_sink(config, sink, into)) as opened, _progress(chosen) as progress:
        replay = Replay(
            opened,
            stop,
            forks=config.documents.forks,
            deadly=known_deadly(config, sink),
            secrets=rules(config),
            output=config.documents.output,
        )
        replay.run(chosen, since, until, progress)
    counts = replay.counts
    summary = f"{counts['documents']:,} documents, {counts['new']:,} of them new"
    for name, what in (("rejected", "rejected"), ("letters", "dead letters in the spool")):
        summary += f", {counts[name]:,} {what}" if counts[name] else ""
    span = f"{timestamp(since)} to {timestamp(until)}"
    notice(f"cgtrail: {summary}; {span}; {time.monotonic() - began:.1f} s")
    if stop.is_set():
        notice("cgtrail: stopped before the end; run it again, what is stored is only passed over")
        raise click.Abort


def known_deadly(config: Config, sink: str) -> set[Place]:
    """The records that this sink's worker died of, as far as it has said so. Raises LettersError."""
    letters = DeadLetters.reading(own_file(config.folder, "deadletters.db", sink))
    if letters is None:
        return set()
    with closing(letters):
        return deadly(letters.all())


def _tell_reach(first: int, since: int) -> None:
    if first > since:
        notice(f"cgtrail: the spool reaches back to {timestamp(first)} only: what is older can't be replayed")


@contextmanager
def _progress(chosen: list[Stretch]) -> Iterator[Callable[[int], object]]:
    """A bar for who watches; nothing for a file."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    size = sum(part.size for part in chosen)
    step = max(size // 200, 1)
    with click.progressbar(length=size, update_min_steps=step, file=sys.stderr, label="replaying") as bar:
        yield bar.update
