"""Writes documents in a thread of its own, so that its worker stays a member of its group while a store is slow."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from queue import SimpleQueue

from enrich.document import Document
from enrich.sinks import Outcome, Sink

Answer = Future[Sequence[Outcome]]
_Asked = tuple[list[Document], Answer]


class Writer:
    """One thread that writes to a sink, a batch at a time. It ends with its process, whatever the sink does."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def write(self, documents: list[Document]) -> Answer:
        """Begin to write; the answer holds what the sink says, or raises what it raised."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, args=[self._asked], name="sink", daemon=True)
            self._thread.start()
        answer: Answer = Future()
        self._asked.put((documents, answer))
        return answer

    def close(self) -> None:
        """Nothing is written after."""
        if self._thread is not None:
            self._asked.put(None)
            self._asked, self._thread = SimpleQueue(), None

    def _work(self, queue: SimpleQueue[_Asked | None]) -> None:
        while (asked := queue.get()) is not None:
            documents, answer = asked
            try:
                answer.set_result(self._sink.write(documents))
            except BaseException as error:  # noqa: BLE001  it is raised where the answer is asked for
                answer.set_exception(error)


def answered(answer: Answer, seconds: float) -> bool:
    """Whether an answer is there, after so long at the most."""
    return answer.done() or bool(wait([answer], seconds).done)
