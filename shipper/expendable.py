"""Reads that may never end, done by a child that may be lost.

What belongs to a container can keep whoever touches it waiting for ever: its memory, with the help of a file system
whose server never answers, and that file system itself. So the agent touches none of it: it asks a child. One that
does not answer in time is abandoned, and a new one goes on behind the question that it was at.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from shipper.expendable_child import SIZE

_log = structlog.get_logger()

Q = TypeVar("Q")

STARTING_NS = 30_000_000_000
"""A child that only begins is nobody's fault but a slow machine's."""
PATIENT_ROUNDS = 20
"""So often an answer is looked for besides: when the whole machine stood still, the child did too."""
PIPE_BYTES = 1 << 20
COMMAND = (sys.executable, "-I", "-S", str(Path(__file__).with_name("expendable_child.py")))


class _Child:
    """A process that reads, and pipes to and from it that never block. Raises OSError when it can't be started."""

    def __init__(self, command: list[str]) -> None:
        # It must hold nothing of ours: it may outlive us, and our lock and kernel programs would with it.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._questions, self._answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._questions, False)
        os.set_blocking(self._answers, False)
        with suppress(OSError):  # through a smaller pipe it takes more rounds
            fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.ready = False
        self._received = b""
        self._unsent = b""

    def ask(self, questions: bytes) -> None:
        """Send as much as the pipe takes; the rest goes with the next questions."""
        self._unsent += questions
        if self._unsent:
            with suppress(BlockingIOError, BrokenPipeError):  # an end is told when it is listened to
                self._unsent = self._unsent[os.write(self._questions, self._unsent) :]

    def listen(self) -> list[bytes]:
        """The answers since, in order. Raises EOFError when it has ended."""
        try:
            data = os.read(self._answers, PIPE_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        received, at, found = self._received + data, 0, list[bytes]()
        while len(received) - at >= SIZE.size:
            (size,) = SIZE.unpack_from(received, at)
            if len(received) - at < SIZE.size + size:
                break
            at += SIZE.size + size
            found.append(received[at - size : at])
        self._received = received[at:]
        if found and not self.ready:
            self.ready = True
            found.pop(0)
        return found

    def abandon(self) -> subprocess.Popen[bytes]:
        """Kill it, without waiting: one that the kernel does not let go may stay for ever."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        self._process.kill()
        return self._process


@dataclass
class Heard(Generic[Q]):
    """What came of questions in one round."""

    answers: list[tuple[Q, bytes]] = field(default_factory=list)
    stuck: Q | None = None
    """One that is not answered; what else had been asked waits again."""
    left_out: list[Q] = field(default_factory=list)
    """All that waited, when nobody can be asked."""


@dataclass
class Expendable(Generic[Q]):
    """Asks a child, and another when that is lost. Only one thread may use it; only `close` waits, for 0.1 s."""

    reader: Path
    """The file whose `answer` is asked (`shipper.expendable_child`)."""
    pack: Callable[[Q], bytes]
    """A question as the reader takes it."""
    what: str
    """What is left out when nobody can be asked, for the log."""
    again: str
    """When that is asked for anew."""
    ahead: int = 256
    """Questions that a child has at once."""
    patience_ns: int = 1_000_000_000
    """An answer may take so long."""
    most_abandoned: int = 4
    """Children that were killed and are not gone yet; beyond, nobody is asked."""
    linger_ns: int = 0
    """So long a child that has nothing to do is kept."""
    arguments: tuple[str, ...] = ()
    """The reader's, behind the question."""
    command: tuple[str, ...] = COMMAND
    waiting: deque[Q] = field(default_factory=deque)
    """Questions yet to be asked, in order; the owner may change it."""
    asked: deque[Q] = field(default_factory=deque)
    """What the child has been asked; it is at the first."""
    _child: _Child | None = None
    _since: int = 0
    """When the child was last heard of, and how often it has been listened to in vain since."""
    _rounds: int = 0
    _told: str = ""
    """Why nobody can be asked, as it was said last."""
    _abandoned: list[tuple[subprocess.Popen[bytes], Q | None]] = field(default_factory=list)
    """With what they were at."""

    @property
    def open(self) -> bool:
        """There are questions without an answer."""
        return bool(self.waiting or self.asked)

    def holds(self, question: Q) -> bool:
        """Whether a child that got stuck at this question is not gone yet."""
        return any(at is question for _, at in self._abandoned)

    @property
    def abandoned(self) -> int:
        """How many children were killed and are not gone yet."""
        return len(self._abandoned)

    def round(self, now: int) -> Heard[Q]:
        """Ask, and hear what has been answered since. `now`: boot time in ns."""
        if self._abandoned:
            self._reap()
        if not self.open:
            if now - self._since >= self.linger_ns:
                self._end()
            return Heard()
        return self._listen(self._child, now) if self._child else self._begin(now)

    def close(self) -> None:
        """Leave the children behind: each is killed, and ends when the kernel lets it."""
        self._end()
        with suppress(subprocess.TimeoutExpired):
            for child, _ in self._abandoned:
                child.wait(0.1)
        self._reap()

    def _begin(self, now: int) -> Heard[Q]:
        if len(self._abandoned) >= self.most_abandoned:
            return self._leave_out("reads of others' have not ended", "end the processes that were named before")
        try:
            self._child = _Child([*self.command, str(os.getpid()), str(self.reader), *self.arguments])
        except OSError as error:
            return self._leave_out(f"no process can be started to read them: {error}", self.again)
        self._since, self._rounds = now, 0
        return Heard()

    def _listen(self, child: _Child, now: int) -> Heard[Q]:
        try:
            heard = child.listen()
        except EOFError:
            self._end()
            return self._leave_out("the process that reads them was killed", self.again)
        answers = [(self.asked.popleft(), answer) for answer in heard]
        self._rounds += 1
        if heard:
            self._told = ""
        if heard or (child.ready and not self.asked):
            self._since, self._rounds = now, 0
        patience = self.patience_ns if child.ready else STARTING_NS
        if now - self._since > patience and self._rounds > PATIENT_ROUNDS:
            return self._abandon()
        if child.ready:
            batch = [self.waiting.popleft() for _ in range(min(self.ahead - len(self.asked), len(self.waiting)))]
            self.asked.extend(batch)
            child.ask(b"".join(SIZE.pack(len(packed)) + packed for packed in map(self.pack, batch)))
        return Heard(answers)

    def _abandon(self) -> Heard[Q]:
        """Go on without this child, and without what it is at."""
        if not self.asked:
            self._end()
            return self._leave_out("the process that reads them does not begin", self.again)
        stuck = self.asked.popleft()
        self.waiting.extendleft(reversed(self.asked))
        self.asked.clear()
        self._end(stuck)
        return Heard(stuck=stuck)

    def _leave_out(self, reason: str, step: str) -> Heard[Q]:
        left_out = [*self.asked, *self.waiting]
        self.asked.clear()
        self.waiting.clear()
        if reason != self._told:
            self._told = reason
            _log.warning(f"the {self.what} are left out", reason=reason, next=step)
        return Heard(left_out=left_out)

    def _end(self, stuck: Q | None = None) -> None:
        if self._child is not None:
            self._abandoned.append((self._child.abandon(), stuck))
            self._child = None

    def _reap(self) -> None:
        self._abandoned = [(child, at) for child, at in self._abandoned if child.poll() is None]
