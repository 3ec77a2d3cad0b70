"""Several workers on one machine: a process each, started again when it dies, and ended together."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import structlog

from cgtrail import config as configuration
from cgtrail.config import Config
from cgtrail.signals import stop_on_signal
from cgtrail.supervise import die_with_parent, ending

_log = structlog.get_logger()
POLL_SECONDS = 0.1
BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""After a worker's first, second, … death in a row."""
STEADY_SECONDS = 60.0
"""Who lived so long begins a row anew."""
_REFUSED = 2
"""The exit code for a wrong configuration (`cgtrail.cli`): trying again does not help."""


class WorkersError(RuntimeError):
    """Workers ended by themselves; their own messages stand above."""


class WorkersRefusedError(WorkersError):
    """They ended because of what is configured."""


@dataclass
class _Worker:
    """The life of one number."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    deaths: int = 0
    again: float = 0.0
    """When it is started again, of time.monotonic."""
    done: bool = False


@dataclass
class Workers:
    """`count` workers of one sink, until `stop`. With `once`, until each has stored all it could read."""

    config: Config
    sink: str
    count: int
    stop: threading.Event
    once: bool = False
    workers: list[_Worker] = field(default_factory=list)

    def run(self) -> None:
        """Start and watch them. Raises WorkersError; nobody is left behind then."""
        self.workers = [_Worker(number) for number in range(self.count)]
        try:
            while not self.stop.is_set() and not all(each.done for each in self.workers):
                for each in self.workers:
                    self._watch(each)
                self.stop.wait(POLL_SECONDS)
        finally:
            self._end()

    def _watch(self, worker: _Worker) -> None:
        if worker.done:
            return
        if worker.process is None:
            if time.monotonic() >= worker.again:
                worker.process, worker.began = self._start(worker.number), time.monotonic()
            return
        code = worker.process.poll()
        if code is None:
            return
        worker.process = None
        if code == 0 and self.once:
            worker.done = True
            return
        if code == _REFUSED:
            raise WorkersRefusedError(f"worker {worker.number} {ending(code)}")
        if code > 0 and self.once:
            raise WorkersError(f"worker {worker.number} {ending(code)}")
        lived = time.monotonic() - worker.began
        worker.deaths = 0 if lived >= STEADY_SECONDS else worker.deaths
        pause = BACKOFF_SECONDS[min(worker.deaths, len(BACKOFF_SECONDS) - 1)]
        worker.deaths, worker.again = worker.deaths + 1, time.monotonic() + pause
        _log.error("a worker ended; it is started again", worker=worker.number, how=ending(code), seconds=pause,
                   next="what it said stands above")  # fmt: skip

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        verbose = ["--verbose"] if click.get_current_context().obj.get("verbose") else []
        once = ["--once"] if self.once else []
        options = ["--sink", self.sink, "--worker", str(number), *once]
        return subprocess.Popen(
            [sys.executable, "-m", "cgtrail", *verbose, "enrich", *options],
            env=configuration.environment(self.config),
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for us: they store what they have first
            preexec_fn=die_with_parent,  # noqa: PLW1509  no threads run yet
        )

    def _end(self) -> None:
        """All at once, so that none takes over what another one leaves; however long it takes to store the last."""
        alive = [each.process for each in self.workers if each.process is not None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait() for process in alive]
        if wrong := [code for code in codes if code]:
            _log.error("workers did not end in order", how=", ".join(map(ending, wrong)),
                       next="none; what they had not stored is made again at the next start")  # fmt: skip


def run(config: Config, sink: str, count: int, *, once: bool) -> None:
    """Keep `count` workers running until SIGTERM or SIGINT. Raises WorkersError."""
    stop = stop_on_signal()
    Path(config.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    Workers(config, sink, count, stop, once).run()
    if once and not stop.is_set():
        # A partition may have been on its way from one worker to another who had ended.
        Workers(config, sink, 1, stop, once).run()
