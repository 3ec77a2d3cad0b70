"""Documents in Elasticsearch's data streams."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from enrich.document import Document
from enrich.elasticsearch.bulk import Encoder, Item, Pending
from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.cluster import Cluster
from enrich.elasticsearch.lookup import Lookup
from enrich.elasticsearch.pace import Pace
from enrich.elasticsearch.prepared import Prepared
from enrich.elasticsearch.sender import Answers, Sender
from enrich.elasticsearch.verdict import Fate, Verdict
from enrich.sinks import DUPLICATE, LEFT_OUT, OK, Outcome, Status

PATIENCE_SECONDS = 2.0
"""So long a write tries again what a cluster had no room for; then it answers RETRY."""
_FIRST_PAUSE = 0.05
_RECORDINGS = "terminal"
"""The kind of documents that hold what terminals showed."""
_UNSENT = Outcome(Status.RETRY, "it was not sent")


class ElasticsearchSink:
    """Documents in the data streams of their kinds: OK and DUPLICATE mean that all copies that are in sync have them.

    Each document is created with its own id, and a backing index takes an id once. Those that may be stored already
    (`Document.again`) are looked for first in all backing indices, where the key may read: see Lookup for what that
    sees and what not. What a request without an answer became of is not guessed: its documents are RETRY, and `again`.
    A document that the index refuses for what stands in it is sent once more without what does not fit, and one that
    is too long with its longest texts cut; the field cgtrail.cut names them. What a cluster or who runs it can mend is
    RETRY, never REJECTED.
    """

    def __init__(self, cluster: Cluster, *, bulk_bytes: int, in_flight: int, recordings: bool) -> None:
        """Connect to nothing yet. Raises ElasticsearchError for what can't be used, ValueError for bounds of nothing.

        `bulk_bytes` bounds a request's body, `in_flight` the requests at a time; without `recordings`, documents of
        what terminals showed are answered for and not sent.
        """
        pace = Pace(bulk_bytes, in_flight)
        self._client = Client(cluster, connections=in_flight)
        self._encoder = Encoder(cluster.namespace)
        # Said by the server, "not now" is told of each document; where we hang up, all are in doubt.
        self._sender = Sender(self._client, pace, cluster.timeout_seconds / 2)
        self._lookup = Lookup(self._client)
        self._prepared = Prepared(self._client)
        self._recordings = recordings
        self._closed = threading.Event()
        self._retried = self._left_out = self._mended = 0
        self._error: str | None = None

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Store a batch and answer for each document, in order."""
        outcomes = [_UNSENT] * len(batch)
        items = []
        for index, document in enumerate(batch):
            if self._recordings or document.kind != _RECORDINGS:
                items.append(Item(index, document))
            else:
                outcomes[index] = LEFT_OUT
                self._left_out += 1
        self._error = None
        try:
            new = self._new(items, outcomes)
        except ElasticsearchError as error:
            self._later(items, outcomes, str(error))
        else:
            self._send(new, outcomes)
        return outcomes

    def facts(self) -> dict[str, Any]:
        """What it did since it was made, and how it goes; may be asked from another thread."""
        counts, pace = self._sender.counts, self._sender.pace
        return {
            "requests": counts["requests"],
            "retried": self._retried,
            "refused": counts["refused"],
            "bytes": counts["bytes"],
            "documents": counts["documents"],
            "looked_up": self._lookup.looked_up,
            "mended": self._mended,
            "left_out": self._left_out,
            "in_flight": self._sender.in_flight,
            "in_flight_allowed": pace.in_flight,
            "bulk_documents": self._sender.largest,
            "bulk_bytes_allowed": pace.bytes,
            "seconds": self._sender.seconds,
            "error": self._error,
        }

    def close(self) -> None:
        """Close connections; a write that waits ends."""
        self._closed.set()
        self._client.close()

    def _new(self, items: list[Item], outcomes: list[Outcome]) -> list[Item]:
        """Those that are to be created. Raises ElasticsearchError where that can't be told now."""
        streams = self._encoder.streams
        if reason := self._prepared.missing(
            {streams[item.document.kind] for item in items if item.document.kind in streams}
        ):
            self._later(items, outcomes, reason)
            return []
        doubtful: dict[str, list[Item]] = {}
        for item in items:
            if item.document.again and item.document.kind in streams:
                doubtful.setdefault(streams[item.document.kind], []).append(item)
        known: set[int] = set()
        for stream, own in doubtful.items():
            stored = self._lookup.stored(stream, [item.document.id for item in own])
            known.update(item.index for item in own if item.document.id in stored)
        for index in known:
            outcomes[index] = DUPLICATE
        return [item for item in items if item.index not in known] if known else items

    def _send(self, items: list[Item], outcomes: list[Outcome]) -> None:
        until, pause = time.monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE
        while items:
            pending = Pending(self._encoder, items)
            answers = self._sender.send(pending)
            for item, reason in pending.unfit:
                outcomes[item.index] = Outcome(Status.REJECTED, f"{item.document.id}: {reason}")
            items, pressed = self._settle(answers, outcomes)
            if pressed:
                if time.monotonic() + pause > until or self._closed.wait(random.uniform(pause / 2, pause)):  # noqa: S311
                    self._later(pressed, outcomes)
                else:
                    items += pressed
                    pause *= 2
            self._retried += len(items)

    def _settle(self, answers: Answers, outcomes: list[Outcome]) -> tuple[list[Item], list[Item]]:
        """Note what came of documents; what is to be sent again at once, and what after a pause."""
        at_once, pressed = [], []
        for item, verdict in answers:
            if verdict.fate is Fate.STORED:
                outcomes[item.index] = OK
            elif verdict.fate is Fate.TOO_LARGE:
                at_once.append(item)
            elif verdict.fate is Fate.UNFIT and not item.mend:
                item.mend = True
                self._mended += 1
                at_once.append(item)
            else:
                outcomes[item.index] = self._outcome(item, verdict)
                if verdict.fate is Fate.PRESSED:
                    pressed.append(item)
        return at_once, pressed

    def _outcome(self, item: Item, verdict: Verdict) -> Outcome:
        if verdict.fate is Fate.REPEATED:
            return DUPLICATE
        if verdict.fate is Fate.UNFIT:
            return Outcome(Status.REJECTED, f"{item.document.id}: {verdict.reason}")
        if verdict.fate is Fate.UNKNOWN:
            item.document.again = True
        if verdict.fate is not Fate.PRESSED:
            self._prepared.forget()
        self._error = verdict.reason
        return Outcome(Status.RETRY, verdict.reason)

    def _later(self, items: list[Item], outcomes: list[Outcome], reason: str = "") -> None:
        for item in items:
            if reason:
                outcomes[item.index] = Outcome(Status.RETRY, reason)
            self._error = outcomes[item.index].reason
