"""`cgtrail status` of publisher, workers and hosts: what files and the log tell is summed and shown safely."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgtrail import status, status_log
from cgtrail.config import Config
from cgtrail.settings import Kafka, Spool, Store
from cgtrail.status_lines import SHOWN, lines
from enrich.kafka.heard import Heard
from enrich.kafka.told import MAX_ACCOUNTS, MAX_STREAMS, REST, of_facts
from enrich.statefile import own_file
from enrich.stores import StoreError
from shipper.lock import only
from shipper.status import LOCK, STATUS
from shipper.wire.position import Position, position_file
from tests.unit.spooled import Spooled

SECOND = 1_000_000_000
A, B = "aa" * 16, "bb" * 16
HOST_A, HOST_B = "1a" * 16, "1b" * 16
NOWHERE = ["127.0.0.1:1"]
"""Where no broker listens."""


def account(seen: int, received: int, container: str | None = "web", **lost: int) -> dict[str, Any]:
    """As a ledger tells it."""
    return {"seen": seen, "received": received, "lost": lost, "container": container}


def facts(partition: str, stream: str, host: str, frame: int, **more: Any) -> dict[str, Any]:
    """A worker's, with one stream, a minute old, in one partition."""
    told = {"host": host, "name": f"host-{host[:2]}", "frame": frame, "frame_time": time.time_ns() - 60 * SECOND}
    partitions = {partition: {"place": 9, "committed": 9, "streams": {stream: told}, "checkpoint_age_seconds": 3.5}}
    return {"partitions": partitions, "lag": {partition: 4}, "assigned": [partition], "counts": {"letters": 1}} | more


class Running:
    """A data folder in which processes seem to run: this one holds their locks."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.readers: list[str] = []
        self.read = "sqlite"

    def agent(self, **told: Any) -> None:
        """The agent runs, and has told this."""
        self._runs(self.folder / LOCK, self.folder / STATUS, told)

    def publisher(self, **told: Any) -> None:
        """The publisher."""
        self._runs(self.folder / "publish.lock", self.folder / "publish.json", told)

    def worker(self, number: int = 0, sink: str = "sqlite", **told: Any) -> None:
        """A worker, by default one that writes to the local store."""
        name = f"{sink}.{number}" if number else sink
        self._runs(own_file(self.folder, "lock", name), own_file(self.folder, "status.json", name), told)

    def _runs(self, lock: Path, file: Path, told: dict[str, Any]) -> None:
        self._stack.enter_context(only(lock, "test"))
        file.write_text(json.dumps(told))

    def config(self, servers: list[str] | None = None) -> Config:
        """Of this folder."""
        kafka, spool, store = Kafka(servers=servers or []), Spool(readers=self.readers), Store(read=self.read)
        return Config(data=str(self.folder), kafka=kafka, spool=spool, store=store)

    def status(self, servers: list[str] | None = None) -> tuple[int, dict[str, Any], str]:
        """The exit code, what is collected, and what is printed."""
        config = self.config(servers)
        shown = status.collect(config)
        return int(not status._well(config, shown)), json.loads(json.dumps(shown)), "\n".join(lines(shown))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Running]:
    """Where nothing runs yet."""
    with ExitStack() as stack:
        yield Running(tmp_path, stack)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Heard]:
    """What workers have told in the state topic."""
    told: list[Heard] = []
    monkeypatch.setattr(status_log, "heard", lambda *_: (sorted(told, key=lambda each: each.name), 86400.0))
    return told


def hears(name: str, known: Mapping[str, Any], ago: float = 1, *, ended: bool = False) -> Heard:
    """A worker told its facts so many seconds ago."""
    return Heard(name, time.time_ns() - int(ago * SECOND), of_facts(known, ended=ended))


def even(shown: Mapping[str, Any]) -> None:
    """Each row of the ledger, and their sum, is even."""
    for row in (*shown["ledger"], shown["total"]):
        assert row["seen"] == row["stored"] + row["in_flight"] + sum(row["lost"].values())


# Local


def test_workers_beside_a_spool(here: Running) -> None:
    """An agent and its worker: what the agent has seen by now is not stored yet, and in flight."""
    here.agent(stream=A, seen={"7": 100, "8": 5})
    here.worker(**facts(A, A, HOST_A, 3, accounts={A: {7: account(90, 80, ring_full=4), 8: account(5, 5, "db")}}))
    code, shown, printed = here.status()
    rows = {row["container"]: (row["seen"], row["stored"], row["in_flight"], row["lost"]) for row in shown["ledger"]}
    assert code == 0
    assert rows == {"web": (100, 80, 16, {"ring_full": 4}), "db": (5, 5, 0, {})}
    assert shown["total"] == {"seen": 105, "stored": 85, "in_flight": 16, "lost": {"ring_full": 4}}
    assert "(total)" in printed
    assert shown["publisher"] is shown["kafka"] is None


def test_workers_of_every_sink(here: Running) -> None:
    """One that writes elsewhere has a line that says what waits and why, and is missed where the spool waits for it."""
    here.agent()
    here.worker(**facts("s", A, HOST_A, 9))
    here.worker(sink="elasticsearch", backlog_frames=1234, store_error="HTTP 403", **facts("s", A, HOST_A, 5))
    here.worker(2, "stdout")
    code, shown, text = here.status()
    assert code == 0
    assert list(shown["workers"]) == ["sqlite", "stdout.2", "elasticsearch"]
    assert re.search(r"worker    elasticsearch: running, pid \d+; 1,234 frames are not stored yet; HTTP 403", text)
    assert (
        "letters   1 dead letters since the worker began: see `cgtrail deadletters list --sink elasticsearch`" in text
    )
    assert "spool     nothing waits for elasticsearch: with spool.readers = ['sqlite', 'elasticsearch']" in text
    here.readers = ["elasticsearch", "sqlite"]
    assert "nothing waits" not in here.status()[2]


def test_a_worker_that_the_spool_waits_for_is_missed(here: Running) -> None:
    """Named in spool.readers it has to run; the local store's has not, where it is not named."""
    here.agent()
    here.readers = ["elasticsearch"]
    code, shown, text = here.status()
    assert (code, list(shown["workers"])) == (1, ["elasticsearch"])
    assert "worker    elasticsearch: not running" in text
    here.worker(sink="elasticsearch")
    assert here.status()[0] == 0


