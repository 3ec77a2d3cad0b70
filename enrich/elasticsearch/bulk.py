"""Bodies of bulk requests: documents with their ids, created in the data streams of their kinds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from enrich.document import Document
from enrich.elasticsearch.cut import CutError, mended, shortened
from enrich.elasticsearch.streams import streams

MAX_DOCUMENT = 8 << 20
"""Bytes of a document that is sent as it is; a longer one is cut."""
_MAX_ID = 512
"""Bytes (Elasticsearch's IndexRequest); a longer one would have the whole request refused."""
_MAX_TIME = 1 << 63
"""Of date_nanos."""


class UnfitError(ValueError):
    """A document that Elasticsearch will never take, and why."""


@dataclass(slots=True, eq=False)
class Item:
    """A document on its way, and where it stands in its batch."""

    index: int
    document: Document
    limit: int = MAX_DOCUMENT
    """Bytes that it may have: half of it after each time that it was too large for a server."""
    mend: bool = False
    """It was refused for what stands in it: leave out what does not fit its field."""


@dataclass(slots=True)
class Bulk:
    """One request: its lines, and what they carry in their order."""

    items: list[Item]
    body: bytes


class Encoder:
    """Makes the two lines of a document: what to do, and its source, which begins with its data stream."""

    def __init__(self, namespace: str) -> None:
        self.streams: Mapping[str, str] = streams(namespace)
        """Kind → its data stream."""
        self._frames = {kind: _frame(kind, namespace, name) for kind, name in self.streams.items()}

    def pieces(self, item: Item) -> tuple[bytes, bytes, bytes, bytes]:
        """Pieces that follow one another, with a line's end between documents. Raises UnfitError."""
        document = item.document
        try:
            head, middle = self._frames[document.kind]
            name = orjson.dumps(document.id)
            body = document.encode()
            if len(body) > item.limit:
                body = shortened(body, item.limit)
            if item.mend:
                body = mended(body)
        except KeyError as error:
            raise UnfitError(f"there is no kind of document {document.kind!r}") from error
        except CutError as error:
            raise UnfitError(str(error)) from error
        except (TypeError, ValueError) as error:
            raise UnfitError(f"it can't be written as JSON: {error}") from error
        if not 0 <= document.time < _MAX_TIME:
            raise UnfitError(f"@timestamp {document.time} is not between 1970 and 2262")
        if not 2 < len(name) <= _MAX_ID + 2:
            raise UnfitError(f"its id has {len(name) - 2} bytes, 1 to {_MAX_ID} are allowed")
        if len(body) == 2:  # {}
            return head, name, middle[:-1], b"}"
        return head, name, middle, body[1:]


class Pending:
    """What is still to be sent of a batch; several threads take requests out of it, one at a time.

    A document is encoded when its turn comes, so that no more than the requests in flight stand in memory.
    """

    def __init__(self, encoder: Encoder, items: Iterable[Item]) -> None:
        self._encoder = encoder
        self._waiting = deque(items)
        self._carried: tuple[Item, tuple[bytes, bytes, bytes, bytes]] | None = None
        """One that did not fit into the request before."""
        self._lock = threading.Lock()
        self.unfit: list[tuple[Item, str]] = []
        """What can never be sent, with the reason."""

    def __len__(self) -> int:
        """Documents that still wait."""
        return len(self._waiting) + (self._carried is not None)

    def take(self, max_bytes: int, max_documents: int) -> Bulk | None:
        """The next request: one document at least, else at most so much; None when nothing is left."""
        items: list[Item] = []
        pieces: list[bytes] = []
        size = 0
        with self._lock:
            while len(items) < max_documents and (following := self._next()):
                item, made = following
                length = sum(map(len, made))
                if items and size + length > max_bytes:
                    self._carried = following
                    break
                size += length + 1
                items.append(item)
                pieces += made
        if not items:
            return None
        pieces[0] = pieces[0][1:]  # the line's end before the first
        pieces.append(b"\n")
        return Bulk(items, b"".join(pieces))

    def _next(self) -> tuple[Item, tuple[bytes, bytes, bytes, bytes]] | None:
        if self._carried:
            following, self._carried = self._carried, None
            return following
        while self._waiting:
            item = self._waiting.popleft()
            try:
                return item, self._encoder.pieces(item)
            except UnfitError as error:
                self.unfit.append((item, str(error)))
        return None


def _frame(kind: str, namespace: str, stream: str) -> tuple[bytes, bytes]:
    """What stands before and after a document's id."""
    head = b'\n{"create":{"_index":' + orjson.dumps(stream) + b',"_id":'
    own = {"type": "logs", "dataset": f"cgtrail.{kind}", "namespace": namespace}
    return head, b'}}\n{"data_stream":' + orjson.dumps(own) + b","
