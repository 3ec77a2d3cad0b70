"""How the fields of documents are mapped: from their declaration and what the server can do, nothing else.

Below `cgtrail` only declared fields are taken; elsewhere others are kept and not indexed, so that no document can add
a field. https://www.elastic.co/docs/reference/elasticsearch/mapping-reference
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from enrich.elasticsearch.fields import DATA_STREAM, has_text
from enrich.fields import FIELDS

MAX_KEYWORD = 8191
"""Characters of a keyword that is indexed: of four bytes each, just less than Lucene's 32,766 bytes for a term.

In an object that is flattened it is the same for each value; what is longer is not even named in `_ignored` there.
"""
LONG_TEXTS = ("process.io.text", "cgtrail.command.output.text")
"""Where a server has no wildcard, they have no columns: nobody sorts by them, and they would be as large as the index
(2,550 and not 1,940 bytes a document of the kind terminal). Without the index *needle* would take 40 times as long.
"""
TYPES = {"wildcard": "keyword", "constant_keyword": "keyword", "match_only_text": "text"}
"""Types that not every server has, and what is next to them."""

_STRICT = "cgtrail"
_LINE = "cgtrail.command.line"  # words of lines that were typed are found as those of ECS's command lines


class Lifecycle(Enum):
    """What in a server ages documents, as it is called in messages."""

    ILM = "index lifecycle management"
    STREAM = "data stream lifecycle"
    NONE = "nothing"


@dataclass(frozen=True, slots=True)
class Features:
    """What a server can do that not every server can."""

    types: frozenset[str] = frozenset(TYPES)
    """Those of TYPES that it knows."""
    lifecycle: Lifecycle = Lifecycle.ILM
    failure_store: bool = True
    """It can keep documents that it can't take, and say that all is well."""

    def type(self, wanted: str) -> str:
        """The type itself where the server has it, else what is next to it."""
        return wanted if wanted in self.types else TYPES.get(wanted, wanted)


def mappings(features: Features) -> dict[str, Any]:
    """The mapping that all kinds of documents share, as a template has it."""
    root: dict[str, Any] = {"dynamic": "false", "properties": {}}
    for field, declared in FIELDS.items():
        _put(root, field, _mapped(field, declared.type, features))
    for field in DATA_STREAM:
        _put(root, field, _keyword("constant_keyword", features))
    root["properties"][_STRICT]["dynamic"] = "strict"
    return root


def constants(dataset: str, features: Features) -> dict[str, Any]:
    """What the mapping of one data set says beyond that: its name, where the server can hold it once for all."""
    if "constant_keyword" not in features.types:
        return {}
    root: dict[str, Any] = {"properties": {}}
    for part, value in (("type", "logs"), ("dataset", dataset)):
        _put(root, f"data_stream.{part}", {"type": "constant_keyword", "value": value})
    return root


def _mapped(field: str, kind: str, features: Features) -> dict[str, Any]:
    if kind == "flattened":
        return {"type": kind, "ignore_above": MAX_KEYWORD}
    if kind not in ("keyword", "wildcard"):
        return {"type": kind}
    told = _keyword(kind, features)
    if field in LONG_TEXTS and told["type"] == "keyword":
        told["doc_values"] = False
    if has_text(field) or field == _LINE:
        text: dict[str, Any] = {"type": features.type("match_only_text")}
        told["fields"] = {"text": text | ({"norms": False} if text["type"] == "text" else {})}
    return told


def _keyword(kind: str, features: Features) -> dict[str, Any]:
    """One of the types that hold a string as it is."""
    found = features.type(kind)
    return {"type": found} | ({"ignore_above": MAX_KEYWORD} if found == "keyword" else {})


def _put(root: dict[str, Any], field: str, mapped: dict[str, Any]) -> None:
    *parents, last = field.split(".")
    for name in parents:
        root = root["properties"].setdefault(name, {"properties": {}})
    root["properties"][last] = mapped
