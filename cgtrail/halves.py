"""`cgtrail ship` and `cgtrail enrich`: the two halves, each a process of its own."""

from __future__ import annotations

import gc
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import structlog

from cgtrail.brokers import broker
from cgtrail.companion import publishing
from cgtrail.config import Config
from cgtrail.metrics import AGENT, WORKER
from cgtrail.reporting import reporting
from cgtrail.secrets import rules
from cgtrail.serving import serving
from cgtrail.signals import stop_on_signal
from enrich.checkpoint import Checkpoints, SqliteCheckpoints
from enrich.letters import DeadLetters, Letters
from enrich.mark import Mark
from enrich.secrets.rules import Rules
from enrich.sinks import Sink
from enrich.sinks.sqlite import SqliteSink
from enrich.sinks.stdout import StdoutSink
from enrich.sources import Source
from enrich.sources.spool import SpoolSource
from enrich.statefile import damage_named, own_file
from enrich.worker import SNAPSHOT_SECONDS, Worker
from shipper.agent import Agent, Settings
from shipper.lock import only
from shipper.retention import Bounds
from shipper.tenants.declare import policy
from shipper.wire.broker import Broker
from shipper.wire.position import position_file

_log = structlog.get_logger()
GC_OBJECTS = 100_000
"""A batch of documents is many small objects in no cycle: looking for cycles at each 700 took a seventh of the time."""
_HOUR_NS = 3600 * 1_000_000_000


def ship(config: Config) -> None:
    """Record until SIGTERM or SIGINT; where kafka.servers is set, a publisher runs beside it."""
    spool = config.spool
    settings = Settings(
        data=config.folder,
        version=version("cgtrail"),
        runtimes=msgspec.to_builtins(config.runtimes),
        tenant_files=[Path(file) for file in config.tenants.files],
        tenant_label=config.tenants.label,
        unassigned=policy(config.tenants.unassigned),
        max_cgroups=config.capture.max_cgroups,
        capture_host=config.capture.host,
        ring_bytes=config.capture.ring_bytes,
        bounds=Bounds(spool.max_bytes, spool.max_hours * _HOUR_NS, config.readers),
        keyframe_ns=spool.keyframe_seconds * 1_000_000_000,
    )
    agent = Agent(settings, stop_on_signal())
    with publishing(config), serving(config.metrics.agent, AGENT, lambda: agent.latest):
        agent.run()


def enrich(config: Config, sink: str, *, once: bool, number: int = 0) -> None:
    """Turn the spool, or the partitions that Kafka gives us, into documents, until SIGTERM or SIGINT.

    With `once` until all is stored. `number`: of several workers of this sink and machine, from 0.
    """
    stop = stop_on_signal()
    name = f"{sink}.{number}" if number else sink
    if sink == "elasticsearch" and not config.reads_kafka and sink not in config.readers:
        readers = ", ".join((*config.readers, sink))
        _log.warning("the spool does not wait for this worker: what it has not read may be removed",
                     next=f"set spool.readers to {readers}, for the agent too; leave out who never runs")  # fmt: skip
    config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = {
        "forks": config.documents.forks,
        "snapshot_seconds": config.enrich.snapshot_seconds,
        "secrets": rules(config),
        "output": config.documents.output,
        "ahead": sink == "elasticsearch",
    }
    with (
        only(own_file(config.folder, "lock", name), "worker"),
        damage_named(config.folder, name),
        closing(open_sink(config, sink, number=number)) as opened,
        _worker(config, sink, number, name, opened, stop, once=once, **own) as worker,
        reporting(own_file(config.folder, "status.json", name), worker.facts),
        serving(config.metrics.worker, WORKER, worker.facts, number),
        _telling(config, sink, number, worker),
    ):
        worker.run(follow=not once)


