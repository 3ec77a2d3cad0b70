"""`cgtrail search` and `cgtrail tail`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import click
import orjson

from cgtrail import table, told_sessions, typed
from cgtrail.config import Config
from cgtrail.logs import notice
from cgtrail.recordings.find import DAMAGED
from cgtrail.store import is_local, open_store, wait
from enrich.documents import KINDS
from enrich.printable import json_line, text
from enrich.stores import Cursor, Store, StoreError
from enrich.stores.lucene import parse
from enrich.stores.query import Query, QueryError, all_of, negation

MANY = 5_000
"""Documents that a table on a terminal may be behind: some seconds of them."""
_ID = re.compile(rb'"event":{[^{}]*"id":"([^"]{1,200})"')
_DAY = re.compile(rb'"@timestamp":"(\d{4}-\d\d-\d\d)T')


@dataclass(frozen=True, slots=True)
class Span:
    """Whose documents, of what kind and when: times are nanoseconds since 1970, `until` is not included."""

    container: str | None = None
    tenant: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        """Raises QueryError for a kind that there is not, and for what can't be a name or an id."""
        for option, given in (("--container", self.container), ("--tenant", self.tenant)):
            if given is not None and not given.isprintable():
                message = f"{option} {given!r}: a name or an id has only characters that can be shown"
                raise QueryError(message)
        if self.kind is not None and self.kind not in KINDS:
            message = f"--kind {self.kind}: there are only {', '.join(KINDS)}"
            raise QueryError(message)


@dataclass(frozen=True, slots=True)
class Chosen(Span):
    """Which documents, besides the query."""

    limit: int = 100
    ascending: bool = False


def search(config: Config, query: str, chosen: Chosen, *, as_json: bool) -> None:
    """Print what matches. Raises QueryError and StoreError, that also at the end when documents were damaged."""
    wanted = parse(query)
    with closing(open_store(config)) as store:
        found = store.search(wanted, **asdict(chosen)) if as_json else _lines_first(store, wanted, chosen)
        count, damaged = show(found, as_json=as_json, local=is_local(store))
        if count == chosen.limit:
            notice(f"cgtrail: {count - damaged} documents shown; there may be more: use --limit")
        damage(store, damaged)


def _lines_first(store: Store, wanted: Query, chosen: Chosen) -> Iterator[bytes]:
    """Typed lines, then what else matches: whoever looks for what somebody did finds it above what came of that."""
    limit = chosen.limit
    if chosen.kind in (None, "command"):
        for body in store.search(wanted, **asdict(replace(chosen, kind="command"))):
            limit -= 1
            yield body
    if chosen.kind != "command" and limit:
        others = wanted if chosen.kind else all_of([wanted, negation(typed.DOCUMENTS)])
        yield from store.search(others, **asdict(replace(chosen, limit=limit)))


def damage(store: Store, damaged: int) -> None:
    """Raises StoreError where documents were damaged."""
    if damaged:
        message = f"{store.name}: {damaged} damaged documents, named above, were left out"
        raise StoreError(message)


def tail(config: Config, query: str, chosen: Chosen, *, as_json: bool) -> None:
    """Print what matches as it is stored, until interrupted. Raises QueryError and StoreError."""
    wanted = parse(query)
    if not as_json and chosen.kind is None and not query.strip():
        wanted = negation(told_sessions.RECORDING)  # `cgtrail replay` shows it
    with closing(open_store(config)) as store:
        cursor = store.end()
        if not as_json:
            click.echo(table.header())
        while True:
            found, cursor = store.after(
                cursor, wanted, container=chosen.container, tenant=chosen.tenant, kind=chosen.kind
            )
            show(found, as_json=as_json, header=False, local=is_local(store))
            if not found:
                wait(store)
            elif not as_json:
                cursor = keep_up(store, cursor)


def keep_up(store: Store, cursor: Cursor) -> Cursor:
    """Where to go on: on a terminal at the store's end when a table has fallen behind, which is said; else there."""
    if not sys.stdout.isatty():
        return cursor
    behind = store.behind(cursor)
    if behind <= MANY:
        return cursor
    end = store.end()
    notice(f"cgtrail: {behind:,} documents are not shown, they come too fast for a table; `cgtrail search` finds them")
    return end


class Form(Protocol):
    """How documents are shown to people, as `cgtrail.table` does."""

    def header(self) -> str:
        """What stands above, empty for nothing."""

    def row(self, body: bytes) -> str:
        """A line, or several; empty: nothing is shown of it. Raises what flipped bytes can cause."""


def show(
    bodies: Iterable[bytes], *, as_json: bool, header: bool = True, form: Form = table, local: bool = True
) -> tuple[int, int]:
    """Print documents for people or as JSON lines; returns how many there were, and how many of them are damaged.

    Those are named on standard error instead, with their day file where the store is `local`.
    """
    render = _json if as_json else form.row
    count = damaged = 0
    for count, body in enumerate(bodies, 1):
        if count == 1 and header and not as_json and (above := form.header()):
            click.echo(above)
        try:
            line = render(body)
        except DAMAGED as error:
            damaged += 1
            notice(f"cgtrail: {_name(body, local=local)} is damaged: {type(error).__name__}: {text(str(error))}")
        else:
            if line:
                click.echo(line)
    return count, damaged


def _json(body: bytes) -> str:
    orjson.loads(body)  # who reads JSON lines must not get what is none
    return json_line(body).decode()


def _name(body: bytes, *, local: bool) -> str:
    """A damaged document's id and day, as far as it still tells them."""
    name, day = _ID.search(body), _DAY.search(body)
    what = f"document {text(name[1].decode(errors='backslashreplace'))}" if name else "a document without a legible id"
    return f"{what} {'in' if local else 'of'} {day[1].decode()}{'.db' * local}" if day else what
