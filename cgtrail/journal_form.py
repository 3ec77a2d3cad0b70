"""Rows of a journal for people: one for each typed line, and words for whatever else happened."""

from __future__ import annotations

import shutil
import sys
from collections import OrderedDict
from datetime import datetime
from typing import Any

import click
import orjson

from cgtrail import lives, table, told_sessions, typed

_KNOWN = 65_536
"""Processes whose place in the tree is kept, the latest that were shown."""
_DEEPEST = 16
"""From how deep on processes stand below each other."""
_LONGEST_ENTRY = 50
"""Columns of an entry from an IPv6 address, which is not cut."""
_LONGEST_LINE = 1000
_ROWS = 20
"""Rows at most of one line, and further lines of it that are shown."""
_FOLDS, _NARROWEST = 5, 20
"""Rows of one long line on a terminal, and how many columns they have at least."""
_LEADERS = ("parent", "group_leader", "session_leader", "entry_leader")
"""Whose child a process is, or by whom it was led where a parent between them started no program."""
_WIDE = 120
"""Columns of a terminal from which on a row says the date and all names in full."""
_TIME, _CONTAINER = ("TIME", 23), ("CONTAINER", 16)
_TREE = (_TIME, _CONTAINER, ("USER", 14), ("ENTRY", 22), ("EVENT", 6), ("PID", 7), ("PPID", 7))
_LINES = (_TIME, _CONTAINER, ("USER", 14), ("VIA", 8), ("EXIT", 4))
_NUMBER = ("LINE", 4)
_NARROW = (("TIME", 8), ("CONTAINER", 10), ("USER", 11), ("VIA", 7), ("EXIT", 4))


