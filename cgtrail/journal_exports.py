"""Typed lines as other platforms for exercises write them: EDURange's table and CRCZP's rows.

EDURange: eight columns with `|` between, `%` as quotes and doubled within
(https://github.com/edurange/edurange3, py_flask/utils/csv_utils.py). CRCZP: an object for each command, as the
page Logs of its documentation has it, with the id and class of cgtrail besides.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import orjson

from cgtrail import lives, typed
from cgtrail.recordings.find import instant
from enrich.printable import json_line, message

_SECOND, _MILLISECOND = 1_000_000_000, 1_000_000
_OUTPUT = 500
"""Characters of what a command showed, as EDURange keeps."""
_ID_DIGITS = 12
_UNRELATED = "unrelated"
_HEADER = ("#INPUT", "uniqueID", "class", "time", "uid", "cwd", "node:input", "output (trunc)")
_METASPLOIT = "msf"
_KEPT = re.compile("([\n\t])")


class Table:
    """EDURange's rows, one for each tenant of a line. While it follows, a line has its rows when it has ended."""

    def __init__(self, tenant: str | None, *, follow: bool) -> None:
        self._tenant, self._follow = tenant, follow
        self.live = False

    def header(self) -> str:
        """Its own begin with this, too."""
        return _row(_HEADER)

    def row(self, body: bytes) -> str:
        """A document's rows, with newlines between; empty where it has none. Raises what flipped bytes can cause."""
        document = orjson.loads(body)
        if self._follow and document["event"]["action"] != typed.ENDED:
            return ""
        return "\n".join(self._rows(document))

    def _rows(self, document: dict[str, Any]) -> Iterator[str]:
        command, user = document["cgtrail"]["command"], _user(document)
        kind = command.get("class", _UNRELATED)
        for tenant in _tenants(document, self._tenant):
            # A number counts within its session, so the label has that too: an id stays what it is and is one line's.
            label = ".".join(filter(None, (tenant, str(document["cgtrail"]["session"]["id"]))))
            yield _row(
                (
                    "INPUT",
                    f"{user}-{label}-{typed.number(document)}",
                    "U" if kind == _UNRELATED else str(kind),
                    str(instant(typed.when(document)) // _SECOND),
                    user,
                    str(document.get("process", {}).get("working_directory", "")),
                    f"{_node(document)}:{typed.line(document)}",
                    str(command.get("output", {}).get("text", "")).replace("\r\n", "\n")[:_OUTPUT],
                )
            )


class Rows:
    """CRCZP's rows as JSON lines, one for each tenant of a line."""

    def __init__(self, tenant: str | None) -> None:
        self._tenant = tenant
        self.live = False

    def header(self) -> str:
        """There is none."""
        return ""

    def row(self, body: bytes) -> str:
        """A document's rows, with newlines between; empty where it has none. Raises what flipped bytes can cause."""
        document = orjson.loads(body)
        if self.live and document["event"]["action"] == typed.ENDED:
            return ""  # it came when it was typed
        return "\n".join(json_line(orjson.dumps(row)).decode() for row in self._rows(document))

    def _rows(self, document: dict[str, Any]) -> Iterator[dict[str, str]]:
        command, container = document["cgtrail"]["command"], document.get("container", {})
        at = instant(typed.when(document))
        moment = datetime.fromtimestamp(at // _SECOND, UTC).replace(microsecond=at % _SECOND // _MILLISECOND * 1000)
        for tenant in _tenants(document, self._tenant):
            yield {
                "id": str(command["id"]),
                "cmd": typed.line(document),
                "cmd_type": f"{_program(document)}-command",
                "wd": str(document.get("process", {}).get("working_directory", "")),
                "username": _user(document),
                "timestamp_str": f"{moment.isoformat('T', 'milliseconds')[:23]}Z",
                "hostname": _node(document),
                "ip": "",
                "sandbox_id": str(container.get("id", "")),
                "pool_id": tenant,
                "class": str(command.get("class", _UNRELATED)),
            }


def _row(cells: tuple[str, ...]) -> str:
    """A row without its end. Control characters are escaped, but for tabs and newlines, which quotes allow."""
    made = StringIO()
    writer = csv.writer(made, delimiter="|", quotechar="%", quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writerow("".join(map(_shown, _KEPT.split(cell))) for cell in cells)
    return made.getvalue()[:-1]


def _shown(piece: str) -> str:
    return piece if piece in "\n\t" else message(piece)


def _tenants(document: dict[str, Any], asked: str | None) -> list[str]:
    if asked is not None:
        return [asked]
    found = document["cgtrail"].get("tenant", {}).get("id") or [""]
    return [found] if isinstance(found, str) else [str(one) for one in found]


def _user(document: dict[str, Any]) -> str:
    identity, name = lives.user(document)
    return name or identity


def _node(document: dict[str, Any]) -> str:
    container = document.get("container", {})
    name = container.get("name") or container.get("id", "")[:_ID_DIGITS]  # as runtimes name it without a name
    return str(name or document.get("host", {}).get("name", ""))


def _program(document: dict[str, Any]) -> str:
    """Which program was told: bash, python3, msf, …; the console of Metasploit runs as ruby, and its prompt says it."""
    name = str(document.get("process", {}).get("name", ""))
    prompt = str(document["cgtrail"]["command"].get("prompt", ""))
    return _METASPLOIT if name == "msfconsole" or prompt.startswith(_METASPLOIT) else name or "unknown"
