"""What stands in Elasticsearch's backing indices, byte by byte, and workers that store there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from cgtrail.elasticsearch.roles import writer
from enrich.elasticsearch.streams import pattern
from enrich.kafka.letters import KafkaLetters
from tests.faults.kept import Documents, Kept, called_so
from tests.faults.processes import kill
from tests.servers.elastic import Elastic
from tests.servers.fleet import STORE, Fleet
from tests.servers.group import Group
from tests.servers.kafka import Kafka
from tests.servers.prepared import prepare
from tests.servers.recorded import Recorded

PAGE = 2000
SINK = ("--sink", "elasticsearch")
TIMEOUT_SECONDS = 4
"""A worker's request may take so long: whoever stalls longer leaves its fate open."""
_KIND = re.compile(r"logs-cgtrail\.([a-z]+)-")
Copies = dict[str, list[str]]
"""Id → every body that stands under it, in whatever backing index."""


class _Hit(msgspec.Struct):
    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    source: msgspec.Raw = msgspec.field(name="_source")


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Page(msgspec.Struct):
    hits: _Hits
    scroll: str = msgspec.field(name="_scroll_id")


def copies(es: Elastic, namespace: str) -> Copies:
    """All documents of a namespace without what the sink puts before them, which must be what it should."""
    found: Copies = {}
    for hit in _hits(es, namespace):
        (kind,) = _KIND.findall(hit.index)
        own = {"type": "logs", "dataset": f"cgtrail.{kind}", "namespace": namespace}
        before = '{"data_stream":' + json.dumps(own, separators=(",", ":")) + ","
        body = bytes(hit.source).decode()
        assert body.startswith(before), body
        found.setdefault(hit.id, []).append("{" + body.removeprefix(before))
    return found


def once(found: Copies, told: object = "") -> Documents:
    """Documents of which each stands there once."""
    twice = sorted(ident for ident, bodies in found.items() if len(bodies) > 1)
    assert not twice, f"{told}: {len(twice)} of {len(found)} documents are there twice, such as {twice[:5]}"
    return {ident: bodies[0] for ident, bodies in found.items()}


def streams(es: Elastic, namespace: str) -> list[str]:
    """Names of the data streams that there are."""
    return [each["name"] for each in es.ask("GET", f"_resolve/index/{pattern(namespace)}")["data_streams"]]


def rollover(es: Elastic, namespace: str) -> None:
    """All that is created from now on goes into other backing indices."""
    for name in streams(es, namespace):
        es.ask("POST", f"{name}/_rollover")


def block(es: Elastic, namespace: str, *, writes: bool) -> None:
    """Whether nothing may be written, as a disk's flood stage does."""
    if streams(es, namespace):
        es.ask("PUT", f"{pattern(namespace)}/_settings", {"index.blocks.read_only_allow_delete": writes or None})


def count(es: Elastic, namespace: str) -> int:
    """How many documents there are, also those that no search sees yet."""
    es.ask("POST", f"{pattern(namespace)}/_refresh")
    return int(es.ask("GET", f"{pattern(namespace)}/_count")["count"])


def _hits(es: Elastic, namespace: str) -> Iterator[_Hit]:
    es.ask("POST", f"{pattern(namespace)}/_refresh")
    page = _page(es, f"{pattern(namespace)}/_search?scroll=2m", {"size": PAGE, "sort": ["_doc"]})
    while page.hits.hits:
        yield from page.hits.hits
        page = _page(es, "_search/scroll", {"scroll": "2m", "scroll_id": page.scroll})
    es.ask("DELETE", "_search/scroll", {"scroll_id": page.scroll})


def _page(es: Elastic, path: str, asked: object) -> _Page:
    headers = urllib3.make_headers(basic_auth=f"elastic:{es.password}") | {"content-type": "application/json"}
    with urllib3.PoolManager(retries=False, timeout=120) as pool:
        answer = pool.request("POST", f"{es.url}/{path}", body=json.dumps(asked).encode(), headers=headers)
    assert answer.status == 200, answer.data
    return msgspec.json.decode(answer.data, type=_Page)


@dataclass
class Indexing(Fleet):
    """Workers store in Elasticsearch, with a key that may create, and read where `reads` says so."""

    es: Elastic | None = None
    namespace: str = ""
    module: str = ""
    """Which is run for workers; as the fleet chooses where it is empty."""

    def __post_init__(self) -> None:
        """They are a group of their own."""
        self.group = Group(
            self.broker, self.settings["CGTRAIL_KAFKA_TOPIC"], self.settings["CGTRAIL_KAFKA_GROUP"] + ".elasticsearch"
        )

    @property
    def node(self) -> Elastic:
        """Where they store."""
        assert self.es is not None
        return self.es

    def worker(self, name: str, *options: str) -> None:
        """Start a worker."""
        super().worker(name, *SINK, *options)

    def _start(self, name: str, module: str, *arguments: str, **settings: str) -> None:
        chosen = self.module if self.module and name.startswith("worker") else module
        super()._start(name, chosen, *arguments, **settings)

    def status(self, name: str) -> dict[str, Any]:
        """What a worker that runs now tells of itself; nothing before it does."""
        number = name.removeprefix("worker")
        own = "elasticsearch" if number == "0" else f"elasticsearch.{number}"
        file = self.folder / STORE / f"enrich.{own}.status.json"
        told: dict[str, Any] = msgspec.json.decode(file.read_bytes()) if file.exists() else {}
        return told if name in self.running and told.get("pid") == self.running[name].pid else {}

    def copies(self) -> Copies:
        """What stands in the index."""
        return copies(self.node, self.namespace)

    def kept(self, recorded: Recorded) -> Kept:
        """What stands in the index, each once, and among the dead letters, under the names of the streams."""
        return self.called(recorded, once(self.copies(), recorded.seed))

    def called(self, recorded: Recorded, found: Documents) -> Kept:
        """Documents and dead letters under the names of the streams."""
        with closing(KafkaLetters(self.cluster)) as letters:
            return called_so(recorded.names, found, letters.all())

    def settled(self) -> int:
        """How many documents there are once what was on its way has arrived; nobody may send any more."""
        seen = [-1, count(self.node, self.namespace)]
        while len(seen) < 5 or len(set(seen[-5:])) > 1:
            time.sleep(0.1)
            seen.append(count(self.node, self.namespace))
        return seen[-1]


@contextmanager
def indexing(
    broker: Kafka, es: Elastic, folder: Path, settings: dict[str, str], *, reads: bool = True, module: str = ""
) -> Iterator[Indexing]:
    """Processes around a broker and an index of their own; none of them outlives the test."""
    folder.mkdir()
    namespace = es.namespace()
    prepare(es, namespace, writer_reads=reads)
    key = es.key(writer(namespace, reads=reads).body["indices"])
    own = es.settings(api_key=key, namespace=namespace, timeout_seconds=str(TIMEOUT_SECONDS))
    found = Indexing(broker, folder, settings | own, es=es, namespace=namespace, module=module)
    try:
        yield found
    finally:
        for process in found.running.values():
            if process.poll() is None:
                kill(process)