def test_a_worker_that_prints_may_end(here: Running) -> None:
    """Nobody misses one that wrote to standard output."""
    here.agent()
    here.worker()
    own_file(here.folder, "status.json", "stdout").write_text("{}")
    code, shown, _ = here.status()
    assert (code, list(shown["workers"])) == (0, ["sqlite", "stdout"])


def test_the_slowest_reader_is_told(here: Running, tmp_path: Path) -> None:
    """Of several that the spool waits for, how far behind the last one is."""
    spooled = Spooled(here.folder)
    spooled.keyframe()
    spooled.tick(9)
    here.agent()
    for sink, place in (("sqlite", 10), ("elasticsearch", 4)):
        here.worker(sink=sink)
        position_file(here.folder / "spool", sink).store({spooled.stream.id.hex(): Position(place)})
    assert here.status()[1]["spool"]["backlog_frames"] == 0
    here.readers = ["sqlite", "elasticsearch"]
    assert here.status()[1]["spool"]["backlog_frames"] == 6


class Far:
    """A store over the network."""

    name, exists, error = "https://es-1", True, ""

    def count(self) -> int:
        """So many."""
        if self.error:
            raise StoreError(self.error)
        return 12345

    def close(self) -> None:
        """Nothing is open."""


def test_a_store_elsewhere(here: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read says how much it holds, or why it can't say; and settings that can't be used are told likewise."""
    here.agent()
    here.worker()
    here.read = "elasticsearch"
    code, shown, text = here.status()
    assert code == 1
    assert "elasticsearch.hosts is empty" in shown["store"]["error"]
    monkeypatch.setattr(status, "quiet", lambda _: Far())
    code, shown, text = here.status()
    assert (code, shown["store"]["documents"]) == (0, 12345)
    assert "store     12,345 documents in https://es-1" in text
    monkeypatch.setattr(Far, "error", "https://es-1: refused")
    code, shown, text = here.status()
    assert (code, "store     https://es-1: refused" in text) == (1, True)


def test_a_status_file_of_before(here: Running) -> None:
    """A worker of the version before told its one stream's accounts without the stream."""
    here.agent(stream=A, seen={"7": 12})
    here.worker(stream=A, frame=4, accounts={"7": account(10, 9)})
    _, shown, _ = here.status()
    assert [(row["seen"], row["stored"], row["in_flight"]) for row in shown["ledger"]] == [(12, 9, 3)]
    assert shown["not_understood"] == []


def test_several_workers_have_a_line_each(here: Running, log: list[Heard]) -> None:
    """The first one, those beside it that run or did lately, and none that is long gone; the first one's name stays."""
    here.worker(**facts("raw-0", A, HOST_A, 3, accounts={A: {7: account(10, 10)}}))
    here.worker(2, **facts("raw-1", B, HOST_B, 8, accounts={B: {7: account(20, 15)}}, store_error="disk full"))
    stopped, gone = (own_file(here.folder, "status.json", f"sqlite.{number}") for number in (3, 10))
    for file in (stopped, gone):
        file.write_text("{}")
    os.utime(gone, (time.time() - 2 * 86400,) * 2)
    code, shown, printed = here.status(NOWHERE)
    assert list(shown["workers"]) == ["sqlite", "sqlite.2", "sqlite.3"]
    assert shown["worker"] == shown["workers"]["sqlite"]
    assert "worker 2  running" in printed
    assert "disk full" in printed
    assert "worker 3  not running" in printed
    assert {row["host"] for row in shown["ledger"]} == {"host-1a", "host-1b"}
    assert (shown["total"]["seen"], shown["total"]["in_flight"]) == (30, 5)
    assert code == 1
    assert log == []


@pytest.mark.parametrize("content", ['{"accounts": {"aa": {"7": {"seen": "many"}}}}', "{", '{"partitions": 3}'])
def test_a_file_that_makes_no_sense_is_named(here: Running, content: str) -> None:
    """And everything else is shown."""
    here.agent(stream=A, seen={})
    here.worker()
    file = own_file(here.folder, "status.json")
    file.write_text(content)
    _, shown, printed = here.status()
    assert shown["not_understood"] == [str(file)]
    assert str(file) in printed
    assert shown["worker"]["running"]


def test_the_publisher(here: Running, log: list[Heard]) -> None:
    """How far it is; and the reason, in its words, when the broker takes nothing."""
    here.agent(stream=A, seen={})
    here.publisher(backlog_frames=1200, lag_seconds=7.25, error=None)
    code, shown, printed = here.status(NOWHERE)
    assert "the broker is reached; 1,200 frames wait, 7.2 s behind" in printed
    assert (code, shown["publisher"]["backlog_frames"]) == (0, 1200)
    assert log == []


def test_a_publisher_that_is_refused(here: Running, log: list[Heard]) -> None:
    """The machine is not well."""
    here.agent(stream=A, seen={})
    here.publisher(backlog_frames=3, lag_seconds=0, error="the topic does not exist")
    code, _, printed = here.status(NOWHERE)
    assert "; the topic does not exist; 3 frames wait" in printed
    assert (code, log) == (1, [])


def test_what_runs_where(here: Running, log: list[Heard]) -> None:
    """With Kafka, a machine may have workers alone; nothing at all is not well, and neither is an agent alone."""
    assert here.status(NOWHERE)[0] == 1
    here.worker()
    assert here.status(NOWHERE)[0] == 0
    here.agent()
    assert here.status(NOWHERE)[0] == 1
    here.publisher()
    assert here.status(NOWHERE)[0] == 0
    assert log == []


def test_a_broker_that_is_away(here: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said in words, soon, and what is local is shown all the same."""
    monkeypatch.setattr(status_log, "PATIENCE_SECONDS", 1.0)
    here.worker(**facts("raw-0", A, HOST_A, 3, accounts={A: {7: account(10, 10)}}))
    code, shown, printed = here.status(NOWHERE)
    assert code == 1
    assert "can't be read" in shown["kafka"]["error"]
    assert f"kafka     {shown['kafka']['error']}" in printed
    assert shown["total"]["seen"] == 10


# What the log tells


def test_hosts_and_workers_are_summed(here: Running, log: list[Heard]) -> None:
    """Two workers, two hosts: their streams, their lag, and one ledger that is even."""
    log += [
        hears("one-0", facts("raw-0", A, HOST_A, 30, accounts={A: {7: account(100, 70, ring_full=9)}})),
        hears(
            "two-0", facts("raw-1", B, HOST_B, 12, accounts={B: {7: account(50, 50, "db"), -1: account(9, 8, disk=1)}})
        ),
    ]
    _, shown, printed = here.status(NOWHERE)
    assert [
        (row["name"], row["stream"], row["partition"], row["frame"], row["worker"]) for row in shown["kafka"]["hosts"]
    ] == [
        ("host-1a", A, "raw-0", 30, "one-0"),
        ("host-1b", B, "raw-1", 12, "two-0"),
    ]
    assert all(60 <= row["age_seconds"] < 120 for row in shown["kafka"]["hosts"])
    assert [(row["state"], row["lag"], row["partitions"]) for row in shown["kafka"]["workers"]] == [
        ("working", 4, {"raw-0": 4}),
        ("working", 4, {"raw-1": 4}),
    ]
    assert shown["total"] == {"seen": 159, "stored": 128, "in_flight": 21, "lost": {"ring_full": 9, "disk": 1}}
    even(shown)
    assert "2 worker(s) at work, 2 host(s); 8 messages not taken yet" in printed
    assert "host-1b" in printed


def test_a_stream_that_went_to_another_worker_counts_once(here: Running, log: list[Heard]) -> None:
    """The worker that is further in a stream has it; the one that had it before has its partition no more."""
    log += [
        hears("old-0", facts("raw-0", A, HOST_A, 30, accounts={A: {7: account(100, 70)}}), 90),
        hears("new-0", facts("raw-0", A, HOST_A, 45, accounts={A: {7: account(180, 170)}}), 2),
    ]
    _, shown, printed = here.status(NOWHERE)
    assert [(row["worker"], row["frame"]) for row in shown["kafka"]["hosts"]] == [("new-0", 45)]
    assert (shown["total"]["seen"], shown["total"]["stored"]) == (180, 170)
    states = {row["name"]: (row["state"], row["lag"]) for row in shown["kafka"]["workers"]}
    assert states == {"old-0": ("silent", 0), "new-0": ("working", 4)}
    assert "worker old-0 has told nothing for 90 s" in printed


def test_who_is_silent_ended_or_long_gone(here: Running, log: list[Heard]) -> None:
    """Silence is marked, an end is told, of a day ago nothing is shown; a partition that nobody took keeps its lag."""
    log += [
        hears("ended-0", facts("raw-1", B, HOST_B, 3), 600, ended=True),
        hears("gone-0", facts("raw-2", A, HOST_A, 3), 2 * 86400),
        hears("silent-0", facts("raw-0", A, HOST_A, 3), 45),
        Heard("newer-0", time.time_ns(), None),
    ]
    _, shown, printed = here.status(NOWHERE)
    states = {row["name"]: (row["state"], row["lag"]) for row in shown["kafka"]["workers"]}
    assert states == {"ended-0": ("ended", 0), "silent-0": ("silent", 4), "newer-0": ("unclear", 0)}
    assert "0 worker(s) at work" in printed
    assert "worker newer-0 is of another version" in printed


def test_a_look_that_was_cut_short_says_so(here: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there was no time to look back a day, silent workers may be missing."""
    monkeypatch.setattr(status_log, "heard", lambda *_: ([], 30.0))
    assert "look back for 30 s only" in here.status(NOWHERE)[2]


def test_the_agent_here_knows_more_than_the_log(here: Running, log: list[Heard]) -> None:
    """What its kernel has seen by now and no worker has taken is in flight."""
    here.agent(stream=A, seen={"7": 130})
    log.append(hears("one-0", facts("raw-0", A, HOST_A, 30, accounts={A: {7: account(100, 90)}})))
    _, shown, _ = here.status(NOWHERE)
    assert [(row["seen"], row["in_flight"]) for row in shown["ledger"]] == [(130, 40)]
    even(shown)


def test_names_of_others_reach_no_terminal_raw(
    here: Running, log: list[Heard], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a container, a host, a worker or a stream calls itself, and whatever an error quotes."""
    bad = "\x1b[2J\u202e\r"
    known = facts(bad, bad, HOST_A, 3, accounts={bad: {7: account(9, 5, bad, **{bad: 1})}}, error=bad)
    known["partitions"][bad]["streams"][bad]["name"] = bad
    log.append(hears(bad, known))
    other = facts("raw-1", B, HOST_B, 3, accounts={B: {7: account(9, 5, bad)}})
    here.worker(**other, store_error=bad)
    status.run(here.config(NOWHERE), as_json=False)
    printed = capsys.readouterr().out
    assert not {"\x1b", "\u202e", "\r"} & set(printed)
    assert "\\x1b[2J" in printed


def test_what_was_refused_is_told(here: Running, log: list[Heard]) -> None:
    """Cloned machines, and messages of nobody, are nobody's secret: all workers' counts are one line."""
    log += [
        hears(name, facts("raw-0", A, HOST_A, 3, counts={"refused_frames": 1200, "refused_messages": 2}))
        for name in "ab"
    ]
    assert "refused   2,400 frames of hosts with another one's id, 4 messages" in here.status(NOWHERE)[2]


def test_long_tables_end(here: Running, log: list[Heard]) -> None:
    """More hosts than fit are counted."""
    streams = {f"{number:032x}": {"host": f"{number:032x}", "frame": 1} for number in range(SHOWN + 7)}
    log.append(hears("one-0", {"partitions": {"raw-0": {"streams": streams}}, "accounts": {}}))
    _, shown, printed = here.status(NOWHERE)
    assert len(shown["kafka"]["hosts"]) == SHOWN + 7
    assert "… and 7 more" in printed


# What a worker tells


NUMBERS = st.integers(0, 1 << 40)
ACCOUNTS = st.dictionaries(
    st.sampled_from([A, B]),
    st.dictionaries(
        st.integers(-1, 1 << 50),
        st.builds(lambda received, lost, more: account(received + sum(lost.values()) + more, received, **lost),
                  NUMBERS, st.dictionaries(st.sampled_from(["disk", "ring_full"]), NUMBERS), NUMBERS),
        max_size=12,
    ),
)  # fmt: skip


def sums(accounts: Mapping[str, Mapping[int, Any]]) -> dict[str, list[int]]:
    """Stream → seen, received, lost."""
    found: dict[str, list[int]] = {}
    for stream, owners in accounts.items():
        for each in owners.values():
            known = each if isinstance(each, dict) else msgspec.to_builtins(each)
            row = [known["seen"], known["received"], sum(known["lost"].values())]
            found[stream] = [a + b for a, b in zip(found.get(stream, [0, 0, 0]), row, strict=True)]
    return found


@given(ACCOUNTS, st.integers(0, 8))
def test_what_is_beyond_the_bound_is_told_as_a_sum(accounts: Any, bound: int) -> None:
    """However many containers there are, nothing of what is seen, received and lost is left out."""
    known = facts("raw-0", A, HOST_A, 3)
    known["partitions"]["raw-0"]["streams"][B] = {"host": HOST_B}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("enrich.kafka.told.MAX_ACCOUNTS", bound)
        told = of_facts(known | {"accounts": accounts})
    assert sums(told.accounts) == sums(accounts)
    assert sum(len(owners.keys() - {REST}) for owners in told.accounts.values()) <= bound


def test_a_message_is_bounded() -> None:
    """A worker with more hosts and containers than anybody has tells of them in what clients send."""
    name = "\u0001" * 500
    streams = {
        f"{number:032x}": {"host": f"{number:032x}", "name": name, "frame_time": number} for number in range(3000)
    }
    accounts = {stream: {owner: account(owner + 9, 3, name, disk=1) for owner in range(3)} for stream in streams}
    told = of_facts({"partitions": {"raw-0": {"streams": streams}}, "accounts": accounts})
    assert len(msgspec.json.encode(told)) < 1_000_000 - 1000
    assert (len(told.partitions["raw-0"].streams), told.untold) == (MAX_STREAMS, 3000 - MAX_STREAMS)
    assert sum(len(owners.keys() - {REST}) for owners in told.accounts.values()) == MAX_ACCOUNTS


def test_older_facts_are_told_too() -> None:
    """Facts without partitions tell nothing wrong."""
    assert of_facts({"counts": {"frames": 3}}).partitions == {}
