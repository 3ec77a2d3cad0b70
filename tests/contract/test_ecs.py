"""Documents are what the Elastic Common Schema says they are, so that content made for it understands them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bpf.events import SshLogin
from bpf.schema import RECORDS
from enrich import losses
from enrich.document import Document
from enrich.documents import KINDS
from enrich.elasticsearch.fields import DATA_STREAM, has_text
from enrich.fields import FIELDS
from enrich.losses import ECS, Trouble
from enrich.steps.host import Host
from shipper.wire.records import ContainerEvent, HostInfo, Life
from tests.contract.ecs import FILE, VERSION
from tests.unit.at_terminal import begun as at_terminal
from tests.unit.stream import BOOT, contained, exec_, process, running

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
    """Documents of every kind and with every field: those of a recording, and what that has none of."""
    loss = losses.document(Host(), "id", SECOND, 1, Trouble.NOT_DELIVERED, 1, count=1)
    made = Document("id", SECOND, "loss", loss).encode()
    return [json.loads(line) for line in [*GOLDEN.read_bytes().splitlines(), made]] + rare()


def rare() -> list[dict[str, Any]]:
    """Of a pod's container with an image and labels, of an SSH login in it, and of a terminal that skipped bytes."""
    stream, terminal = at_terminal()
    info: dict[str, Any] = {"image": b"debian:12", "digest": b"sha256:0", "labels": b'{"a":"b"}', "pod": b"web-0"}
    stream.feed(HostInfo(host_name=b"node", boot_id=BOOT, architecture=b"x86_64", system=b"Debian 12"))
    stream.feed(
        contained(pod_id=b"1-2", namespace=b"default", **info), ContainerEvent(life=Life.CREATED, key=b"docker/77")
    )
    terminal.skip(100)
    stream.feed(terminal.output(b"a"))
    stream.wait(SECOND)
    login = process(SshLogin, 14, 10, connection=b"192.0.2.7 50000 192.0.2.1 22")
    stream.feed(running(10, 1, b"/usr/sbin/sshd"), login, exec_(14, 10, b"/bin/sh", permitted=1, capabilities=1))
    return stream.documents + stream.journal


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


def test_every_field_is_in_some_document() -> None:
    """What is held below is held of every field of ECS that documents can have; data_stream is the sink's."""
    found = {name for document in golden() for name, _ in values(document)} | {"container.labels"}
    assert DEFINITION.keys() - DATA_STREAM.keys() <= found


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


def test_flattened_fields_are_objects_of_texts() -> None:
    """container.labels and cgtrail.raw have no fields of their own, and hold nothing but text."""
    labels = [d["container"]["labels"] for d in golden() if "labels" in d.get("container", {})]
    raw = [d["cgtrail"]["raw"] for d in golden() if "raw" in d["cgtrail"]]
    assert labels
    assert all(isinstance(text, str) for each in labels + raw for text in each.values())


def test_arrays_of_objects_are_arrays() -> None:
    """ECS's process.io.bytes_skipped is one."""
    skipped = [
        d["process"]["io"]["bytes_skipped"] for d in golden() if "bytes_skipped" in d.get("process", {}).get("io", {})
    ]
    assert skipped
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
