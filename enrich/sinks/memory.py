"""A sink that keeps documents in memory: for tests, and for what reads them at once."""

from __future__ import annotations

from collections.abc import Sequence

from enrich.document import Document
from enrich.sinks import DUPLICATE, OK, Outcome, Status


class MemorySink:
    """Documents by id, in order of arrival. They live as long as the process, so OK means durable only for it."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Keep each document that is not kept yet; one that can't be JSON is rejected, as in every sink."""
        return [self._keep(document) for document in batch]

    def _keep(self, document: Document) -> Outcome:
        if document.id in self.documents:
            return DUPLICATE
        try:
            document.encode()
        except TypeError as error:
            return Outcome(Status.REJECTED, f"{document.id} can't be written as JSON: {error}")
        self.documents[document.id] = document
        return OK

    def close(self) -> None:
        """Nothing is held open; the documents stay readable."""
