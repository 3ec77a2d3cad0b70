"""Turns the frames of one stream into documents: runs the steps, and never stumbles over what is damaged."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import astuple, dataclass, field
from typing import Any, Protocol, TypeVar

import structlog

from bpf.events import Header
from bpf.schema import RecordError, decode
from enrich import losses
from enrich.document import Document
from enrich.item import Item, Step
from enrich.letters import Letter, LetterKind
from enrich.losses import Trouble
from enrich.pipeline import steps
from enrich.secrets.rules import Rules, builtin
from enrich.secrets.scrub import Scrubber
from enrich.snapshot import SnapshotError, restore, save, schema
from enrich.steps.host import Host
from enrich.steps.ledger import Ledger
from enrich.steps.release import Release
from enrich.steps.terminals import Terminals
from shipper.wire.frame import Frame, FrameError, walk
from shipper.wire.reader import Damage, Gap, GapCause
from shipper.wire.records import KeyframeEnd

_log = structlog.get_logger()
MAX_DAMAGES, MAX_DAMAGED, MAX_GAPS = 64, 1 << 20, 256
"""So many damages, bytes of them and gaps wait for what comes behind them; one more is told as far as is known."""
MAX_BAD = 100
"""Records of one frame that are dead letters of their own; what is beyond is one letter, the frame."""
_START = 8
"""Bytes that a record of any version begins with: number, fixed part's size, length."""
T = TypeVar("T")


class Watch(Protocol):
    """Is told which record is being worked on, and tells which ones a worker has died of too often."""

    def begins(self, frame: int, index: int) -> bool:
        """Work begins on a record; True where it is to be left alone."""
        ...


