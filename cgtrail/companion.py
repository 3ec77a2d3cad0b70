"""The publisher as the agent's companion: started beside it, started again whenever it dies, ended after it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click
import structlog

from cgtrail import config as configuration
from cgtrail.config import Config

PATIENCE_SECONDS = 8
"""How long it may take to end: it drains within `shipper.publish.publisher.DRAIN_SECONDS`."""
BACKOFF_SECONDS = (1.0, 30.0)
"""Between a death and the next start: at first, and at the most."""
LIVED_SECONDS = 60.0
"""Who lived so long did not die of its start."""
POLL_SECONDS = 0.2

_log = structlog.get_logger()


@contextmanager
def publishing(config: Config) -> Iterator[None]:
    """A publisher while the block runs, where kafka.servers is set. It drains once the block has ended.

    Whatever becomes of it, the block goes on. It also drains and ends when this process is killed.
    """
    if not config.kafka.servers:
        yield
        return
    companion = _Companion(config)
    companion.thread.start()
    try:
        yield
    finally:
        companion.done.set()
        companion.thread.join()


class _Companion:
    """The process, and the thread that looks after it."""

    def __init__(self, config: Config) -> None:
        verbose = ["--verbose"] if click.get_current_context().obj.get("verbose") else []
        self._argv = [sys.executable, "-m", "cgtrail", *verbose, "publish", "--beside"]
        self._environment = configuration.environment(config)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, name="publisher")

    def _run(self) -> None:
        pause = BACKOFF_SECONDS[0]
        while not self.done.is_set():
            began = time.monotonic()
            try:
                self._live()
            except OSError as error:
                _log.error("the publisher can't be started", error=str(error), next="none; it is tried again")
            if self.done.is_set():
                return
            lived = time.monotonic() - began >= LIVED_SECONDS
            pause = BACKOFF_SECONDS[0] if lived else pause
            self.done.wait(pause)
            pause = min(pause * 2, BACKOFF_SECONDS[1])

    def _live(self) -> None:
        """One process's life. Its standard input ends when it is to end, or when this process is gone."""
        process = subprocess.Popen(self._argv, env=self._environment, stdin=subprocess.PIPE)
        assert process.stdin is not None
        with process.stdin:
            while process.poll() is None and not self.done.wait(POLL_SECONDS):
                pass
        if process.poll() is not None and not self.done.is_set():
            _log.warning("the publisher ended; the spool keeps what it did not send, and it is started again",
                         exit_code=process.returncode, next="its own message stands above")  # fmt: skip
            return
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # stuck in the kernel: it is left behind
                process.wait(1)
