"""`cgtrail journal`: what was typed and what else happened for a tenant, in a container or a session, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from typing import Any, Protocol, TypeAlias

import click
import orjson

from cgtrail import told_sessions, typed
from cgtrail.config import Config
from cgtrail.journal_exports import Rows, Table
from cgtrail.journal_form import Form
from cgtrail.logs import notice
from cgtrail.recordings.find import AROUND, DAMAGED, instant, one
from cgtrail.search import Span, damage, show
from cgtrail.store import is_local, open_store, wait
from enrich.printable import text
from enrich.stores import Cursor, Store
from enrich.stores.narrow import whose
from enrich.stores.query import Exists, Query, Term, all_of, any_of, negation

EVERYTHING = (1 << 63) - 1
_Key: TypeAlias = tuple[str, int]
"""A document's time and sequence."""
FORMATS = ("text", "csv", "json")
# Nobody knows whose those were: a journal that left them out would look complete.
_LOST_BY_ANYBODY = all_of(
    [
        negation(Exists("container.id")),
        any_of([negation(Exists("cgtrail.attribution")), Term("cgtrail.attribution", "unknown")]),
    ]
)


@dataclass(frozen=True, slots=True)
class Chosen(Span):
    """Whose journal, and what of it."""

    session: str | None = None
    """A session's id, or how it begins."""
    ends: bool = False
    """With the ends of processes."""
    input: bool = False
    """With what was typed for programs to read."""
    processes: bool = False
    """With the programs that typed lines started."""
    format: str = "text"
    """One of FORMATS; all but text have typed lines only."""

    def __post_init__(self) -> None:
        """Raises click.UsageError where it is nobody's, QueryError for what can't be a name, an id or a kind."""
        if self.container is None and self.tenant is None and self.session is None:
            message = "whose journal? Give --tenant, --container or --session, or several of them"
            raise click.UsageError(message)
        if self.format != "text" and self.kind not in (None, "command"):
            message = f"--format {self.format} has typed lines only: leave out --kind {self.kind}, or --format"
            raise click.UsageError(message)
        Span.__post_init__(self)

    def whose(self) -> str:
        """Whose it is, in words."""
        names = {"container": self.container, "tenant": self.tenant, "session": self.session}
        return " and ".join(f"{name} {text(value)}" for name, value in names.items() if value is not None)


class _Live(Protocol):
    """How documents are shown: it is told when all that comes is new."""

    live: bool

    def header(self) -> str:
        """What stands above."""

    def row(self, body: bytes) -> str:
        """Rows, empty for none."""


def run(config: Config, chosen: Chosen, *, as_json: bool, follow: bool) -> None:
    """Print the journal, and go on with what is stored from now on until interrupted if it is to `follow`.

    Raises QueryError, SessionError, and StoreError also at the end when documents were damaged.
    """
    if as_json and chosen.format != "text":
        message = f"--json prints documents, and --format {chosen.format} rows made of them: leave one of them out"
        raise click.UsageError(message)
    with closing(open_store(config)) as store:
        _tell(store, chosen, as_json=as_json, follow=follow)


def _tell(store: Store, chosen: Chosen, *, as_json: bool, follow: bool) -> None:
    story = _Story(store, chosen)
    cursor = store.end() if follow else None
    form = _form(chosen, follow=follow)
    bodies = story.past(cursor) if as_json else story.settled(cursor)
    count, damaged = show(bodies, as_json=as_json, form=form, local=is_local(store))
    if cursor is None and store.exists and not story.own:
        when = " in that time" if chosen.since or chosen.until else ""
        hint = "`cgtrail containers` and `cgtrail tenants list` tell the names that there are"
        notice(f"cgtrail: nothing of {chosen.whose()} is stored{when}: {hint}")
    if cursor is not None:
        if not count and not as_json and form.header():
            click.echo(form.header())
        form.live = True
        _follow(story, cursor, form, as_json=as_json)
    damage(store, damaged)


def _follow(story: _Story, cursor: Cursor, form: _Live, *, as_json: bool) -> None:
    while True:
        found, cursor = story.after(cursor)
        show(found, as_json=as_json, header=False, form=form, local=is_local(story.store))
        if not found:
            wait(story.store)


def _form(chosen: Chosen, *, follow: bool) -> _Live:
    if chosen.format == "csv":
        return Table(chosen.tenant, follow=follow)
    if chosen.format == "json":
        return Rows(chosen.tenant)
    one_container = chosen.tenant is None and not (chosen.container is None and chosen.session is None)
    processes = chosen.processes or chosen.kind == "process"
    numbers = chosen.session is not None
    return Form(processes=processes, everything=chosen.input, one_container=one_container, numbers=numbers)


