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
        """Errors by their name in Kafka, each once for a try."""
        self.error: str | None = None
        """What the matter is now, in words; None when nothing is."""

    def tell(self, name: str, detail: str) -> None:
        """Nothing can be published, because of an error of this name."""
        self.count[name] += 1
        self.hint(name, detail)

    def hint(self, name: str, detail: str) -> None:
        """The same, and it is not the end of a try."""
        told = words(name)
        self.error = told.sentence
        if not self._told:
            self._since = time.monotonic()
        if name not in self._told:
            self._told.add(name)
            _log.warning("Kafka takes nothing; the spool keeps it, and it is tried again", reason=told.sentence,
                         topic=self._topic, error=name, detail=detail, next=told.advice)  # fmt: skip

    def over(self) -> None:
        """Something was acknowledged."""
        if self.error is not None:
            _log.info("Kafka takes the spool's pieces again", topic=self._topic,
                      after_seconds=round(time.monotonic() - self._since, 1))  # fmt: skip
        self.error = None
        self._told.clear()
