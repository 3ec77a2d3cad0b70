"""Says in words why nothing can be published, once for each reason, and when it works again."""

from __future__ import annotations

import time
from collections import Counter

import structlog

from shipper.wire.refused import words

_log = structlog.get_logger()


class Troubles:
    """One time of trouble lasts from the first refusal to the next acknowledgement."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._told: set[str] = set()
        self._since = 0.0
        self.count: Counter[str] = Counter()
        """Errors by their name in Kafka: of tries that failed, and of times of silence."""
        self.error: str | None = None
        """What the matter is now, in words; None when nothing is."""

    def tell(self, name: str, detail: str) -> None:
        """Nothing can be published, because of an error of this name."""
        told = words(name)
        self.error = told.sentence
        self.count[name] += 1
        if not self._told:
            self._since = time.monotonic()
        if name not in self._told:
            self._told.add(name)
            _log.warning("Kafka takes nothing; the spool keeps it, and it is tried again", reason=told.sentence,
                         topic=self._topic, error=name, detail=detail, next=told.advice)  # fmt: skip

    def hint(self, name: str, detail: str) -> None:
        """Nothing is acknowledged for a while, and this may be why; said and counted once until it is over."""
        if name not in self._told:
            self.tell(name, detail)

    def over(self) -> None:
        """Something was acknowledged."""
        if self.error is not None:
            _log.info("Kafka takes the spool's pieces again", topic=self._topic,
                      after_seconds=round(time.monotonic() - self._since, 1))  # fmt: skip
        self.error = None
        self._told.clear()
