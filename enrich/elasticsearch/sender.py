"""Sends documents in bulk requests, several at a time, until there is a verdict for each."""

from __future__ import annotations

import threading
import time
from collections import Counter
from math import ceil

from enrich.elasticsearch.bulk import Bulk, Item, Pending
from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.pace import Pace
from enrich.elasticsearch.verdict import FILTER, Fate, Verdict, verdicts

_WORTH_A_REQUEST = 250
"""Documents: fewer are not divided among requests."""
LEAST_LIMIT = 64 << 10
"""Bytes of a document that everything on the way must take."""
_LEAST_REQUEST = 4 << 10
"""Bytes: what does not take so many takes nothing, and no document is to blame."""
Answers = list[tuple[Item, Verdict]]


class Sender:
    """A client, how fast it may go, and what it did. One `send` at a time."""

    def __init__(self, client: Client, pace: Pace, shard_seconds: float) -> None:
        """Nothing is sent yet. `shard_seconds` is how long the server waits for a shard that is not there."""
        self._client = client
        self._timeout = f"{max(1, int(shard_seconds))}s"
        self.pace = pace
        self.counts: Counter[str] = Counter()
        """requests, refused (429), bytes, documents (sent, repeats included)."""
        self.seconds = 0.0
        """In requests, of all threads together."""
        self.in_flight = 0
        """Requests now."""
        self.largest = 0
        """Documents in the largest request of the last `send`."""
        self._lock = threading.Lock()

    def send(self, pending: Pending) -> Answers:
        """Send all there is. After a request that was not carried out the rest stays unsent, for the same reason."""
        lanes = max(1, min(self.pace.in_flight, ceil(len(pending) / _WORTH_A_REQUEST)))
        lane = _Lane(self, pending, max(_WORTH_A_REQUEST, ceil(len(pending) / lanes)))
        self.largest = 0
        # Threads that end with their process, whatever a server does.
        others = [threading.Thread(target=lane.run, name="bulk", daemon=True) for _ in range(lanes - 1)]
        for each in others:
            each.start()
        lane.run()
        for each in others:
            each.join()
        if lane.failed:
            raise lane.failed[0]
        if lane.stopped:
            while bulk := pending.take(self.pace.bytes, self.pace.documents):
                lane.answers += [(item, Verdict(Fate.LATER, lane.stopped)) for item in bulk.items]
        return lane.answers

    def request(self, bulk: Bulk) -> tuple[list[Verdict], str]:
        """Send one request: the verdicts, and why no further one should be sent (empty: it should)."""
        turn, began = self.pace.turn, time.monotonic()
        with self._lock:
            self.in_flight += 1
            self.largest = max(self.largest, len(bulk.items))
        try:
            answer = self._client.bulk(bulk.body, require_data_stream="true", filter_path=FILTER, timeout=self._timeout)
        except ElasticsearchError as error:
            return self._refused(bulk, error, turn)
        finally:
            took = time.monotonic() - began
            with self._lock:
                self.in_flight -= 1
                self.seconds += took
                self.counts.update(requests=1, bytes=len(bulk.body), documents=len(bulk.items))
        told = verdicts(answer, len(bulk.items))
        if any(each.fate is Fate.PRESSED for each in told):
            self._pressed(turn)
        else:
            self.pace.went(turn, took)
        return told, ""

    def _refused(self, bulk: Bulk, error: ElasticsearchError, turn: int) -> tuple[list[Verdict], str]:
        count = len(bulk.items)
        if error.status == 413:
            verdict = self._too_large(bulk, str(error))
            return [verdict] * count, verdict.reason if verdict.fate is Fate.LATER else ""
        if error.status == 429:
            self._pressed(turn)
            return [Verdict(Fate.PRESSED, str(error))] * count, ""
        if error.unknown:
            self.pace.pressed(turn)
        return [Verdict(Fate.UNKNOWN if error.unknown else Fate.LATER, str(error))] * count, str(error)

    def _too_large(self, bulk: Bulk, reason: str) -> Verdict:
        item = bulk.items[0]
        if len(bulk.items) == 1 and len(bulk.body) <= _LEAST_REQUEST:
            self.pace.none_passes()
            return Verdict(Fate.LATER, f"what stands on the way lets nothing through: {reason}")
        self.pace.too_large(len(bulk.body))
        if len(bulk.items) == 1:
            item.limit = min(item.limit, len(bulk.body)) // 2
            if item.limit < LEAST_LIMIT:
                item.mend = True
                return Verdict(Fate.UNFIT, reason)
        return Verdict(Fate.TOO_LARGE, reason)

    def _pressed(self, turn: int) -> None:
        self.pace.pressed(turn)
        with self._lock:
            self.counts["refused"] += 1


class _Lane:
    """What threads do side by side: take a request, send it, note the verdicts."""

    def __init__(self, sender: Sender, pending: Pending, share: int) -> None:
        self._sender, self._pending, self._share = sender, pending, share
        self.answers: Answers = []
        self.stopped = ""
        self.failed: list[BaseException] = []

    def run(self) -> None:
        try:
            while not self.stopped and not self.failed:
                pace = self._sender.pace
                bulk = self._pending.take(pace.bytes, min(pace.documents, self._share))
                if bulk is None:
                    break
                told, stopped = self._sender.request(bulk)
                self.stopped = stopped or self.stopped
                self.answers += zip(bulk.items, told, strict=True)
        except BaseException as error:  # noqa: BLE001  it is raised by whoever asked
            self.failed.append(error)
