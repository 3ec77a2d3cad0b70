"""`cgtrail ship` and `cgtrail enrich`: the two halves, each a process of its own."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from cgtrail.config import Config
from cgtrail.signals import stop_on_signal
from enrich.sinks import Sink
from enrich.sinks.sqlite import SqliteSink
from enrich.sinks.stdout import StdoutSink
from enrich.source import SpoolSource
from enrich.worker import Worker, own_file
from shipper.agent import Agent, Settings, write_status
from shipper.lock import only

STATUS_SECONDS = 1.0


def ship(config: Config) -> None:
    """Record until SIGTERM or SIGINT."""
    settings = Settings(
        data=config.folder,
        docker_url=config.docker.url,
        version=version("cgtrail"),
        capture_host=config.capture.host,
        ring_bytes=config.capture.ring_bytes,
    )
    Agent(settings, stop_on_signal()).run()


def enrich(config: Config, sink: str, *, once: bool) -> None:
    """Turn the spool into documents until SIGTERM or SIGINT, or with `once` until all is stored."""
    stop = stop_on_signal()
    config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only(own_file(config.folder, "lock", sink), "worker"), closing(_sink(config, sink)) as opened:
        source = SpoolSource(config.spool_folder, own_file(config.folder, "position.json", sink))
        worker = Worker(source, opened, stop, forks=config.documents.forks)
        with _reporting(own_file(config.folder, "status.json", sink), worker):
            worker.run(follow=not once)


def _sink(config: Config, name: str) -> Sink:
    match name:
        case "stdout":
            return StdoutSink(sys.stdout.buffer)
        case _:
            return SqliteSink(config.store_folder, config.store.retention_days)


@contextmanager
def _reporting(file: Path, worker: Worker) -> Iterator[None]:
    """Write the worker's counts to a file each second, from a thread of its own."""
    done = threading.Event()

    def report() -> None:
        ended = False
        while not ended:
            ended = done.is_set()
            with suppress(OSError):  # a full disk: the worker itself says so
                write_status(file, {"pid": os.getpid(), "time": time.time_ns(), "counts": dict(worker.counts)})
            done.wait(STATUS_SECONDS)

    thread = threading.Thread(target=report, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