@dataclass(slots=True)
class Output:
    """What came of a stretch of a stream."""

    documents: list[Document] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything came."""
        return bool(self.documents or self.letters)

    def add(self, more: Output) -> None:
        """What came next."""
        self.documents += more.documents
        self.letters += more.letters


class Enricher:
    """The knowledge of one stream and its way on. The same pieces make the same documents, ids included."""

    def __init__(
        self,
        stream: bytes,
        *,
        opened: int = 0,
        forks: bool = False,
        output: str = "none",
        secrets: Rules | None = None,
        watch: Watch | None = None,
        counts: Counter[str] | None = None,
    ) -> None:
        self.stream = stream.hex()
        self.number = 0
        """All frames below it have been taken."""
        self.counts: Counter[str] = Counter() if counts is None else counts
        """frames, records, documents by attribution, and the troubles met."""
        rules = secrets or builtin()
        self._steps = steps(forks=forks, output=output, scrubber=Scrubber(rules=rules))
        self.schema = schema(self._steps, forks=forks, output=output, secrets=rules.hash)
        self._host, self._release = _one(self._steps, Host), _one(self._steps, Release)
        self._release.counts = self.counts
        self.ledger = _one(self._steps, Ledger)
        self._terminals = _one(self._steps, Terminals)
        self._watch = watch
        self.time = opened
        """The newest frame's, in nanoseconds since 1970; before the first, when the stream was opened."""
        self._damages: list[Damage] = []
        self._gaps: list[Gap] = []
        self._beyond = Counter[Trouble]()
        """Records of this frame that are beyond MAX_BAD."""
        self.missing = 0
        """Frames that were missing, as far as this object has taken them."""

    @property
    def host(self) -> Host:
        """What the stream says of its host."""
        return self._host

    def waiting(self) -> int | None:
        """When the oldest document that waits for its container happened, in ns since 1970; None when none waits."""
        return self._release.waiting()

    def save(self) -> bytes:
        """What is known when all frames below `number` have been taken."""
        gaps = [(gap.number, gap.end, gap.cause.value) for gap in self._gaps]
        damages = [astuple(damage) for damage in self._damages]
        return save(self._steps, number=self.number, time=self.time, gaps=gaps, damages=damages)

    def restore(self, data: bytes) -> None:
        """Go on where `save` was called. Raises SnapshotError; this object is of no use then."""
        own = restore(data, self._steps)
        try:
            self.number, self.time = own["number"], own["time"]
            self._gaps = [Gap(number, end, GapCause(cause)) for number, end, cause in own["gaps"]]
            self._damages = [Damage(*damage) for damage in own["damages"]]
        except (KeyError, TypeError, ValueError) as error:
            message = f"no snapshot of this version: {error!r}"
            raise SnapshotError(message) from error

    def take(self, piece: Frame | Damage | Gap, *, quiet: bool = False) -> Output:
        """What comes of the next piece that a Reader gave. `quiet`: its documents are not wanted, so few are made."""
        self._release.quiet = quiet
        if isinstance(piece, Frame):
            return self._frame(piece)
        if isinstance(piece, Damage):
            if piece in self._damages:  # it may be sent again before its gap was
                return Output()
            waiting = sum(len(each.data) for each in self._damages)
            if len(self._damages) >= MAX_DAMAGES or waiting > MAX_DAMAGED:
                return Output(letters=[self._damaged(piece, piece.number + 1)])
            self._damages.append(piece)
            return Output()
        return self._gap(piece)

    def finish(self) -> Output:
        """What still waits when the stream has ended for ever."""
        end = Item(Header(), self.stream, self.number, 0, time=self.time)
        self.ledger.rest(end)
        self._terminals.rest(end)
        self._release(end)
        output = Output(documents=[*end.documents, *self._release.rest()])
        self._missing(output, self.time)
        return output

    def _gap(self, gap: Gap) -> Output:
        """Damage comes before its gap, which alone knows where it ends."""
        output = Output(letters=[self._damaged(damage, gap.end) for damage in self._damages])
        self._damages.clear()
        last = self._gaps[-1] if self._gaps else None
        if last and (last.end, last.cause) == (gap.number, gap.cause):  # who reads as it is written sees it in pieces
            self._gaps[-1] = Gap(last.number, gap.end, gap.cause)
        else:
            if len(self._gaps) >= MAX_GAPS:
                self._missing(output, self.time)
            self._gaps.append(gap)
        for step in self._steps:  # a keyframe with a hole in it says nothing of what has ended
            step(Item(KeyframeEnd(incomplete=1), self.stream, gap.number, 0))
        return output

    def _frame(self, frame: Frame) -> Output:
        output = Output()
        self.counts["frames"] += 1
        index = -1
        try:
            for index, (offset, length) in enumerate(walk(frame.payload)):
                self._record(output, frame, index, offset, length)
        except FrameError as error:
            letter = f"{self.stream}-{frame.number}"
            output.letters.append(self._letter(letter, LetterKind.FRAME, frame, 0, str(error), frame.payload))
            self._gaps.append(Gap(frame.number, frame.number + 1, GapCause.FRAME_DAMAGED))
        if self._beyond:
            self._give_up_frame(output, frame)
        self.counts["records"] += index + 1
        self._missing(output, frame.time)
        self.number, self.time = frame.number + 1, frame.time
        return output

    def _record(self, output: Output, frame: Frame, index: int, offset: int, length: int) -> None:
        if self._watch is not None and self._watch.begins(frame.number, index):
            data = frame.payload[offset : offset + length]
            self._unread(data)
            self._give_up(output, frame, index, data, Trouble.DEADLY, "the worker died of it three times")
            return
        try:
            record = decode(frame.payload, offset, length)
        except RecordError as error:
            data = frame.payload[offset : offset + length]
            self._unread(data)
            self._give_up(output, frame, index, data, Trouble.NOT_UNDERSTOOD, str(error))
            return
        item = Item(record, self.stream, frame.number, index, documents=output.documents)
        try:
            for step in self._steps:
                step(item)
        except Exception as error:  # noqa: BLE001  whatever a record makes a step do, the stream goes on
            data = frame.payload[offset : offset + length]
            self._give_up(output, frame, index, data, Trouble.FAILED, _where(error))

    def _unread(self, data: bytes) -> None:
        """A record that the steps never see was delivered all the same: its header begins every version's."""
        if len(data) >= _START and int.from_bytes(data[4:8], "little") == len(data):
            self.ledger(Item(Header.decode(data, 0, len(data)), self.stream, 0, 0))

    def _give_up(self, output: Output, frame: Frame, index: int, data: bytes, trouble: Trouble, reason: str) -> None:
        self.counts[trouble.value] += 1
        if len(output.letters) >= MAX_BAD:
            self._beyond[trouble] += 1
            return
        item = Item(Header(), self.stream, frame.number, index, time=frame.time)
        _log.error("a record makes no document; it is among the dead letters", id=item.id, reason=reason)
        output.letters.append(self._letter(item.id, LetterKind.RECORD, frame, index, f"{trouble}: {reason}", data))
        number = int.from_bytes(data[:2], "little")
        output.documents.append(self._document(losses.failed(self._host, item, trouble, number), frame.time))

    def _give_up_frame(self, output: Output, frame: Frame) -> None:
        """A frame may hold 30,000 records of which none is understood: it is kept as a whole."""
        for trouble, count in self._beyond.items():
            told = losses.beyond(self._host, self.stream, frame, trouble, count)
            output.documents.append(self._document(told, frame.time))
        identity, reason = f"{self.stream}-{frame.number}", f"{self._beyond.total():,} more records make no documents"
        _log.error("many records make no documents; their frame is among the dead letters", id=identity, reason=reason)
        output.letters.append(self._letter(identity, LetterKind.FRAME, frame, 0, reason, frame.payload))
        self._beyond.clear()

    def _damaged(self, damage: Damage, end: int) -> Letter:
        self.counts["damaged"] += 1
        reason = f"{damage.reason}; {damage.segment} at byte {damage.offset}, {damage.length} bytes"
        _log.error("damage in the spool; it is among the dead letters", stream=self.stream, reason=reason)
        identity = f"{self.stream}-{damage.number}-byte{damage.offset}"
        origin = f"{damage.segment} at byte {damage.offset}"
        place = (identity, LetterKind.FRAME, self.stream, damage.number, 0, end)
        return Letter(*place, self.time, reason, damage.data, origin)

    def _letter(self, identity: str, kind: LetterKind, frame: Frame, index: int, reason: str, body: bytes) -> Letter:
        return Letter(identity, kind, self.stream, frame.number, index, frame.number + 1, frame.time, reason, body)

    def _missing(self, output: Output, until: int) -> None:
        """What was missing before this place, now that it is known when it ended."""
        for gap in self._gaps:
            self.counts["missing_frames"] += gap.end - gap.number
            self.missing += gap.end - gap.number
            source = losses.missing(self._host, self.stream, gap, self.time, until)
            output.documents.append(self._document(source, until))
        self._gaps.clear()

    @staticmethod
    def _document(source: dict[str, Any], time: int) -> Document:
        return Document(source["event"]["id"], time, "loss", source)


def _one(known: list[Step], kind: type[T]) -> T:
    (found,) = (step for step in known if isinstance(step, kind))
    return found


def _where(error: Exception) -> str:
    """An exception and the line that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.name}, line {place.lineno})"
