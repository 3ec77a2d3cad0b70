"""`cgtrail demo`: a short session in a throwaway container, and what was recorded of it."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from cgtrail.config import Config
from cgtrail.demo_container import DemoContainer, DemoError, demo_container
from cgtrail.logs import notice
from cgtrail.search import show
from cgtrail.supervise import running
from enrich.printable import text
from enrich.stores.query import Term, all_of
from enrich.stores.sqlite import SqliteStore
from shipper import cgroups
from shipper.lock import holder
from shipper.status import LOCK

__all__ = ["DemoError", "play", "run"]

STORED_SECONDS = 20
_LAST = "/usr/bin/true"
_CONTROL = re.compile(rb"\x1b\[[?0-9;]*[A-Za-z]")
"""What a shell tells its terminal, not people."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the session: who types it where, and what."""

    user: int
    cwd: str
    shell: str


_SESSION = (
    _Line(0, "/", "cd /etc && ls -la"),
    _Line(0, "/", "id; uname -n"),
    _Line(1000, "/home/alice", "cat customers.csv | grep -c ."),
    _Line(1000, "/home/alice", "cat /root/deploy.key"),
    _Line(0, "/root", "cp /usr/bin/ls /tmp/.cache && /tmp/.cache /root"),
    _Line(0, "/tmp", "/opt/miner --pool 192.0.2.1:3333"),
)
_TYPED = (
    "whoami; cd /etc",
    "read -s -p 'Password: ' word",
    "not echoed, so never recorded",
    "export API_TOKEN=not-a-real-token",
    "exit",
)
"""Somebody's session at a terminal."""


def play(narrate: Callable[[str], None] = lambda _: None) -> str:
    """Play the session in a new container and remove it; returns the container's id. Raises DemoError."""
    with demo_container(cgroups.mount_point()) as container:
        for line in _SESSION:
            _run(container, line, narrate)
        narrate(f"{container.hostname}: and a session at a terminal, typed key by key")
        _tell(_CONTROL.sub(b"", container.type(_TYPED, user=1000)), narrate)
        container.run([_LAST])
        return container.id


def run(config: Config, *, as_json: bool) -> None:
    """Play it, wait until it is stored, and show what was recorded. Raises DemoError."""
    if holder(config.folder / LOCK) is not None:
        notice(f"cgtrail: the agent that runs on {config.data} records this demonstration")
        _show(config, as_json=as_json)
        return
    with tempfile.TemporaryDirectory(prefix="cgtrail-demo-") as folder:
        own = msgspec.structs.replace(config, data=folder)
        with running(own) as halves:
            halves.wait_ready()
            _show(own, as_json=as_json)


def _show(config: Config, *, as_json: bool) -> None:
    container = play(notice)
    store = SqliteStore(config.store_folder)
    of_container = Term("container.id", container)
    finished = all_of([of_container, Term("process.executable", _LAST), Term("event.action", "end")])
    deadline = time.monotonic() + STORED_SECONDS
    while not list(store.search(finished, limit=1)):
        if time.monotonic() > deadline:
            raise DemoError(
                "demonstration", f"not stored within {STORED_SECONDS} s", "see `cgtrail check` and `status`"
            )
        time.sleep(0.05)
    notice("\nWhat cgtrail recorded of it, from the host:\n")
    show(store.search(of_container, limit=1000, ascending=True), as_json=as_json)


def _run(container: DemoContainer, line: _Line, narrate: Callable[[str], None]) -> None:
    prompt = "#" if line.user == 0 else "$"
    narrate(f"{container.hostname}:{line.cwd}{prompt} {line.shell}")
    done = container.run(["/bin/sh", "-c", line.shell], cwd=line.cwd, user=line.user)
    for output in (done.stdout, done.stderr):
        _tell(output, narrate)


def _tell(output: bytes, narrate: Callable[[str], None]) -> None:
    for shown in output.decode(errors="backslashreplace").splitlines():
        narrate(f"  {text(shown)}")
