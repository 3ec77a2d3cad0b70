"""How long documents of each kind are kept, and who removes them: a policy of ILM, or the data stream's own lifecycle.

Whole backing indices are removed. One is filled for a while (ROLLOVER_DAYS, as data stream lifecycles have it), and its
age is counted from when the next one began: a document stays for its retention at least, and so much longer at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enrich.elasticsearch.mappings import Lifecycle

RETENTION_DAYS = {"process": 30, "terminal": 7}
"""Where nothing else is asked for; OTHERS_DAYS for what is not named."""
OTHERS_DAYS = 365
MAX_SHARD = "50gb"
"""A backing index is filled no further (Elastic's own advice: 10 to 50 GB a shard)."""
_ROLLOVER_DAYS = ((14, 1), (90, 7))
_LONGEST_ROLLOVER_DAYS = 30


def default(kind: str) -> int:
    """Days that documents of a kind are kept, where nobody says otherwise."""
    return RETENTION_DAYS.get(kind, OTHERS_DAYS)


def rollover(days: int) -> int:
    """Days that one backing index is filled (steps of org.elasticsearch.action.datastreams.autosharding/DSL's auto)."""
    return next((step for upto, step in _ROLLOVER_DAYS if days <= upto), _LONGEST_ROLLOVER_DAYS)


def policy(days: int) -> dict[str, Any]:
    """A policy for ILM, with what the server would fill in."""
    return {
        "phases": {
            "hot": {
                "min_age": "0ms",
                "actions": {"rollover": {"max_age": f"{rollover(days)}d", "max_primary_shard_size": MAX_SHARD}},
            },
            "delete": {"min_age": f"{days}d", "actions": {"delete": {"delete_searchable_snapshot": True}}},
        }
    }


def template(lifecycle: Lifecycle, name: str, days: int) -> dict[str, Any]:
    """The part of a component template that makes a data stream live so long; `name` is the policy's."""
    if lifecycle is Lifecycle.ILM:
        return {"settings": {"index.lifecycle.name": name}}
    if lifecycle is Lifecycle.STREAM:
        return {"lifecycle": {"enabled": True, "data_retention": f"{days}d"}}
    return {}


def of_policy(body: Mapping[str, Any]) -> int | None:
    """Days that a policy keeps documents; None where it is not written in days."""
    return _days(_at(body, "phases", "delete", "min_age"))


def of_template(body: Mapping[str, Any]) -> int | None:
    """Days that a component template keeps documents; None where it says nothing, or not in days."""
    return _days(_at(body, "template", "lifecycle", "data_retention"))


def _at(body: Any, *keys: str) -> Any:
    for key in keys:
        body = body.get(key) if isinstance(body, Mapping) else None
    return body


def _days(told: Any) -> int | None:
    number = told.removesuffix("d") if isinstance(told, str) and told.endswith("d") else ""
    return int(number) if number.isascii() and number.isdecimal() else None
