"""`cgtrail status` over a real broker: what workers told comes together, whoever else writes there, and without one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from cgtrail import status, status_log
from cgtrail.brokers import broker as reached_by
from cgtrail.config import Config, load
from cgtrail.halves import worker_on
from cgtrail.metrics import PUBLISHER, WORKER
from cgtrail.status_ledger import ledger, newest, streams_of, total
from cgtrail.status_lines import lines
from enrich.kafka import heard as reading
from enrich.kafka import telling, told
from enrich.kafka.heard import heard
from enrich.sinks.memory import MemorySink
from enrich.sources import SourceError
from shipper.publish import STATUS as PUBLISHED
from shipper.publish.publisher import Publisher
from shipper.status import read_status
from shipper.wire.frame import Frame
from shipper.wire.reader import Reader
from shipper.wire.segment import Stream
from tests.kernel.dockerd import wait_until
from tests.servers.kafka import Kafka, topics
from tests.unit.frames import commit, segment, stream_in
from tests.unit.frames import write as write_frames
from tests.unit.test_metrics import asked, scraped, values
from tests.unit.test_serving import ask
from tests.unit.test_status import HOST_A, HOST_B, A, B, account, even, facts


@pytest.fixture
def config(broker: Kafka, tmp_path: Path) -> Config:
    """Of a machine whose workers read the broker, with topics of its own."""
    return load(None, topics(broker, 2) | {"CGTRAIL_DATA": str(tmp_path)}, {})


@pytest.fixture
def workers(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, Any]]]:
    """Two workers that tell, of one host each; what they tell is what is put here."""
    monkeypatch.setattr(telling, "TELL_SECONDS", 0.1)
    accounts = {A: {7: account(100, 70, ring_full=9)}}, {B: {7: account(50, 50, "db"), -1: account(9, 8, disk=1)}}
    told = {
        "one-0": facts("raw-0", A, HOST_A, 30, accounts=accounts[0]),
        "two-0": facts("raw-1", B, HOST_B, 12, accounts=accounts[1]),
    }
    with ExitStack() as stack:
        for name in list(told):
            stack.enter_context(telling.telling(reached_by(config), name, partial(told.__getitem__, name)))
        wait_until(lambda: len(heard(reached_by(config), 10)[0]) == len(told), "both to tell", 60)
        yield told


def write(broker: Kafka, topic: str, key: str, value: bytes, *, times: int = 1, unix: float = 0) -> None:
    """Messages in the partition where workers tell, as of a time in s since 1970."""
    producer = Producer({"bootstrap.servers": broker.servers, "acks": "all", "log_level": 0})
    for _ in range(times):
        producer.produce(topic, value, key, told.PARTITION, timestamp=int(unix * 1000))
        producer.poll(0)
    assert producer.flush(60) == 0


def row(shown: Mapping[str, Any], name: str) -> Any:
    """A worker's."""
    (found,) = (worker for worker in shown["kafka"]["workers"] if worker["name"] == name)
    return found


def test_what_workers_told_is_summed(config: Config, workers: dict[str, dict[str, Any]]) -> None:
    """Two workers, two hosts: the sum is what was put in; and what they tell next replaces it."""
    shown = json.loads(json.dumps(status.collect(config)))
    assert shown["kafka"]["error"] is None
    assert [(host["name"], host["partition"], host["frame"]) for host in shown["kafka"]["hosts"]] == [
        ("host-1a", "raw-0", 30),
        ("host-1b", "raw-1", 12),
    ]
    assert shown["total"] == {"seen": 159, "stored": 128, "in_flight": 21, "lost": {"ring_full": 9, "disk": 1}}
    even(shown)
    assert {worker["state"] for worker in shown["kafka"]["workers"]} == {"working"}
    workers["one-0"] = facts("raw-0", A, HOST_A, 31, accounts={A: {7: account(100, 91, ring_full=9)}})
    wait_until(lambda: status.collect(config)["total"]["in_flight"] == 0, "the next word", 60)
    assert "2 worker(s) at work, 2 host(s)" in "\n".join(lines(status.collect(config)))


