"""Data streams that are there already: how their newest backing index is mapped, and how it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cgtrail.elasticsearch import templates
from cgtrail.elasticsearch.difference import Difference, differences
from enrich.documents import KINDS
from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.streams import pattern, stream
from enrich.elasticsearch.streams import streams as ours


@dataclass(frozen=True, slots=True)
class Stream:
    """One that is ours by its name."""

    name: str
    kind: str
    newest: str
    """The backing index that is written."""


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be done so that it is mapped as wanted."""

    differences: tuple[Difference, ...]
    rollover: bool
    """A new backing index is needed: the mapping of the newest one can't be changed into this."""


def streams(client: Client) -> list[Stream]:
    """Those of all namespaces that we may see. Raises ElasticsearchError."""
    told: list[Stream] = []
    for kind in KINDS:
        found = client.ask("GET", f"_resolve/index/{stream(kind, '*')}", expand_wildcards="open,hidden")
        told += [Stream(each["name"], kind, _newest(each["backing_indices"])) for each in found["data_streams"]]
    return told


def mapping(client: Client, index: str) -> dict[str, Any]:
    """How an index is mapped. Raises ElasticsearchError."""
    return dict(client.ask("GET", f"{index}/_mapping")[index]["mappings"])


def in_the_way(client: Client, namespace: str) -> Iterator[tuple[str, str]]:
    """Names of our data streams under which there is something else, and what that is. Raises ElasticsearchError."""
    names = set(ours(namespace).values())
    found = client.ask("GET", f"_resolve/index/{pattern(namespace)}", expand_wildcards="all")
    yield from ((each["name"], "an index") for each in found.get("indices", ()) if each["name"] in names)
    for each in found.get("aliases", ()):
        if each["name"] in names:
            yield each["name"], f"an alias of {', '.join(each['indices'])}"


def simulated(client: Client, kind: str, name: str) -> dict[str, Any] | None:
    """The template of a data stream's next backing index; None: ours is there, and not used for it.

    Raises ElasticsearchError.
    """
    answer = client.ask("POST", f"_index_template/_simulate_index/{name}")
    if any(each["name"] == templates.name(kind) for each in answer.get("overlapping", ())):
        return None
    return dict(answer.get("template", {}))


def shards(template: Mapping[str, Any]) -> str:
    """How many primary shards an index of this template has."""
    return str(template.get("settings", {}).get("index", {}).get("number_of_shards", "1"))


def change(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Change | None:
    """From one mapping to another; None: nothing that is wanted is missing. What is there beyond it stays."""
    seen = tuple(_missing(found, wanted))
    if not seen:
        return None
    foreign = "cgtrail" not in found.get("_meta", {})
    return Change(seen, foreign or any(each.path.endswith(".type") and each.was != "nothing" for each in seen))


def overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings as component templates are put together: the later one wins, a field as a whole."""
    told = dict(under)
    for key, value in over.items():
        below = told.get(key)
        field = isinstance(value, Mapping) and "type" in value and "properties" not in value
        told[key] = (
            overlaid(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) and not field else value
        )
    return told


def extend(client: Client, name: str, wanted: Mapping[str, Any]) -> None:
    """Add to the mapping of the newest backing index. Raises ElasticsearchError, with 400 where it can't be."""
    body = {key: value for key, value in wanted.items() if key != "_data_stream_timestamp"}
    client.ask("PUT", f"{name}/_mapping", body, write_index_only="true")


def roll(client: Client, seen: Stream) -> bool:
    """Begin a new backing index, unless somebody else has meanwhile. Raises ElasticsearchError."""
    now = client.ask("GET", f"_resolve/index/{seen.name}")["data_streams"]
    if not now or _newest(now[0]["backing_indices"]) != seen.newest:
        return False
    client.ask("POST", f"{seen.name}/_rollover")
    return True


def custom(client: Client, names: tuple[str, ...]) -> dict[str, Any]:
    """What a user's own component templates say of mappings. Raises ElasticsearchError."""
    told: dict[str, Any] = {}
    for name in names:
        try:
            found = client.ask("GET", f"_component_template/{name}")["component_templates"][0]
        except ElasticsearchError as error:
            if error.status != 404:
                raise
            continue
        told = overlaid(told, found["component_template"].get("template", {}).get("mappings", {}))
    return told


def _missing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Difference]:
    return (each for each in differences(found, wanted) if each.wanted != "nothing")


def _newest(backing: list[str] | str) -> str:
    return backing if isinstance(backing, str) else backing[-1]
