"""`cgtrail search` and `cgtrail tail`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import click

from cgtrail import table
from cgtrail.config import Config
from enrich.documents import KINDS
from enrich.printable import json_line
from enrich.stores.query import QueryError, parse
from enrich.stores.sqlite import SqliteStore

POLL_SECONDS = 0.1


def search(
    config: Config,
    query: str,
    *,
    container: str | None,
    kind: str | None,
    as_json: bool,
    since: int | None,
    until: int | None,
    limit: int,
    ascending: bool,
) -> None:
    """Print what matches. Raises QueryError and StoreError."""
    _check_kind(kind)
    wanted = parse(query)
    store = _store(config)
    found = store.search(
        wanted, since=since, until=until, container=container, kind=kind, limit=limit, ascending=ascending
    )
    shown = show(found, as_json=as_json)
    if shown == limit:
        click.echo(f"cgtrail: {limit} documents shown; there may be more: use --limit", err=True)


def tail(config: Config, query: str, *, container: str | None, kind: str | None, as_json: bool) -> None:
    """Print what matches as it is stored, until interrupted."""
    _check_kind(kind)
    wanted = parse(query)
    store = _store(config)
    cursor = store.end()
    if not as_json:
        click.echo(table.header())
    while True:
        found, cursor = store.after(cursor, wanted, container=container, kind=kind)
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


def _check_kind(kind: str | None) -> None:
    if kind is not None and kind not in KINDS:
        message = f"--kind {kind}: there are only {', '.join(KINDS)}"
        raise QueryError(message)


def _store(config: Config) -> SqliteStore:
    store = SqliteStore(config.store_folder)
    if not store.exists:
        hint = "start `cgtrail up`, or name a folder with --data"
        click.echo(f"cgtrail: nothing has been recorded in {config.data} yet; {hint}", err=True)
    return store
