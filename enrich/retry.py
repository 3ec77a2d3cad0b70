"""Dead letters again: documents are sent once more, records and frames taken once more out of the spool."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from enrich.document import Document
from enrich.enricher import Enricher, Output
from enrich.letters import Letter, LetterKind
from enrich.replay import SLACK_NS, PassOver, Place, ReplayError, send
from enrich.secrets.rules import Rules
from enrich.sinks import Outcome, Sink, Status
from shipper.wire.frame import Frame
from shipper.wire.reader import Reader
from shipper.wire.segment import Stream, newest, streams

GONE = "the spool does not hold it any more"
UNREADABLE = "the spool still does not hold these frames, or not all of them"
NO_DOCUMENT = "its body is no document, and its record makes none"
WAITS = "its container is not told yet: try again in a moment"


@dataclass
class Retry:
    """Tries letters again; what becomes of them is in `stays` and `met`."""

    folder: Path
    """The spool."""
    sink: Sink
    stop: threading.Event
    forks: bool = False
    deadly: Collection[Place] = ()
    """Records to leave alone: workers died of them."""
    secrets: Rules | None = None
    """What is masked; None: what the built-in rules find."""
    output: str = "none"
    """What is kept of what commands show (`enrich.commands.output.KEPT`)."""
    stays: dict[str, str] = field(default_factory=dict)
    """Ids of letters that failed again, each with its reason; the others are done."""
    met: list[Letter] = field(default_factory=list)
    """New ones, of frames that can be read now."""

    def run(self, letters: Iterable[Letter]) -> None:
        """Deliver what can be delivered now; each stream is read once, from its oldest keyframe."""
        made: dict[str, list[Document]] = {}
        by_stream: defaultdict[str, list[Letter]] = defaultdict(list)
        for letter in letters:
            document = _document(letter)
            if document is None:
                by_stream[letter.stream].append(letter)
            else:
                made[letter.id] = [document]
        known = streams(self.folder)
        last = newest(known) if known else None
        for name, chosen in by_stream.items():
            stream = next((stream for stream in known if stream.id.hex() == name), None)
            if stream is None:
                self.stays |= dict.fromkeys((letter.id for letter in chosen), GONE)
            else:
                made |= self._take(stream, chosen, ended=stream != last)
        self._send(made)

    def _take(self, stream: Stream, letters: list[Letter], *, ended: bool) -> dict[str, list[Document]]:
        """The documents of each letter's record or frames, out of the stream."""
        attempt = _Attempt(letters)
        watch = PassOver(stream.id, self.deadly)
        enricher = Enricher(
            stream.id,
            opened=stream.opened,
            forks=self.forks,
            output=self.output,
            secrets=self.secrets,
            watch=watch,
        )
        oldest = min((segment.first for segment in stream.segments()), default=0)
        for piece in Reader(stream, oldest).read():
            attempt.take(enricher.take(piece))
            if isinstance(piece, Frame) and attempt.passed(piece, enricher.waiting()):
                break
            if self.stop.is_set():
                break
        else:
            rest = enricher.finish()
            if ended:
                attempt.take(rest)
            else:
                attempt.failed |= {owner: WAITS for document in rest.documents for owner in attempt.owners(document)}
        self.met += attempt.met
        stays = attempt.stays(stopped=self.stop.is_set())
        self.stays |= stays
        partly = (letter.id for letter in letters if letter.kind is LetterKind.FRAME or letter.id not in stays)
        return {name: attempt.made[name] for name in partly}

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

    def __init__(self, letters: list[Letter]) -> None:
        self._letters = {letter.id: letter for letter in letters}
        self._frames = [letter for letter in letters if letter.kind is LetterKind.FRAME]
        self._wide = [letter for letter in letters if letter.behind - letter.frame > 1]
        self._of_frame: defaultdict[int, list[str]] = defaultdict(list)
        for letter in letters:
            self._of_frame[letter.frame].append(letter.id)
        self._behind = max(letter.behind for letter in letters)
        self._read: Counter[str] = Counter()
        """Letter → how many of its frames were read."""
        self._time = 0
        """Of the last frame that is asked for."""
        self.made: defaultdict[str, list[Document]] = defaultdict(list)
        self.failed: dict[str, str] = {}
        self.met: list[Letter] = []

    def take(self, output: Output) -> None:
        """Keep what belongs to a letter."""
        for letter in output.letters:
            if letter.id in self._letters:
                self.failed[letter.id] = letter.reason
            elif any(_within(letter.frame, asked) for asked in self._frames):
                self.met.append(letter)
        for document in output.documents:
            for owner in self.owners(document):
                self.made[owner].append(document)

    def owners(self, document: Document) -> list[str]:
        """The letters that a document belongs to: by its record, or by its frame."""
        record = document.id.split("-")[:3]
        owners = [letter.id for letter in self._frames if record[2] != "gap" and _within(int(record[1]), letter)]
        return owners + [name for name in {document.id, "-".join(record)} if name in self._letters]

    def passed(self, frame: Frame, waiting: int | None) -> bool:
        """Note a frame that was read; true when nothing more can come of those that are asked for."""
        self._read.update(self._of_frame.get(frame.number, ()))
        self._read.update(letter.id for letter in self._wide if letter.frame < frame.number < letter.behind)
        if frame.number < self._behind:
            self._time = max(self._time, frame.time)
            return False
        return frame.time > self._time + SLACK_NS and (waiting is None or waiting > self._time)

    def stays(self, *, stopped: bool) -> dict[str, str]:
        """The letters that failed, with their reasons."""
        stays = {}
        for letter in self._letters.values():
            if self._read[letter.id] < letter.behind - letter.frame:
                stays[letter.id] = GONE if letter.kind is not LetterKind.FRAME else UNREADABLE
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
