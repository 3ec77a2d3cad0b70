"""Runs agent and worker as two processes, and stops them in the order of the flow."""

from __future__ import annotations

import ctypes
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from cgtrail import companion
from cgtrail import config as configuration
from cgtrail.config import Config
from cgtrail.logs import notice
from enrich.sources.spool import SpoolSource
from shipper import memory
from shipper.status import STATUS, read_status
from shipper.wire.position import position_file

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 10
CATCH_UP_SECONDS = 5
KILLED_SECONDS = 3
"""How long the kernel may take to end what was killed: a disk that hangs can hold it for ever."""
_PR_SET_PDEATHSIG = 1
_HALF_BYTES = 30 << 20
"""What a half takes before it has anything to do."""
_REFUSED = 2
"""The exit code for a wrong configuration (`cgtrail.cli`)."""


class HalfEndedError(RuntimeError):
    """Agent or worker ended by itself; its own message stands above."""


class HalfRefusedError(HalfEndedError):
    """It ended because of what is configured: a tenants file that is wrong."""


@dataclass
class Halves:
    """The two running processes."""

    config: Config
    agent: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raises HalfEndedError when one is gone."""
        for name, process in (("agent", self.agent), ("worker", self.worker)):
            if process.poll() is not None:
                error = HalfRefusedError if process.returncode == _REFUSED else HalfEndedError
                raise error(f"the {name} {ending(process.returncode)}")

    def wait_ready(self) -> dict[str, Any]:
        """The agent's status once it has recorded its first keyframe. Raises HalfEndedError."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while True:
            self.check()
            status = read_status(self.config.folder / STATUS)
            if status.get("pid") == self.agent.pid:
                return status
            if time.monotonic() > patience:
                patience = math.inf
                notice(
                    f"cgtrail: the agent, pid {self.agent.pid}, has not begun to record for {PATIENCE_SECONDS} s;"
                    " a busy machine verifies the kernel programs slowly"
                )
            time.sleep(POLL_SECONDS / 2)

    def caught_up(self) -> bool:
        """Whether everything that is in the spool has been stored."""
        return SpoolSource(self.config.spool_folder, position_file(self.config.spool_folder, "sqlite")).backlog() == 0


def beside_kafka(config: Config) -> Config:
    """What `up` does where kafka.servers is set: the agent publishes too, and the local worker reads the spool."""
    if config.kafka.servers:
        config.enrich.source = "spool"
        config.spool.readers = config.spool.readers or ["sqlite", "kafka"]
    return config


@contextmanager
def running(config: Config) -> Iterator[Halves]:
    """Both halves, stopped in the order of the flow: the agent, then the worker once it has caught up.

    Raises MemoryLimitError where they would not fit.
    """
    publishers = 1 if config.kafka.servers else 0
    memory.require(config.capture.ring_bytes + memory.LOADING_BYTES + (2 + publishers) * _HALF_BYTES)
    halves = Halves(config, _start(config, "ship"), _start(config, "enrich"))
    try:
        yield halves
    finally:
        _stop("agent", halves.agent, CATCH_UP_SECONDS + publishers * companion.PATIENCE_SECONDS)
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while halves.worker.poll() is None and not halves.caught_up() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        _stop("worker", halves.worker)


def ending(code: int) -> str:
    """How a process of ours ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}; its own message stands above"
    hint = "; did the kernel run out of memory? `dmesg` and `cgtrail check` tell" if -code == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"


def _start(config: Config, half: str) -> subprocess.Popen[bytes]:
    verbose = ["--verbose"] if click.get_current_context().obj.get("verbose") else []
    return subprocess.Popen(
        [sys.executable, "-m", "cgtrail", *verbose, half],
        env=configuration.environment(config),
        stdin=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C is for us: we stop them in order
        preexec_fn=die_with_parent,  # noqa: PLW1509  no threads run yet
    )


def die_with_parent() -> None:
    """In a new process: be asked to end (SIGTERM) when the one that started it is gone (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(half: str, process: subprocess.Popen[bytes], seconds: float = CATCH_UP_SECONDS) -> None:
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            process.wait(timeout=KILLED_SECONDS)
        except subprocess.TimeoutExpired:
            notice(
                f"cgtrail: the {half}, pid {process.pid}, was killed and has not ended: it is stuck in the kernel"
                " (a disk that hangs?); it is left behind, and ends once the kernel lets go of it"
            )
