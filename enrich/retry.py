"""Dead letters again: documents are sent once more, records and frames taken once more out of what is kept of them."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from enrich.again import Again, Making
from enrich.document import Document
from enrich.enricher import Output
from enrich.history import SLACK_NS, History, ReplayError, Stretch
from enrich.letters import Letter, LetterKind
from enrich.replay import send
from enrich.sinks import Outcome, Sink, Status
from enrich.sources import Taken
from shipper.wire.frame import Frame
from shipper.wire.message import End

NO_DOCUMENT = "its body is no document, and its record makes none"
NO_STREAM = "it names no stream: nothing can be made of it"
WAITS = "its container is not told yet: try again in a moment"
_STREAM = re.compile("[0-9a-f]{32}")
_REFUSED = {"forked", "claimed"}
"""Parts of the ids of letters and documents of frames that were whole, and refused for what they are."""


@dataclass
class Retry:
    """Tries letters again; what becomes of them is in `stays` and `met`."""

    history: History
    sink: Sink
    stop: threading.Event
    making: Making = field(default_factory=Making)
    stays: dict[str, str] = field(default_factory=dict)
    """Ids of letters that failed again, each with its reason; the others are done."""
    met: list[Letter] = field(default_factory=list)
    """New ones, of frames that can be read now."""

    def run(self, letters: Iterable[Letter]) -> None:
        """Deliver what can be delivered now; each stream is read once, from the oldest that there is of it."""
        made: dict[str, list[Document]] = {}
        by_stream: defaultdict[str, list[Letter]] = defaultdict(list)
        for letter in letters:
            document = _document(letter)
            if document is not None:
                made[letter.id] = [document]
            elif not _STREAM.fullmatch(letter.stream):
                self.stays[letter.id] = NO_STREAM
            elif _REFUSED & set(letter.id.split("-")[2:3]):
                self.stays[letter.id] = letter.reason
            else:
                by_stream[letter.stream].append(letter)
        made |= self._take(by_stream)
        self._send(made)

    def _take(self, by_stream: dict[str, list[Letter]]) -> dict[str, list[Document]]:
        """The documents of each letter's record or frames, out of the streams."""
        origins = {
            name: next((each.origin for each in chosen if each.origin), "") for name, chosen in by_stream.items()
        }
        stretches = self.history.whole(origins) if origins else []
        attempts = {stretch.stream: _Attempt(by_stream[stretch.stream.hex()], stretch) for stretch in stretches}
        gone = f"{self.history.name} does not hold it any more"
        for name in by_stream.keys() - {stream.hex() for stream in attempts}:
            self.stays |= dict.fromkeys((letter.id for letter in by_stream[name]), gone)
        if attempts:
            self._read(attempts)
        made: dict[str, list[Document]] = {}
        for attempt in attempts.values():
            self.met += attempt.met
            stays = attempt.stays(self.history.name, stopped=self.stop.is_set())
            self.stays |= stays
            partly = (each for each in attempt.letters if each.kind is LetterKind.FRAME or each.id not in stays)
            made |= {letter.id: attempt.made[letter.id] for letter in partly}
        return made

    def _read(self, attempts: dict[bytes, _Attempt]) -> None:
        stretches = [attempt.stretch for attempt in attempts.values()]
        again = Again(stretches, self.making)
        for name, taken in self.history.read(stretches):
            output = again.take(name, taken)
            for attempt in attempts.values() if output else ():
                if attempt.stretch.partition == name:
                    attempt.take(output)
            if isinstance(taken, Taken):
                attempts[taken.stream].passed(taken.piece, again)
            if self.stop.is_set():
                return
        rest = again.finish().documents
        for attempt in attempts.values():
            if not attempt.stretch.over:
                attempt.failed |= {owner: WAITS for document in rest for owner in attempt.owners(document)}

    def _send(self, made: dict[str, list[Document]]) -> None:
        for identity, documents in made.items():
            try:
                outcomes = send(self.sink, documents, self.stop)
            except ReplayError as error:  # what was sent before is done
                self.stays = dict.fromkeys(list(made)[list(made).index(identity) :], str(error)) | self.stays
                return
            bad = [outcome for outcome in outcomes if not _is_stored(outcome)]
            if bad:
                self.stays[identity] = bad[0].reason


