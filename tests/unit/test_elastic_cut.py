"""Documents that are too long for Elasticsearch, or do not fit their fields."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.elasticsearch.cut import CutError, mended, shortened


def cut(source: dict[str, Any], limit: int) -> dict[str, Any]:
    """A document as it is sent, which is no longer than allowed."""
    body = shortened(orjson.dumps(source), limit)
    assert len(body) <= limit
    found: dict[str, Any] = orjson.loads(body)
    return found


def mend(source: dict[str, Any]) -> dict[str, Any]:
    """A document as it is sent the second time."""
    found: dict[str, Any] = orjson.loads(mended(orjson.dumps(source)))
    return found


def test_the_longest_text_ends_early() -> None:
    """The beginning of the longest text stays, an ellipsis says that there was more; all others are whole."""
    source = {"event": {"id": "a"}, "process": {"io": {"text": "ü" * 9000}, "title": "t" * 2000}}
    found = cut(source, 8000)
    text = found["process"]["io"].pop("text")
    assert text.startswith("üü")
    assert text.endswith("ü…")
    assert found == {
        "event": {"id": "a"}, "process": {"io": {}, "title": "t" * 2000}, "cgtrail": {"cut": ["process.io.text"]}
    }  # fmt: skip


def test_lists_end_early() -> None:
    """Of a list of many short texts the first stay."""
    found = cut({"process": {"args": [f"{n}" for n in range(10_000)]}}, 8000)
    args = found["process"]["args"]
    assert 500 < len(args) < 10_000
    assert args == [f"{n}" for n in range(len(args))]
    assert found["cgtrail"]["cut"] == ["process.args"]


def test_one_long_text_of_a_list() -> None:
    """What stands beside a long argument stays."""
    found = cut({"process": {"args": ["sh", "-c", "x" * 20_000, "end"]}}, 8000)
    args = found["process"]["args"]
    assert (args[:2], args[3]) == (["sh", "-c"], "end")
    assert args[2].endswith("x…")


def test_labels_without_end() -> None:
    """Labels are a leaf: the last ones go."""
    found = cut({"container": {"labels": {f"label{n}": "v" for n in range(10_000)}, "id": "c"}}, 8000)
    assert found["container"]["id"] == "c"
    assert 100 < len(found["container"]["labels"]) < 10_000
    assert found["cgtrail"]["cut"] == ["container.labels"]


def test_a_label_that_is_all_name() -> None:
    """A label whose name alone is too long goes."""
    found = cut({"container": {"labels": {"ok": "v", "k" * 20_000: "v"}}}, 8000)
    assert found["container"]["labels"] == {"ok": "v"}


def test_raw_bytes_are_whole_or_not_there() -> None:
    """A part of base64 would say other bytes."""
    found = cut({"cgtrail": {"raw": {"process.title": "QUJD" * 5000, "process.name": "QUJD"}}}, 8000)
    assert found["cgtrail"] == {"raw": {"process.name": "QUJD"}, "cut": ["cgtrail.raw"]}


def test_what_can_not_be_cut() -> None:
    """A document of short texts that is too long is refused with its size."""
    with pytest.raises(CutError, match="nothing in it is long"):
        cut({f"field{n}": "x" for n in range(1000)}, 5000)


trees = st.recursive(
    st.text(max_size=3000) | st.integers(-100, 100),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["process", "container", "message", "user"]), trees, max_size=4))
def test_any_document(source: dict[str, Any]) -> None:
    """It becomes short enough, or is refused; what was cut is named, and it ends."""
    try:
        source = orjson.loads(orjson.dumps(source))
    except TypeError:
        return
    try:
        found = cut(source, 4000)
    except CutError:
        return
    assert found == source or found["cgtrail"]["cut"]


def test_what_fits_is_left_alone() -> None:
    """A document in which every value fits its field is the same, byte for byte."""
    body = orjson.dumps({"@timestamp": "2026-11-22T12:00:00.000000001Z", "process": {"pid": 1, "args": ["a"]}})
    assert mended(body) is body


@pytest.mark.parametrize(
    ("source", "kept", "named"),
    [
        ({"process": {"pid": 1 << 63, "name": "a"}}, {"process": {"name": "a"}}, "process.pid"),
        ({"process": {"end": "1969-12-31T23:59:59Z"}}, {"process": {}}, "process.end"),
        ({"process": {"end": "2262-04-12T00:00:00Z"}}, {"process": {}}, "process.end"),
        ({"process": {"interactive": "maybe"}}, {"process": {}}, "process.interactive"),
        (
            {"process": {"entry_leader": {"entry_meta": {"source": {"ip": "1.2.3.400"}}}}},
            {"process": {"entry_leader": {"entry_meta": {"source": {}}}}},
            "process.entry_leader.entry_meta.source.ip",
        ),
        ({"process": {"args": ["a", {"b": 1}]}}, {"process": {"args": ["a"]}}, "process.args"),
        ({"container": {"labels": {"a\0b": "1", "c": "2"}}}, {"container": {"labels": {"c": "2"}}}, "container.labels"),
        (
            {"container": {"labels": {"k" * 40_000: "1", "c": "v" * 40_000, "two": "\U0001f600" * 8191, "d": "e"}}},
            {"container": {"labels": {"c": "v" * 40_000, "d": "e"}}},
            "container.labels",
        ),
    ],
)
def test_what_does_not_fit_is_left_out(source: dict[str, Any], kept: dict[str, Any], named: str) -> None:
    """A value that its field can't hold is left out and named; its neighbours stay."""
    assert mend(source) == {**kept, "cgtrail": {"cut": [named]}}
