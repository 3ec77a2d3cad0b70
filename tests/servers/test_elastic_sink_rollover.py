"""Documents that are sent again when another backing index is written: ids are unique within one only."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.lookup import REALTIME, Lookup
from enrich.elasticsearch.streams import stream
from enrich.sinks import DUPLICATE, OK, Status
from tests.servers.elastic import Elastic
from tests.servers.prepared import prepare
from tests.servers.written import CREATE_AND_READ, CREATE_ONLY, documents, roll_over, sink, times_stored, unrefreshed


@pytest.fixture
def namespace(es: Elastic) -> str:
    """One with templates, of this test's own."""
    own = es.namespace()
    prepare(es, own)
    return own


def test_what_is_in_doubt_is_looked_up(es: Elastic, namespace: str) -> None:
    """Stored before a rollover and not refreshed since: found, and what was not stored is."""
    own = sink(es, namespace, api_key=es.key(CREATE_AND_READ))
    own.write(documents(1))
    unrefreshed(es, namespace)
    assert set(own.write(documents(1999, 1))) == {OK}
    roll_over(es, namespace)
    unrefreshed(es, namespace)
    assert own.write(documents(2500, again=True)) == [DUPLICATE] * 2000 + [OK] * 500
    roll_over(es, namespace)
    assert set(own.write(documents(2500, again=True))) == {DUPLICATE}
    assert own.facts()["looked_up"] == 5000
    stored = times_stored(es, namespace)
    assert (len(stored), set(stored.values())) == (2500, {1})
    own.close()


def test_many_generations(es: Elastic, namespace: str) -> None:
    """Of the older backing indices the search tells."""
    own = sink(es, namespace, api_key=es.key(CREATE_AND_READ))
    for generation in range(REALTIME + 3):
        assert own.write(documents(2, generation * 2)) == [OK] * 2
        es.ask("POST", f"{stream('process', namespace)}/_refresh")
        roll_over(es, namespace)
    count = 2 * (REALTIME + 3)
    assert own.write(documents(count + 1, again=True)) == [DUPLICATE] * count + [OK]
    assert set(times_stored(es, namespace).values()) == {1}
    own.close()


def test_a_rollover_between_looking_and_creating(es: Elastic, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the index that was just rolled over holds has been found there: nothing is there twice."""
    own = sink(es, namespace, api_key=es.key(CREATE_AND_READ))
    assert set(own.write(documents(600))) == {OK}
    looked = Lookup.stored

    def then_rolled_over(self: Lookup, *asked: Any) -> set[str]:
        known = looked(self, *asked)
        roll_over(es, namespace)
        return known

    monkeypatch.setattr(Lookup, "stored", then_rolled_over)
    assert own.write(documents(1000, again=True)) == [DUPLICATE] * 600 + [OK] * 400
    stored = times_stored(es, namespace)
    assert (len(stored), set(stored.values())) == (1000, {1})
    own.close()


def lose_answers(es: Elastic, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are carried out, then the index rolls over, and their answers never come."""
    bulk = Client.bulk

    def lost(self: Client, lines: bytes, **query: str) -> Any:
        bulk(self, lines, **query)
        roll_over(es, namespace)
        raise ElasticsearchError("the connection was cut", unknown=True)

    monkeypatch.setattr(Client, "bulk", lost)


@pytest.mark.parametrize("rights", [CREATE_AND_READ, CREATE_ONLY], ids=["may look", "may not"])
def test_an_answer_that_is_lost_in_a_rollover(
    es: Elastic, namespace: str, monkeypatch: pytest.MonkeyPatch, rights: list[dict[str, Any]]
) -> None:
    """With a key that may look nothing is there twice; else what the lost request held, and no more. None is lost."""
    own = sink(es, namespace, api_key=es.key(rights))
    assert own.write(documents(10)) == [OK] * 10
    batch = documents(1000, 10)
    with monkeypatch.context() as broken:
        lose_answers(es, namespace, broken)
        assert {outcome.status for outcome in own.write(batch)} == {Status.RETRY}
    doubtful = {each.id for each in batch if each.again}
    assert 0 < len(doubtful) <= 1000
    assert {outcome.status for outcome in own.write(batch)} <= {Status.OK, Status.DUPLICATE}
    stored = times_stored(es, namespace)
    assert len(stored) == 1010
    assert {name for name, times in stored.items() if times > 1} == (set() if rights is CREATE_AND_READ else doubtful)
    assert max(stored.values()) <= 2
    own.close()


def test_a_key_that_may_not_look(es: Elastic, namespace: str) -> None:
    """It is said once; what is there twice is at most what was sent again after a rollover, and nothing is lost."""
    own = sink(es, namespace, api_key=es.key(CREATE_ONLY))
    assert set(own.write(documents(1000))) == {OK}
    assert set(own.write(documents(1000, again=True))) == {DUPLICATE}
    roll_over(es, namespace)
    with capture_logs() as told:
        for _ in range(2):
            own.write(documents(300, 700, again=True))
    assert [line["log_level"] for line in told] == []
    stored = times_stored(es, namespace)
    assert len(stored) == 1000
    assert {name for name, times in stored.items() if times == 2} == {f"doc-{number}" for number in range(700, 1000)}
    assert max(stored.values()) == 2
    own.close()


def test_it_is_said_what_a_key_can_not_do(es: Elastic, namespace: str) -> None:
    """At the first document in doubt a warning tells what may be stored twice, and which rights help."""
    own = sink(es, namespace, api_key=es.key(CREATE_ONLY))
    with capture_logs() as told:
        own.write(documents(3))
        assert told == []
        own.write(documents(3, again=True))
        own.write(documents(3, again=True))
    [line] = told
    assert line["log_level"] == "warning"
    assert "twice" in line["event"]
    assert "--writer-reads" in line["next"]
    own.close()


def test_a_backing_index_that_can_not_be_asked(es: Elastic, namespace: str) -> None:
    """While it is closed, what is in doubt waits and all else is stored; what is deleted holds nothing."""
    own = sink(es, namespace, api_key=es.key(CREATE_AND_READ))
    own.write(documents(5))
    [index] = es.ask("GET", f"_resolve/index/{stream('process', namespace)}")["data_streams"][0]["backing_indices"]
    roll_over(es, namespace)
    es.ask("POST", f"{index}/_close")
    [doubtful] = own.write(documents(1, again=True))
    assert doubtful.status is Status.RETRY
    assert f"{index}: " in doubtful.reason
    assert "open it" in doubtful.reason
    assert own.write(documents(1, 100)) == [OK]
    es.ask("DELETE", index)
    assert own.write(documents(1, again=True)) == [OK]
    own.close()
