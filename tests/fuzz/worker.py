"""Targets: the whole worker on records that nobody wrote in good faith."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path

from enrich.document import Document
from enrich.enricher import Enricher
from enrich.letters import DeadLetters, Letter, rejected
from enrich.stores.rows import UnstorableError, row
from shipper.wire.frame import Frame, FrameError, walk, wrap
from shipper.wire.reader import Damage, Gap, GapCause
from tests.unit.frames import BOOT, HOST, ID

Piece = Frame | Damage | Gap
Told = tuple[list[tuple[object, ...]], list[Letter]]
"""Documents and letters, to be compared to the byte."""

NEXT_FRAME = wrap(b"\0")
"""In an input: the records behind it are in another frame."""


def gap(frames: int) -> bytes:
    """In an input: so many frames, 255 at most, can't be read."""
    return wrap(bytes([frames]))


def pieces(data: bytes) -> list[Piece]:
    """The stream that a payload stands for: its records, its last bytes as they are, NEXT_FRAME and `gap`."""
    made: list[Piece] = []
    number, content, at = 0, b"", 0

    def frame(payload: bytes) -> None:
        nonlocal number
        time = int.from_bytes(payload[16:24], "little")  # its first record's: so extremes are tried here too
        made.append(Frame(ID, HOST, BOOT, number, 0, payload, time=time))
        number += 1

    with suppress(FrameError):
        for offset, length in walk(data):
            record = data[offset : offset + length]
            at = offset + (length + 7 & ~7)
            if length != 1:
                content += wrap(record)
                continue
            frame(content)
            content = b""
            if record[0]:
                made.append(Damage(number, "0.seg", offset, length, record, "crc32 differs"))
                made.append(Gap(number, number + record[0], GapCause.FRAME_DAMAGED))
                number += record[0]
    frame(content + data[at:])
    return made


def worker(data: bytes) -> None:
    """Nothing raises; each document is stored or a dead letter; a restart anywhere tells the same rest."""
    stream = pieces(data)
    place = len(stream) * (zlib.crc32(data) & 0xFF) >> 8
    undisturbed, again = Enricher(ID, forks=True), Enricher(ID, forks=True)
    for piece in stream[:place]:
        _deliver(undisturbed.take(piece).documents, undisturbed)
    again.restore(undisturbed.save())
    assert _rest(again, stream[place:]) == _rest(undisturbed, stream[place:])


def _rest(enricher: Enricher, stream: list[Piece]) -> Told:
    documents: list[Document] = []
    letters: list[Letter] = []
    for piece in stream:
        output = enricher.take(piece)
        documents += output.documents
        letters += output.letters
        enricher.waiting()
        enricher.ledger.balances()
    last = enricher.finish()
    letters += _deliver(documents + last.documents, enricher) + last.letters
    _keep(letters)
    return [(each.id, each.time, each.kind, repr(each.source)) for each in documents + last.documents], letters


def _deliver(documents: list[Document], enricher: Enricher) -> list[Letter]:
    """What a sink makes of documents: the letters of those that no day file takes."""
    refused = []
    assert all(each.id.startswith(enricher.stream) for each in documents)
    for document in documents:
        try:
            made = row(document)
            assert made.values[-1].encode() == document.encode()
        except UnstorableError as error:
            refused.append(rejected(document, str(error)))
    return refused


def _keep(letters: list[Letter]) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE letters (id TEXT PRIMARY KEY, kind TEXT, stream TEXT, frame INTEGER, idx INTEGER,"
               " behind INTEGER, time INTEGER, reason TEXT, body BLOB, origin TEXT) STRICT")  # fmt: skip
    kept = DeadLetters(Path(), _db=db)
    try:
        kept.add(letters)
        assert set(kept.ids()) == {letter.id for letter in letters}
    finally:
        kept.close()
