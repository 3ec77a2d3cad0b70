"""The Elasticsearch that other tests stand on: it keeps what it took, and lets in whom it should."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from enrich.elasticsearch.client import Client, ElasticsearchError
from tests.servers.elastic import Elastic, RefusedError

pytestmark = pytest.mark.elasticsearch
OWNER = """
import sys, time
from pathlib import Path
from tests.servers.elastic import elastic
with elastic(Path(sys.argv[1])) as node:
    print(node.pid, flush=True)
    time.sleep(600)
"""


def write(node: Elastic, *ids: str) -> list[int]:
    """Documents that it has acknowledged; the status of each."""
    lines = [json.dumps(each) for name in ids for each in ({"create": {"_index": "kept", "_id": name}}, {"name": name})]
    client = Client(node.cluster())
    try:
        return [item["create"]["status"] for item in client.bulk("\n".join([*lines, ""]).encode())["items"]]
    finally:
        client.close()


def test_a_killed_node_keeps_what_it_took(own_es: Elastic) -> None:
    """SIGKILL, SIGTERM and a pause lose nothing; port, password and API keys stay."""
    key, url = own_es.key([{"names": ["kept"], "privileges": ["read"]}]), own_es.url
    assert write(own_es, "1", "2") == [201, 201]
    own_es.kill()
    own_es.start()
    assert write(own_es, "2", "3") == [409, 201]
    own_es.pause()
    own_es.resume()
    own_es.stop()
    own_es.start()
    assert own_es.url == url
    own_es.ask("POST", "kept/_refresh")
    client = Client(own_es.cluster(api_key=key))
    assert client.ask("GET", "kept/_count")["count"] == 3
    with pytest.raises(ElasticsearchError, match="lacks the index privilege"):
        client.ask("PUT", "kept/_doc/4", {})
    client.close()


def test_nobody_is_let_in_without_a_password(es: Elastic) -> None:
    """Security is on: neither an unknown user nor a wrong password does."""
    for who in ({"username": "elastic", "password": "wrong"}, {"username": "nobody", "password": es.password}):
        with pytest.raises(ElasticsearchError) as refused:
            Client(es.cluster(**who)).ask("GET", "_cluster/health")
        assert refused.value.status == 401
    with pytest.raises(RefusedError):
        es.ask("GET", "no-such-index/_doc/1")
    assert es.namespace() != es.namespace()


def test_no_node_outlives_its_test_run(tmp_path: Path) -> None:
    """The process that started it is killed: it goes too."""
    argv = [sys.executable, "-c", OWNER, str(tmp_path / "elastic")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.getcwd()}) as owner:
        assert owner.stdout is not None
        node = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
    try:
        assert select.select([node], [], [], 60)[0], "it runs on"
    finally:
        os.close(node)
