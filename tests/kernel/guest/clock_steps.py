"""For a guest: programs in a container before and after its clock is set, and what was recorded, shown and stored.

Prints one JSON object. The clock begins half an hour before midnight (UTC), is set forward an hour and back two.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bpf.schema import decode
from cgtrail.config import Config
from cgtrail.demo_container import DemoContainer, demo_container
from cgtrail.status import collect
from enrich.stores.lucene import parse
from enrich.stores.sqlite import SqliteStore
from shipper.cgroups import mount_point
from shipper.wire.frame import Frame
from shipper.wire.reader import Reader
from shipper.wire.records import Clock
from shipper.wire.segment import streams
from tests.kernel.spine import READY

HOUR, DAY = 3600, 86400
STEPS = {"before": 0, "forward": HOUR, "back": -2 * HOUR}
"""The program that is run, and how far the clock is set before it, in seconds."""
REPLAYED = (-1.5 * HOUR, -HOUR / 2)
"""From and to, after the beginning: what happened while the clock was back."""
DATA, AGAIN, SHOWN = Path("/tmp/clock/data"), Path("/tmp/clock/again"), Path("/tmp/clock/shown")
CONFIG = Config(data=str(DATA))
STORE = CONFIG.store_folder
PATIENCE = 180.0
"""Seconds; an emulated processor on a busy machine takes over a minute to verify the kernel programs."""


def cgtrail(*arguments: str) -> str:
    """What a command of cgtrail prints."""
    argv = [sys.executable, "-m", "cgtrail", *arguments, "--data", str(DATA)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stdout}{done.stderr}")
    return done.stdout


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


def clocks() -> Iterator[Clock]:
    """What the agent has told of the clock."""
    for stream in streams(DATA / "spool"):
        for frame in Reader(stream).read():
            assert isinstance(frame, Frame)
            records = (decode(frame.payload, offset, length) for _, offset, length in frame.records())
            yield from (record for record in records if isinstance(record, Clock))


def step(seconds: int) -> None:
    """Set the clock, and wait until the agent has told so."""
    known = len(list(clocks()))
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
    until(lambda: len(list(clocks())) > known, "a record of the clock")


@contextmanager
def recording() -> Iterator[None]:
    """`cgtrail up` for the time of a block; what it shows goes to a file."""
    DATA.parent.mkdir()
    log = DATA.with_name("log")
    argv = [sys.executable, "-m", "cgtrail", "up", "--json", "--data", str(DATA)]
    with (
        SHOWN.open("wb") as shown,
        log.open("wb") as told,
        subprocess.Popen(argv, stdout=shown, stderr=told) as process,
    ):
        try:
            until(lambda: READY in log.read_text() or process.poll() is not None, "cgtrail up")
            yield
        except BaseException as error:
            error.add_note(log.read_text())
            raise
        finally:
            process.terminate()
            process.wait(PATIENCE)


def sleeper(container: DemoContainer) -> subprocess.Popen[bytes]:
    """A program that lives until it is killed."""
    enter = f"echo $$ >{container.cgroup}/cgroup.procs; exec sleep infinity"
    return subprocess.Popen(["/bin/sh", "-c", enter])


def even() -> bool:
    """Whether all that the kernel has numbered is stored or told to be lost."""
    return all(not row["in_flight"] for row in json.loads(cgtrail("status", "--json"))["ledger"])


def found(store: Path, query: str = "") -> list[dict[str, Any]]:
    """What a search finds, without the seconds that a command takes to start in a guest."""
    bodies = SqliteStore(store).search(parse(query), limit=10_000, ascending=True)
    return [json.loads(body) for body in bodies]


def main() -> None:
    """Play it, and print what came of it."""
    began = time.time() // DAY * DAY + DAY - HOUR / 2
    time.clock_settime(time.CLOCK_REALTIME, began)
    with recording(), demo_container(mount_point()) as container:
        long = sleeper(container)
        ran = {}
        for name, seconds in STEPS.items():
            if seconds:
                step(seconds)
            ran[name] = time.time()
            container.run(["/bin/echo", name])
        long.kill()
        long.wait()
        until(lambda: found(STORE, "process.args:infinity AND event.action:end"), "the last end")
        until(lambda: not any(row["in_flight"] for row in collect(CONFIG)["ledger"]), "an even ledger")
        ledger = collect(CONFIG)["ledger"]
        until(lambda: SHOWN.read_text().count("\n") >= len(found(STORE)), "a table of all")
    cgtrail("enrich", "--once")
    span = [datetime.fromtimestamp(began + offset, UTC).isoformat() for offset in REPLAYED]
    cgtrail("enrich", "--from", span[0], "--to", span[1], "--into", str(AGAIN))
    print(
        json.dumps(
            {
                "began": began,
                "ran": ran,
                "ledger": ledger,
                "shown": [json.loads(line) for line in SHOWN.read_text().splitlines()],
                "found": found(STORE),
                "letters": cgtrail("deadletters", "list", "--json"),
                "days": [str(day) for day in SqliteStore(STORE).days()],
                "again": found(AGAIN),
            }
        )
    )


if __name__ == "__main__":
    main()
