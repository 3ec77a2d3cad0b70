"""`cgtrail search` and `cgtrail tail`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import click

from cgtrail import table
from cgtrail.config import Config
from enrich.documents import KINDS
from enrich.printable import json_line
from enrich.stores.lucene import parse
from enrich.stores.query import QueryError
from enrich.stores.sqlite import SqliteStore

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which documents, besides the query: times are nanoseconds since 1970, `until` is not included."""

    container: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None
    limit: int = 100
    ascending: bool = False

    def __post_init__(self) -> None:
        """Raises QueryError for a kind that there is not, and for a container's name that is no text."""
        if self.container is not None and not self.container.isprintable():
            message = f"--container {self.container!r}: a name or an id has only characters that can be shown"
            raise QueryError(message)
        if self.kind is not None and self.kind not in KINDS:
            message = f"--kind {self.kind}: there are only {', '.join(KINDS)}"
            raise QueryError(message)


def search(config: Config, query: str, chosen: Chosen, *, as_json: bool) -> None:
    """Print what matches. Raises QueryError and StoreError."""
    found = _store(config).search(parse(query), **asdict(chosen))
    if show(found, as_json=as_json) == chosen.limit:
        click.echo(f"cgtrail: {chosen.limit} documents shown; there may be more: use --limit", err=True)


def tail(config: Config, query: str, chosen: Chosen, *, as_json: bool) -> None:
    """Print what matches as it is stored, until interrupted. Raises QueryError and StoreError."""
    wanted = parse(query)
    store = _store(config)
    cursor = store.end()
    if not as_json:
        click.echo(table.header())
    while True:
        found, cursor = store.after(cursor, wanted, container=chosen.container, kind=chosen.kind)
        show(found, as_json=as_json, header=False)
        if not found:
            time.sleep(POLL_SECONDS)


def show(bodies: Iterable[bytes], *, as_json: bool, header: bool = True) -> int:
    """Print documents as a table or as JSON lines; returns how many."""
    render: Callable[[bytes], str] = (lambda body: json_line(body).decode()) if as_json else table.row
    count = 0
    for count, body in enumerate(bodies, 1):
        if count == 1 and header and not as_json:
            click.echo(table.header())
        click.echo(render(body))
    return count


def _store(config: Config) -> SqliteStore:
    store = SqliteStore(config.store_folder)
    if not store.exists:
        hint = "start `cgtrail up`, or name a folder with --data"
        click.echo(f"cgtrail: nothing has been recorded in {config.data} yet; {hint}", err=True)
    return store
