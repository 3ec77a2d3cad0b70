"""One partition of a source: the streams that stand in it, and what came of their pieces.

The same pieces at the same places make the same documents, whoever takes them and wherever he began: all that is known
is a function of what stands before `place`, and `save` keeps it whole. A piece that came before is dropped, a number
that is left out is a gap, bytes that are no piece are a dead letter, and a stream speaks only for a host that no other
stream speaks for.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import msgspec
import structlog

from enrich import refusals
from enrich.claims import Claim, Claims, Refusal
from enrich.enricher import Output
from enrich.letters import placed
from enrich.losses import Trouble
from enrich.snapshot import SnapshotError
from enrich.sources import Refused, Taken
from enrich.standing import Fresh, Kept, Standing, restored
from shipper.wire.frame import Frame
from shipper.wire.message import End, Piece
from shipper.wire.reader import Gap, GapCause

_log = structlog.get_logger()

FORMAT = 1
"""Of what `save` makes."""
MAX_STREAMS = 2048
"""Streams that stand: one more is let in when one of them has been silent for a minute. Each takes 80 KiB and more."""
MAX_ENDED = 1024
"""Streams that are over and still known: what is sent again of an older one makes documents with the same ids."""


class _Saved(msgspec.Struct, array_like=True):
    format: int
    streams: list[Kept]
    ended: dict[bytes, int]
    claims: Claims


class Partition:
    """What is known at one place of a partition."""

    def __init__(
        self,
        name: str,
        committed: int,
        oldest: int,
        fresh: Fresh,
        counts: Counter[str],
    ) -> None:
        self.name, self.committed = name, committed
        self.start = committed
        """What comes of pieces that lie before it is stored."""
        self.place = min(oldest, committed)  # what was stored and removed is no gap
        self.needs: int | None = None
        """A restart reads from here; None: as it was before."""
        self.kept, self.kept_place = time.monotonic(), self.place
        """When it was saved the last time, or begun."""
        self.made = Output()
        """What came and is not stored yet."""
        self.streams: dict[bytes, Standing] = {}
        self.ended: dict[bytes, int] = {}
        """Streams that are over → the number that would have been next."""
        self.claims = Claims()
        self._oldest, self._fresh, self._counts = oldest, fresh, counts
        self._whole = not committed
        """A stream that is not known had never spoken before this place."""

    # Pieces

    def take(self, taken: Taken | Refused) -> None:
        """The piece at the next place."""
        wanted = taken.behind > self.start
        output = self._refused(taken) if isinstance(taken, Refused) else self._piece(taken, quiet=not wanted)
        self.place = taken.behind
        if wanted:
            if isinstance(taken, Taken) and taken.origin:
                output.letters = placed(output.letters, self.name, taken.origin)
            self.made.add(output)

    @property
    def _origin(self) -> str:
        return f"{self.name}, {self.place}"

    def end(self) -> None:
        """Nothing more comes in this partition."""
        for stream in list(self.streams):
            self.made.add(self._finish(stream))

    def expire(self, oldest: int) -> None:
        """What lay before this place is gone: a stream that has only spoken there is over."""
        if self.place < oldest:  # it may go on in what is left
            return
        for stream, standing in list(self.streams.items()):
            if standing.place < oldest:
                _log.info("a stream has not spoken for as long as the log keeps: it is over", stream=stream.hex())
                self.made.add(self._finish(stream))
        for stream, refusal in list(self.claims.refused.items()):
            if refusal.place < oldest:
                self.made.add(self._forgive(stream, refusal))

    def rewind(self, committed: int, oldest: int) -> None:
        """The log has lost its end, and counts anew: what was taken is dropped as sent again, holes show in numbers."""
        self.start = self.committed = committed
        self.place = self._oldest = max(oldest, committed)
        for standing in self.streams.values():
            standing.place = self.place
        for refusal in self.claims.refused.values():
            refusal.place = self.place

    def _piece(self, taken: Taken, *, quiet: bool) -> Output:
        output, piece, stream = Output(), taken.piece, taken.stream
        if self._before(piece, stream, output):
            return output
        if isinstance(piece, Frame):
            host = self.streams[stream].host if stream in self.streams else b""
            if refused := refusals.untimely(piece, taken):
                return self._refused(refused)
            if refused := refusals.elsewhere(piece, taken, host):
                return self._refused(refused, theirs=False)
            if not self._room(taken, piece.host, output):
                return self._refused(refusals.crowded(taken, MAX_STREAMS))
            if not self._claims(piece, taken, output):
                return output
        elif stream in self.claims.refused:
            self._unheard(piece, taken, output)
            return output
        elif not self._room(taken, b"", output):
            return self._refused(refusals.crowded(taken, MAX_STREAMS))
        standing = self.streams.pop(stream, None) or self._begin(taken)
        self.streams[stream] = standing  # the last: who spoke longest ago is the first
        output.add(standing.take(piece, taken.behind, quiet=quiet))
        if isinstance(piece, End):
            output.add(self._finish(stream))
        return output

    def _room(self, taken: Taken, host: bytes, output: Output) -> bool:
        """Whether one more stream may stand. One that is silent makes room for it, and so does its host's other one."""
        if len(self.streams) < MAX_STREAMS or taken.stream in self.streams or self.claims.holder(host):
            return True
        oldest = next(iter(self.streams))
        silent = self.claims.silent(self.streams[oldest].host, getattr(taken.piece, "time", 0), taken.time)
        if silent:
            output.add(self._finish(oldest))
        return silent

    def _before(self, piece: Piece, stream: bytes, output: Output) -> bool:
        """Whether a piece lies before what its stream has said already: it was sent again."""
        standing, refusal = self.streams.get(stream), self.claims.refused.get(stream)
        known = standing.next if standing else refusal.next if refusal else self.ended.get(stream)
        if known is None:
            return False
        if isinstance(piece, End):
            again = standing is None and refusal is None and piece.number <= known
        else:
            again = (piece.end if isinstance(piece, Gap) else piece.number + 1) <= known
        if again and standing and isinstance(piece, Frame) and standing.has_other(piece):
            self._counts[Trouble.FRAME_FORKED] += 1
            output.letters.append(refusals.forked(piece, self._origin))
            output.documents.append(refusals.fork(standing.enricher.host, piece))
        elif again:
            self._counts["resent"] += 1
        return again

    def _claims(self, frame: Frame, taken: Taken, output: Output) -> bool:
        """Whether a frame's stream speaks for its host, now."""
        stream, before = frame.stream, self.claims.holder(frame.host) or b""
        refusal = self.claims.refused.get(stream)
        fresh = refusal is None and stream not in self.ended and stream not in self.streams
        match self.claims.claim(frame, taken.time, fresh=fresh):
            case Claim.REFUSED:
                self._refuse(frame, taken, output)
                return False
            case Claim.TAKES:
                if before in self.streams:
                    _log.warning("another stream speaks for a host from now on", host=frame.host.hex(),
                                 stream=stream.hex(), before=before.hex(), next="none")  # fmt: skip
                    output.add(self._finish(before))
                if refusal:
                    output.add(self._forgive(stream, refusal))
        return True

    def _refuse(self, frame: Frame, taken: Taken, output: Output) -> None:
        """Another stream speaks for the host of a frame."""
        if frame.stream in self.streams:
            output.add(self._finish(frame.stream))
        self._counts["refused_frames"] += 1
        crowded = self.claims.crowded
        if crowded and frame.stream not in self.claims.refused:
            output.add(self._forgive(crowded, self.claims.refused[crowded]))
        refusal = self.claims.refuse(frame, taken.behind)
        if not refusal.told:
            holder = self.claims.holder(frame.host) or b""
            _log.error("two agents claim to be one host: the frames of this stream are refused", host=frame.host.hex(),
                       stream=frame.stream.hex(), speaks=holder.hex(), next=refusals.CLONED)  # fmt: skip
            output.letters.append(refusals.claimed(frame, holder, self._origin))
        if refusal.due:
            output.documents += refusals.tell(frame.stream, refusal)

    def _unheard(self, piece: Piece, taken: Taken, output: Output) -> None:
        """What is not a frame, of a stream that is refused."""
        refusal = self.claims.refused[taken.stream]
        refusal.place = taken.behind
        if isinstance(piece, End):
            output.add(self._forgive(taken.stream, refusal))
        elif isinstance(piece, Gap):
            refusal.next = piece.end

    def _forgive(self, stream: bytes, refusal: Refusal) -> Output:
        """A stream is not refused any more: it speaks for its host, or it is over."""
        del self.claims.refused[stream]
        self._over(stream, refusal.next)
        return Output(refusals.tell(stream, refusal))

    def _refused(self, refused: Refused, *, theirs: bool = True) -> Output:
        """Bytes that are no piece. Where they stand for a stream's next frame it is known what is lost.

        `theirs`: nothing says that another host wrote them.
        """
        self._counts["refused_messages"] += 1
        error = refused.error
        letter = refusals.unread(self.name, refused)
        _log.error("a message can't be taken; it is among the dead letters", id=letter.id, reason=str(error))
        output = Output(letters=[letter])
        standing = self.streams.get(error.stream or b"")
        if theirs and standing and standing.next == error.number:
            gap = Gap(error.number, error.number + 1, GapCause.FRAME_DAMAGED)
            output.add(standing.take(gap, refused.behind, quiet=False))
        return output

    def _begin(self, taken: Taken) -> Standing:
        """A stream speaks that does not stand: it is new, or it was thought to be over."""
        enricher, number = self._fresh(taken.stream, taken.opened), taken.piece.number
        standing = Standing(enricher, taken.opened, 0, taken.behind, expired=True)
        if (known := self.ended.pop(taken.stream, None)) is not None:
            standing.next, standing.expired = known, False
        elif not self._whole and not (isinstance(taken.piece, Frame) and self._oldest > self.committed):
            standing.next = number
        return standing

    def _finish(self, stream: bytes) -> Output:
        """A stream is over."""
        standing = self.streams.pop(stream)
        self._over(stream, standing.next)
        self.claims.release(standing.host, stream)
        return standing.enricher.finish()

    def _over(self, stream: bytes, number: int) -> None:
        self.ended.pop(stream, None)
        if len(self.ended) >= MAX_ENDED:
            del self.ended[next(iter(self.ended))]
        self.ended[stream] = number

    # What outlives the worker

    def save(self) -> bytes:
        """All that is known of what stands before `place`."""
        streams = [each.save(stream) for stream, each in self.streams.items()]
        return msgspec.msgpack.encode(_Saved(FORMAT, streams, self.ended, self.claims))

    def restore(self, place: int, body: bytes) -> None:
        """Go on at a place, where `save` was called. Raises SnapshotError; this object is of no use then."""
        try:
            saved = msgspec.msgpack.decode(body, type=_Saved)
        except (msgspec.DecodeError, RecursionError) as error:
            raise SnapshotError(str(error)) from error
        if saved.format != FORMAT:
            raise SnapshotError(f"a partition of format {saved.format}, and this cgtrail knows {FORMAT}")
        for kept in saved.streams:
            self.streams[kept.stream] = restored(kept, self._fresh, expired=place < self._oldest)
        self.ended, self.claims = saved.ended, saved.claims
        self.place, self.kept_place, self._whole = place, place, True

    @property
    def changed(self) -> bool:
        """Whether something came since it was saved."""
        return self.place != self.kept_place

    @property
    def age(self) -> float:
        """Seconds since it was saved; 0 where nothing came since."""
        return time.monotonic() - self.kept if self.changed else 0.0

    def facts(self) -> dict[str, Any]:
        """How far it is, for people and metrics; may be asked from another thread."""
        refused = Counter(each.host for each in list(self.claims.refused.values()))
        streams = {stream.hex(): each.facts(refused[each.host]) for stream, each in list(self.streams.items())}
        own = {"place": self.place, "committed": self.committed, "checkpoint_age_seconds": self.age}
        return own | {"streams": streams}

    def accounts(self) -> dict[str, dict[int, dict[str, Any]]]:
        """Stream → the ledger of its containers; may be asked from another thread."""
        return {stream.hex(): each.enricher.ledger.balances() for stream, each in list(self.streams.items())}
