"""Reading documents back: one declared query language over every store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

from enrich.stores.query import Query

Cursor: TypeAlias = Any
"""How far a follower has come. Only the store that made it can read it; it is never changed."""


class StoreError(Exception):
    """A store can't be read or written; the message names it (file, address) and what to do."""


class Store(Protocol):
    """A place that documents are read back from. Every method may raise StoreError."""

    @property
    def exists(self) -> bool:
        """Whether anything was ever stored here: where nothing was, every answer is empty."""
        ...

    @property
    def name(self) -> str:
        """What it is called in messages: a folder, an address."""
        ...

    def count(self) -> int:
        """How many documents there are."""
        ...

    def oldest(self, kind: str) -> int | None:
        """No document of a kind is older, in nanoseconds since 1970 (a day's beginning, say); None: there is none."""
        ...

    def search(
        self,
        query: Query,
        *,
        since: int | None = None,
        until: int | None = None,
        container: str | None = None,
        tenant: str | None = None,
        kind: str | None = None,
        limit: int,
        ascending: bool = False,
        upto: Cursor | None = None,
    ) -> Iterator[bytes]:
        """At most `limit` documents as JSON, by (time, sequence), newest first unless `ascending`.

        `since` is included and `until` is not, in nanoseconds since 1970. `container` is a name, or the first four or
        more digits of an id. What arrives while the answer is read may be part of it or not, but for what lies behind
        the cursor `upto`, which a follower can go on from.
        """
        ...

    def end(self) -> Cursor:
        """Where a follower starts who wants only what is stored from now on."""
        ...

    def after(
        self,
        cursor: Cursor,
        query: Query,
        *,
        container: str | None = None,
        tenant: str | None = None,
        kind: str | None = None,
        limit: int = 1000,
    ) -> tuple[list[bytes], Cursor]:
        """Documents stored since the cursor, about `limit` at most, and the cursor to ask with next.

        Each comes once, also one whose time lies before what was seen. When the answer is empty, the follower has come
        to the end.
        """
        ...

    def behind(self, cursor: Cursor) -> int:
        """About how many documents there are behind a cursor, of any kind."""
        ...

    def close(self) -> None:
        """Release files and connections; may be called twice."""
        ...
