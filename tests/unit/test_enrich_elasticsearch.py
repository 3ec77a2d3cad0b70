"""`--sink elasticsearch`: a worker of its own beside the local store's, its dead letters, and the past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from enrich.document import Document
from enrich.elasticsearch.cluster import Cluster
from enrich.sinks import Outcome, Status
from enrich.sinks import elasticsearch as sinks
from enrich.sinks.memory import MemorySink
from shipper.wire.position import position_file
from tests.unit import spooled
from tests.unit.ran import Run, work
from tests.unit.spooled import FIVE, Spooled, programs


class Cloud:
    """Elasticsearch as its sink shows it: documents by namespace."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Document]] = {}
        self.sure: list[str] = []
        """Sent as what can't be there."""
        self.rejects = ""

    def sink(self, cluster: Cluster, **limits: Any) -> MemorySink:
        """One that writes there."""
        assert limits == {"bulk_bytes": 5 << 20, "in_flight": 2, "recordings": True}
        assert cluster.hosts == ("https://es-1",)
        cloud = self

        class Sink(MemorySink):
            """It rejects what it is told to."""

            def write(self, batch: Sequence[Document]) -> list[Outcome]:
                """As the real one answers."""
                cloud.sure += [document.id for document in batch if not document.again]
                return [
                    Outcome(Status.REJECTED, "no date")
                    if cloud.rejects and cloud.rejects in document.id
                    else super(Sink, self).write([document])[0]
                    for document in batch
                ]

        made = Sink()
        made.documents = self.documents.setdefault(cluster.namespace, {})
        return made


@pytest.fixture
def cloud(run: Run, monkeypatch: pytest.MonkeyPatch) -> Cloud:  # it clears the environment first
    """The one that is configured."""
    made = Cloud()
    monkeypatch.setenv("CGTRAIL_ELASTICSEARCH_HOSTS", "https://es-1")
    monkeypatch.setattr(sinks, "ElasticsearchSink", made.sink)
    return made


def test_beside_the_local_store(run: Run, spool: Spooled, cloud: Cloud) -> None:
    """Each has all of it, and a position of its own; after its first documents both are only told what is new."""
    work(spool)
    assert run("enrich", "--once", "--sink", "elasticsearch").code == 0
    assert programs(cloud.documents["default"]) == FIVE
    places = {
        sink: position_file(spool.data / "spool", sink).load()[spool.stream.id.hex()].next
        for sink in ("sqlite", "elasticsearch")
    }
    assert places == dict.fromkeys(places, spool.number)
    assert not cloud.sure  # a worker begins in doubt


@pytest.mark.parametrize(("readers", "named"), [("", False), ("sqlite,elasticsearch", True), ("elasticsearch", True)])
def test_who_is_not_waited_for_is_told(
    run: Run, spool: Spooled, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, *, readers: str, named: bool
) -> None:
    """Unless spool.readers names it, what the worker has not read may be removed: it says so when it starts."""
    monkeypatch.setenv("CGTRAIL_SPOOL_READERS", readers)
    with capture_logs() as told:
        assert run("enrich", "--once", "--sink", "elasticsearch").code == 0
    warned = [each for each in told if "does not wait" in each["event"]]
    assert (bool(warned), programs(cloud.documents["default"])) == (not named, FIVE)
    assert spool.number
    assert named or "spool.readers to sqlite, elasticsearch" in warned[0]["next"]


def test_the_past_has_a_namespace_of_its_own(run: Run, spool: Spooled, cloud: Cloud) -> None:
    """Unless told otherwise; and all of it may be there."""
    assert run("enrich", "--once", "--sink", "elasticsearch").code == 0
    told = run("enrich", "--from", "2023-11-14", "--sink", "elasticsearch").err
    assert "5 documents, 5 of them new; in the namespace default.replay" in told
    assert programs(cloud.documents["default.replay"]) == FIVE
    told = run("enrich", "--from", "2023-11-14", "--sink", "elasticsearch", "--namespace", "default").err
    assert "5 documents, 0 of them new; in the namespace default;" in told
    assert run("enrich", "--from", "2023-11-14", "--sink", "elasticsearch", "--namespace", "other").code == 0
    assert set(cloud.documents) == {"default", "default.replay", "other"}
    assert not cloud.sure
    assert spool.number


def test_its_dead_letters(run: Run, spool: Spooled, cloud: Cloud) -> None:
    """They are its own, and are tried again where they were to go, as what may be there."""
    cloud.rejects = f"{spooled.ID.hex()}-3-"
    assert run("enrich", "--once", "--sink", "elasticsearch").code == 0
    assert "no date" in run("deadletters", "list", "--sink", "elasticsearch").out
    assert run("deadletters", "list").out == ""
    assert run("deadletters", "replay", "--all", "--sink", "elasticsearch").code == 1
    cloud.rejects = ""
    assert run("deadletters", "replay", "--all", "--sink", "elasticsearch").code == 0
    assert sorted(programs(cloud.documents["default"])) == FIVE
    assert not cloud.sure
    assert run("deadletters", "list", "--sink", "elasticsearch").out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "1h", "--into", "/x", "--sink", "elasticsearch"], "leave out --sink elasticsearch"),
        (["--namespace", "a", "--sink", "elasticsearch"], "it is for --from with --sink elasticsearch"),
        (["--namespace", "a", "--from", "1h"], "it is for --from with --sink elasticsearch"),
        (["--namespace", "A-b", "--from", "1h", "--sink", "elasticsearch"], "--namespace: elasticsearch.namespace is"),
        (["--workers", "2", "--sink", "elasticsearch"], "a spool has one reader"),
    ],
)
def test_options_that_do_not_fit(run: Run, arguments: list[str], words: str) -> None:
    """Options that mean nothing together are an error that says what would."""
    result = run("enrich", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_nowhere_to_write(run: Run, spool: Spooled) -> None:
    """Without a host there is an error that names the key, and nothing is touched."""
    result = run("enrich", "--once", "--sink", "elasticsearch")
    assert (result.code, "elasticsearch.hosts is empty" in result.err) == (2, True)
    assert not position_file(spool.data / "spool", "elasticsearch").load()
