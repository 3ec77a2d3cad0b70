"""`cgtrail up`: agent and worker as two processes, and a live table of what they record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import click

from cgtrail import demo as demonstration
from cgtrail import table
from cgtrail.config import Config
from cgtrail.logs import notice
from cgtrail.search import keep_up, show
from cgtrail.signals import stop_on_signal
from cgtrail.supervise import beside_kafka, running
from cgtrail.told_sessions import RECORDING
from enrich.stores.query import Range, all_of, negation
from enrich.stores.sqlite import SqliteStore
from shipper.tell import boot_ns

POLL_SECONDS = 0.1
LAST_SECONDS = 2
"""How long to go on showing what was stored before the end."""


def run(config: Config, *, as_json: bool, quiet: bool, demo: str) -> None:
    """Record until interrupted. Raises HalfEndedError."""
    interrupted = stop_on_signal()
    began = boot_ns()
    with running(beside_kafka(config)) as halves:
        status = halves.wait_ready()
        _greet(config, status)
        follow = _follower(config, began, as_json=as_json, quiet=quiet)
        if demo == "always" or (demo == "auto" and not status["containers"]):
            _play_beside(status)
        while not interrupted.is_set():
            halves.check()
            if not follow():
                interrupted.wait(POLL_SECONDS)
    deadline = time.monotonic() + LAST_SECONDS
    while follow() and time.monotonic() < deadline:
        pass


def _follower(config: Config, began: int, *, as_json: bool, quiet: bool) -> Callable[[], bool]:
    """What shows the next few new documents, and says whether there were any. `began`: boot time in ns."""
    store = SqliteStore(config.store_folder)
    since = _by_the_clock(began)
    cursor = store.end()
    if not as_json and not quiet:
        click.echo(table.header())

    def follow() -> bool:
        nonlocal cursor, since
        if quiet:
            return False
        since = min(since, _by_the_clock(began))  # once the clock is set back, documents of now look like of before
        new = Range("@timestamp", since, None, include_low=True, include_high=True)
        found, cursor = store.after(cursor, new if as_json else all_of([new, negation(RECORDING)]))
        show(found, as_json=as_json, header=False)
        if found and not as_json:
            cursor = keep_up(store, cursor)
        return bool(found)

    return follow


def _by_the_clock(boot: int) -> int:
    """When a boot time was, in ns since 1970, by the clock as it is set now."""
    return time.time_ns() - (boot_ns() - boot)


def _greet(config: Config, status: dict[str, Any]) -> None:
    containers = status["containers"]
    what = f"{containers} container{'' if containers == 1 else 's'}" if containers else "no container yet"
    whose = "this host and its containers" if config.capture.host else "containers"
    notice(f"cgtrail: recording {whose} ({what} running) into {config.data}; stop with Ctrl-C")
    for told in status["runtimes"]:
        if told["error"] and told["expected"]:
            notice(f"cgtrail: no names and images of {told['name']}'s containers: {told['error']}")
    for event in status["not_recorded"]:
        notice(f"cgtrail: {event} can't be recorded on this kernel; see `cgtrail check`")


def _play_beside(status: dict[str, Any]) -> None:
    if not status["containers"]:
        notice("cgtrail: no container is running on this host")
    notice("cgtrail: playing a DEMONSTRATION in a throwaway container named cgtrail-demo")

    def play() -> None:
        try:
            demonstration.play()
        except demonstration.DemoError as error:
            notice(f"cgtrail: the demonstration failed: {error}")
        else:
            notice("cgtrail: the demonstration is over; its container is gone. Recording goes on")

    threading.Thread(target=play, name="demo", daemon=True).start()