class _Story:
    """The documents of a journal. The store is asked by its columns alone, so that it gives damaged documents too."""

    def __init__(self, store: Store, chosen: Chosen) -> None:
        self.store, self._chosen = store, chosen
        self._since = chosen.since or 0
        self._sessions: set[str] = set()
        self._processes = chosen.processes or chosen.kind == "process"
        parts = [whose(chosen.container, chosen.tenant)]
        if chosen.session is not None:
            session = one(store, chosen.session)
            self._sessions.add(session.id)
            self._since = max(self._since, session.start - AROUND)
            container = session.document.get("container", {}).get("id")
            parts += [] if container is None else [Term("container.id", str(container))]
        if chosen.format != "text":
            parts.append(typed.DOCUMENTS)
        elif chosen.kind != "terminal":
            parts.append(negation(told_sessions.RECORDING))
        if not chosen.ends:
            parts.append(negation(Term("event.action", "end")))
        self._query = all_of(parts)
        self.own = 0
        """Documents so far that are this journal's alone: a loss may be anybody's."""
        self._with_losses = chosen.format == "text" and chosen.kind in (None, "loss")

    def past(self, upto: Cursor | None) -> Iterator[bytes]:
        """What is stored, in order; of two at one moment the one that was recorded first."""
        yield from self._past(self._query, upto)

    def settled(self, upto: Cursor | None) -> Iterator[bytes]:
        """The same with one document for each typed line, in the order in which they were typed."""
        ended = Term("event.action", typed.ENDED)
        began = self._past(all_of([self._query, negation(ended)]), upto)
        return chain(self._orphans(all_of([self._query, ended]), upto), typed.settled(self.store, began, upto))

    def after(self, cursor: Cursor) -> tuple[list[bytes], Cursor]:
        """What was stored since the cursor, and the next one; nothing only at the end of the store."""
        query = any_of([self._query, all_of([Term("event.dataset", "cgtrail.loss"), _LOST_BY_ANYBODY])])
        while True:
            found, cursor = self.store.after(
                cursor, query if self._with_losses else self._query, kind=self._chosen.kind
            )
            kept = [body for _, body in self._kept(iter(found))]
            if kept or not found:
                return kept, cursor

    def _past(self, query: Query, upto: Cursor | None) -> Iterator[bytes]:
        streams = [self._kept(self._search(query, self._chosen.kind, upto))]
        if self._with_losses:
            streams.append(_dated(self._search(_LOST_BY_ANYBODY, "loss", upto)))
        for _, body in merge(*streams, key=lambda dated: dated[0]):
            yield body

    def _search(self, query: Query, kind: str | None, upto: Cursor | None) -> Iterator[bytes]:
        return self.store.search(
            query,
            since=self._since,
            until=self._chosen.until,
            kind=kind,
            limit=EVERYTHING,
            ascending=True,
            upto=upto,
        )

    def _orphans(self, query: Query, upto: Cursor | None) -> Iterator[bytes]:
        """Ends of lines that were typed before all that the store has (still), the first typed first."""
        oldest = self.store.oldest(typed.KIND) or 0
        if self._since >= oldest or self._chosen.kind not in (None, "command"):
            return
        until = oldest if self._chosen.until is None else min(oldest, self._chosen.until)
        found = []
        for _, body in self._kept(self.store.search(query, limit=EVERYTHING, ascending=True, upto=upto)):
            with suppress(*DAMAGED):  # of that nobody knows when it was typed; its beginning may be there
                at = instant(typed.when(orjson.loads(body)))
                if self._since <= at < until:
                    found.append((at, body))
        yield from (body for _, body in sorted(found))

    def _kept(self, bodies: Iterator[bytes]) -> Iterator[tuple[_Key, bytes]]:
        for key, body in _dated(bodies):
            try:
                wanted = self._wanted(orjson.loads(body))
            except DAMAGED:
                wanted = True  # it is named
            if wanted:
                self.own += 1
                yield key, body

    def _wanted(self, document: dict[str, Any]) -> bool:
        own, dataset = document.get("cgtrail", {}), document["event"]["dataset"]
        if dataset == typed.DATASET:
            if typed.is_input(document) and not self._chosen.input:
                return False
        elif own.get("command") and not self._processes:
            return False
        if not self._sessions or dataset == "cgtrail.loss":
            return True
        session = own.get("session", {})
        if session.get("parent") in self._sessions:
            self._sessions.add(str(session["id"]))
        return session.get("id") in self._sessions


def _dated(bodies: Iterator[bytes]) -> Iterator[tuple[_Key, bytes]]:
    """Documents and when they were; a damaged one is as old as the one before it."""
    key = ("", -1)
    for body in bodies:
        with suppress(*DAMAGED):
            document = orjson.loads(body)
            key = str(document["@timestamp"]), int(document["event"].get("sequence", -1))
        yield key, body
