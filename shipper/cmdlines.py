"""The arguments of processes that were found running, read by a child that may be lost.

A read of a process's memory takes a lock of that process, which it can keep from everybody for ever: with the help of
a file system whose server never answers, for one. So the agent never reads any: an expendable child reads the arguments
(`shipper.cmdline_reader`). One that does not answer is abandoned, and what it was asked is not asked again.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bpf.events import Task
from shipper.cmdline_reader import ANSWER, QUESTION, READY
from shipper.wire.records import Arguments

_log = structlog.get_logger()

PATIENCE_NS = 1_000_000_000
STARTING_NS = 30_000_000_000
"""A child that only begins is nobody's fault but a slow machine's."""
PATIENT_ROUNDS = 20
"""So often an answer is looked for besides: when the whole machine stood still, the child did too."""
MOST_ABANDONED = 4
"""Children that were killed and are not gone yet; beyond, arguments are left out."""
MOST_ASKED = 4096
"""Processes in one keyframe."""
MOST_SLOW = 4
"""Processes of one owner that do not answer; the others of it are left out until the next keyframe."""
MOST_MUTE = 1024
"""Processes that are remembered as not answering, the latest."""
AHEAD = 256
"""Questions that a child has at once."""
PIPE_BYTES = 1 << 20
COMMAND = (sys.executable, "-I", "-S", str(Path(__file__).with_name("cmdline_reader.py")))
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_AGAIN = "it is tried again at the next keyframe"


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

    def ask(self, pids: Iterable[int]) -> None:
        """Questions, of which fewer than AHEAD may be open: then they fit the pipe."""
        with suppress(BrokenPipeError):  # the next time it is listened to says so
            os.write(self._questions, b"".join(map(QUESTION.pack, pids)))

    def listen(self) -> list[tuple[int, int, bytes]]:
        """(start, cut, arguments) of each question answered since, in order. Raises EOFError when it has ended."""
        try:
            data = os.read(self._answers, PIPE_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        received, at, found = self._received + data, 0, []
        while len(received) - at >= ANSWER.size:
            pid, cut, start, size = ANSWER.unpack_from(received, at)
            if len(received) - at < ANSWER.size + size:
                break
            at += ANSWER.size + size
            if pid == READY:
                self.ready = True
            else:
                found.append((start, cut, received[at - size : at]))
        self._received = received[at:]
        return found

    def abandon(self) -> subprocess.Popen[bytes]:
        """Kill it, without waiting: one that the kernel does not let go may stay for ever."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        self._process.kill()
        return self._process


