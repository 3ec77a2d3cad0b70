"""`cgtrail sessions`: who sat at which terminal in a container, when and for how long."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from click.shell_completion import CompletionItem

from cgtrail import config as configuration
from cgtrail import listing, lives, table
from cgtrail.config import Config
from cgtrail.logs import notice
from cgtrail.recordings.find import DAMAGED, Session, sessions
from cgtrail.search import Span, damage
from cgtrail.store import open_store, quiet
from enrich.printable import json_line, text
from enrich.stores import Store

_COLUMNS = ("STARTED", "DURATION", "CONTAINER", "USER", "ENTRY", "TTY", "LINES", "SHOWN", "SKIPPED", "ID")
_COMPLETED = 50
"""Sessions at most that a shell is told of."""
_COMPLETION_SECONDS = 1
"""How long a server may take for it."""


@dataclass(frozen=True, slots=True)
class Chosen(Span):
    """Which sessions."""

    user: str | None = None
    """A user's id, or the name that the container has for it."""
    open: bool = False
    """Only those that have not ended."""
    limit: int = 100


def run(config: Config, chosen: Chosen, *, as_json: bool) -> None:
    """Print sessions, the newest last.

    Raises QueryError, and StoreError also at the end when documents were damaged.
    """
    counts: Counter[str] = Counter()
    with closing(open_store(config)) as store:
        found = list(_wanted(store, chosen, counts))
    rows, marked = [], []
    for session in sorted(found, key=lambda one: one.start):
        if as_json:
            for body in filter(None, (session.opened, session.closed)):
                click.echo(json_line(body))
            continue
        try:
            rows.append(_cells(session))
            marked.append(bool(session.totals.get("injected") or session.totals.get("escaped")))
        except DAMAGED as error:
            counts["damaged"] += 1
            notice(f"cgtrail: session {session.id} is damaged: {type(error).__name__}: {text(str(error))}")
    if rows:
        listing.table(_COLUMNS, rows, marked=marked)
    if len(found) == chosen.limit:
        notice(f"cgtrail: {chosen.limit:,} sessions shown, the newest; there may be more: use --limit")
    damage(store, counts["damaged"])


def _wanted(store: Store, chosen: Chosen, counts: Counter[str]) -> Iterator[Session]:
    left = chosen.limit
    for found in sessions(
        store, since=chosen.since, until=chosen.until, container=chosen.container, tenant=chosen.tenant
    ):
        if isinstance(found, bytes):
            counts["damaged"] += 1
            notice("cgtrail: a document about a session is damaged")
            continue
        if (chosen.open and found.closed) or (chosen.user is not None and not _of(found, chosen.user)):
            continue
        yield found
        left -= 1
        if not left:
            return


def _of(session: Session, wanted: str) -> bool:
    user = session.document.get("user", {})
    return wanted in (user.get("id"), user.get("name"))


def _cells(session: Session) -> tuple[str, ...]:
    document, totals, end = session.document, session.totals, session.end
    started = datetime.fromtimestamp(session.start // 10**9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    lasted = lives.duration(max((time.time_ns() if end is None else end) - session.start, 0))
    return (
        f"{started} (or before)" if session.partial else started,
        f"open, {lasted}" if end is None else lasted,
        table.container(document),
        lives.named(document),
        _entry(document),
        lives.short(str(document["cgtrail"]["session"].get("tty", "-")), 12),
        f"{totals['lines']:,}" if "lines" in totals else "-",
        f"{totals['shown']:,}" if "shown" in totals else "-",
        f"{totals['skipped']:,}" if "skipped" in totals else "-",
        session.id,
    )


def _entry(document: dict[str, Any]) -> str:
    """How it was entered; of a nested one, by which program it was opened."""
    opener = document["cgtrail"]["session"].get("opener")
    return f"nested ({lives.short(opener, 16)})" if opener else lives.entry(document)


def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Sessions' ids for the shell, the newest; none where the store can't be read."""
    given = context.find_object(dict) or {}
    with suppress(Exception):  # a shell that completes shows no errors
        flags = {"data": given.get("data"), "store.read": given.get("store")}
        flags |= {"elasticsearch.timeout_seconds": _COMPLETION_SECONDS}
        with closing(quiet(configuration.load(given.get("config"), os.environ, flags))) as store:
            wanted = (one for one in sessions(store) if isinstance(one, Session) and one.id.startswith(incomplete))
            return [CompletionItem(one.id, help=_help(one)) for one, _ in zip(wanted, range(_COMPLETED), strict=False)]
    return []


def _help(session: Session) -> str:
    started = datetime.fromtimestamp(session.start // 10**9).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{started} {table.container(session.document)}"
