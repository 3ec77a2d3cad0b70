"""`cgtrail journal`: everything that happened for a tenant or in a container, the oldest first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import Any

import click
import orjson

from cgtrail import lives, table, told_sessions
from cgtrail.config import Config
from cgtrail.search import POLL_SECONDS, Span, damage, open_store, show
from enrich.stores.query import Exists, Query, Term, all_of, any_of, negation
from enrich.stores.sqlite import Cursor, SqliteStore, whose

EVERYTHING = (1 << 63) - 1
_KNOWN = 65_536
"""Processes whose place in the tree is kept, the latest that were shown."""
_DEEPEST = 16
"""From how deep on processes stand below each other."""
_COLUMNS = (
    ("TIME", 23),
    ("CONTAINER", 16),
    ("USER", 14),
    ("ENTRY", 22),
    ("EVENT", 6),
    ("PID", 7),
    ("PPID", 7),
)
_LONGEST_ENTRY = 50
"""Columns of an entry from an IPv6 address, which is not cut."""
_LONGEST_LINE = 1000
_LEADERS = ("parent", "group_leader", "session_leader", "entry_leader")
"""Whose child a process is, or by whom it was led where a parent between them started no program."""

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

    ends: bool = False
    """With the ends of processes."""

    def __post_init__(self) -> None:
        """Raises click.UsageError where it is nobody's, QueryError for what can't be a name, an id or a kind."""
        if self.container is None and self.tenant is None:
            message = "whose journal? Give --tenant or --container, or both"
            raise click.UsageError(message)
        Span.__post_init__(self)


def run(config: Config, chosen: Chosen, *, as_json: bool, follow: bool) -> None:
    """Print the journal, and go on with what is stored from now on until interrupted if it is to `follow`.

    Raises QueryError, and StoreError also at the end when documents were damaged.
    """
    store = open_store(config)
    cursor = store.end() if follow else None
    form = Form()
    count, damaged = show(_past(store, chosen, cursor), as_json=as_json, form=form)
    if cursor is not None:
        _follow(store, chosen, cursor, form, as_json=as_json, header=not count)
    damage(config, damaged)


class Form:
    """Documents as lines of a journal: who started what shows by how far a command stands to the right."""

    def __init__(self) -> None:
        self._depths: OrderedDict[str, int] = OrderedDict()
        """Of processes that were shown, by entity id; the one that was met last stands last."""

    def header(self) -> str:
        """The names of the columns."""
        return click.style("  ".join([*(name.ljust(width) for name, width in _COLUMNS), "COMMAND"]), bold=True)

    def row(self, body: bytes) -> str:
        """One document as a line. Raises as `table.row` does."""
        document = orjson.loads(body)
        match document["event"]["dataset"]:
            case "cgtrail.loss":
                return click.style(_line(document, table.lost(document)), fg="red")
            case dataset if dataset in lives.DATASETS:
                return table.life(document, _line(document, lives.told(document)))
            case dataset if dataset in told_sessions.DATASETS:
                return table.session(document, _line(document, told_sessions.told(document)))
            case _:
                return self._process(document)

    def _process(self, document: dict[str, Any]) -> str:
        process, action = document.get("process", {}), document["event"]["action"]
        failed = document["event"].get("outcome") == "failure"
        depth, parent = self._depth(process), process.get("parent", {})
        command = lives.short(process.get("command_line", "") or process.get("name", "?"), _LONGEST_LINE)
        if failed:
            command = f"{lives.short(document.get('error', {}).get('code', '?'))}: {command}"
        elif action == "end":
            command = f"exit code {process['exit_code']:d}: {command}"
        if depth:
            command = "  " * (min(depth, _DEEPEST) - 1) + "└ " + command
        elif "name" in parent:  # whoever it was is not shown above
            command = f"[{lives.short(parent['name'], 16)}] {command}"
        cells = [
            lives.named(document, _COLUMNS[2][1]),
            lives.entry(document),
            "failed" if failed else lives.short(action, 6),
            str(process.get("pid", "")),
            str(parent.get("pid", "")),
        ]
        widths = [width for _, width in _COLUMNS[2:]]
        widths[1] = max(widths[1], min(len(cells[1]), _LONGEST_ENTRY))
        line = _line(document, "  ".join([*map(table.fit, cells, widths), command]))
        if action == "end":
            return click.style(line, dim=True)
        return click.style(line, fg="yellow") if failed else line

    def _depth(self, process: dict[str, Any]) -> int:
        """How many that were shown stand above a process."""
        own = process.get("entity_id")
        if own is None:
            return 0
        if own not in self._depths:
            above = (process.get(leader, {}).get("entity_id") for leader in _LEADERS)
            self._depths[own] = next((self._depths[one] + 1 for one in above if one in self._depths), 0)
            if len(self._depths) > _KNOWN:
                self._depths.popitem(last=False)
        self._depths.move_to_end(own)
        return self._depths[own]


def _line(document: dict[str, Any], what: str) -> str:
    moment = datetime.fromisoformat(document["@timestamp"]).astimezone().isoformat(" ", "milliseconds")[:23]
    loss = document["event"]["dataset"] == "cgtrail.loss"
    place = "(anywhere)" if loss and "container" not in document else table.container(document)
    return f"{moment}  {table.fit(place, _COLUMNS[1][1])}  {what}"


def _past(store: SqliteStore, chosen: Chosen, upto: Cursor | None) -> Iterator[bytes]:
    """What is stored, in order; of two at one moment the one that was recorded first."""

    def find(query: Query, kind: str | None) -> Iterator[tuple[tuple[str, int], bytes]]:
        return _dated(
            store.search(
                query,
                since=chosen.since,
                until=chosen.until,
                kind=kind,
                limit=EVERYTHING,
                ascending=True,
                upto=upto,
            )
        )

    streams = [find(_wanted(chosen), chosen.kind)]
    if chosen.kind in (None, "loss"):
        streams.append(find(_LOST_BY_ANYBODY, "loss"))
    for _, body in merge(*streams, key=lambda dated: dated[0]):
        yield body


def _dated(bodies: Iterator[bytes]) -> Iterator[tuple[tuple[str, int], bytes]]:
    """Documents and when they were; a damaged one is as old as the one before it."""
    key = ("", -1)
    for body in bodies:
        try:
            document = orjson.loads(body)
            key = str(document["@timestamp"]), int(document["event"].get("sequence", -1))
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
        yield key, body


def _follow(store: SqliteStore, chosen: Chosen, cursor: Cursor, form: Form, *, as_json: bool, header: bool) -> None:
    query = any_of([_wanted(chosen), all_of([Term("event.dataset", "cgtrail.loss"), _LOST_BY_ANYBODY])])
    if header and not as_json:
        click.echo(form.header())
    while True:
        found, cursor = store.after(cursor, query, kind=chosen.kind)
        show(found, as_json=as_json, header=False, form=form)
        if not found:
            time.sleep(POLL_SECONDS)


def _wanted(chosen: Chosen) -> Query:
    parts = [whose(chosen.container, chosen.tenant)]
    if chosen.kind != "terminal":
        parts.append(negation(told_sessions.RECORDING))
    if not chosen.ends:
        parts.append(negation(Term("event.action", "end")))
    return all_of(parts)
