"""What Elasticsearch's answer for one document of a bulk request means for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from enrich import printable
from enrich.elasticsearch import refused
from enrich.elasticsearch.fields import DATA_STREAM
from enrich.fields import FIELDS

FILTER = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by,items.*.failure_store"
"""filter_path of a bulk request: an answer without errors has 27 bytes a document. Each has its status, so that none
can be taken for another's; failure_store tells of those that are not in their stream although nothing was refused."""
CREATED = {"create": {"status": 201}}
"""The answer for a document that is stored, with that filter."""
SETUP = "run `cgtrail setup elasticsearch`"
_MAX_REASON = 500
_STRICT = re.compile(r"introduction of \[([^\]]{1,500})\] within \[([^\]]{1,500})\]")
_CONFLICT = re.compile(r"failed to parse field \[([^\]]{1,500})\] of type \[([a-z_]{1,50})\]")
_MAPPED_AS = {
    "wildcard": {"keyword", "wildcard", "text", "match_only_text"},
    "keyword": {"keyword", "constant_keyword"},
}
"""Declared type → types that it can have in an index that cgtrail prepared (`enrich.elasticsearch.mappings`)."""
_OPERATORS = re.compile(r"pipeline|Limit of |cannot exceed|write index|alias|too many|data stream", re.IGNORECASE)
"""What an illegal_argument_exception says that is not about the document."""


class Fate(Enum):
    """What became of a document that was sent."""

    STORED = auto()
    REPEATED = auto()
    """There is one with its id already."""
    PRESSED = auto()
    """Not done, for want of room: to be sent again, more slowly."""
    LATER = auto()
    """Not done, and it will not be until somebody does something."""
    UNKNOWN = auto()
    """It may have been done."""
    TOO_LARGE = auto()
    """Not done: its request has more bytes than what stands on the way takes."""
    UNFIT = auto()
    """Not done for what stands in it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A document's fate, and why it is not stored."""

    fate: Fate
    reason: str = ""


STORED = Verdict(Fate.STORED)
REPEATED = Verdict(Fate.REPEATED)


def verdicts(answer: Any, count: int) -> list[Verdict]:
    """One a document, in order. An answer that does not tell of each of `count` documents tells of none."""
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != count:
        return [Verdict(Fate.UNKNOWN, "the answer does not tell of every document: is it Elasticsearch's?")] * count
    if items.count(CREATED) == count:
        return [STORED] * count
    return [STORED if item == CREATED else verdict(item) for item in items]


def verdict(item: Any) -> Verdict:
    """Of one item of an answer's list."""
    told = item.get("create") if isinstance(item, dict) else None
    if not isinstance(told, dict) or not isinstance(told.get("status"), int):
        return Verdict(Fate.UNKNOWN, "the answer for the document can't be read: is it Elasticsearch's?")
    error = told.get("error")
    if error is None:
        return _unrefused(told["status"], told.get("failure_store"))
    return _refused(told["status"], error if isinstance(error, dict) else {"reason": str(error)})


def _unrefused(status: int, failure_store: Any) -> Verdict:
    if failure_store == "used":
        return Verdict(Fate.UNFIT, "its index did not take it: it is in the data stream's failure store")
    if status == 201 and failure_store in (None, "not_applicable_or_unknown"):
        return STORED
    return Verdict(Fate.UNKNOWN, f"status {status} is no answer to a document that is created")


def _refused(status: int, error: dict[str, Any]) -> Verdict:
    kind = str(error.get("type", ""))
    if status == 409 and kind == "version_conflict_engine_exception":
        return REPEATED
    reason = words(error)
    if status == 429 and kind != "cluster_block_exception":
        return Verdict(Fate.PRESSED, reason)
    if status != 400 and (found := refused.known(kind, str(error.get("reason", "")))):
        reason = f"{printable.message(str(found)[:_MAX_REASON])} ({reason})"
        return Verdict(Fate.UNKNOWN if status >= 500 else Fate.LATER, reason)
    if status == 400:
        operators = _operators(kind, str(error.get("reason", "")))
        return Verdict(Fate.LATER, f"{operators} ({reason})") if operators else Verdict(Fate.UNFIT, reason)
    if status == 404:
        return Verdict(Fate.LATER, f"there is no such data stream, and no template makes one: {SETUP} ({reason})")
    if status >= 500:
        return Verdict(Fate.UNFIT if "pars" in kind else Fate.UNKNOWN, reason)
    return Verdict(Fate.LATER, reason)


def words(error: dict[str, Any]) -> str:
    """The server's own words, with those of what caused it, safe to be shown and not too many."""
    told = f"{error.get('type', 'error')}: {error.get('reason', '')}"
    cause = error.get("caused_by")
    if isinstance(cause, dict) and cause.get("reason"):
        told += f": {cause['reason']}"
    return printable.message(told[:_MAX_REASON])


def _operators(kind: str, reason: str) -> str:
    """What an operator has to do before an index takes the document; empty where it is the document's own fault."""
    if kind == "illegal_argument_exception":
        return "the index refuses it whatever stands in it" if _OPERATORS.search(reason) else ""
    if kind == "strict_dynamic_mapping_exception" and (found := _STRICT.search(reason)):
        name = found[1] if found[2] == "_doc" else f"{found[2]}.{found[1]}"
        if any(field == name or field.startswith(f"{name}.") for field in (*FIELDS, *DATA_STREAM)):
            return f"the index does not know {name}, as it is older than this cgtrail or another's: {SETUP} --apply"
    if found := _CONFLICT.search(reason):
        declared = FIELDS.get(found[1])
        if declared and found[2] not in _MAPPED_AS.get(declared.type, {declared.type}):
            return (
                f"the index has {found[1]} as {found[2]}, cgtrail needs {declared.type}: see to its template, then"
                " roll over"
            )
    return ""
