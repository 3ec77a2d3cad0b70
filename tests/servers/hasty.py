"""`cgtrail` with a sink that is broken as its name says, to see that the tests notice.

python -m tests.servers.hasty --data DIR enrich --sink elasticsearch; HASTY names what is broken.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from enrich.document import Document
from enrich.elasticsearch.lookup import Lookup
from enrich.sinks import OK, Outcome, Status
from enrich.sinks.elasticsearch import ElasticsearchSink
from tests.faults import eager

SENT_IS_STORED, NO_LOOK_UP = "sent is stored", "no look-up"
_write = ElasticsearchSink.write


def _hasty(self: ElasticsearchSink, batch: Sequence[Document]) -> list[Outcome]:
    """What was sent counts as stored, whatever the index says."""
    return [OK if outcome.status is Status.RETRY else outcome for outcome in _write(self, batch)]


def _blind(self: Lookup, stream: str, ids: list[str]) -> set[str]:
    """Nothing is ever there."""
    return set()


if __name__ == "__main__":
    broken = os.environ["HASTY"]
    if broken == SENT_IS_STORED:
        ElasticsearchSink.write = _hasty  # type: ignore[method-assign]
    else:
        Lookup.stored = _blind  # type: ignore[method-assign]
    eager.begin()
