"""One piece: made where it is missing, brought up to date where it is ours, shown and left where somebody edited it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from cgtrail.check.finding import Finding, Level
from cgtrail.elasticsearch.difference import differences
from cgtrail.elasticsearch.features import NOT_OURS
from cgtrail.elasticsearch.pieces import Found, Piece, canonical, digest
from enrich.elasticsearch.client import Client, ElasticsearchError

AGAIN = "run this without --dry-run"
_FATAL = {None, 401, 502, 503, 504}
"""Statuses after which nothing else is worth a try: no answer, nobody knows us, the cluster is down."""
_UNTYPED = {400, 403, 405}
"""With these Elasticsearch answers without a type what it has no API for; all else without one comes from others."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How far it goes, and how that is told."""

    apply: bool
    """Also what somebody edited is written."""
    dry: bool
    """Nothing is changed, and said what would be."""

    @property
    def be(self) -> str:
        """As in `would be made`."""
        return "would be " if self.dry else ""

    @property
    def becomes(self) -> str:
        """As in `is now`."""
        return "would be" if self.dry else "is now"

    def done(self, what: str, told: str) -> Finding:
        """Something that was done, or would be."""
        return Finding(what, Level.NOTE if self.dry else Level.OK, told, AGAIN if self.dry else "")


def refusal(what: str, noun: str, error: ElasticsearchError, right: str, level: Level = Level.BAD) -> Finding:
    """What a server did not do, and what would help. Raises the error where it concerns everything."""
    foreign = not error.type and error.status not in _UNTYPED
    if error.status in _FATAL or error.type == NOT_OURS or foreign:
        raise error
    if error.status == 403 and error.type != "cluster_block_exception":
        return Finding(what, level, f"{noun}: refused: {error.reason}", f"do it as somebody with the privilege {right}")
    return Finding(what, level, f"{noun}: refused: {error}", "mend what it names, and run this again")


def look(client: Client, piece: Piece) -> Found | None:
    """What is there under its name. Raises ElasticsearchError."""
    try:
        return piece.found(client.ask("GET", piece.path))
    except ElasticsearchError as error:
        if error.status == 404:
            return None
        raise


def settle(
    client: Client, piece: Piece, manner: Manner, *, merged: bool = False, level: Level = Level.BAD
) -> Generator[Finding, None, bool]:
    """Do what is to be done about a piece; returns whether it is as wanted then (or would be).

    `merged`: what is wanted holds all that is there, so that writing it takes nothing away. `level` is how bad it is
    where we may not.
    """
    noun = piece.api.noun
    try:
        found = look(client, piece)
        if found is None:
            _write(client, piece, None, manner)
            yield manner.done(piece.name, f"{noun}: {manner.be}made")
            return True
        if found.holds(piece):
            yield Finding(piece.name, Level.OK, f"{noun}: there, and as it should be")
            return True
        if not merged and not manner.apply and (found.edited or found.newer):
            yield from _left(piece, found)
            return False
        _write(client, piece, found, manner)
        before = "edited" if found.edited or found.seal is None else f"of cgtrail {found.seal.version}"
        yield manner.done(piece.name, f"{noun}: {manner.be}brought up to date (it was {before})")
        yield from _shown(piece, found, manner.becomes, Level.NOTE if manner.dry else Level.OK)
    except ElasticsearchError as error:
        yield refusal(piece.name, noun, error, piece.api.right, level)
        return False
    return True


def _write(client: Client, piece: Piece, found: Found | None, manner: Manner) -> None:
    """Write it; and again where the server made something else of it, so that this is not taken for an edit."""
    if manner.dry:
        return
    client.ask("PUT", piece.path, piece.request(found))
    stored = look(client, piece)
    if stored is not None and stored.edited and stored.seal is not None:
        client.ask("PUT", piece.path, piece.request(found, digest(stored.body)))


def _left(piece: Piece, found: Found) -> Iterator[Finding]:
    if found.newer and found.seal is not None:
        told = f"of cgtrail {found.seal.version}, which is newer than this one, and differs"
        yield Finding(piece.name, Level.BAD, f"{piece.api.noun}: {told}", "use that one, or take this one's by --apply")
    else:
        whose = "made by somebody else" if found.seal is None else "edited since cgtrail wrote it"
        advice = "--apply overwrites it"
        if piece.api.path == "_component_template":
            advice += f"; what is to stay belongs into {piece.name.partition('@')[0]}@custom"
        yield Finding(piece.name, Level.BAD, f"{piece.api.noun}: {whose}, and differs from what is needed", advice)
    yield from _shown(piece, found, "should be", Level.NOTE)


def _shown(piece: Piece, found: Found, verb: str, level: Level) -> Iterator[Finding]:
    for each in differences(canonical(found.body), canonical(piece.body)):
        yield Finding(piece.name, level, each.told(verb))