@contextmanager
def _worker(
    config: Config, sink: str, number: int, name: str, into: Sink, stop: threading.Event, *, once: bool, **own: Any
) -> Iterator[Worker]:
    """A worker where the configuration says that it reads."""
    if not config.reads_kafka:
        with worker_on(config.folder, name, into, stop, **own) as worker:
            yield worker
        return
    from enrich.kafka.letters import KafkaLetters  # not everybody has Kafka, and its client takes time to load
    from enrich.kafka.source import KafkaSource
    from enrich.kafka.state import KafkaCheckpoints

    cluster = reached(config, sink)
    with ExitStack() as stack:
        checkpoints = stack.enter_context(closing(KafkaCheckpoints(cluster, stop)))
        letters = stack.enter_context(closing(KafkaLetters(cluster)))
        mark = stack.enter_context(closing(Mark(own_file(config.folder, "mark", name), checkpoints)))
        source = stack.enter_context(closing(KafkaSource(cluster, _instance(config, number), stop, once=once)))
        yield worker_with(source, checkpoints, letters, mark, into, stop, **own)


@contextmanager
def _telling(config: Config, sink: str, number: int, worker: Worker) -> Iterator[None]:
    """Where workers read Kafka, tell there how this one does."""
    if not config.reads_kafka:
        yield
        return
    from enrich.kafka.telling import telling

    name = _instance(config, number)
    with telling(reached(config, sink), name if sink == "sqlite" else f"{name}.{sink}", worker.facts):
        yield


def _instance(config: Config, number: int) -> str:
    """A worker's name in its group."""
    return f"{config.kafka.instance or socket.gethostname()}-{number}"


def reached(config: Config, sink: str) -> Broker:
    """The cluster as workers of a sink use it: those of another sink than the local store are a group of their own."""
    found = broker(config)
    return found if sink == "sqlite" else replace(found, group=f"{found.group}.{sink}")


@contextmanager
def worker_on(
    data: Path,
    name: str,
    sink: Sink,
    stop: threading.Event,
    *,
    forks: bool = False,
    snapshot_seconds: float = SNAPSHOT_SECONDS,
    secrets: Rules | None = None,
    output: str = "none",
    ahead: bool = False,
) -> Iterator[Worker]:
    """A worker on the spool of a data folder, with what it keeps there under the name of its sink."""
    spool = data / "spool"
    with ExitStack() as stack:
        checkpoints = stack.enter_context(closing(SqliteCheckpoints(own_file(data, "state.db", name))))
        letters = stack.enter_context(closing(DeadLetters(own_file(data, "deadletters.db", name))))
        mark = stack.enter_context(closing(Mark(own_file(data, "mark", name), checkpoints)))
        source = SpoolSource(spool, position_file(spool, name), stop)
        yield worker_with(
            source, checkpoints, letters, mark, sink, stop,
            forks=forks, snapshot_seconds=snapshot_seconds, secrets=secrets, output=output, ahead=ahead,
        )  # fmt: skip


def worker_with(
    source: Source,
    checkpoints: Checkpoints,
    letters: Letters,
    mark: Mark,
    sink: Sink,
    stop: threading.Event,
    *,
    forks: bool = False,
    snapshot_seconds: float = SNAPSHOT_SECONDS,
    secrets: Rules | None = None,
    output: str = "none",
    ahead: bool = False,
) -> Worker:
    """A worker on any source, with what it keeps wherever that is."""
    gc.set_threshold(GC_OBJECTS)
    return Worker(source, sink, checkpoints, letters, mark, stop, forks, snapshot_seconds, secrets, output, ahead)


def open_sink(config: Config, name: str, into: Path | None = None, number: int = 0) -> Sink:
    """The sink of a name; `into` is another folder for the local store. Raises StoreError.

    `number`: of several workers, of which the first one alone lets old days of the store go.
    """
    match name:
        case "stdout":
            return StdoutSink(sys.stdout.buffer, own_file(config.folder, "turn", name))
        case "elasticsearch":
            from cgtrail.clusters import cluster  # its client takes time to load
            from enrich.sinks.elasticsearch import ElasticsearchSink

            limits = config.elasticsearch
            return ElasticsearchSink(
                cluster(config), bulk_bytes=limits.bulk_bytes, in_flight=limits.in_flight, recordings=limits.recordings
            )
        case _:
            return SqliteSink(into or config.store_folder, config.store.retention_days, expires=not number)
