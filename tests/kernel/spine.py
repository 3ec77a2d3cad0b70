"""The whole of cgtrail at work: `cgtrail up` as a process of its own, and searches as a user makes them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kernel.dockerd import Dockerd, wait_until

Document = dict[str, Any]
READY = "cgtrail: recording"


@dataclass(frozen=True)
class Spine:
    """A running `cgtrail up`."""

    data: Path
    process: subprocess.Popen[bytes]
    log: Path
    environment: dict[str, str]

    def command(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """What `cgtrail ARGUMENTS --data DIR` does."""
        argv = [sys.executable, "-m", "cgtrail", *arguments, "--data", str(self.data)]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == expect, f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def search(self, query: str, *options: str) -> list[Document]:
        """What `cgtrail search --json` prints, oldest first."""
        found = self.command("search", "--json", "--sort", "asc", "--limit", "100000", *options, query).stdout
        return [json.loads(line) for line in found.splitlines()]

    def until(self, query: str, count: int, *options: str) -> list[Document]:
        """The documents of a query once there are at least `count`."""
        found: list[Document] = []

        def enough() -> bool:
            found[:] = self.search(query, *options)
            return len(found) >= count

        wait_until(enough, f"{count} documents for {query}; the log says: {self.log.read_text()[-2000:]}")
        return found

    def settle(self) -> None:
        """Wait until all that was recorded up to now is stored."""
        before = self.status()["agent"]["frames"] + 16  # ticks go on, and the status is a second old: three of frames
        wait_until(lambda: self.status()["worker"].get("frame", 0) >= before, "the worker to catch up")

    def status(self) -> Document:
        """What `cgtrail status --json` prints."""
        argv = [sys.executable, "-m", "cgtrail", "status", "--json", "--data", str(self.data)]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False)
        return dict(json.loads(done.stdout))


@contextmanager
def spine(
    daemon: Dockerd, data: Path, *options: str, code: int = 0, settings: Mapping[str, str] | None = None
) -> Iterator[Spine]:
    """`cgtrail up` on a data folder until the end of the block, stopped as Ctrl-C stops it; `code` is how it ends.

    `settings` are environment variables.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CGTRAIL_")}
    environment |= {"DOCKER_HOST": daemon.host} | dict(settings or {})
    with tempfile.NamedTemporaryFile(suffix=".log", dir=data.parent, delete=False) as opened:
        log = Path(opened.name)
        argv = [sys.executable, "-m", "cgtrail", "up", "--data", str(data), *options]
        process = subprocess.Popen(argv, env=environment, stdout=opened, stderr=opened)
    running = Spine(data, process, log, environment)
    try:
        wait_until(lambda: READY in log.read_text() or process.poll() is not None, "cgtrail up to record")
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is None:
            process.kill()
        process.wait()
    assert process.returncode == code, log.read_text()[-2000:]
