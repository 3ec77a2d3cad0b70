"""A stand-in for an Elasticsearch with what the one that is published for tests lacks: it keeps what it is given."""

from __future__ import annotations

import copy
from typing import Any

from enrich.elasticsearch.client import Client, ElasticsearchError

_SIMULATED: dict[str, Any] = {"template": {"mappings": {"_meta": {"cgtrail": {}}}}, "overlapping": []}


class Server(Client):
    """Answers as the server's REST reference says; `types` and `apis` are what it has, `fills` what it adds."""

    def __init__(
        self,
        *,
        types: tuple[str, ...] = ("wildcard", "constant_keyword", "match_only_text"),
        apis: tuple[str, ...] = ("_ilm", "_security", "_license"),
        options: bool = True,
        licence: str = "basic",
        fills: bool = False,
    ) -> None:
        self.types, self.apis, self.options, self.licence, self.fills = types, apis, options, licence, fills
        self.kept: dict[str, Any] = {}
        """Path → body."""
        self.streams: dict[str, dict[str, Any] | None] = {}
        """Data stream → its lifecycle."""
        self.refusing: dict[str, Any] = {}
        """Data stream → its options."""
        self.written = 0

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float | None = None, **query: str) -> Any:
        """One request."""
        del timeout, query
        api, _, name = path.partition("/")
        if path == "_index_template/_simulate":
            return self._simulate(body["template"])
        if path.startswith("_index_template/_simulate_index"):
            return _SIMULATED
        if api == "_resolve":
            return self._resolved(name.partition("/")[2])
        if path.endswith("/_mapping"):
            return {api: {"mappings": {"_meta": {"cgtrail": {}}}}}
        if path.endswith("/_lifecycle") and "_lifecycle" in self.apis:
            return self._lifecycle(method, name.partition("/")[0], body)
        if path.endswith("/_options") and "_options" in self.apis:
            return self._options(method, name.partition("/")[0], body)
        if api == "_license" and api in self.apis:
            return {"license": {"type": self.licence}}
        if (api in {"_ilm", "_security"} and api not in self.apis) or api in {"_license", "_data_stream"}:
            raise ElasticsearchError("no handler", status=400, reason=f"no handler found for uri [/{path}]")
        return self._write(path, body) if method == "PUT" else self._read(api, path, name.rpartition("/")[2])

    def close(self) -> None:
        """Nothing is open."""

    def _simulate(self, template: dict[str, Any]) -> Any:
        asked = {each["type"] for each in template.get("mappings", {}).get("properties", {}).values()}
        known = asked <= {*self.types, "keyword"} and (self.options or "data_stream_options" not in template)
        if not known:
            raise ElasticsearchError("invalid", status=400, kind="illegal_argument_exception")
        return _SIMULATED

    def _resolved(self, pattern: str) -> Any:
        names = [name for name in self.streams if name.startswith(pattern.rstrip("*"))]
        return {"data_streams": [{"name": name, "backing_indices": [f".ds-{name}-000001"]} for name in names]}

    def _lifecycle(self, method: str, name: str, body: Any) -> Any:
        if method == "PUT":
            self.written += 1
            self.streams[name] = body
        return {"data_streams": [{"name": name, "lifecycle": self.streams.get(name)}]}

    def _options(self, method: str, name: str, body: Any) -> Any:
        if method == "PUT":
            self.written += 1
            self.refusing[name] = body
        return {"data_streams": [{"name": name, "options": self.refusing.get(name, {})}]}

    def _write(self, path: str, body: Any) -> Any:
        self.written += 1
        kept = copy.deepcopy(body)
        if self.fills and "policy" in kept:
            kept["policy"]["phases"]["delete"]["filled_in"] = True
        self.kept[path] = kept
        return {"acknowledged": True}

    def _read(self, api: str, path: str, name: str) -> Any:
        if path not in self.kept:
            raise ElasticsearchError("not found", status=404)
        body = copy.deepcopy(self.kept[path])
        if api == "_component_template":
            return {"component_templates": [{"name": name, "component_template": body}]}
        if api == "_index_template":
            return {"index_templates": [{"name": name, "index_template": body}]}
        return {name: body}
