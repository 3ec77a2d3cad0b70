"""A real Elasticsearch behind workers: documents a second and what they cost, on disk, and until a search finds them.

The server has the same two processors and half a gigabyte of heap; it is what limits documents a second here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, TopicPartition
from elasticsearch import Elasticsearch, helpers

from cgtrail.elasticsearch.roles import writer
from cgtrail.halves import worker_on
from enrich.delivery import BATCH
from enrich.document import Document
from enrich.elasticsearch.streams import pattern, stream
from enrich.sinks import Status
from enrich.sinks.elasticsearch import ElasticsearchSink
from enrich.sinks.memory import MemorySink
from tests.bench.day import day
from tests.bench.kafka import COMMANDS, FRAME_NS, MEGABYTE, PARTITIONS
from tests.bench.lab import Lab
from tests.bench.latency import DEADLINE_SECONDS, POLL_SECONDS, sampled
from tests.bench.passing import Passing
from tests.bench.person import at_bash, enter, keys, with_bash
from tests.bench.report import Report, spread
from tests.faults.storm import storm
from tests.faults.writer import write
from tests.servers.elastic import Elastic, RefusedError, elastic
from tests.servers.kafka import Kafka, kafka, topics
from tests.servers.prepared import prepare
from tests.servers.prompts import Prompts
from tests.servers.recorded import HOSTS

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

BULK_BYTES, IN_FLIGHT = 5 << 20, 2
"""As configured by default."""
SINK = ("--sink", "elasticsearch")
OURS, THEIRS, THEIRS_ORJSON = (
    "the sink",
    "helpers.streaming_bulk, chunks of 500, as it is",
    "helpers.streaming_bulk, chunks of 2,000, with orjson",
)
PEOPLE_TICKS = 10
"""A second of the bench's stream stands for so many ticks of a storm with people at prompts."""
LEAST = 200
"""Documents of a kind: of fewer, an index's own bytes would be most."""


@dataclass
class Place:
    """A namespace that is set up, and how a worker comes to it."""

    es: Elastic
    namespace: str
    settings: dict[str, str]

    @classmethod
    def of(cls, es: Elastic) -> Place:
        """A new one, with a key as workers are given."""
        namespace = es.namespace()
        prepare(es, namespace, writer_reads=True)
        key = es.key(writer(namespace, reads=True).body["indices"])
        return cls(es, namespace, es.settings(api_key=key, namespace=namespace))

    def sink(self) -> ElasticsearchSink:
        """As a worker opens it."""
        own = {name.removeprefix("CGTRAIL_ELASTICSEARCH_").lower(): value for name, value in self.settings.items()}
        cluster = self.es.cluster(self.namespace, api_key=own["api_key"])
        return ElasticsearchSink(cluster, bulk_bytes=BULK_BYTES, in_flight=IN_FLIGHT, recordings=True)

    def count(self) -> int:
        """Documents that there are."""
        self.es.ask("POST", f"{pattern(self.namespace)}/_refresh")
        return int(self.es.ask("GET", f"{pattern(self.namespace)}/_count")["count"])


@dataclass
class Passed:
    """What rounds of a worker have measured."""

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    flies: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def add(self, told: dict[str, Any], documents: int, most_bytes: int) -> None:
        """One round, by the worker's own report."""
        self.rates.append(documents / told["wall"])
        self.costs.append(documents / told["cpu"])
        self.waits.append(100 * told["waited_seconds"] / told["wall"])
        self.flies.append(100 * told["write_seconds"] / told["wall"])
        self.memory.append(most_bytes / MEGABYTE)


def coordinated(broker: Kafka) -> None:
    """Have groups' coordinator begin: librdkafka's admin client can crash that asks for a group while it does."""
    broker.create("first")
    consumer = Consumer({"bootstrap.servers": broker.servers, "group.id": "first"})
    consumer.commit(offsets=[TopicPartition("first", 0, 0)], asynchronous=False)
    consumer.close()