@dataclass
class Cmdlines:
    """Asks for the arguments of processes. Only one thread may use it; only `close` waits, a tenth of a second."""

    root: str = "/proc"
    command: tuple[str, ...] = COMMAND
    unread: int = 0
    """Processes whose arguments were left out, ever."""
    _waiting: deque[Task] = field(default_factory=deque)
    _asked: deque[Task] = field(default_factory=deque)
    """What the child has been asked; it is at the first."""
    _left: int = MOST_ASKED
    _mute: dict[tuple[int, int], None] = field(default_factory=dict)
    """(process id, start) of those that did not answer."""
    _slow: Counter[int] = field(default_factory=Counter)
    """Owner → such of its processes since the keyframe; everybody else's are asked before its others."""
    _child: _Child | None = None
    _since: int = 0
    """When the child was last heard of, and how often it has been listened to in vain since."""
    _rounds: int = 0
    _told: str = ""
    """Why nothing can be asked, as it was said last."""
    _abandoned: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """There are questions without an answer."""
        return bool(self._waiting or self._asked)

    def keyframe(self) -> None:
        """All that run will be told anew: what has not been asked of the last keyframe's is not asked any more."""
        self._waiting.clear()
        self._slow.clear()
        self._left = MOST_ASKED

    def ask(self, process: Task) -> None:
        """A process was found running."""
        if (process.tgid, process.start) in self._mute:
            return
        self._left -= 1
        if self._left >= 0 and self._slow[process.owner] < MOST_SLOW:
            self._waiting.append(process)
            return
        self.unread += 1
        if self._left == -1:
            _log.warning("so many processes run that the arguments of some are left out", asked=MOST_ASKED,
                         next="their programs are recorded; what starts from now on is recorded in full")  # fmt: skip

    def answers(self, now: int) -> list[Arguments]:
        """What has been answered since it was asked last. `now`: boot time in ns."""
        if self._abandoned:
            self._reap()
        if not self.open:
            self._end()
            return []
        if self._child is None:
            self._begin(now)
        return self._listen(self._child, now) if self._child else []

    def close(self) -> None:
        """Leave the children behind: each is killed, and ends when the kernel lets it."""
        self._end()
        with suppress(subprocess.TimeoutExpired):
            for child in self._abandoned:
                child.wait(0.1)
        self._reap()

    def _begin(self, now: int) -> None:
        if len(self._abandoned) >= MOST_ABANDONED:
            self._leave_out("reads of others' have not ended", "end the processes that were named before")
            return
        try:
            self._child = _Child([*self.command, self.root, str(os.getpid())])
        except OSError as error:
            self._leave_out(f"no process can be started to read them: {error}", _AGAIN)
        self._since, self._rounds = now, 0

    def _listen(self, child: _Child, now: int) -> list[Arguments]:
        try:
            heard = child.listen()
        except EOFError:
            self._leave_out("the process that reads them was killed", _AGAIN)
            self._end()
            return []
        found = [self._answered(*answer, now) for answer in heard]
        self._rounds += 1
        if heard:
            self._told = ""
        if heard or (child.ready and not self._asked):
            self._since, self._rounds = now, 0
        patience = PATIENCE_NS if child.ready else STARTING_NS
        if now - self._since > patience and self._rounds > PATIENT_ROUNDS:
            self._abandon()
        elif child.ready:
            batch = [self._waiting.popleft() for _ in range(min(AHEAD - len(self._asked), len(self._waiting)))]
            self._asked.extend(batch)
            child.ask(process.tgid for process in batch)
        return [record for record in found if record]

    def _answered(self, start: int, cut: int, args: bytes, now: int) -> Arguments | None:
        process = self._asked.popleft()
        if start != process.start // _TICK_NS or not args:
            return None
        # no cgroup: behind the end of its cgroup, an answer must not bring that back
        return Arguments(time=now, owner=process.owner, tgid=process.tgid, start=process.start, cut=cut, args=args)

    def _abandon(self) -> None:
        """Go on without this child; the process that it is at is not asked for again."""
        if not self._asked:
            self._leave_out("the process that reads them does not begin", _AGAIN)
        else:
            process = self._asked.popleft()
            self._mute[process.tgid, process.start] = None
            self._slow[process.owner] += 1
            if len(self._mute) > MOST_MUTE:
                del self._mute[next(iter(self._mute))]
            self.unread += 1
            _log.warning("the arguments of a running process are left out: reading them does not end",
                         pid=process.tgid, cgroup=process.cgroup_id,
                         next="look into its container: it may hide on purpose; ps would wait for ever")  # fmt: skip
        # a keyframe may have come meanwhile, and with it the same process again
        left = [each for each in (*self._asked, *self._waiting) if (each.tgid, each.start) not in self._mute]
        kept = (process for process in left if self._slow[process.owner] < MOST_SLOW)
        self._asked.clear()
        self._waiting = deque(sorted(kept, key=lambda process: self._slow[process.owner]))
        self.unread += len(left) - len(self._waiting)
        self._end()

    def _leave_out(self, reason: str, step: str) -> None:
        self.unread += len(self._asked) + len(self._waiting)
        self._asked.clear()
        self._waiting.clear()
        if reason != self._told:
            self._told = reason
            _log.warning("the arguments of running processes are left out", reason=reason, next=step)

    def _end(self) -> None:
        if self._child is not None:
            self._abandoned.append(self._child.abandon())
            self._child = None

    def _reap(self) -> None:
        self._abandoned = [child for child in self._abandoned if child.poll() is None]
