"""The publisher beside an agent: started again when it dies, ended by nothing but its agent's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from cgtrail import companion
from cgtrail.config import Config
from cgtrail.settings import Kafka
from shipper.lock import holder
from shipper.publish import LOCK, STATUS
from shipper.status import read_status

NOWHERE = "127.0.0.1:1"
"""Where no broker is: a publisher waits for it."""
AGENT = """
import sys, time, click
from pathlib import Path
from cgtrail import companion
from cgtrail.config import Config
from cgtrail.settings import Kafka
config = Config(data=sys.argv[1], kafka=Kafka(servers=[sys.argv[2]]))
with click.Context(click.Command("ship"), obj={}), companion.publishing(config):
    time.sleep(600)
"""


def wait(reached: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@contextmanager
def beside(data: Path, servers: list[str]) -> Iterator[None]:
    """As `cgtrail ship` runs it."""
    config = Config(data=str(data), kafka=Kafka(servers=servers))
    with click.Context(click.Command("ship"), obj={}), companion.publishing(config):
        yield


def publisher(data: Path) -> int:
    """The process that publishes now; 0 for none."""
    return holder(data / LOCK) or 0


def test_it_is_started_again_when_it_dies(tmp_path: Path) -> None:
    """SIGKILL ends one, and another one comes; after the agent there is none."""
    with beside(tmp_path, [NOWHERE]):
        wait(lambda: publisher(tmp_path), "a publisher")
        first = publisher(tmp_path)
        os.kill(first, signal.SIGKILL)
        wait(lambda: publisher(tmp_path) not in {0, first}, "another one")
    assert publisher(tmp_path) == 0


def test_a_signal_to_all_does_not_end_it_before_the_agent(tmp_path: Path) -> None:
    """Service managers stop all processes of a service at once: what the agent still writes must go too."""
    with beside(tmp_path, [NOWHERE]):
        wait(lambda: read_status(tmp_path / STATUS), "its status")
        first = publisher(tmp_path)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(first, number)
        told = read_status(tmp_path / STATUS)["time"]
        wait(lambda: read_status(tmp_path / STATUS)["time"] > told + 2_000_000_000, "news of it")
        assert publisher(tmp_path) == first
    assert publisher(tmp_path) == 0


def test_it_ends_when_its_agent_is_killed(tmp_path: Path) -> None:
    """Nobody is left that would stand in the next agent's way."""
    agent = subprocess.Popen([sys.executable, "-c", AGENT, str(tmp_path), NOWHERE])
    try:
        wait(lambda: publisher(tmp_path), "a publisher")
    finally:
        agent.kill()
        agent.wait()
    wait(lambda: not publisher(tmp_path), "its end")


def test_without_kafka_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started where kafka.servers is empty."""
    monkeypatch.setattr(subprocess, "Popen", None)
    with beside(tmp_path, []):
        pass
    assert not (tmp_path / LOCK).exists()


def test_what_can_not_be_started_ends_no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process can be made: the agent goes on without."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with beside(tmp_path, [NOWHERE]):
        pass
