"""Documents are what the Elastic Common Schema says they are, so that content made for it understands them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import shipper.wire.records  # noqa: F401  declares its records
from bpf.schema import RECORDS
from enrich import losses
from enrich.document import Document
from enrich.documents import KINDS
from enrich.elasticsearch.fields import DATA_STREAM, has_text
from enrich.fields import FIELDS
from enrich.losses import ECS, Trouble
from enrich.steps.host import Host
from tests.contract.ecs import FILE, VERSION

DEFINITION: dict[str, dict[str, Any]] = json.loads(FILE.read_text())["fields"]
SECOND = 1_000_000_000
GOLDEN = Path(__file__).parents[1] / "golden/documents.ndjson"
FAMILIES = {
    "date": {"date", "date_nanos"},
    "keyword": {"keyword", "wildcard", "constant_keyword"},
    "wildcard": {"keyword", "wildcard"},
    "constant_keyword": {"keyword", "constant_keyword"},
    "object": {"flattened"},
}
"""ECS's type → ours that answer the same queries; the others are the same."""
SHAPES: dict[str, type] = {"keyword": str, "wildcard": str, "long": int, "boolean": bool, "ip": str}
SHAPES |= {"date_nanos": str}


def declared_names() -> set[str]:
    """Every field name that a record's field gets in documents; a device is two numbers there."""
    fields = [f for cls in RECORDS.values() for f in cls.layout.fields() if f.ecs]
    plain = {f.ecs for f in fields if f.ecs and f.wire.kind != "device"}
    devices = {f.ecs for f in fields if f.ecs and f.wire.kind == "device"}
    return plain | {f"{name}.{part}" for name in devices for part in ("major", "minor")}


@cache
def golden() -> list[dict[str, Any]]:
    """Documents of every kind: those of a recording, and of a loss, which it has none of."""
    loss = losses.document(Host(), "id", SECOND, 1, Trouble.NOT_DELIVERED, 1, count=1)
    made = Document("id", SECOND, "loss", loss).encode()
    return [json.loads(line) for line in [*GOLDEN.read_bytes().splitlines(), made]]


def values(source: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each field of a document and its value; of objects in an array, each one's."""
    for name, value in source.items():
        field = f"{path}.{name}" if path else name
        if FIELDS.get(field) and FIELDS[field].type == "flattened":
            continue
        inner = value if isinstance(value, list) else [value]
        if inner and all(isinstance(each, dict) for each in inner):
            for each in inner:
                yield from values(each, field)
        else:
            yield field, value


def test_names_are_ecs_or_our_own() -> None:
    """Every field of a document is one of ECS, or stands under `cgtrail.`."""
    names = declared_names() | FIELDS.keys() | DATA_STREAM.keys()
    assert {name for name in names if not name.startswith("cgtrail.")} <= DEFINITION.keys()


def test_the_definition_holds_only_what_is_used() -> None:
    """What no document has is not kept in ecs.json."""
    assert declared_names() | FIELDS.keys() | DATA_STREAM.keys() >= DEFINITION.keys()


def test_documents_name_the_version_that_they_are_held_against() -> None:
    """ecs.version is that of the definition."""
    assert ECS["version"] == json.loads(FILE.read_text())["version"] == VERSION


@pytest.mark.parametrize("name", DEFINITION)
def test_types_are_those_of_ecs(name: str) -> None:
    """A field has ECS's type, or one that answers the same queries."""
    declared, wanted = (FIELDS | DATA_STREAM)[name], DEFINITION[name]
    assert declared.type in FAMILIES.get(wanted["type"], {wanted["type"]})


@pytest.mark.parametrize("name", DEFINITION)
def test_text_beside_a_field_is_that_of_ecs(name: str) -> None:
    """A field has `.text` in Elasticsearch where ECS has it, and nothing else beside it."""
    assert DEFINITION[name].get("multi_fields", {}) == ({"text": "match_only_text"} if has_text(name) else {})


def test_the_golden_documents_are_of_every_kind() -> None:
    """What is held below is held of every kind that there is."""
    kinds = {document["event"]["dataset"].removeprefix("cgtrail.") for document in golden()}
    assert kinds == set(KINDS)


def test_every_field_of_every_document_is_declared() -> None:
    """A field that a document has can be searched, and is mapped."""
    found = {name for document in golden() for name, _ in values(document)}
    assert found <= FIELDS.keys()


def test_arrays_and_single_values() -> None:
    """What ECS calls an array is one also of one value; what it does not is none. Values are of the declared type."""
    for document in golden():
        for name, value in values(document):
            if not name.startswith("cgtrail.") and name in DEFINITION and ".bytes_skipped." not in name:
                assert isinstance(value, list) == DEFINITION[name].get("array", False), name
            for each in value if isinstance(value, list) else [value]:
                shape = SHAPES[FIELDS[name].type]
                assert isinstance(each, shape), (name, each)
                assert isinstance(each, bool) == (shape is bool), (name, each)
                if FIELDS[name].type == "ip":
                    ipaddress.ip_address(str(each))


def test_arrays_of_objects_are_arrays() -> None:
    """ECS's process.io.bytes_skipped is one."""
    skipped = [
        d["process"]["io"]["bytes_skipped"] for d in golden() if "bytes_skipped" in d.get("process", {}).get("io", {})
    ]
    assert all(isinstance(each, list) for each in skipped)


def test_values_that_ecs_lists() -> None:
    """event.kind, .category, .type, .outcome and host.os.type have values that ECS allows."""
    for document in golden():
        for name, value in values(document):
            allowed = DEFINITION.get(name, {}).get("allowed")
            if allowed:
                assert set(value if isinstance(value, list) else [value]) <= allowed.keys(), name


def test_categories_and_types_go_together() -> None:
    """Each event.type is one that ECS expects of one of the document's event.category."""
    expected = DEFINITION["event.category"]["allowed"]
    for document in golden():
        event = document["event"]
        assert set(event["type"]) <= {kind for category in event["category"] for kind in expected[category]}, event
