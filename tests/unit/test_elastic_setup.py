"""`cgtrail setup elasticsearch` for servers that have what the one for tests lacks: what is sent, and what is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cgtrail.check.finding import Finding, Level
from cgtrail.elasticsearch import lifecycle
from cgtrail.elasticsearch.difference import differences
from cgtrail.elasticsearch.features import features
from cgtrail.elasticsearch.settle import AGAIN, Manner, refusal
from cgtrail.elasticsearch.setup import Asked, Setup
from enrich.elasticsearch.client import ElasticsearchError
from enrich.elasticsearch.mappings import MAX_KEYWORD, TYPES, Features, Lifecycle
from tests.unit.elastic_server import Server

POLICY = "_ilm/policy/logs-cgtrail.process"
PACKAGE = "_component_template/logs-cgtrail.process@package"
LUCENE_BYTES = 32_766
STREAM = "logs-cgtrail.process-default"


def test_what_a_server_can_do_is_asked_of_it() -> None:
    """Types one by one, lifecycles by whether their API answers, options of data streams by simulation."""
    assert features(Server()) == Features()
    some = Server(types=("wildcard",), apis=("_lifecycle",), options=False)
    assert features(some) == Features(frozenset({"wildcard"}), Lifecycle.STREAM, failure_store=False)
    assert features(Server(types=(), apis=())) == Features(frozenset(), Lifecycle.NONE)
    assert some.written == 0


def test_with_ilm_a_kind_has_a_policy() -> None:
    """It rolls over and deletes; the template names it; nothing speaks of the other lifecycle."""
    server = Server()
    _run(server, retention={"process": 90})
    assert server.kept[POLICY]["policy"]["phases"] == {
        "hot": {"min_age": "0ms", "actions": {"rollover": {"max_age": "7d", "max_primary_shard_size": "50gb"}}},
        "delete": {"min_age": "90d", "actions": {"delete": {"delete_searchable_snapshot": True}}},
    }
    kept = {path: body["policy"]["phases"]["delete"]["min_age"] for path, body in server.kept.items() if "_ilm" in path}
    assert kept["_ilm/policy/logs-cgtrail.terminal"] == "7d"
    assert set(kept.values()) == {"90d", "7d", "365d"}
    template = server.kept[PACKAGE]["template"]
    assert template["settings"] == {"index.lifecycle.name": "logs-cgtrail.process"}
    assert "lifecycle" not in template


def test_without_ilm_a_data_stream_has_a_lifecycle() -> None:
    """New ones by the template; those that are there are brought to it where they have none, or it was asked for."""
    server = Server(apis=("_lifecycle",))
    server.streams = {STREAM: None, "logs-cgtrail.session-x": {"data_retention": "5d", "enabled": True}}
    told = _run(server)
    assert server.kept[PACKAGE]["template"]["lifecycle"] == {"enabled": True, "data_retention": "30d"}
    assert not any("_ilm" in path for path in server.kept)
    assert server.streams[STREAM] == {"enabled": True, "data_retention": "30d"}
    assert [each.found for each in told if each.level is Level.BAD] == ["data stream: kept 5d, new ones 365d"]
    _run(server, retention={"session": 10})
    assert (server.streams["logs-cgtrail.session-x"] or {})["data_retention"] == "10d"
    assert not [each for each in _run(server) if each.level is Level.BAD]


def test_data_streams_that_are_there_refuse_what_they_can_not_take() -> None:
    """A failure store that a cluster gives them by itself is turned off; one that somebody wants is named."""
    server = Server(apis=("_ilm", "_options"))
    server.streams = {STREAM: None, "logs-cgtrail.session-x": None}
    server.refusing = {"logs-cgtrail.session-x": {"failure_store": {"enabled": True}}}
    assert "would be without a failure store" in _about(_run(server, dry=True), STREAM)
    assert STREAM not in server.refusing
    told = _run(server)
    assert server.refusing[STREAM] == {"failure_store": {"enabled": False}}
    assert "no dead letter" in _about(told, "logs-cgtrail.session-x", Level.NOTE)
    assert _set_up(server)


def test_where_nothing_ages_documents_it_is_said() -> None:
    """A server with neither is set up, and it is told that documents stay."""
    assert "stay until" in _about(_run(Server(apis=())), "retention")


@pytest.mark.parametrize("apis", [("_ilm",), ("_lifecycle",)])
def test_a_retention_stays_what_it_is(apis: tuple[str, ...]) -> None:
    """Asked for once it holds in later runs, also after somebody changed it by hand."""
    server = Server(apis=apis)
    _run(server, retention={"process": 3})
    assert _set_up(server)
    path = POLICY if apis == ("_ilm",) else PACKAGE
    text = json.dumps(server.kept[path])
    assert '"3d"' in text
    server.kept[path] = json.loads(text.replace('"3d"', '"11d"'))
    assert _set_up(server)
    assert '"11d"' in json.dumps(server.kept[path])


@pytest.mark.parametrize(("days", "filled"), [(1, 1), (14, 1), (15, 7), (90, 7), (91, 30), (3650, 30)])
def test_a_backing_index_is_filled_for_a_fraction_of_the_retention(days: int, filled: int) -> None:
    """Documents stay that much longer at most."""
    assert lifecycle.rollover(days) == filled


def test_what_a_server_fills_in_is_no_edit() -> None:
    """It is not shown as a difference, nor written again; an edit beside it is found."""
    server = Server(fills=True)
    _run(server)
    assert _set_up(server)
    server.kept[POLICY]["policy"]["phases"]["hot"]["actions"]["rollover"]["max_age"] = "1h"
    before = json.dumps(server.kept)
    told = _run(server)
    assert "max_age: was 1h → should be 7d" in _about(told, "logs-cgtrail.process")
    assert "edited since" in _about(told, "logs-cgtrail.process", Level.BAD)
    assert json.dumps(server.kept) == before
    _run(server, apply=True)
    assert _set_up(server)


def test_what_others_write_beside_it_stays() -> None:
    """Metadata of a piece that is not ours outlives an upgrade."""
    server = Server()
    _run(server)
    server.kept[POLICY]["policy"]["_meta"]["team"] = "blue"
    _run(server, retention={"process": 5})
    assert server.kept[POLICY]["policy"]["_meta"]["team"] == "blue"
    assert server.kept[POLICY]["policy"]["phases"]["delete"]["min_age"] == "5d"


def test_what_has_our_name_and_is_somebody_elses_is_left() -> None:
    """A policy without our mark is not written over, and whose it is is said."""
    server = Server()
    theirs = {"policy": {"phases": {"delete": {"min_age": "1d", "actions": {"delete": {}}}}}}
    server.kept[POLICY] = theirs
    assert "made by somebody else" in _about(_run(server), "logs-cgtrail.process", Level.BAD)
    assert server.kept[POLICY] == theirs


def test_a_dry_run_writes_nothing() -> None:
    """On an empty server, and on one that is set up in another way."""
    server = Server(apis=("_lifecycle", "_security", "_license"))
    assert any(each.advice == AGAIN for each in _run(server, dry=True, tenants=("ann",)))
    assert server.written == 0
    _run(server)
    written, server.apis = server.written, ("_ilm", "_security", "_license")
    assert "template.lifecycle: was {" in _about(_run(server, dry=True), "logs-cgtrail.process@package")
    assert server.written == written


def test_the_types_that_a_server_has_are_used() -> None:
    """Constants are held once, lines are wildcards without a bound, their words are for matching only."""
    server = Server()
    _run(server)
    mappings = server.kept["_component_template/logs-cgtrail@mappings"]["template"]["mappings"]
    line = mappings["properties"]["process"]["properties"]["command_line"]
    assert line == {"type": "wildcard", "fields": {"text": {"type": "match_only_text"}}}
    assert mappings["properties"]["data_stream"]["properties"]["dataset"] == {"type": "constant_keyword"}
    assert mappings["properties"]["process"]["properties"]["io"]["properties"]["text"] == {"type": "wildcard"}
    own = server.kept[PACKAGE]["template"]["mappings"]["properties"]["data_stream"]["properties"]
    assert own["dataset"] == {"type": "constant_keyword", "value": "cgtrail.process"}
    assert "namespace" not in own
    options = server.kept["_component_template/logs-cgtrail@settings"]["template"]["data_stream_options"]
    assert options == {"failure_store": {"enabled": False}}
    poor = Server(types=(), options=False)
    _run(poor)
    assert not any(name in json.dumps(poor.kept) for name in (*TYPES, "failure_store"))
    mappings = poor.kept["_component_template/logs-cgtrail@mappings"]["template"]["mappings"]
    text = {"type": "keyword", "ignore_above": MAX_KEYWORD, "doc_values": False}
    assert mappings["properties"]["process"]["properties"]["io"]["properties"]["text"] == text
    assert MAX_KEYWORD * 4 <= LUCENE_BYTES


def test_a_tenant_has_a_role_where_the_licence_has_one() -> None:
    """It reads what its query lets through; where there is none, and where security is off, that is said."""
    server = Server(licence="platinum")
    _run(server, tenants=("ann",))
    role = server.kept["_security/role/cgtrail-tenant-ann"]
    assert role["indices"][0]["privileges"] == ["read", "view_index_metadata"]
    terms = json.loads(role["indices"][0]["query"])["bool"]["filter"]
    assert terms == [
        {"term": {"cgtrail.tenant.id": {"value": "ann"}}},
        {"term": {"data_stream.namespace": {"value": "default"}}},
    ]
    assert "no document-level security" in _about(_run(Server(), tenants=("ann",)), "tenants")
    assert "security is off" in _about(_run(Server(apis=())), "roles")


def test_differences_are_told_by_path() -> None:
    """What changed, what is new and what would be gone, also within lists of objects; long values are cut."""
    found: Mapping[str, Any] = {"a": {"b": 1, "gone": True}, "c": [{"d": "x", "e": []}], "same": 1}
    wanted: Mapping[str, Any] = {"a": {"b": "2"}, "c": [{"d": "y", "e": []}], "new": {"f": "z" * 500}, "same": 1}
    told = [each.told("would be") for each in differences(found, wanted)]
    assert told[:3] == [
        "a.b: was 1 → would be 2",
        "a.gone: was true → would be nothing",
        "c.0.d: was x → would be y",
    ]
    assert told[3].startswith('new: was nothing → would be {"f": "zzz')
    assert len(told[3]) < 200
    assert len(told) == 4


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (None, "", True),
        (401, "security_exception", True),
        (503, "", True),
        (200, "", True),
        (302, "", True),
        (404, "", True),
        (400, "media_type_header_exception", True),
        (400, "", False),
        (403, "security_exception", False),
        (403, "cluster_block_exception", False),
        (404, "index_not_found_exception", False),
    ],
)
def test_what_can_not_be_asked_is_no_finding(status: int | None, kind: str, *, raised: bool) -> None:
    """It ends with 1, whoever answers in the cluster's place; what was refused is told, and all else is done."""
    error = ElasticsearchError("words", status=status, kind=kind, reason="why")
    if raised:
        with pytest.raises(ElasticsearchError):
            refusal("what", "noun", error, "manage")
        return
    told = refusal("what", "noun", error, "manage")
    assert ("privilege" in told.advice) == (kind == "security_exception")


def _run(server: Server, *, apply: bool = False, dry: bool = False, **asked: Any) -> list[Finding]:
    """What it tells."""
    return list(Setup(server, "default", Asked(Manner(apply, dry), **asked)).run())


def _set_up(server: Server) -> bool:
    """Whether another run has nothing to do or to say against it."""
    written = server.written
    return all(each.level is not Level.BAD for each in _run(server)) and server.written == written


def _about(told: list[Finding], what: str, level: Level | None = None) -> str:
    return "\n".join(each.found for each in told if each.what == what and level in (None, each.level))
