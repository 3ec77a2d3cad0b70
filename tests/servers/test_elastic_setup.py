"""`cgtrail setup elasticsearch` on a real server: makes what is missing, renews what is ours, shows what is edited."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from enrich.documents import KINDS
from enrich.fields import FIELDS
from tests.servers.elastic import Elastic, RefusedError, elastic
from tests.servers.prepared import prepare
from tests.servers.setups import WHEN, Setups, pieces

MAPPINGS = "_component_template/logs-cgtrail@mappings"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elastic]:
    """A server of these tests' own: templates are a whole cluster's."""
    with elastic(tmp_path_factory.mktemp("elastic")) as own:
        own.ask("PUT", "_security/role/unused", {})  # roles can be asked for once there was one
        yield own


@pytest.fixture
def setups(bare: Elastic) -> Iterator[Setups]:
    """That server in a namespace of one's own; others find it as it was set up."""
    yield Setups(bare)
    for name in ("logs-cgtrail@custom", "logs-cgtrail.process@custom"):
        with suppress(RefusedError):  # a test may have made it
            bare.ask("DELETE", f"_component_template/{name}")
    prepare(bare, "default", apply=True)


def test_an_empty_cluster_is_set_up_once(setups: Setups) -> None:
    """A dry run changes nothing; two at once make everything between them; a third finds all as it should be."""
    empty = setups.state()
    told = setups.run("--dry-run", "--tenant", "ann")
    assert (told.code, setups.state()) == (3, empty)
    assert "would be made" in told.about("logs-cgtrail.process")
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda tenant: setups.run("--tenant", tenant), ("ann", "bert")))
    assert [each.code for each in both] == [0, 0], both
    made = setups.state()
    templates = made["index_template"]["index_template"]
    assert {f"logs-cgtrail.{kind}" for kind in KINDS} <= set(templates)
    names = setups.es.ask("GET", "_component_template/logs-cgtrail@tenants")["component_templates"][0]
    assert set(names["component_template"]["template"]["aliases"]) == {
        f"cgtrail.{setups.namespace}-ann",
        f"cgtrail.{setups.namespace}-bert",
    }
    again = setups.run()
    assert (again.code, setups.state()) == (0, made)
    assert all("as it should be" in each["found"] for each in again.found if each["level"] == "ok")
    code, out, _ = setups.printed()
    assert (code, out.splitlines()[-1]) == (0, "Elasticsearch is set up.")


def test_documents_are_mapped_as_they_are_declared(setups: Setups) -> None:
    """Every field of every kind is there with its type; unknown ones are refused below cgtrail, and else only kept."""
    setups.run()
    for kind in KINDS:
        assert setups.create("1", kind)["status"] == 201
    assert setups.create("2", cgtrail={"unheard": 1})["error"]["type"] == "strict_dynamic_mapping_exception"
    labels = {"a.b": "c", "a": "d", "long": "x" * 40_000}
    taken = setups.create("3", unheard={"of": 1}, container={"labels": labels}, process={"args": ["y" * 40_000, "z"]})
    assert taken["status"] == 201
    found = setups.es.ask("GET", f"{setups.stream()}/_field_caps", fields="*")["fields"]
    spare = {"wildcard": "keyword"}
    assert {name: next(iter(found[name])) for name in FIELDS} == {
        name: spare.get(each.type, each.type) for name, each in FIELDS.items()
    }
    assert "unheard.of" not in found
    assert "process.command_line.text" in found
    newest = setups.es.ask("GET", f"{setups.stream()}/_search", {"fields": [{"field": "@timestamp"}], "size": 1})
    assert newest["hits"]["hits"][0]["fields"]["@timestamp"] == [WHEN]


