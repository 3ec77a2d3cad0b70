"""A session: one life of one terminal, and all that is known of it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bpf.enums import TerminalFlag
from bpf.events import Terminal
from enrich.document import Part
from enrich.secrets.scrub import Stream
from enrich.terminals.passwords import Keys
from enrich.terminals.recording import Recording, long

if TYPE_CHECKING:
    from enrich.commands.command import Typist
    from enrich.item import Epoch, Process

PATIENCE_NS = 1_000_000_000
"""How long it may take until a session's leader runs its program, and what it showed comes once that has ended."""
_IMPATIENT_NS = 600_000_000_000
"""The longest that an end waits for what may still be shown."""
_LIFE = struct.Struct("<16sIIQ")
_LINE = int(TerminalFlag.LINE)


@dataclass(slots=True, eq=False)
class Line:
    """What a program consumed with echo and in canonical mode, or without and unread by us: until its line ends."""

    reader: int
    uid: int
    since: int
    """Boot time in ns."""
    process: Process | None
    epoch: Epoch | None
    unasked: bool
    last: int = 0
    """When something was added last."""
    secret: bool = False
    content: bytes = b""
    length: int = 0
    """Of a secret."""


@dataclass(slots=True, eq=False)
class Alarm:
    """Something that happens often and is told once a second."""

    total: int = 0
    """How often it happened, or how many bytes it was about."""
    told: int = 0
    """When it was told last; 0: never."""
    pending: bool = False
    tgid: int = 0
    """Who did it first since it was told."""


@dataclass(slots=True, eq=False)
class Session:
    """One life of one terminal, from its first record to its end and a little behind. Times are boot time in ns."""

    id: str
    shown: Part
    """cgtrail.session of documents of processes at it: its id and name."""
    device: int
    index: int
    generation: int
    first: str
    """Id of its first record, of the first behind its end where it went on."""
    began: int
    began_unix: int
    """What documents say of it, in ns since 1970: the @timestamp of its first, which may be told after others."""
    partial: bool
    """It was open before it was recorded."""
    home: int = 0
    epoch: Epoch | None = None
    unasked: bool = True
    """Whether its container's policy is not known yet."""
    allowed: int = 0
    """What its container has recorded, as far as that is known."""
    leader_pid: int = 0
    leader: Process | None = None
    opener: Process | None = None
    """Until it is told."""
    opened_by: str = ""
    """Name of the program that opened it."""
    parent: str = ""
    """Id of the session that its opener was at."""
    nested: bool = False
    """It was opened by a program in the container, not by who let somebody in."""
    rows: int = 0
    columns: int = 0
    used: bool = False
    """Something was shown or consumed, or it has a leader: it is told."""
    told: bool = False
    """Its beginning has been told, and its end has not."""
    ending: int = 0
    """When its leader ended or was sent away; 0: it lives."""
    last: int = 0
    """When its end began, or something was shown or consumed after that."""
    patience: int = PATIENCE_NS
    """How long nothing may come once its end began: longer each time that it went on all the same."""
    quiet: bool = False
    """Its end was told since nothing more came; it may be open still."""
    reason: str = ""
    """Why it ended or is about to."""
    ended: int = 0
    """0: it goes on."""
    keyframe: int = 0
    previous: Session | None = None
    """The life of the same terminal before, whose records may still come."""
    made: tuple[str, int] = ("", 0)
    """Id of the record at which a document was made last, and how many were made at it."""
    stamp: int = 0
    """The newest @timestamp of its documents, in ns since 1970: they rise."""
    before: tuple[int, int, int] = (0, 0, 0)
    """Bytes shown, consumed and typed under earlier generations: an agent that starts again counts from 0."""
    output: int = 0
    """Bytes shown, by the kernel's count of this generation, as far as records tell."""
    consumed: int = 0
    typed: int = 0
    missed: int = 0
    """Bytes that were consumed and that no record holds, secrets apart."""
    unwritten: int = 0
    masked: int = 0
    """Inputs that were secret."""
    silent: int = 0
    """Lines read in a row without echo; -1: that was told."""
    silent_since: int = 0
    injected: Alarm = field(default_factory=Alarm)
    escaped: Alarm = field(default_factory=Alarm)
    uring: int = 0
    surplus: int | None = None
    """How much more the kernel counts than was shown, where that is known and told; None: not yet."""
    ahead: int = 0
    """The same of the last TtyOutput."""
    line: Line | None = None
    input: Stream = field(default_factory=Stream)
    keys: Keys = field(default_factory=Keys)
    recording: Recording = field(default_factory=Recording)
    typist: Typist | None = None
    """What is typed; None where nothing is known to be."""

    @property
    def key(self) -> tuple[int, int]:
        """Which terminal it is a life of."""
        return self.device, self.index

    @property
    def tty(self) -> int:
        """The terminal's device number, as processes have it."""
        return 136 << 20 | self.index if self.device else self.index

    @property
    def is_secret(self) -> bool:
        """Whether what was consumed last, or is about to be, is taken for a secret."""
        return self.keys.secret or (self.line is not None and self.line.secret)

    def begin_end(self, time: int, reason: str) -> None:
        """It is about to end: what it wrote may still be shown."""
        if not self.ending:
            self.ending, self.last, self.reason = time, max(time, self.last), reason

    def go_on(self, record: Terminal, unix: int, over: bool) -> None:
        """Its end was told, and it goes on; not for long where it is `over`, but longer each time."""
        self.ended, self.began, self.began_unix = 0, record.time, self.timestamp(unix)
        self.partial, self.quiet, self.patience = True, False, min(2 * self.patience, _IMPATIENT_NS)
        self.ending = record.time if over else 0
        self.reason = self.reason if over else ""

    def identity(self, record: str) -> str:
        """The id of a document that is made at a record: each is another one's."""
        number = self.made[1] + 1 if self.made[0] == record else 0
        self.made = record, number
        return f"{record}-{self.id}-{number}" if number else f"{record}-{self.id}"

    def timestamp(self, unix: int) -> int:
        """A time for a document of this session: as given, or as little later as makes it unique."""
        self.stamp = max(unix, self.stamp + 1)
        return self.stamp

    def totals(self) -> dict[str, int]:
        """What is told at its end; bytes but for masked, injected and uring."""
        shown, consumed, typed = self.before
        counts = {
            "shown": shown + self.output,
            "skipped": self.recording.skipped,
            "consumed": consumed + self.consumed,
            "missed": self.missed,
            "typed": typed + self.typed,
            "unwritten": self.unwritten,
            "masked": self.masked,
            "injected": self.injected.total,
            "uring": self.uring,
            "escaped": self.escaped.total,
        }
        always = ("shown", "skipped", "consumed", "typed")
        return {name: long(count) for name, count in counts.items() if count or name in always}


def begin(record: Terminal, boot: bytes, first: str, time: int, unix: int) -> Session:
    """The session that a record is the first of; `time` and `unix` are when: boot time, and ns since 1970."""
    data = _LIFE.pack(boot, record.device, record.index, record.generation)
    identity = hashlib.blake2b(data, digest_size=8).hexdigest()
    line = record.terminal_flags & _LINE or not record.device
    name = f"tty {record.index >> 20}:{record.index & 0xFFFFF}" if line else f"pts/{record.index}"
    found = bool(record.terminal_flags & TerminalFlag.FOUND)
    partial = found or record.shown > 0 or record.consumed > 0
    return Session(
        identity,
        Part(id=identity, tty=name),
        record.device,
        record.index,
        record.generation,
        first,
        time,
        unix,
        partial,
        stamp=unix,
        surplus=None if partial else 0,
    )