def test_an_end_is_told(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends in order is not taken for a silent one, and what it knew of its stream stays."""
    with telling.telling(reached_by(config), "one-0", lambda: facts("raw-0", A, HOST_A, 30)):
        pass
    shown = status.collect(config)
    assert (row(shown, "one-0")["state"], row(shown, "one-0")["lag"]) == ("ended", 0)
    assert [host["frame"] for host in shown["kafka"]["hosts"]] == [30]


def test_nobody_has_told_yet(config: Config) -> None:
    """Topics that are empty are no trouble."""
    found, looked = heard(reached_by(config), 10)
    assert (found, looked) == ([], reading.WINDOWS[-1])


def test_snapshots_between_hide_nobody(broker: Kafka, config: Config, workers: dict[str, dict[str, Any]]) -> None:
    """Many megabytes of other things, keys that are nobody's and values that make no sense stand there too."""
    state = config.kafka.state_topic
    write(broker, state, "raw-0/1/7", bytes(500_000), times=60)
    write(broker, state, "status/newer-0", b'{"time": "today"}')
    write(broker, state, "status/\x1b[2J", b"\xff")
    shown = status.collect(config)
    assert shown["total"]["seen"] == 159
    assert row(shown, "newer-0")["state"] == "unclear"
    assert "\x1b" not in "\n".join(lines(shown))


def test_silence_is_found_behind_what_is_newer(broker: Kafka, config: Config) -> None:
    """Who told an hour ago is silent; who told days ago is gone; the look goes back for a day."""
    told = b'{"time":1,"partitions":{"raw-0":{"place":5,"lag":3}}}'
    now = time.time()
    for name, ago in (("gone-0", 3 * 86400), ("silent-0", 3600), ("slow-0", 120), ("here-0", 0)):
        write(broker, config.kafka.state_topic, f"status/{name}", told, unix=now - ago)
    shown = status.collect(config)
    states = {worker["name"]: worker["state"] for worker in shown["kafka"]["workers"]}
    assert states == {"silent-0": "silent", "slow-0": "silent", "here-0": "working"}
    assert shown["kafka"]["looked_back_seconds"] is None
    assert 3600 <= row(shown, "silent-0")["last_told_seconds"] < 3700


def test_the_newest_is_read_when_time_is_short(
    broker: Kafka, config: Config, workers: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told now comes first, and where there was no time for more that is said."""
    write(broker, config.kafka.state_topic, "raw-0/1/7", bytes(500_000), times=20, unix=time.time() - 3600)
    look = reading._Look._read

    def slow(self: Any, begin: int, end: int) -> bool:
        done = look(self, begin, end)
        self.until = 0.0  # the first look took all the time there was
        return done

    monkeypatch.setattr(reading._Look, "_read", slow)
    wait_until(lambda: len(heard(reached_by(config), 10)[0]) == 2, "both to tell again", 60)
    shown = status.collect(config)
    assert shown["total"]["seen"] == 159
    assert shown["kafka"]["looked_back_seconds"] == reading.WINDOWS[0]


def test_who_may_not_read_is_told(broker: Kafka, config: Config) -> None:
    """A host's user, who can only write, learns that it is not allowed to look; what is local is shown."""
    broker.add_user("host", "host-secret")
    settings = topics(broker) | broker.settings("scram", "host", "host-secret") | {"CGTRAIL_DATA": config.data}
    shown = status.collect(load(None, settings, {}))
    assert "do not allow" in shown["kafka"]["error"]
    assert shown["total"]["seen"] == 0


def test_who_may_read_the_state_needs_no_more(broker: Kafka, config: Config) -> None:
    """Whoever may read and describe the topic sees how all do; it need not be one of the group."""
    broker.add_user("viewer", "viewer-secret")
    kinds = [AclOperation.READ, AclOperation.DESCRIBE]
    state, user = config.kafka.state_topic, ("User:viewer", "*")
    admin = broker.admin()
    acls = [
        AclBinding(ResourceType.TOPIC, state, ResourcePatternType.LITERAL, *user, kind, AclPermissionType.ALLOW)
        for kind in kinds
    ]
    for done in admin.create_acls(acls).values():
        done.result(30)
    write(broker, state, "status/one-0", b'{"time":1,"partitions":{"raw-0":{"place":5,"lag":3}}}', unix=time.time())
    settings = broker.settings("scram", "viewer", "viewer-secret")
    settings |= {"CGTRAIL_KAFKA_STATE_TOPIC": state, "CGTRAIL_DATA": config.data}
    wait_until(lambda: len(status.collect(load(None, settings, {}))["kafka"]["workers"]) == 1, "the right to look", 60)


def test_a_topic_that_is_missing_is_told(broker: Kafka, config: Config) -> None:
    """With what to do about it."""
    config.kafka.state_topic = "nobody.made.it"
    assert "cgtrail setup kafka" in status.collect(config)["kafka"]["error"]


def test_a_broker_that_goes(own_broker: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, or standing still: status says so in time; workers tell again when it is back, or was made anew."""
    monkeypatch.setattr(status_log, "PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr(telling, "TELL_SECONDS", 0.1)
    config = load(None, topics(own_broker) | {"CGTRAIL_DATA": str(tmp_path)}, {})
    known = facts("raw-0", A, HOST_A, 30, accounts={A: {7: account(100, 70)}})
    with telling.telling(reached_by(config), "one-0", lambda: known):
        wait_until(lambda: status.collect(config)["total"]["seen"] == 100, "a word", 60)
        own_broker.pause()
        assert "can't be read" in status.collect(config)["kafka"]["error"]
        own_broker.resume()
        own_broker.kill()
        with pytest.raises(SourceError, match=r"kafka\.servers"):
            heard(reached_by(config), 3)
        known["accounts"] = {A: {7: account(200, 70)}}
        own_broker.start()
        wait_until(lambda: status.collect(config)["total"]["seen"] == 200, "a word once it is back", 120)
        own_broker.kill()
        own_broker.wipe()
        own_broker.start()
        own_broker.create(config.kafka.state_topic, cleanup_policy="compact")
        wait_until(lambda: status.collect(config)["total"]["seen"] == 200, "a word on the new disk", 120)
    assert row(status.collect(config), "one-0")["state"] == "ended"


def test_a_publisher_and_its_probes(own_broker: Kafka, tmp_path: Path) -> None:
    """It is ready while the broker acknowledges, not while it is away, and alive all the time; status says the same."""
    stream = stream_in(tmp_path / "spool")
    segment(stream, range(40))
    commit(stream, 40)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"CGTRAIL_DATA": str(tmp_path), "CGTRAIL_METRICS_PUBLISHER": f"127.0.0.1:{port}"}
    settings = topics(own_broker) | own | {"CGTRAIL_ENRICH_SOURCE": "spool"}
    argv = [sys.executable, "-m", "cgtrail", "publish"]
    with subprocess.Popen(argv, env=os.environ | settings, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: read_status(tmp_path / PUBLISHED).get("acknowledged") == 40, "all to arrive", 60)
            families = scraped(f"127.0.0.1:{port}")
            assert values(families, "cgtrail_publisher_frames") == {"": 40}
            assert values(families, "cgtrail_publisher_backlog_frames") == {"": 0}
            assert asked(PUBLISHER) - {"connected"} <= read_status(tmp_path / PUBLISHED).keys()
            assert ask(port, "/ready") == (200, {"ready": True, "why": None})
            config = load(None, settings, {})
            assert "the broker is reached; 0 frames wait" in "\n".join(lines(status.collect(config)))
            own_broker.kill()
            segment(stream, range(40, 45))
            commit(stream, 45)
            wait_until(lambda: ask(port, "/ready")[0] == 503, "the broker to be missed", 60)
            assert "broker" in ask(port, "/ready")[1]["why"]
            assert ask(port, "/live")[0] == 200
            wait_until(lambda: status.collect(config)["publisher"].get("error") is not None, "it to be told", 60)
            told = status.collect(config)["publisher"]
            assert (told["backlog_frames"], told["answering"]) == (5, True)
            assert told["error"] in "\n".join(lines(status.collect(config)))
            own_broker.start()
            wait_until(lambda: ask(port, "/ready")[0] == 200, "the broker to be back", 120)
        finally:
            process.terminate()


NEWER = Path(__file__).parents[1] / "golden" / "spool" / "01795382891821970381-6e96e0f3ae3040af8d344f6dec1d4686"


def recorded(data: Path, host: bytes, stream_id: bytes) -> dict[str, Any]:
    """A spool as the recorded one, of another host; and what a worker beside it tells."""
    stream = stream_in(data / "spool", 1795382891821970381, stream_id)
    frames = [piece for piece in Reader(Stream(NEWER), 0).read() if isinstance(piece, Frame)]
    write_frames(stream, [replace(frame, host=host, stream=stream_id) for frame in frames])
    commit(stream, len(frames))
    with worker_on(data, "memory", MemorySink(), threading.Event()) as worker:
        worker.run(follow=False)
        return worker.facts()


def shared(config: Config) -> list[int]:
    """How many partitions workers have of which all was taken."""
    workers = status.collect(config)["kafka"]["workers"]
    return [len(worker["partitions"]) for worker in workers if not worker["lag"]]


def test_two_hosts_and_two_workers(broker: Kafka, tmp_path: Path) -> None:
    """What two spools hold goes through Kafka to two workers: status shows the same ledger as workers beside them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"CGTRAIL_DATA": str(tmp_path / "workers"), "CGTRAIL_METRICS_WORKER": f"127.0.0.1:{port}"}
    settings = topics(broker, 4) | own | {"CGTRAIL_KAFKA_INSTANCE": "here"}
    config = load(None, settings, {})
    alone = []
    for number in (1, 2):
        data = tmp_path / str(number)
        alone.append(recorded(data, bytes([number]) * 16, bytes([0xA0 + number]) * 16))
        assert Publisher(reached_by(config), data / "spool", threading.Event()).run(follow=False)
    rows = ledger(newest(map(streams_of, alone)), {}, {})
    argv = [sys.executable, "-m", "cgtrail", "enrich", "--workers", "2"]
    with subprocess.Popen(argv, env=os.environ | settings, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: status.collect(config)["total"] == total(rows), "all to be stored and told", 120)
            wait_until(lambda: shared(config) == [2, 2], "both workers to have their share", 60)
            shown = status.collect(config)
            for name, at in (("sqlite", port), ("sqlite.1", port + 1)):
                assert shown["workers"][name]["answering"]
                assert ask(at, "/ready") == (200, {"ready": True, "why": None})
                families = scraped(f"127.0.0.1:{at}")
                assert set(families) == {metric.name for metric in WORKER.metrics}
                assert list(values(families, "cgtrail_worker_lag_messages").values()) == [0, 0]
                assert asked(WORKER) <= shown["workers"][name].keys()
        finally:
            process.terminate()
    hosts = {host["host"]: (host["frame"], host["name"], host["holes"]) for host in shown["kafka"]["hosts"]}
    frame = alone[0]["frame"]
    assert {host: told[0] for host, told in hosts.items()} == {"01" * 16: frame, "02" * 16: frame}
    assert all(name and not holes for _, name, holes in hosts.values())
    assert sum(worker["lag"] for worker in shown["kafka"]["workers"]) == 0
    even(shown)
    after = status.collect(config)
    assert {worker["name"]: worker["state"] for worker in after["kafka"]["workers"]} == {
        "here-0": "ended",
        "here-1": "ended",
    }
    assert after["total"] == total(rows)
