"""Sessions in the store: what `session` documents say of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from enrich.stores import Store, values
from enrich.stores.query import Gap, Term, Wildcard, any_of

DIGITS = 16
"""Of a whole id."""
ANY = (1 << 63) - 1
"""For as many documents as there are."""
ID = "cgtrail.session.id"
AROUND = 60 * 10**9
"""Nanoseconds that a document of a session may lie outside it by the clock, which may have been set meanwhile."""
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What flipped bytes in a document cause."""
_PREFIX = re.compile(r"[0-9a-fA-F]{1,16}", re.ASCII)
_ENDS = any_of([Term("event.action", "session_opened"), Term("event.action", "session_closed")])
_AGAIN = 60 * 10**9
"""Nanoseconds, far more than a session is remembered after its end."""
_NAMED = 10
"""How many sessions an error lists."""


class SessionError(Exception):
    """No session, or no single one; the message says what to give instead."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session. `opened` and `closed` are its documents as JSON, empty where there is none (yet, or any more)."""

    id: str
    opened: bytes = b""
    closed: bytes = b""

    @property
    def document(self) -> dict[str, Any]:
        """What is known of it since its beginning; of its end where only that is left."""
        return _read(self.opened or self.closed)

    @property
    def start(self) -> int:
        """Nanoseconds since 1970."""
        if not self.opened and self.closed:
            return instant(self.document["event"]["start"])
        return instant(self.document["@timestamp"])

    @property
    def end(self) -> int | None:
        """Nanoseconds since 1970; None while it is open."""
        return instant(_read(self.closed)["@timestamp"]) if self.closed else None

    @property
    def totals(self) -> dict[str, Any]:
        """What its end says of all of it: bytes shown, skipped, …; empty while it is open."""
        found = _read(self.closed)["cgtrail"]["session"] if self.closed else {}
        return dict(found)

    @property
    def partial(self) -> bool:
        """Its beginning was not recorded."""
        return bool(not self.opened or self.document.get("cgtrail", {}).get("partial"))

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of its window at first; 0 where nobody said."""
        tty = self.document.get("process", {}).get("tty", {})
        return int(tty.get("columns", 0)), int(tty.get("rows", 0))


def sessions(
    store: Store,
    *,
    since: int | None = None,
    until: int | None = None,
    container: str | None = None,
    tenant: str | None = None,
) -> Iterator[Session | bytes]:
    """Those that were open at some time from `since` up to `until`, the one that was opened last first.

    Where only a session's end is left in the store, it comes at last. A damaged document comes as it is. Raises
    StoreError.
    """
    known: set[str] = set()
    bodies = store.search(_ENDS, container=container, tenant=tenant, kind="session", limit=ANY)
    for session in _paired(bodies):
        if isinstance(session, bytes):
            yield session
            continue
        try:
            wanted = session.id not in known and _within(session, since, until)
        except DAMAGED:
            yield session.opened or session.closed
            continue
        known.add(session.id)
        if wanted:
            yield session


def _paired(bodies: Iterator[bytes]) -> Iterator[Session | bytes]:
    """Openings, each with its end, then the ends that are left; from documents of which the newest comes first."""
    ended: dict[str, bytes] = {}
    again: dict[str, tuple[int, Session]] = {}
    """That may have gone on after an end that was told too early: then their opening is the one before that end."""
    for body in bodies:
        try:
            document = orjson.loads(body)
            name, now = str(document["cgtrail"]["session"]["id"]), instant(document["@timestamp"])
            is_end, partial = document["event"]["action"] == "session_closed", document["cgtrail"].get("partial")
        except DAMAGED:
            yield body
            continue
        for began, late in list(again.values()):
            if began - now > _AGAIN:
                del again[late.id]
                yield late
        if is_end:
            ended.setdefault(name, again.pop(name)[1].closed if name in again else body)
        elif partial:
            again[name] = now, Session(name, body, ended.pop(name, b""))
        else:
            yield Session(name, body, ended.pop(name, b""))
    yield from (late for _, late in again.values())
    yield from (Session(name, b"", body) for name, body in ended.items() if body)


def one(store: Store, prefix: str) -> Session:
    """The session whose id is this or begins so. Raises SessionError and StoreError."""
    if not _PREFIX.fullmatch(prefix):
        message = f"{prefix!r} is no session's id, which has up to 16 digits of 0-9a-f: `cgtrail sessions` lists them"
        raise SessionError(message)
    prefix = prefix.lower()
    found: dict[str, Session] = {}
    for body in store.search(_beginning(prefix), kind="session", limit=ANY, ascending=True):
        document = _read(body)
        name = document["cgtrail"]["session"]["id"]
        known = found.setdefault(name, Session(name))
        match document["event"]["action"]:
            case "session_opened":  # the first; what is opened again is not closed
                found[name] = Session(name, known.opened or body)
            case "session_closed":
                found[name] = Session(name, known.opened, body)
    whole = {name: session for name, session in found.items() if session.opened or session.closed}
    if not whole and len(prefix) == DIGITS:
        return _without_ends(store, prefix)
    if len(whole) == 1:
        return next(iter(whole.values()))
    if not whole:
        message = f"no session has an id that begins with {prefix}: `cgtrail sessions` lists them"
        raise SessionError(message)
    names = list(whole)[-_NAMED:]
    more = f" and {len(whole) - _NAMED:,} more" if len(whole) > _NAMED else ""
    message = f"{len(whole):,} sessions have ids that begin with {prefix}: {', '.join(names)}{more}; give more digits"
    raise SessionError(message)


def _without_ends(store: Store, name: str) -> Session:
    """A session of which only a part of the recording is left."""
    for body in store.search(Term(ID, name), kind="terminal", limit=1, ascending=True):
        return Session(name, body)
    message = f"no session has the id {name}: `cgtrail sessions` lists them"
    raise SessionError(message)


def instant(timestamp: str) -> int:
    """Nanoseconds since 1970 of a document's time. Raises QueryError, a ValueError."""
    return values.date("@timestamp", timestamp).start


def _beginning(prefix: str) -> Term | Wildcard:
    return Term(ID, prefix) if len(prefix) == DIGITS else Wildcard(ID, (prefix, Gap.MANY))


def _within(session: Session, since: int | None, until: int | None) -> bool:
    end = session.end
    return (since is None or end is None or end >= since) and (until is None or session.start < until)


def _read(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(body)
    return found