class Form:
    """Documents as rows: further lines stand below the first, programs below who started them."""

    def __init__(
        self,
        *,
        processes: bool = False,
        everything: bool = False,
        one_container: bool = False,
        numbers: bool = False,
    ) -> None:
        """`processes`: with the columns of processes. `everything`: however many lines belong to one.

        `one_container`: its name may be left out where there is little room. `numbers`: with those of lines.
        """
        self._processes, self._everything = processes, everything
        shown = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        wide = not shown or shown >= _WIDE
        self._columns: tuple[tuple[str, int], ...] = _TREE if processes else _LINES if wide else _NARROW
        self._dated = self._columns is not _NARROW
        if one_container and not self._dated:
            self._columns = tuple(column for column in _NARROW if column[0] != "CONTAINER")
        if numbers:
            at = next(place for place, (name, _) in enumerate(self._columns) if name in ("EXIT", "EVENT"))
            self._columns = (*self._columns[:at], _NUMBER, *self._columns[at:])
        self._widths = dict(self._columns)
        self._margin = sum(width + 2 for _, width in self._columns)
        self._room = max(shown - self._margin, _NARROWEST) if shown else 0
        """Columns for a line on a terminal: a longer one goes on below, where it can't pass for another row."""
        self.live = False
        """What comes is new: a line's beginning has a row already when its end comes."""
        self._day = ""
        self._above = ("", 0)
        """Id of the line in the row above, and how many further lines of it were shown."""
        self._depths: OrderedDict[str, int] = OrderedDict()
        """Of processes that were shown, by entity id; the one that was met last stands last."""

    def header(self) -> str:
        """The names of the columns."""
        return click.style("  ".join([*(name.ljust(width) for name, width in self._columns), "COMMAND"]), bold=True)

    def row(self, body: bytes) -> str:
        """One document as a row, or several with their newlines between; empty: it has none. Raises as `table.row`."""
        document = orjson.loads(body)
        dataset = document["event"]["dataset"]
        if dataset == typed.DATASET:
            return self._command(document)
        self._above = "", 0
        if dataset == "cgtrail.loss":
            return self._told(document, lambda line: click.style(line, fg="red"), table.lost(document))
        if dataset in lives.DATASETS:
            return self._told(document, lambda line: table.life(document, line), lives.told(document))
        if dataset in told_sessions.DATASETS:
            return self._told(document, lambda line: table.session(document, line), told_sessions.told(document))
        return self._process(document)

    def _command(self, document: dict[str, Any]) -> str:
        above, number = self._above
        if document["event"]["action"] == typed.ENDED and self.live:
            return self._outcome(document)
        own, lines = document["cgtrail"]["command"], typed.line(document).split("\n")
        before = "" if above and own.get("continues") == above else f"{typed.where(document)} ".lstrip()
        shown, *more = self._lines(f"{before}{typed.mark(document)} ", lines)
        dim = True if typed.is_input(document) or typed.continues(document) else None
        if above and own.get("continues") == above:
            self._above = above, number + 1
            if number >= _ROWS and not self._everything:
                return self._below("… more lines: --input shows them") if number == _ROWS else ""
            return "\n".join(map(self._below, (shown, *more)))
        self._above = str(own["id"]), 0
        code = typed.exit_code(document)
        day, row = self._row(document, typed.when(document), shown, code)
        style = {"fg": "yellow"} if code else {"dim": True} if dim else {"bold": True}
        return day + "\n".join([click.style(row, **style), *map(self._below, more)])

    def _lines(self, before: str, lines: list[str]) -> list[str]:
        """What was typed, line by line and no row longer than there is room; of many the first."""
        found: list[str] = []
        for number, line in enumerate(lines):
            if len(found) >= _ROWS - 1 and len(lines) > number + 1:
                return [*found, f"… {len(lines) - number:,} more lines"]
            head = "│ " if number else before
            pieces = self._folded(head + lives.short(line, _LONGEST_LINE))
            found += [pieces[0], *(f"│ {piece}" for piece in pieces[1:])]
        return found

    def _folded(self, line: str) -> list[str]:
        """A line in pieces that each have room; of more than _FOLDS the first, which says so."""
        if not self._room or table.columns(line) <= self._room:
            return [line]
        pieces, room = [""], self._room
        for char in line:
            if table.columns(pieces[-1] + char) > room:
                if len(pieces) == _FOLDS:
                    pieces[-1] = table.fit(pieces[-1] + char, room)
                    break
                pieces.append("")
                room = self._room - 2
            pieces[-1] += char
        return pieces

    def _outcome(self, document: dict[str, Any]) -> str:
        """What became of a line whose beginning was shown; nothing where all went well."""
        code = typed.exit_code(document)
        if not code:
            return ""
        self._above = "", 0
        lasted = document["event"].get("duration")
        after = "" if lasted is None else f" after {lives.duration(int(lasted))}"
        what = f"└ failed{after}: {typed.words(document, _LONGEST_LINE)}"
        day, row = self._row(document, document["@timestamp"], what, code)
        return day + click.style(row, fg="yellow")

    def _row(self, document: dict[str, Any], time: str, what: str, code: int | None) -> tuple[str, str]:
        """The row of a typed line, and what stands above it."""
        day, moment = self._moment(time)
        tty = lives.short(str(document["cgtrail"].get("session", {}).get("tty", "-")), 12)
        if self._processes and code:
            what = f"exit code {code}: {what}"
        process = document.get("process", {})
        self._depth(process)  # what it starts stands below
        cells = {
            "TIME": moment,
            "CONTAINER": table.container(document),
            "USER": lives.named(document, self._widths["USER"]),
            "VIA": tty,
            "ENTRY": tty,
            "EXIT": "" if code is None else f"{code:d}",
            "EVENT": "typed",
            "PID": str(process.get("pid", "")),
            "PPID": "",
            "LINE": f"{typed.number(document) or ''}",
        }
        return day, "  ".join([*(table.fit(cells[name], width) for name, width in self._columns), what])

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
        day, moment = self._moment(document["@timestamp"])
        entry, widths = lives.entry(document), dict(self._widths)
        if self._processes:
            widths["ENTRY"] = max(widths["ENTRY"], min(len(entry), _LONGEST_ENTRY))
        cells = {
            "TIME": moment,
            "CONTAINER": table.container(document),
            "USER": lives.named(document, widths["USER"]),
            "VIA": _via(document),
            "ENTRY": entry,
            "EXIT": "",
            "EVENT": "failed" if failed else lives.short(action, 6),
            "PID": str(process.get("pid", "")),
            "PPID": str(parent.get("pid", "")),
            "LINE": "",
        }
        line = "  ".join([*(table.fit(cells[name], width) for name, width in widths.items()), command])
        if action == "end":
            return day + click.style(line, dim=True)
        return day + (click.style(line, fg="yellow") if failed else line)

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

    def _told(self, document: dict[str, Any], style: Any, what: str) -> str:
        """What happened in words."""
        day, moment = self._moment(document["@timestamp"])
        loss = document["event"]["dataset"] == "cgtrail.loss"
        place = "(anywhere)" if loss and "container" not in document else table.container(document)
        cells = [table.fit(place, self._widths["CONTAINER"])] if "CONTAINER" in self._widths else []
        return day + str(style("  ".join([moment, *cells, what])))

    def _moment(self, time: str) -> tuple[str, str]:
        """A document's time, and where that has no date a row for it when another day begins."""
        moment = datetime.fromisoformat(time).astimezone()
        if self._dated:
            return "", moment.isoformat(" ", "milliseconds")[:23]
        day = f"{moment:%Y-%m-%d}"
        if day == self._day:
            return "", f"{moment:%H:%M:%S}"
        self._day = day
        return click.style(day, bold=True) + "\n", f"{moment:%H:%M:%S}"

    def _below(self, line: str) -> str:
        return click.style(f"{'':{self._margin}}{line}", dim=True)


def _via(document: dict[str, Any]) -> str:
    """At which terminal, or how whoever did it came in."""
    own = document.get("cgtrail", {})
    return lives.short(str(own.get("session", {}).get("tty") or own.get("entry") or "-"), 12)
