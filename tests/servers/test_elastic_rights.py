"""Who may what after `cgtrail setup elasticsearch`: writers, readers, tenants, and who sets it up."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import pytest

from enrich.elasticsearch.client import Client, ElasticsearchError
from tests.servers.elastic import Elastic
from tests.servers.setups import WHEN, Setups

Asked = Callable[[], object]
PASSWORD = uuid4().hex


@pytest.fixture
def setups(es: Elastic) -> Setups:
    """The shared server."""
    return Setups(es)


def test_a_writer_creates_and_nothing_else(setups: Setups) -> None:
    """It makes data streams by writing to them; it can't read, change, delete, or write elsewhere."""
    assert setups.run().code == 0
    own = _user(setups, f"cgtrail.{setups.namespace}-writer")
    assert _bulk(own, setups.stream()) == [201]
    assert _bulk(own, setups.stream()) == [409]
    newest = setups.backing()[-1]
    document = {"@timestamp": WHEN}
    for asked in (
        lambda: own.ask("POST", f"{setups.stream()}/_search"),
        lambda: own.ask("GET", f"{newest}/_doc/1"),
        lambda: own.ask("PUT", f"{newest}/_doc/1", document, if_seq_no="0", if_primary_term="1"),
        lambda: own.ask("DELETE", f"{newest}/_doc/1"),
        lambda: own.ask("GET", f"{setups.stream()}/_mapping"),
        lambda: own.ask("POST", f"{setups.stream()}/_rollover"),
        lambda: own.ask("DELETE", newest),
        lambda: own.ask("GET", "_index_template/logs-cgtrail.process"),
        lambda: own.ask("GET", "_cluster/health"),
    ):
        assert _refused(asked) == 403
    assert _bulk(own, f"logs-cgtrail.process-{setups.namespace}x") == [403]
    assert _bulk(own, setups.stream("elsewhere").replace("cgtrail", "other")) == [403]


def test_a_writer_that_reads_looks_up_what_is_stored(setups: Setups) -> None:
    """Only where it was asked for; it stays so until it is taken back."""
    role = f"cgtrail.{setups.namespace}-writer"
    assert setups.run("--writer-reads").code == 0
    own = _user(setups, role)
    assert _bulk(own, setups.stream()) == [201]
    newest = setups.backing()[-1]
    assert own.ask("GET", f"{newest}/_doc/1")["found"]
    assert own.ask("POST", f"{newest}/_mget", {"ids": ["1", "2"]})["docs"][0]["found"]
    assert own.ask("GET", f"_resolve/index/{setups.stream()}")["data_streams"][0]["backing_indices"] == [newest]
    assert _refused(lambda: own.ask("DELETE", f"{newest}/_doc/1")) == 403
    assert "as it should be" in setups.run().about(role)
    told = setups.run("--no-writer-reads").about(role, "ok")
    assert 'privileges: was ["auto_configure", "create_doc", "read", "view_index_metadata"]' in told
    assert _refused(lambda: own.ask("GET", f"{newest}/_doc/1")) == 403


def test_a_reader_reads_and_changes_nothing(setups: Setups) -> None:
    """Searches, points in time, mappings and the names of backing indices; no writing, no other namespace."""
    assert setups.run().code == 0
    setups.create("1")
    other = Setups(setups.es)
    other.create("2")
    own = _user(setups, f"cgtrail.{setups.namespace}-reader")
    everything = f"logs-cgtrail.*-{setups.namespace}"
    assert own.ask("POST", f"{everything}/_search")["hits"]["total"]["value"] == 1
    assert own.ask("GET", f"{everything}/_count")["count"] == 1
    point = own.ask("POST", f"{everything}/_pit", keep_alive="1m")["id"]
    assert own.ask("POST", "_search", {"pit": {"id": point}})["hits"]["total"]["value"] == 1
    assert own.ask("GET", f"_resolve/index/{everything}")["data_streams"]
    assert own.ask("GET", f"{setups.stream()}/_mapping")
    assert own.ask("GET", f"{setups.stream()}/_field_caps", fields="*")
    assert _bulk(own, setups.stream(), "9") == [403]
    assert _refused(lambda: own.ask("POST", f"{other.stream()}/_search")) == 403
    assert _refused(lambda: own.ask("DELETE", f"{setups.backing()[-1]}/_doc/1")) == 403