def test_templates_of_an_older_cgtrail_are_brought_up_to_date(setups: Setups) -> None:
    """Fields are added to what is written now; a type that changed needs a new backing index; nothing is lost."""
    _put_older(setups.es, lambda properties: properties["process"]["properties"].pop("vpid"))
    assert setups.create("1", process={"vpid": 7})["status"] == 201
    _put_older(setups.es, lambda properties: properties["process"]["properties"].update(pid={"type": "keyword"}))
    assert setups.create("2", "session", process={"pid": 7})["status"] == 201
    before = setups.state()
    told = setups.run("--dry-run")
    assert (told.code, setups.state()) == (3, before)
    assert "would be rolled over" in told.about(setups.stream("session"))
    assert "properties.process.properties.pid.type: was keyword → would be long" in told.about(setups.stream("session"))
    assert "would be mapped anew" in told.about(setups.stream())
    assert "it was of cgtrail 0.0.1" in told.about("logs-cgtrail@mappings")
    assert (len(setups.backing()), len(setups.backing("session"))) == (1, 1)

    done = setups.run()
    assert done.code == 0, done.found
    assert (len(setups.backing()), len(setups.backing("session"))) == (1, 2)
    assert "vpid: was nothing → is now" in done.about(setups.stream(), "ok")
    assert setups.mapped()["process"]["properties"]["vpid"] == {"type": "long"}
    assert setups.mapped("session")["process"]["properties"]["pid"] == {"type": "long"}
    assert setups.create("3", process={"vpid": 8})["status"] == 201
    assert setups.create("4", "session", process={"pid": 8})["status"] == 201
    assert setups.ids(setups.stream()) == {"1", "3"}
    assert setups.ids(setups.stream("session")) == {"2", "4"}
    after = setups.state()
    assert (setups.run().code, setups.state()) == (0, after)


def test_what_somebody_edited_is_shown_and_left(setups: Setups) -> None:
    """Of a template, a role and an alias; only --apply overwrites it, and says what it was."""
    setups.run("--tenant", "cleo")
    setups.create("1")
    alias, role = f"cgtrail.{setups.namespace}-cleo", f"cgtrail.{setups.namespace}-reader"
    edited = setups.es.ask("GET", MAPPINGS)["component_templates"][0]["component_template"]
    edited["template"]["mappings"]["properties"]["process"]["properties"]["pid"]["type"] = "keyword"
    setups.es.ask("PUT", MAPPINGS, {key: edited[key] for key in ("template", "_meta")})
    theirs = setups.es.ask("GET", f"_security/role/{role}")[role]
    theirs["indices"][0]["privileges"].append("monitor")
    setups.es.ask("PUT", f"_security/role/{role}", {key: theirs[key] for key in ("indices", "metadata")})
    wider = {"index": setups.stream(), "alias": alias, "filter": {"match_all": {}}}
    setups.es.ask("POST", "_aliases", {"actions": [{"add": wider}]})
    before = setups.state()
    for arguments in ([], ["--dry-run"], ["--dry-run", "--apply"]):
        told = setups.run(*arguments)
        assert (told.code, setups.state()) == (3, before)
        assert "properties.pid.type: was keyword → " in told.about("logs-cgtrail@mappings")
        assert "privileges: was [" in told.about(role)
        assert "--apply" in str(arguments) or "overwrites it" in told.about(alias, "bad")
    assert "logs-cgtrail@custom" in setups.run().about("logs-cgtrail@mappings", "bad")
    done = setups.run("--apply")
    assert done.code == 0, done.found
    assert "was keyword → is now long" in done.about("logs-cgtrail@mappings", "ok")
    assert "it was edited" in done.about(role, "ok")
    again = setups.run()
    assert again.code == 0, again.found
    assert "as it should be" in again.about(alias)


