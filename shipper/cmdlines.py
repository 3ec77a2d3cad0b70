"""The arguments of processes that were found running, read by a child that may be lost (`shipper.expendable`).

A read of a process's memory takes a lock of that process, which it can keep from everybody for ever. A process whose
arguments could not be read is not asked for again.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bpf.events import Task
from shipper.cmdline_reader import ANSWER, QUESTION
from shipper.expendable import Expendable
from shipper.wire.records import Arguments

_log = structlog.get_logger()

READER = Path(__file__).with_name("cmdline_reader.py")
PATIENCE_NS = 1_000_000_000
MOST_ABANDONED = 4
"""Children that were killed and are not gone yet; beyond, arguments are left out."""
MOST_ASKED = 4096
"""Processes in one keyframe."""
MOST_SLOW = 4
"""Processes of one owner that do not answer; the others of it are left out until the next keyframe."""
MOST_MUTE = 1024
"""Processes that are remembered as not answering, the latest."""
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass
class Cmdlines:
    """Asks for the arguments of processes. Only one thread may use it; only `close` waits, a tenth of a second."""

    root: str = "/proc"
    unread: int = 0
    """Processes whose arguments were left out, ever."""
    _reader: Expendable[Task] = field(init=False)
    _left: int = MOST_ASKED
    _mute: dict[tuple[int, int], None] = field(default_factory=dict)
    """(process id, start) of those that did not answer."""
    _slow: Counter[int] = field(default_factory=Counter)
    """Owner → such of its processes since the keyframe; everybody else's are asked before its others."""

    def __post_init__(self) -> None:
        """Nothing is started before there is something to ask."""
        self._reader = Expendable(
            READER,
            lambda process: QUESTION.pack(process.tgid),
            "arguments of running processes",
            "it is tried again at the next keyframe",
            patience_ns=PATIENCE_NS,
            most_abandoned=MOST_ABANDONED,
            arguments=(self.root,),
        )

    @property
    def open(self) -> bool:
        """There are questions without an answer."""
        return self._reader.open

    def keyframe(self) -> None:
        """All that run will be told anew: what has not been asked of the last keyframe's is not asked any more."""
        self._reader.waiting.clear()
        self._slow.clear()
        self._left = MOST_ASKED

    def ask(self, process: Task) -> None:
        """A process was found running."""
        if (process.tgid, process.start) in self._mute:
            return
        self._left -= 1
        if self._left >= 0 and self._slow[process.owner] < MOST_SLOW:
            self._reader.waiting.append(process)
            return
        self.unread += 1
        if self._left == -1:
            _log.warning("so many processes run that the arguments of some are left out", asked=MOST_ASKED,
                         next="their programs are recorded; what starts from now on is recorded in full")  # fmt: skip

    def answers(self, now: int) -> list[Arguments]:
        """What has been answered since it was asked last. `now`: boot time in ns."""
        heard = self._reader.round(now)
        self.unread += len(heard.left_out)
        if heard.stuck is not None:
            self._silent(heard.stuck)
        return [record for asked, told in heard.answers if (record := _record(asked, told, now))]

    def close(self) -> None:
        """Leave the children behind: each is killed, and ends when the kernel lets it."""
        self._reader.close()

    def _silent(self, process: Task) -> None:
        """It is not asked for again, and what else is asked of its owner comes last."""
        self._mute[process.tgid, process.start] = None
        self._slow[process.owner] += 1
        if len(self._mute) > MOST_MUTE:
            del self._mute[next(iter(self._mute))]
        self.unread += 1
        _log.warning("the arguments of a running process are left out: reading them does not end",
                     pid=process.tgid, cgroup=process.cgroup_id,
                     next="look into its container: it may hide on purpose; ps would wait for ever")  # fmt: skip
        # a keyframe may have come meanwhile, and with it the same process again
        left = [each for each in self._reader.waiting if (each.tgid, each.start) not in self._mute]
        kept = (process for process in left if self._slow[process.owner] < MOST_SLOW)
        self._reader.waiting = deque(sorted(kept, key=lambda process: self._slow[process.owner]))
        self.unread += len(left) - len(self._reader.waiting)


def _record(process: Task, told: bytes, now: int) -> Arguments | None:
    cut, start = ANSWER.unpack_from(told)
    if start != process.start // _TICK_NS or len(told) == ANSWER.size:
        return None
    # no cgroup: behind the end of its cgroup, an answer must not bring that back
    args = told[ANSWER.size :]
    return Arguments(time=now, owner=process.owner, tgid=process.tgid, start=process.start, cut=cut, args=args)
