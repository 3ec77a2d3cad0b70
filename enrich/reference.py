"""Writes docs/fields.md from the declared fields: `python -m enrich.reference` (`--check`: only say if it is stale)."""

from __future__ import annotations

import sys
from pathlib import Path

from enrich.fields import FIELDS

FILE = Path(__file__).resolve().parent.parent / "docs" / "fields.md"
HEAD = """\
# Fields of documents

<!-- Generated from bpf/events.py, shipper/wire/records.py and enrich/fields.py, by python -m enrich.reference. -->

Names and types are those of the Elastic Common Schema; cgtrail's own are below `cgtrail.`. Every field can be searched
with `cgtrail search`.

| field | type | what it holds |
|---|---|---|
"""


def reference() -> str:
    """The page."""
    return HEAD + "".join(f"| `{name}` | {field.type} | {field.meaning} |\n" for name, field in FIELDS.items())


def page(file: Path, text: str, command: str, arguments: list[str]) -> int:
    """Write a generated page, or with --check say whether it is out of date. Returns the exit code."""
    if file.exists() and file.read_text() == text:
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"docs/{file.name} is out of date; run: {command}\n")
        return 1
    file.write_text(text)
    return 0


def main(arguments: list[str]) -> int:
    """Write the page, or with --check say whether it is out of date. Returns the exit code."""
    return page(FILE, reference(), "python -m enrich.reference", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
