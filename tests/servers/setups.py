"""`cgtrail setup elasticsearch` run in a namespace of one's own, and what a cluster holds before and after."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from subprocess import run
from typing import Any

from cgtrail.elasticsearch import lifecycle, templates
from cgtrail.elasticsearch.pieces import Piece
from enrich.documents import KINDS
from enrich.elasticsearch.mappings import Features, Lifecycle
from tests.servers.clusters import Ran
from tests.servers.elastic import Elastic

_TOLD = ("templates", "index_template", "component_template", "data_stream", "settings", "ingest")
WHEN = "2026-01-01T00:00:00.123456789Z"


@dataclass
class Setups:
    """A server, and a namespace that no other test has."""

    es: Elastic
    namespace: str = field(default_factory=Elastic.namespace)

    def run(self, *arguments: str, **settings: str) -> Ran:
        """`cgtrail setup elasticsearch --json`, as elastic or as settings say."""
        code, out, err = self.printed(*arguments, "--json", **settings)
        return Ran(code, [json.loads(line) for line in out.splitlines()], err)

    def printed(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        """The same as people see it: exit code, standard output and error."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CGTRAIL_")}
        env = environment | self.es.settings(**{"namespace": self.namespace} | settings) | {"TERM": "dumb"}
        argv = [sys.executable, "-m", "cgtrail", "setup", "elasticsearch", *arguments]
        done = run(argv, capture_output=True, text=True, check=False, env=env, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def stream(self, kind: str = "process") -> str:
        """One of its data streams."""
        return f"logs-cgtrail.{kind}-{self.namespace}"

    def create(self, name: str, kind: str = "process", **document: Any) -> Mapping[str, Any]:
        """Write a document as the sink does; what became of it."""
        parts = {"type": "logs", "dataset": f"cgtrail.{kind}", "namespace": self.namespace}
        body = {"data_stream": parts, "@timestamp": WHEN} | document
        lines = f"{json.dumps({'create': {'_index': self.stream(kind), '_id': name}})}\n{json.dumps(body)}\n"
        answer = self.es.ask("POST", "_bulk", lines.encode(), refresh="true", require_data_stream="true")
        return dict(answer["items"][0]["create"])

    def backing(self, kind: str = "process") -> list[str]:
        """Its backing indices, the one that is written last."""
        found = self.es.ask("GET", f"_resolve/index/{self.stream(kind)}")["data_streams"]
        return list(found[0]["backing_indices"]) if found else []

    def mapped(self, kind: str = "process") -> dict[str, Any]:
        """The mapping of the one that is written."""
        newest = self.backing(kind)[-1]
        return dict(self.es.ask("GET", f"{newest}/_mapping")[newest]["mappings"]["properties"])

    def ids(self, where: str) -> set[str]:
        """Ids of documents that can be found there."""
        return {each["_id"] for each in self.es.ask("GET", f"{where}/_search", {"size": 1000})["hits"]["hits"]}

    def state(self) -> dict[str, Any]:
        """What a cluster has been told: templates, data streams, indices with mappings and settings, aliases, roles."""
        metadata = self.es.ask("GET", "_cluster/state/metadata")["metadata"]
        told = {key: metadata.get(key) for key in _TOLD}
        told["indices"] = {name: each for name, each in metadata["indices"].items() if not name.startswith(".security")}
        return told | {"roles": self.es.ask("GET", "_security/role")}


def pieces(**days: int) -> dict[str, Piece]:
    """What this cgtrail would write on such a server, by path."""
    kept = {kind: lifecycle.default(kind) for kind in KINDS} | days
    features = Features(frozenset(), Lifecycle.NONE, failure_store=True)
    return {piece.path: piece for piece in templates.pieces(features, kept, {})}