def test_what_a_user_adds_is_honoured_and_never_touched(setups: Setups) -> None:
    """Settings and fields in @custom templates win, for what is new and for what is there."""
    setups.run()
    setups.create("1")
    settings = {"index.number_of_replicas": "0", "index.refresh_interval": "30s"}
    everyone: dict[str, Any] = {"template": {"settings": settings}}
    own = {"template": {"mappings": {"properties": {"team": {"type": "keyword"}}}}, "_meta": {"whose": "ours"}}
    setups.es.ask("PUT", "_component_template/logs-cgtrail@custom", everyone)
    setups.es.ask("PUT", "_component_template/logs-cgtrail.process@custom", own)
    assert "team: was nothing → would be" in setups.run("--dry-run").about(setups.stream())
    for arguments in ([], ["--apply"]):
        done = setups.run(*arguments)
        assert done.code == 0, done.found
        for name, body in (("logs-cgtrail@custom", everyone), ("logs-cgtrail.process@custom", own)):
            found = setups.es.ask("GET", f"_component_template/{name}", flat_settings="true")["component_templates"]
            assert {key: found[0]["component_template"][key] for key in body} == body
    assert setups.mapped()["team"] == {"type": "keyword"}
    setups.create("2", "session")
    told = setups.es.ask("GET", f"{setups.stream('session')}/_settings", flat_settings="true")
    assert settings.items() <= next(iter(told.values()))["settings"].items()


def test_a_newer_cgtrail_is_left_alone(setups: Setups) -> None:
    """What it wrote is not taken back by an older one, unless that is asked for."""
    setups.run()
    _put_older(setups.es, lambda properties: properties.update(future={"type": "long"}), version="999.0")
    before = setups.state()
    told = setups.run()
    assert (told.code, setups.state()) == (3, before)
    assert "cgtrail 999.0, which is newer" in told.about("logs-cgtrail@mappings", "bad")
    assert setups.run("--apply").code == 0


def test_another_template_that_wins_is_told(setups: Setups) -> None:
    """Data streams that somebody else's template would make are named, and theirs are not mapped after it."""
    setups.run()
    setups.create("1")
    path = "_index_template/somebody"
    body = {"index_patterns": [f"{setups.stream()}*"], "priority": 900, "data_stream": {}}
    setups.es.ask("PUT", path, body)
    try:
        before = setups.state()
        told = setups.run()
        assert (told.code, setups.state()) == (3, before)
        assert "priority is above 250" in told.about(setups.stream(), "bad")
    finally:
        # A template that a data stream needs can't be deleted: it gives way first.
        setups.es.ask("PUT", path, body | {"priority": 1})
        setups.es.ask("DELETE", path)


def test_what_stands_in_the_place_of_a_data_stream_is_told(setups: Setups) -> None:
    """An alias of somebody's index: no document can be stored there, and only they can take it away."""
    setups.run()
    own = f"somebodys-{setups.namespace}"
    setups.es.ask("PUT", own, {"aliases": {setups.stream(): {}}})
    told = setups.run("--apply")
    assert told.code == 3
    assert f"there is an alias of {own} of this name" in told.about(setups.stream(), "bad")
    setups.es.ask("DELETE", own)
    assert setups.run().code == 0


def test_more_shards_than_can_be_followed_are_told(setups: Setups) -> None:
    """A user's own template may have them; nobody finds out only when `tail` refuses."""
    path = "_component_template/logs-cgtrail.process@custom"
    setups.es.ask("PUT", path, {"template": {"settings": {"number_of_shards": 3}}})
    try:
        told = setups.run()
        assert told.code == 0
        assert "3 primary shards" in told.about(setups.stream(), "note")
    finally:
        setups.es.ask("PUT", path, {"template": {}})
    assert not setups.run().about(setups.stream(), "note")


def _put_older(es: Elastic, change: Any, version: str = "0.0.1") -> None:
    """The templates as another version would have written them."""
    for path, piece in pieces().items():
        body = copy.deepcopy(piece.body)
        if path == MAPPINGS:
            change(body["template"]["mappings"]["properties"])
            body["template"]["mappings"]["_meta"]["cgtrail"]["version"] = version
        request = type(piece)(piece.api, piece.name, body).request()
        request["_meta"]["cgtrail"]["version"] = version
        es.ask("PUT", path, request)