def throughput(report: Report, broker: Kafka, es: Elastic, size: Size, data: list[Path]) -> None:
    """One worker takes a backlog of some hosts out of Kafka, into indices of its own each round."""
    found = Passed()
    for _ in range(size.rounds + 1):
        place = Place.of(es)
        told = topics(broker, PARTITIONS)
        with Passing.of(broker, report.scratch, told | place.settings, "elasticsearch") as passing:
            for each in data:
                passing.publish(passing.copied(each))
            (worker,), (made,) = passing.workers(1, *SINK, BENCH_STORES="yes", CGTRAIL_ENRICH_SNAPSHOT_SECONDS="60")
            documents = place.count()
            assert documents == worker["counts"]["ok"], "as many are stored as were answered for"
            found.add(worker, documents, made.most_bytes)
    for values in vars(found).values():
        del values[0]  # the server had not been used before
    report.row(
        "Kafka → Elasticsearch, one worker",
        f"{spread(found.rates)} documents/s; {spread(found.costs)} documents/CPU-s of the worker;"
        f" {spread(found.memory, '{:,.1f}')} MB resident at the most",
    )
    report.row(
        "of its time: a request is on its way, and nothing else is done as the store has not answered",
        f"{spread(found.flies, '{:.0f}')} %, {spread(found.waits, '{:.0f}')} %",
    )


def made_of(data: Path) -> list[Document]:
    """The documents of a spool."""
    sink = MemorySink()
    with worker_on(data, "memory", sink, threading.Event()) as worker:
        worker.run(follow=False)
    return list(sink.documents.values())


def ours(place: Place, documents: Sequence[Document]) -> None:
    """As a worker sends them."""
    sink = place.sink()
    for batch in _batches(documents):
        assert {outcome.status for outcome in sink.write(batch)} == {Status.OK}
    sink.close()


def theirs(place: Place, documents: Sequence[Document], chunk: int, **client: Any) -> None:
    """As the client's own helper does."""
    own = {"data_stream": {"type": "logs", "namespace": place.namespace}}

    def actions() -> Iterator[dict[str, Any]]:
        for document in documents:
            index = stream(document.kind, place.namespace)
            yield {"_op_type": "create", "_index": index, "_id": document.id, "_source": own | document.source}

    with Elasticsearch(place.es.url, basic_auth=("elastic", place.es.password), **client) as opened:
        assert all(ok for ok, _ in helpers.streaming_bulk(opened, actions(), chunk_size=chunk))


def _orjson() -> dict[str, Any]:
    from elastic_transport import OrjsonSerializer

    return {"serializers": {"application/json": OrjsonSerializer()}}


def client_cost(report: Report, es: Elastic, size: Size, documents: Sequence[Document]) -> None:
    """CPU time of the process that sends, a document, in turn; each way has indices of its own each round."""
    ways: dict[str, Callable[[Place, Sequence[Document]], None]] = {
        OURS: ours,
        THEIRS: partial(theirs, chunk=500),
        THEIRS_ORJSON: partial(theirs, chunk=2000, **_orjson()),
    }
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(size.rounds):
        for name, way in ways.items():
            place = Place.of(es)
            began = time.process_time()
            way(place, documents)
            took[name].append((time.process_time() - began) / len(documents) * 1e6)
            assert place.count() == len(documents)
    for name, found in took.items():
        ratios = [each / before for each, before in zip(found, took[OURS], strict=True)]
        beside = "" if name == OURS else f"; {spread(ratios, '{:.2f}x')} of the sink"
        report.row(
            f"client, {len(documents):,} documents, {name}", f"{spread(found, '{:.1f}')} CPU-µs a document{beside}"
        )


