"""What Elasticsearch's answers mean. Those of a real server are met in tests/servers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.elasticsearch.verdict import CREATED, REPEATED, STORED, Fate, verdict, verdicts


def item(status: int, kind: str = "", reason: str = "") -> dict[str, Any]:
    """One item of an answer."""
    return {"create": {"status": status, "error": {"type": kind, "reason": reason}}}


def test_all_were_created() -> None:
    """An answer without errors tells of each document."""
    assert verdicts({"errors": False, "items": [CREATED] * 3}, 3) == [STORED] * 3


def test_each_stands_in_its_place() -> None:
    """What was refused is told from what was not by its place."""
    conflict = item(409, "version_conflict_engine_exception")
    found = verdicts({"errors": True, "items": [CREATED, conflict, item(429, "x"), CREATED]}, 4)
    assert [each.fate for each in found] == [Fate.STORED, Fate.REPEATED, Fate.PRESSED, Fate.STORED]
    assert found[1] is REPEATED


@pytest.mark.parametrize(
    ("told", "fate", "words"),
    [
        (item(429, "es_rejected_execution_exception", "busy"), Fate.PRESSED, "busy"),
        (item(429, "circuit_breaking_exception", "memory"), Fate.PRESSED, "memory"),
        (item(429, "cluster_block_exception", "flood-stage watermark"), Fate.LATER, "watermark"),
        (item(403, "cluster_block_exception", "index write (api)"), Fate.LATER, "index write"),
        (item(403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"), Fate.LATER,
         "somebody blocked x: index write (api): take the block away"),
        (item(404, "resource_not_found_exception", "[require_data_stream] request flag is [true] and [x] is not a data"
              " stream"), Fate.LATER, "x is there and is no data stream: look what it is"),
        (item(403, "security_exception", "unauthorized"), Fate.LATER, "unauthorized"),
        (item(401, "security_exception", "invalidated"), Fate.LATER, "invalidated"),
        (item(404, "index_not_found_exception", "no such index"), Fate.LATER, "cgtrail setup elasticsearch"),
        (item(409, "resource_already_exists_exception", ""), Fate.LATER, "already"),
        (item(503, "unavailable_shards_exception", "primary shard is not active"), Fate.UNKNOWN, "primary shard"),
        (item(500, "node_closed_exception", "closed"), Fate.UNKNOWN, "closed"),
        (item(500, "x_content_parse_exception", "bad"), Fate.UNFIT, "bad"),
        (item(400, "document_parsing_exception", "failed to parse field [process.pid] of type [long] in"), Fate.UNFIT,
         "process.pid"),
        (item(400, "document_parsing_exception", "failed to parse field [process.pid] of type [date] in"), Fate.LATER,
         "as date, cgtrail needs long"),
        (item(400, "document_parsing_exception", "failed to parse field [own.f] of type [date] in"), Fate.UNFIT, ""),
        (item(400, "strict_dynamic_mapping_exception", "dynamic introduction of [own] within [cgtrail] is not"),
         Fate.UNFIT, "own"),
        (item(400, "strict_dynamic_mapping_exception", "dynamic introduction of [cut] within [cgtrail] is not"),
         Fate.LATER, "older than this cgtrail"),
        (item(400, "strict_dynamic_mapping_exception", "dynamic introduction of [id] within [cgtrail.session] is not"),
         Fate.LATER, "cgtrail setup elasticsearch"),
        (item(400, "strict_dynamic_mapping_exception", "dynamic introduction of [data_stream] within [_doc] is not"),
         Fate.LATER, "does not know data_stream"),
        (item(400, "strict_dynamic_mapping_exception", "dynamic introduction of [own] within [_doc] is not"),
         Fate.UNFIT, "own"),
        (item(400, "illegal_argument_exception", "Document contains at least one immense term"), Fate.UNFIT, "immense"),
        (item(400, "illegal_argument_exception", "pipeline with id [x] does not exist"), Fate.LATER, "pipeline"),
        (item(400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded"), Fate.LATER, "1000"),
        ({"create": {"status": 201, "failure_store": "used"}}, Fate.UNFIT, "failure store"),
        ({"create": {"status": 200}}, Fate.UNKNOWN, "200"),
        ({"index": {"status": 201}}, Fate.UNKNOWN, "can't be read"),
        ({"create": {"status": 500, "error": "text"}}, Fate.UNKNOWN, "text"),
    ],
)  # fmt: skip
def test_what_an_answer_means(told: dict[str, Any], fate: Fate, words: str) -> None:
    """Only what is about the document itself is its fault; what may have been done is not guessed."""
    found = verdict(told)
    assert found.fate is fate
    assert words in found.reason


@pytest.mark.parametrize("answer", [None, [], {}, "text", {"items": None}, {"errors": False, "items": [CREATED]}])
def test_an_answer_that_does_not_tell_of_each(answer: Any) -> None:
    """Nothing is stored by an answer that does not say so of every document."""
    assert [each.fate for each in verdicts(answer, 2)] == [Fate.UNKNOWN] * 2


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["create", "status", "error", "type", "reason", "failure_store"]), inner)
    ),
)


@given(json)
def test_any_answer(told: Any) -> None:
    """Whatever is answered, there is a verdict; only 201 without an error is taken for stored."""
    found = verdict(told)
    if found.fate is Fate.STORED:
        assert told["create"]["status"] == 201
        assert not told["create"].get("error")


def test_what_a_server_says_moves_no_terminal() -> None:
    """A document's own bytes in the server's words are shown safely, and not without end."""
    found = verdict(item(400, "document_parsing_exception", "preview: '\x1b]0;x\x07'" + "y" * 5000))
    assert "\x1b" not in found.reason
    assert len(found.reason) < 1000
