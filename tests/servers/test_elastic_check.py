"""`cgtrail check` where Elasticsearch is configured: what it says of the way there, of rights, and of templates."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from cgtrail import config
from cgtrail.check import elasticsearch as looked_at
from cgtrail.check import report
from cgtrail.check.finding import Finding, Level
from cgtrail.elasticsearch.roles import reader, writer
from enrich.documents import KINDS
from tests.servers.elastic import Elastic
from tests.servers.listeners import free_ports
from tests.servers.prepared import prepare

pytestmark = pytest.mark.elasticsearch


def look(es: Elastic, **own: str) -> list[Finding]:
    """All findings; advice is where something is to be done."""
    found = list(looked_at.look(config.load(None, es.settings(**own), {})))
    assert all(bool(each.advice) is (each.level is not Level.OK) for each in found)
    return found


def about(found: list[Finding], level: Level) -> str:
    """What was found that is so good or bad."""
    return "\n".join(f"{each.found} → {each.advice}" for each in found if each.level is level)


def test_no_cluster_is_no_finding() -> None:
    """Most hosts have none; `cgtrail check` asks for one that is configured."""
    assert not list(looked_at.look(config.load(None, {}, {})))
    assert report.LOOKS["elasticsearch"] is looked_at.look


def test_keys_with_just_their_role(es: Elastic) -> None:
    """A worker's and a reader's are told apart and are good; one for something else is not."""
    namespace = es.namespace()
    prepare(es, namespace)
    told: dict[int, str] = {}
    for role in (writer(namespace, reads=False), writer(namespace, reads=True), reader(namespace)):
        found = look(es, namespace=namespace, api_key=es.key(role.body["indices"]))
        assert not [each for each in found if each.level is not Level.OK]
        told[len(told)] = about(found, Level.OK)
    assert "all that a worker needs; not to read" in told[0]
    assert "all that a worker needs, and who reads" in told[1]
    assert "to read only" in told[2]
    other = look(es, namespace=namespace, api_key=es.key(writer("another", reads=False).body["indices"]))
    assert f"may neither write nor read logs-cgtrail.*-{namespace}: it lacks auto_configure" in about(other, Level.BAD)


def test_who_may_everything_is_told_of_roles(es: Elastic) -> None:
    """A superuser's password is no key for a worker; templates are seen by it, and named."""
    namespace = es.namespace()
    prepare(es, namespace)
    found = look(es, namespace=namespace)
    assert "user elastic may do everything there" in about(found, Level.NOTE)
    assert f"index templates for {', '.join(KINDS)}" in about(found, Level.OK)


def test_templates_that_are_not_there_or_edited(own_es: Elastic) -> None:
    """What to do is a command."""
    assert "no index template logs-cgtrail." in about(look(own_es), Level.BAD)
    assert "run `cgtrail setup elasticsearch`" in about(look(own_es), Level.BAD)
    prepare(own_es, "default")
    name = "_index_template/logs-cgtrail.process"
    body = own_es.ask("GET", name)["index_templates"][0]["index_template"]
    own_es.ask("PUT", name, {key: value for key, value in body.items() if "date" not in key} | {"priority": 777})
    assert not about(look(own_es), Level.BAD)
    assert "edited, or made by somebody else" in about(look(own_es), Level.NOTE)


def test_the_way_there(es: Elastic) -> None:
    """A dead node among others is a note; none, a wrong password and a file that is not there are bad."""
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    some = look(es, hosts=f"{dead},{es.url}")
    assert f"{dead}: it can't be connected to: Connection refused; the others are used" in about(some, Level.NOTE)
    assert "reached by http" in about(some, Level.OK)
    assert "Connection refused" in about(look(es, hosts=dead), Level.BAD)
    assert "it knows no user elastic" in about(look(es, password=uuid4().hex), Level.BAD)
    assert "/no/such.key" in about(look(es, api_key_file="/no/such.key"), Level.BAD)


def test_what_can_be_read_on_the_way(es: Elastic) -> None:
    """Plain HTTP to another machine is told, without what a URL holds of secrets."""
    cluster = replace(es.cluster(), hosts=("http://us:secret@es.example.org:9200",))
    told = about(list(looked_at._way(cluster)), Level.NOTE)
    assert "http://es.example.org:9200 can be read on the way" in told
    assert "secret" not in told
    assert not list(looked_at._way(es.cluster()))


def test_what_setup_would_leave_is_no_finding(own_es: Elastic) -> None:
    """A template of an older cgtrail, or whose mark is gone, that holds what it should: setup has nothing to do."""
    prepare(own_es, "default")
    name = "_index_template/logs-cgtrail.process"
    body = own_es.ask("GET", name)["index_templates"][0]["index_template"]
    body = {key: value for key, value in body.items() if not key.endswith(("_date", "_date_millis"))}
    older = {"cgtrail": {**body["_meta"]["cgtrail"], "version": "0.0.1"}}
    for meta in ({}, older):
        own_es.ask("PUT", name, body | {"_meta": meta})
        assert "logs-cgtrail.process" not in [each.what for each in look(own_es)]


def test_what_keeps_streams_from_being_made_is_told(es: Elastic) -> None:
    """Another template that wins, and an index under a stream's name; a reader is told of the second."""
    namespace = es.namespace()
    prepare(es, namespace)
    template = f"_index_template/plain-{namespace}"
    name = f"logs-cgtrail.loss-{namespace}"
    es.ask("PUT", template, {"index_patterns": [name], "priority": 99_998})
    es.ask("PUT", name)
    try:
        found = about(look(es, namespace=namespace), Level.BAD)
        assert "made by another index template" in found
        assert "there is an index of this name" in found
        reads = about(look(es, namespace=namespace, api_key=es.key(reader(namespace).body["indices"])), Level.BAD)
        assert "there is an index of this name" in reads
    finally:
        es.ask("DELETE", name)
        es.ask("DELETE", template)
    assert not about(look(es, namespace=namespace), Level.BAD)
