"""Clocks are set while cgtrail records: documents have the time it was then, and all else goes by the time since boot.

A suspend is left out. The guest of `machine.py` suspends (`mem`) and wakes up by an alarm, and its time since boot goes
on by the time it slept; but its files come from the host by 9p over virtio, and Linux gives that device no queue again
after the reset which is part of waking up: whoever opens a file hangs. From `freeze` QEMU's alarm does not wake it. A
time namespace moves the clocks of programs and not those that kernel programs read.
`tests/unit/test_clock.py` has what a suspend makes of the stream: a leap of the time since boot.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from .clock_steps import DAY, HOUR, REPLAYED, STEPS
from .conftest import Guests
from .machine import KERNELS, Job

pytestmark = pytest.mark.guest
JOB = Job(KERNELS[-1], (sys.executable, "-m", "tests.kernel.guest.clock_steps"), 600, (("PYTHONPATH", "."),))


@pytest.fixture(scope="module", params=[JOB], ids=str)
def told(request: pytest.FixtureRequest, guests: Guests) -> dict[str, Any]:
    """What came of it in a guest."""
    done = guests(request.param)
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


def seconds(text: str) -> float:
    """A document's time in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def stream(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The documents of processes and losses in the order of the stream, in which no two have one place."""
    found = [document for document in told["found"] if document["event"]["dataset"] != "cgtrail.container"]
    documents = sorted(found, key=lambda document: int(document["event"]["sequence"]))
    assert len({document["event"]["sequence"] for document in documents}) == len(documents)
    return documents


def names(documents: list[dict[str, Any]]) -> list[str]:
    """Their ids."""
    return sorted(document["event"]["id"] for document in documents)


def test_times(told: dict[str, Any]) -> None:
    """Each program is there once, in the order of the stream, with the time that the clock showed when it ran."""
    execs = [d for d in stream(told) if d["event"]["action"] == "exec" and d["process"]["name"] == "echo"]
    assert [d["process"]["args"][1] for d in execs] == list(STEPS)
    for document in execs:
        assert abs(seconds(document["@timestamp"]) - told["ran"][document["process"]["args"][1]]) < HOUR / 4
    ran = list(told["ran"].values())
    assert abs(ran[1] - ran[0] - HOUR) < HOUR / 4
    assert abs(ran[2] - ran[1] + 2 * HOUR) < HOUR / 4


def test_durations(told: dict[str, Any]) -> None:
    """How long a program ran is told by no clock that is set: also of one that ran all the time."""
    ends = [d for d in stream(told) if d["event"]["action"] == "end"]
    assert {"echo", "sleep"} <= {d["process"]["name"] for d in ends}
    assert all(0 <= d["event"]["duration"] < HOUR / 4 * 1e9 for d in ends)


def test_nothing_is_missing(told: dict[str, Any]) -> None:
    """Nothing is lost, refused or without its container."""
    documents = stream(told)
    assert not [d for d in documents if d["event"]["action"] == "loss"]
    assert told["letters"] == ""
    assert {d["container"]["name"] for d in documents} == {"cgtrail-demo"}
    assert {d["cgtrail"]["attribution"] for d in documents} == {"exact"}
    assert told["ledger"]
    assert all(row["seen"] == row["stored"] and not row["lost"] and not row["in_flight"] for row in told["ledger"])


def test_days(told: dict[str, Any]) -> None:
    """Documents of two days are in two files, and one search finds them."""
    days = [str(datetime.fromtimestamp(told["began"] + after, UTC).date()) for after in (0, DAY)]
    assert told["days"] == days
    assert {d["@timestamp"][:10] for d in told["found"]} == set(days)


def test_shown(told: dict[str, Any]) -> None:
    """The live table shows them all, also those that seem older than itself."""
    assert names(told["shown"]) == names(told["found"])


def test_replayed(told: dict[str, Any]) -> None:
    """What happened while the clock was back is found again by its times, though the spool holds later ones before."""
    since, until = (told["began"] + offset for offset in REPLAYED)
    wanted = [d for d in told["found"] if since <= seconds(d["@timestamp"]) < until]
    assert {"echo", "sleep"} <= {d["process"]["name"] for d in wanted}
    assert names(told["again"]) == names(wanted)
