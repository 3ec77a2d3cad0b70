"""What a program itself has kept of what was typed: each entry as it would be shown, in order."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.fidelity.programs import PROGRAMS
from tests.fidelity.stage import Played


def _bash(home: Path) -> list[str]:
    """Entries behind their times, as HISTTIMEFORMAT has them written; cmdhist and lithist keep line breaks."""
    return re.findall(r"^#\d+\n(.*?)\n?(?=^#\d+\n|\Z)", _text(home / ".truth"), re.MULTILINE | re.DOTALL)


def _zsh(home: Path) -> list[str]:
    """Entries as `: time:seconds;line`, line breaks behind backslashes; some bytes are 0x83 and themselves ^ 0x20."""
    raw = (home / ".truth").read_bytes() if (home / ".truth").exists() else b""
    raw = re.sub(rb"\x83(.)", lambda found: bytes([found[1][0] ^ 0x20]), raw, flags=re.DOTALL)
    found = re.findall(r"^: \d+:\d+;(.*?)(?<!\\)\n", raw.decode(errors="replace"), re.MULTILINE | re.DOTALL)
    return [entry.replace("\\\n", "\n") for entry in found]


def _fish(home: Path) -> list[str]:
    """Entries as `- cmd: line`, with \\n and \\\\ for what they are."""
    found = re.findall(r"^- cmd: (.*)$", _text(home / ".local/share/fish/fish_history"), re.MULTILINE)
    return [re.sub(r"\\(.)", lambda at: "\n" if at[1] == "n" else at[1], entry) for entry in found]


def _lines(home: Path, name: str = ".truth") -> list[str]:
    return _text(home / name).splitlines()


def _ipython(home: Path) -> list[str]:
    with sqlite3.connect(home / ".ipython/profile_default/history.sqlite") as database:
        return [row[0] for row in database.execute("SELECT source_raw FROM history ORDER BY session, line")]


def _psql(home: Path) -> list[str]:
    """A line break is kept as ^A."""
    return [entry.replace("\x01", "\n") for entry in _lines(home)]


def _libedit(home: Path) -> list[str]:
    """A header; blanks and others as three octal digits. The client adds the rows of a statement as one, joined."""
    rows = [re.sub(r"\\(\d{3})", lambda at: chr(int(at[1], 8)), row) for row in _lines(home)[1:]]
    return [row for at, row in enumerate(rows) if not any(row == " ".join(rows[at - n : at]) for n in range(2, at + 1))]


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace") if path.exists() else ""


READERS: dict[str, Callable[[Path], list[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
    "ash": lambda home: [re.sub(r"^ *\d+ ", "", line) for line in _lines(home)],
    "python": lambda home: _lines(home, ".python_history"),
    "ipython": _ipython,
    "node": lambda home: _lines(home)[::-1],
    "psql": _psql,
    "mysql": _libedit,
}
EXPANDED = re.compile(r"![!\w?$^*-]")
"""History expansion: what is kept is what it stands for."""


def differs(played: Played) -> str:
    """What a program's history says otherwise than the script; empty where they agree or there is none."""
    kind = PROGRAMS[played.script.program].history
    if not kind or not played.script.history:
        return ""
    kept = _rows(READERS[kind](played.home))
    truth = _rows(_entries(played))
    if kind == "fish":
        kept, truth = _last(kept), _last(truth)
    if kind == "ash":
        truth = truth[-max(len(kept), 10) :]  # Debian's keeps 15, the line that left it among them
    if len(kept) == len(truth) and all(map(_same, kept, truth)):
        return ""
    only = [entry for entry in kept if entry not in truth], [entry for entry in truth if entry not in kept]
    return f"the script is wrong: {kind}'s history alone has {only[0]}, the script alone {only[1]}: {kept} {truth}"


def _same(kept: str, truth: str) -> bool:
    return kept.strip() == truth.strip() or bool(EXPANDED.search(truth))


def _rows(entries: list[str]) -> list[str]:
    """Row by row, since programs differ in what they keep as one entry; a row that is repeated may be kept once."""
    rows = [row for entry in entries for row in entry.split("\n") if row.strip()]
    return [row for at, row in enumerate(rows) if at == 0 or rows[at - 1] != row]


def _last(rows: list[str]) -> list[str]:
    """Each row once, where it stands last: what fish keeps in the end."""
    return list(dict.fromkeys(rows[::-1]))[::-1]


def _entries(played: Played) -> list[str]:
    own = [line for line, depth in zip(played.truth, played.depths, strict=True) if depth == 0]
    return [line.text for line in own if line.role == "command"]
