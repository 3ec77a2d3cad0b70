"""`cgtrail enrich --from`: documents of the past again, beside a worker that runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
from msgspec import structs

from cgtrail import letters
from cgtrail.brokers import broker
from cgtrail.config import Config
from cgtrail.halves import open_sink
from cgtrail.logs import notice
from cgtrail.secrets import rules
from cgtrail.signals import stop_on_signal
from enrich.again import Making, Place, deadly
from enrich.history import History, SpoolHistory, Stretch
from enrich.render import timestamp
from enrich.replay import Replay

REPLAY = ".replay"
"""Behind the namespace of what is stored, that of what is made again."""


def run(config: Config, sink: str, since: int, until: int | None, into: Path | None) -> None:
    """Send the documents from `since` up to `until` to a sink, and say what became of it.

    Both are nanoseconds since 1970; None is now. `into` is another folder for the local store. Raises ReplayError,
    LettersError, StoreError, SourceError, and click.Abort when it was stopped.
    """
    began = time.monotonic()
    until = time.time_ns() if until is None else until
    stop = stop_on_signal()
    with closing(history(config, stop)) as kept:
        if sys.stderr.isatty():
            notice(f"cgtrail: looking in {kept.name} for where to begin")
        chosen = kept.stretches(since, until)
        _tell_reach(kept, since)
        with closing(open_sink(config, sink, into)) as opened, _progress(chosen) as progress:
            replay = Replay(kept, opened, stop, making(config, known_deadly(config, sink)))
            replay.run(chosen, since, until, progress)
    counts = replay.counts
    summary = f"{counts['documents']:,} documents, {counts['new']:,} of them new"
    for name, what in (("rejected", "rejected"), ("letters", f"dead letters in {kept.name}")):
        summary += f", {counts[name]:,} {what}" if counts[name] else ""
    if sink == "elasticsearch":
        summary += f"; in the namespace {config.elasticsearch.namespace}"
    span = f"{timestamp(since)} to {timestamp(until)}"
    notice(f"cgtrail: {summary}; {span}; {time.monotonic() - began:.1f} s")
    if stop.is_set():
        notice("cgtrail: stopped before the end; run it again, what is stored is only passed over")
        raise click.Abort


def beside(config: Config, sink: str, namespace: str | None) -> Config:
    """The configuration of a replay: in Elasticsearch it has a namespace of its own, unless one was named.

    A backing index knows its own ids only: among what is stored, a document may come twice where we may not look for
    it. In another namespace it is beside the first one, and can be compared, or deleted as a whole.
    """
    if sink != "elasticsearch" or namespace is not None:
        return config
    own = config.elasticsearch
    return structs.replace(config, elasticsearch=structs.replace(own, namespace=f"{own.namespace}{REPLAY}"))


def history(config: Config, stop: threading.Event) -> History:
    """What is kept of the past where workers read."""
    if not config.reads_kafka:
        return SpoolHistory(config.spool_folder)
    from enrich.kafka.history import KafkaHistory  # not everybody has Kafka, and its client takes time to load

    return KafkaHistory(broker(config), stop)


def making(config: Config, places: set[Place]) -> Making:
    """How the worker of this configuration makes documents; records at these places are left alone."""
    return Making(config.documents.forks, places, rules(config), config.documents.output)


def known_deadly(config: Config, sink: str) -> set[Place]:
    """The records that this sink's worker died of, as far as it has said so. Raises LettersError."""
    with letters.reading(config, sink) as known:
        return deadly(known.heads()) if known else set()


def _tell_reach(kept: History, since: int) -> None:
    first = kept.oldest()
    if first > since:
        notice(f"cgtrail: {kept.name} reaches back to {timestamp(first)} only: what is older can't be replayed")


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
