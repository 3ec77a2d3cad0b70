"""Workers that write to a real Elasticsearch: beside the local store's, of Kafka's partitions, and of the past."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from enrich.elasticsearch.streams import pattern
from tests.faults.kept import stored
from tests.faults.storm import storm
from tests.servers.crew import crew, hosts
from tests.servers.elastic import Elastic
from tests.servers.kafka import Kafka, topics
from tests.servers.prepared import prepare
from tests.servers.published import recorded

ROOT = Path(__file__).parents[2]
HOST = b"a host of its own"


def cgtrail(data: Path, settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command on a data folder."""
    return subprocess.run(
        [sys.executable, "-m", "cgtrail", "--data", str(data), *arguments],
        cwd=ROOT,
        env=os.environ | {"CGTRAIL_STORE_RETENTION_DAYS": "36500"} | settings,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def found(es: Elastic, namespace: str) -> dict[str, Any]:
    """The documents of a namespace, each of which stands there once, as they were before they were sent."""
    es.ask("POST", f"/{pattern(namespace)}/_refresh")
    answer = es.ask("POST", f"/{pattern(namespace)}/_search", {"size": 10_000, "track_total_hits": True})
    hits = answer["hits"]["hits"]
    assert answer["hits"]["total"]["value"] == len(hits)
    again = [name for name, times in Counter(hit["_id"] for hit in hits).items() if times > 1]
    assert again == []
    return {hit["_id"]: {key: value for key, value in hit["_source"].items() if key != "data_stream"} for hit in hits}


def parsed(documents: dict[str, str]) -> dict[str, Any]:
    """Documents as objects."""
    return {name: json.loads(body) for name, body in documents.items()}


def test_beside_the_local_store(es: Elastic, tmp_path: Path) -> None:
    """Both have the same documents; a replay has them in a namespace of its own, and where told otherwise each once."""
    data, namespace = recorded(tmp_path / "data", storm(5, 20), HOST[:16]), es.namespace()
    prepare(es, namespace)
    index = {"names": [pattern(namespace)], "privileges": ["create_doc", "view_index_metadata", "auto_configure"]}
    settings = es.settings(namespace=namespace, api_key=es.key([index]))
    assert cgtrail(data, settings, "enrich", "--once").returncode == 0
    made = cgtrail(data, settings, "enrich", "--once", "--sink", "elasticsearch")
    assert (made.returncode, "the spool does not wait for this worker" in made.stderr) == (0, True), made.stderr
    local = parsed(dict(stored(data)))
    assert local
    assert found(es, namespace) == local
    told = cgtrail(data, settings, "status", "--json")
    workers = json.loads(told.stdout)["workers"]
    assert workers["elasticsearch"]["counts"]["ok"] == len(local)
    assert workers["elasticsearch"]["sink"]["documents"] == len(local)
    all_rights = es.settings(namespace=namespace)
    past = cgtrail(data, all_rights, "enrich", "--from", "1970-01-02", "--sink", "elasticsearch")
    assert past.returncode == 0, past.stderr
    assert found(es, f"{namespace}.replay").keys() == local.keys()
    past = cgtrail(
        data, all_rights, "enrich", "--from", "1970-01-02", "--sink", "elasticsearch", "--namespace", namespace
    )
    assert (past.returncode, ", 0 of them new" in past.stderr) == (0, True), past.stderr
    assert found(es, namespace) == local


def test_two_workers_of_kafka(es: Elastic, broker: Kafka, tmp_path: Path) -> None:
    """All hosts' documents are there, each once, and say what workers beside the spools say."""
    some, namespace = hosts(tmp_path / "hosts", 2, 20), es.namespace()
    prepare(es, namespace)
    settings = topics(broker, 4) | es.settings(namespace=namespace)
    with crew(broker, settings, tmp_path / "data", "cgtrail") as own:
        own.feed(some, 4)
        process = own.run("--once", "--workers", "2", "--sink", "elasticsearch")
        assert process.wait(240) == 0, own.tail()
        assert own.letters() == some.letters
    assert found(es, namespace) == parsed(dict(some.wanted))