class _Attempt:
    """What comes of some letters of one stream, gathered while it is read."""

    def __init__(self, letters: list[Letter], stretch: Stretch) -> None:
        self.letters, self.stretch = letters, stretch
        self._of = {letter.id: letter for letter in letters}
        self._frames = [letter for letter in letters if letter.kind is LetterKind.FRAME]
        self._wide = [letter for letter in letters if letter.behind - letter.frame > 1]
        self._of_frame: defaultdict[int, list[str]] = defaultdict(list)
        for letter in letters:
            self._of_frame[letter.frame].append(letter.id)
        self._behind = max(letter.behind for letter in letters)
        self._read: defaultdict[str, set[int]] = defaultdict(set)
        """Letter → which of its frames were read."""
        self._time = 0
        """Of the last frame that is asked for."""
        self.made: defaultdict[str, list[Document]] = defaultdict(list)
        self.failed: dict[str, str] = {}
        self.met: list[Letter] = []

    def take(self, output: Output) -> None:
        """Keep what belongs to a letter."""
        for letter in output.letters:
            if letter.id in self._of:
                self.failed[letter.id] = letter.reason
            elif letter.stream == self.letters[0].stream and any(_within(letter.frame, of) for of in self._frames):
                self.met.append(letter)
        for document in output.documents:
            for owner in self.owners(document):
                self.made[owner].append(document)

    def owners(self, document: Document) -> list[str]:
        """The letters that a document belongs to: by its record, or by its frame."""
        stream, frame, what, *_ = [*document.id.split("-"), "", ""]
        if stream != self.letters[0].stream:
            return []
        loss = what == "gap" or what in _REFUSED
        owners = [letter.id for letter in self._frames if not loss and _within(int(frame), letter)]
        return owners + [name for name in {document.id, f"{stream}-{frame}-{what}"} if name in self._of]

    def passed(self, piece: Frame | object, again: Again) -> None:
        """Note what was read; the stretch is over when nothing more can come of those that are asked for."""
        enricher = again.enricher(self.stretch)
        if isinstance(piece, End) and enricher is None:
            self.stretch.over = True
        if not isinstance(piece, Frame) or enricher is None or enricher.number != piece.number + 1:
            return  # sent again, or refused
        number = piece.number
        for name in (*self._of_frame.get(number, ()), *(each.id for each in self._wide if _within(number, each))):
            self._read[name].add(number)
        if number < self._behind:
            self._time = max(self._time, piece.time)
        elif piece.time > self._time + SLACK_NS:
            waiting = enricher.waiting()
            self.stretch.over = waiting is None or waiting > self._time

    def stays(self, held: str, *, stopped: bool) -> dict[str, str]:
        """The letters that failed, with their reasons. `held`: where their frames should be."""
        stays = {}
        for letter in self.letters:
            if len(self._read[letter.id]) < max(letter.behind - letter.frame, 1):
                frames = letter.kind is LetterKind.FRAME
                stays[letter.id] = (
                    f"{held} still does not hold these frames, or not all of them"
                    if frames
                    else f"{held} does not hold it any more"
                )
            if letter.id in self.failed:
                stays[letter.id] = self.failed[letter.id]
            elif stopped:
                stays[letter.id] = letter.reason
            elif letter.kind is LetterKind.DOCUMENT and letter.id not in self.made:
                stays.setdefault(letter.id, NO_DOCUMENT)
        return stays


def _within(number: int, letter: Letter) -> bool:
    return letter.frame <= number < letter.behind


def _is_stored(outcome: Outcome) -> bool:
    return outcome.status in {Status.OK, Status.DUPLICATE}


def _document(letter: Letter) -> Document | None:
    """The document of a letter; None where it is none, or was no JSON and has to be made again."""
    if letter.kind is not LetterKind.DOCUMENT:
        return None
    try:
        source = orjson.loads(letter.body)
        kind = source["event"]["dataset"].removeprefix("cgtrail.")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    return Document(letter.id, letter.time, kind, source)
