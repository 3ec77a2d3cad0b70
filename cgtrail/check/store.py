"""The local store's files: by their headers and locks alone, so that a look makes no files and holds nobody up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from enrich.statefile import own_file
from enrich.stores import StoreError, dayfile
from shipper.lock import holder, writer
from shipper.wire.regular import open_regular

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_VERSION, _APPLICATION = 60, 68
"""Offsets of user_version and application_id, big-endian (https://www.sqlite.org/fileformat2.html)."""
_LOCKS = (("", 1 << 30, 512), ("-shm", 120, 1))
"""File's ending, first byte and count of the bytes that a writer locks: without, and with the write-ahead log."""


def look(config: Config) -> Iterator[Finding]:
    """One finding for all that is well, and one for each file that is not."""
    folder = config.store_folder
    if not os.path.lexists(folder):
        yield Finding("store", Level.OK, f"{folder} (will be made)")
        return
    try:
        days = dayfile.days(folder)
    except StoreError as error:
        yield Finding("store", Level.BAD, f"{folder} can't be used", str(error))
        return
    wrong = [finding for day in days for finding in _file(dayfile.path_of(folder, day))]
    yield Finding("store", Level.OK, f"{folder}: {len(days) - len(wrong)} of {len(days)} days can be used")
    yield from wrong
    if days and not wrong:
        yield from _locked(config, dayfile.path_of(folder, days[-1]))


def _file(path: Path) -> Iterator[Finding]:
    aside = "its day can't be stored or searched: move it out of the store"
    try:
        with open_regular(path) as opened:
            header = opened.read(_HEADER_BYTES)
            size = os.fstat(opened.fileno()).st_size
    except OSError as error:
        yield Finding("store", Level.BAD, f"{path}: {error.strerror}", aside)
        return
    if not size:
        return
    application, version = (int.from_bytes(header[at : at + 4], "big") for at in (_APPLICATION, _VERSION))
    if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
        yield Finding("store", Level.BAD, f"{path}: damaged, or no SQLite database", aside)
    elif application != dayfile.APPLICATION_ID:
        yield Finding("store", Level.BAD, f"{path}: a database that cgtrail did not make", aside)
    elif version not in dayfile.READABLE:
        found = f"{path}: format {version}, and this cgtrail knows {dayfile.FORMAT}"
        yield Finding("store", Level.BAD, found, "use the cgtrail that made it, or move it away")


def _locked(config: Config, path: Path) -> Iterator[Finding]:
    pids = {writer(path.with_name(path.name + end), first, count) for end, first, count in _LOCKS}
    for pid in pids - {None, holder(own_file(config.folder, "lock"))}:
        found = f"{path}: process {pid if pid != -1 else '(unknown)'} holds it for writing"
        yield Finding("store", Level.NOTE, found, "nothing can be stored meanwhile: end that process if it stays")