def on_disk(report: Report, es: Elastic, documents: Sequence[Document]) -> None:
    """Bytes that a document takes in one segment of one shard, by kind, and as JSON."""
    place = Place.of(es)
    ours(place, documents)
    es.ask("POST", f"{pattern(place.namespace)}/_refresh")
    es.ask("POST", f"{pattern(place.namespace)}/_forcemerge", max_num_segments="1", flush="true")
    counts = Counter(document.kind for document in documents)
    for kind, count in sorted(counts.items()):
        if count < LEAST:
            continue
        found = es.ask("GET", f"{stream(kind, place.namespace)}/_stats/store,docs")["_all"]["primaries"]
        assert found["docs"]["count"] == count
        encoded = sum(len(document.encode()) for document in documents if document.kind == kind)
        stored = found["store"]["size_in_bytes"]
        what = f"{stored / count:,.0f} bytes on disk; {encoded / count:,.0f} as JSON"
        report.row(f"a document of {kind}, of {count:,}", what)


def latency(report: Report, lab: Lab, es: Elastic, size: Size) -> None:
    """From just before Return is typed until a search of Elasticsearch finds the line; agent and worker on one host."""
    place = Place.of(es)
    with lab.recording(place.settings, worker=False) as rig, with_bash(lab) as box, at_bash(lab, box) as client:
        rig.worker = rig._start(*_worker(rig.data))

        def once(number: int) -> float:
            text = f"echo line-{number}"
            keys(client, text)
            since = time.time_ns()
            enter(client)
            return _found_after(place, text, since)

        once(size.samples)
        measured = sampled(once, size.samples)
    report.row(f"Return → searchable in Elasticsearch, refresh each second, {size.samples} lines in bash", measured)


def _worker(data: Path) -> tuple[str, ...]:
    import sys

    return (sys.executable, "-m", "cgtrail", "enrich", *SINK, "--data", str(data))


def _found_after(place: Place, text: str, since: int) -> float:
    """Seconds from a moment (ns since 1970) until a search has found a line."""
    asked = {"query": {"term": {"cgtrail.command.line": text}}, "size": 1, "_source": False}
    path = f"{stream('command', place.namespace)}/_search"
    while not _finds(place.es, path, asked):
        assert time.time_ns() - since < DEADLINE_SECONDS * 1e9, f"{text} was never found"
        time.sleep(POLL_SECONDS)
    return (time.time_ns() - since) / 1e9


def _finds(es: Elastic, path: str, asked: dict[str, Any]) -> bool:
    try:
        return bool(es.ask("POST", path, asked, ignore_unavailable="true")["hits"]["hits"])
    except RefusedError as error:
        if error.status != 503:  # the index is about to be made
            raise
        return False


def _batches(documents: Sequence[Document]) -> Iterator[list[Document]]:
    rest = iter(documents)
    while batch := list(itertools.islice(rest, BATCH)):
        yield [replace(each, again=False) for each in batch]


def _people(report: Report, size: Size) -> list[Document]:
    """Of a host where people are at prompts: other kinds of documents than programs'."""
    data = report.scratch / "elastic-people"
    write(data / "spool", storm(1, int(size.stream_seconds * PEOPLE_TICKS), Prompts))
    return made_of(data)


def run(report: Report, lab: Lab, size: Size) -> None:
    """All of it, with a broker and an Elasticsearch on this machine."""
    data = []
    for number, host in enumerate(HOSTS[:PARTITIONS]):  # their streams are in different ones
        folder = report.scratch / f"elastic-host{number}"
        folder.mkdir()
        with day(folder, host=host) as made:
            made.run(size.stream_seconds, COMMANDS, FRAME_NS)
        data.append(folder)
    with elastic(report.scratch / "elastic") as es:
        with kafka(report.scratch / "kafka") as broker:
            coordinated(broker)
            throughput(report, broker, es, size, data)
        documents = made_of(data[0])
        client_cost(report, es, size, documents)
        on_disk(report, es, [*documents, *_people(report, size)])
        latency(report, lab, es, size)
