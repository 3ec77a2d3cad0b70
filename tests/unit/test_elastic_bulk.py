"""Bodies of bulk requests."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.document import Document, Part
from enrich.elasticsearch.bulk import Encoder, Item, Pending

ENCODER = Encoder("default")
STREAM = "logs-cgtrail.process-default"
OWN = {"type": "logs", "dataset": "cgtrail.process", "namespace": "default"}


def pending(*documents: Document) -> Pending:
    """These documents, waiting."""
    return Pending(ENCODER, [Item(index, document) for index, document in enumerate(documents)])


def document(name: str = "a", size: int = 0, **source: object) -> Document:
    """A process document."""
    return Document(name, 0, "process", {"message": "x" * size, **source})


def sent(body: bytes) -> list[tuple[str, dict[str, object]]]:
    """Id and source of each document of a body, whose form is checked."""
    assert body.endswith(b"\n")
    lines = [orjson.loads(line) for line in body[:-1].split(b"\n")]
    for action in lines[::2]:
        assert action["create"]["_index"] == STREAM
    return [(action["create"]["_id"], source) for action, source in zip(lines[::2], lines[1::2], strict=True)]


texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=50)
@given(st.lists(st.tuples(texts.filter(lambda name: 0 < len(name.encode()) < 80), st.dictionaries(texts, texts))))
def test_every_document_goes_once(made: list[tuple[str, dict[str, str]]]) -> None:
    """Whatever ids and texts are, each document stands in one request, behind the name of its stream."""
    waiting = pending(*(Document(name, 0, "process", {"own": own}) for name, own in made))
    found = []
    while bulk := waiting.take(100, 3):
        assert len(bulk.items) <= 3
        found += sent(bulk.body)
        assert [item.document.id for item in bulk.items] == [name for name, _ in found[-len(bulk.items) :]]
    assert found == [(name, {"data_stream": OWN, "own": own}) for name, own in made]


def test_an_empty_document() -> None:
    """A document without fields is JSON, too."""
    bulk = pending(Document("a", 0, "process", {})).take(1000, 10)
    assert bulk
    assert sent(bulk.body) == [("a", {"data_stream": OWN})]


def test_parts_that_documents_share() -> None:
    """A piece that many documents have in common stands in each."""
    part = Part({"name": "ls"})
    bulk = pending(document("a", process=part), document("b", process=part)).take(1000, 10)
    assert bulk
    assert [source["process"] for _, source in sent(bulk.body)] == [{"name": "ls"}] * 2


def test_no_request_is_longer_than_allowed() -> None:
    """A document that does not fit any more opens the next request; one that is longer goes alone."""
    waiting = pending(*(document(name, size) for name, size in [("a", 300), ("b", 300), ("c", 5000), ("d", 10)]))
    bulks = []
    while bulk := waiting.take(1200, 100):
        bulks.append(bulk)
    assert [[item.document.id for item in bulk.items] for bulk in bulks] == [["a", "b"], ["c"], ["d"]]
    assert len(bulks[0].body) <= 1200
    assert not len(waiting)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Document("x", -1, "process", {}), "1970"),
        (Document("x", 1 << 63, "process", {}), "2262"),
        (Document("", 0, "process", {}), "1 to 512"),
        (Document("x" * 513, 0, "process", {}), "513 bytes"),
        (Document("\ud800", 0, "process", {}), "JSON"),
        (Document("x", 0, "process", {"args": ["\ud800"]}), "JSON"),
        (Document("x", 0, "process", {"number": 1 << 64}), "JSON"),
        (Document("x", 0, "../process", {}), "no kind"),
    ],
)
def test_what_can_never_be_sent(bad: Document, reason: str) -> None:
    """A document that would have a whole request refused, or is no JSON, stays out of it with a reason."""
    waiting = pending(document("a"), bad, document("b"))
    bulk = waiting.take(1000, 10)
    assert bulk
    assert [name for name, _ in sent(bulk.body)] == ["a", "b"]
    [(item, told)] = waiting.unfit
    assert item.index == 1
    assert reason in told


def test_deep_nesting_is_refused_here() -> None:
    """A document that is nested deeper than JSON is written stays out, as it would overflow a reader's stack."""
    deep: dict[str, object] = {}
    for _ in range(1000):
        deep = {"a": deep}
    waiting = pending(document("a", container={"labels": deep}))
    assert waiting.take(1000, 10) is None
    assert "JSON" in waiting.unfit[0][1]


def test_a_document_that_is_too_long_is_cut() -> None:
    """It stays below what an item may have, and names what was cut."""
    item = Item(0, document("a", 5000, event={"id": "a"}), limit=2000)
    bulk = Pending(ENCODER, [item]).take(10_000, 10)
    assert bulk
    [(_, source)] = sent(bulk.body)
    assert len(bulk.body) < 2200
    assert source["cgtrail"] == {"cut": ["message"]}
    assert source["event"] == {"id": "a"}