def test_a_tenant_has_an_alias_that_shows_its_documents(setups: Setups) -> None:
    """On data streams that are there, on those that come, after a rollover; nothing of others or other namespaces."""
    assert setups.run().code == 0
    other = Setups(setups.es)
    alias = f"cgtrail.{setups.namespace}-dora"
    setups.create("1", cgtrail={"tenant": {"id": ["carl", "dora"]}})
    setups.create("2", cgtrail={"tenant": {"id": ["carl"]}})
    told = setups.run("--tenant", "dora")
    assert told.code == 0
    assert setups.stream() in told.about(alias)
    assert "no wall" in told.about("aliases", "note")
    assert "basic) has no document-level security" in told.about("tenants", "note")
    setups.create("3", "session", cgtrail={"tenant": {"id": ["dora"]}})
    other.create("4", "session", cgtrail={"tenant": {"id": ["dora"]}})
    setups.es.ask("POST", f"{setups.stream()}/_rollover")
    setups.create("5", cgtrail={"tenant": {"id": ["dora"]}})
    assert setups.ids(alias) == {"1", "3", "5"}
    before = setups.state()
    again = setups.run("--tenant", "dora")
    assert (again.code, setups.state()) == (0, before)
    assert setups.run("--tenant", "emma").code == 0
    assert setups.ids(alias) == {"1", "3", "5"}
    assert "as it should be" in setups.run().about(alias)


def test_who_may_not_is_told_which_privilege_is_missing(setups: Setups) -> None:
    """Nothing at all; templates only; streams may be seen: a finding each names the privilege; no trace of Python."""
    assert setups.run("--tenant", "ann").code == 0
    setups.create("1")
    nobody = setups.run(api_key=setups.es.key([]))
    assert nobody.code == 3
    assert "manage_index_templates" in nobody.about(setups.namespace, "bad")
    before = setups.state()
    templates = setups.es.key([], ["manage_index_templates"])
    some = setups.run("--writer-reads", "--tenant", "fred", api_key=templates)
    assert "as it should be" in some.about("logs-cgtrail.process")
    assert "manage_security" in some.about("-writer", "note")
    assert "monitor" in some.about("tenants", "note")
    assert "view_index_metadata" in some.about("data streams", "bad")
    assert setups.state()["roles"] == before["roles"]
    elsewhere = setups.es.key([{"names": ["elsewhere"], "privileges": ["read"]}], ["manage_index_templates"])
    blind = setups.run(api_key=elsewhere)  # to whom the server says that there is nothing
    assert (blind.code, "manage on logs-cgtrail.*" in blind.about("data streams", "bad")) == (3, True)
    streams = [{"names": ["logs-cgtrail.*"], "privileges": ["view_index_metadata"]}]
    seeing = setups.es.key(streams, ["manage_index_templates"])
    told = setups.run("--tenant", "gerd", api_key=seeing)
    assert told.code == 3
    assert "manage on logs-cgtrail.*" in told.about(setups.stream(), "bad")
    wrong = setups.run(username="elastic", password=PASSWORD)
    assert (wrong.code, wrong.found) == (1, [])
    assert "Traceback" not in wrong.err
    assert PASSWORD not in wrong.err


def test_what_can_not_be_meant_is_refused(setups: Setups) -> None:
    """A tenant that can't be one, a kind that is none, a server that is not there: code and a sentence."""
    for arguments, named in (
        (["--tenant", "A b"], "can't be a tenant's id"),
        (["--retention", "processes=3"], "write KIND=DAYS"),
        (["--retention", "process=0"], "1 to 36,500 days"),
    ):
        code, _, err = setups.printed(*arguments)
        assert code == 2
        assert named in err
    away = setups.run(hosts="http://127.0.0.1:1")
    assert (away.code, away.found) == (1, [])
    assert "127.0.0.1:1" in away.err


def _user(setups: Setups, role: str) -> Client:
    """Somebody who has this role and no other."""
    name = f"user-{uuid4().hex[:8]}"
    setups.es.ask("PUT", f"_security/user/{name}", {"password": PASSWORD, "roles": [role]})
    return Client(setups.es.cluster(setups.namespace, username=name, password=PASSWORD))


def _bulk(client: Client, name: str, document: str = "1") -> list[int]:
    """Create a document there: what became of it."""
    lines = f"{json.dumps({'create': {'_index': name, '_id': document}})}\n{json.dumps({'@timestamp': WHEN})}\n"
    with suppress(ElasticsearchError):
        answer = client.bulk(lines.encode(), require_data_stream="true")
        return [each["create"]["status"] for each in answer["items"]]
    return [403]


def _refused(asked: Asked) -> int | None:
    """The status with which it was refused."""
    with pytest.raises(ElasticsearchError) as refused:
        asked()
    return refused.value.status
