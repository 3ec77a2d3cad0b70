"""A recorded storm: what agents would have written of a busy host, frame by frame; the same for the same seed.

Containers are told late or never, the ring loses records, the clock moves, a record makes no sense; the agent is
stopped and killed and starts again, and the host boots a second time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shipper.wire.frame import wrap
from shipper.wire.records import (
    AgentStart,
    AgentStop,
    Clock,
    ContainerInfo,
    End,
    HostInfo,
    KeyframeBegin,
    KeyframeEnd,
    Loss,
    State,
    Tick,
)
from tests.faults.boxes import SECOND, Box, Boxes

TICK = SECOND // 5
BOOTED = 1_792_799_992 * SECOND
"""Unix time of the first boot: eight seconds before a UTC day begins, so that a storm fills two day files."""
HOST = b"one host's own i"
KEYFRAME_TICKS, AGENT_TICKS, CLOCK_TICKS, ODD_TICKS = 31, 70, 23, 100
"""So many ticks pass from keyframe to keyframe, agent to agent, move to move of the clock, nonsense to nonsense."""
NOT_UNDERSTOOD, FAILED = b"\x63\0\x30\0\x30\0\0\0".ljust(48, b"?"), b"{"
"""A record of a number that nobody knows, and labels that are no JSON: each of these makes a dead letter."""


@dataclass(frozen=True, slots=True)
class Told:
    """One frame as an agent writes it."""

    keyframe: bool
    time: int
    records: tuple[bytes, ...]

    @property
    def payload(self) -> bytes:
        """The records as a frame holds them."""
        return b"".join(map(wrap, self.records))


@dataclass(frozen=True, slots=True)
class Boot:
    """What is told of one boot of the host: one stream."""

    id: bytes
    frames: list[Told]


def storm(seed: int, ticks: int, recording: Callable[[random.Random, int], Recording] | None = None) -> list[Boot]:
    """Two boots; the first has two thirds of the ticks. `recording` makes the recording of one that began then."""
    recording = recording or Recording
    rng = random.Random(seed)  # noqa: S311  chance, no secret
    first = recording(rng, BOOTED)
    boots = [Boot(first.boot, list(first.frames(ticks * 2 // 3)))]
    second = recording(rng, first.unix() + 3 * SECOND)
    boots.append(Boot(second.boot, list(second.frames(ticks - ticks * 2 // 3, End.KILLED, blind=first.unix()))))
    return boots


def drizzle(seed: int) -> list[Boot]:
    """Two short boots in which little happens and the clock does not move; the second one comes to rest.

    There is a keyframe in the middle of each, in the second one an agent's that began.
    """
    rng = random.Random(seed)  # noqa: S311  chance, no secret
    first = _Drizzle(rng, BOOTED, busy=2, boxes=3)
    boots = [Boot(first.boot, [*first.frames(6), *first.keyframe(), *first.frames(5, None)])]
    second = _Drizzle(rng, first.unix(), busy=2, boxes=3)
    told = [*second.frames(3, End.KILLED), *second.restart(), *second.frames(3, None), *second.rest(8)]
    return [*boots, Boot(second.boot, told)]


class Recording(Boxes):
    """One boot: a host, and the agents that record it.

    `busy`: how much happens between two frames, at the most; `boxes`: containers that run when the first agent begins.
    """

    def __init__(self, rng: random.Random, booted: int, *, busy: int = 30, boxes: int = 0, host: bytes = HOST) -> None:
        super().__init__(rng)
        self.unseen(boxes)
        self.boot, self._offset, self._busy = rng.randbytes(16), booted, busy
        self._read, self.host = 0, host

    def unix(self) -> int:
        """The wall clock's time, in nanoseconds since 1970."""
        return self.now + self._offset

    def frames(self, ticks: int, end: End | None = End.NONE, *, blind: int = 0) -> Iterator[Told]:
        """What is written in so many ticks, by an agent that begins if `end` says how the one before it ended."""
        if end is not None:
            yield from self.keyframe(AgentStart(end=end, blind_since=blind))
        for tick in range(1, ticks + 1):
            yield from self._now_and_then(tick)
            until = self.now + TICK
            for _ in range(self.rng.randint(1, 3)):
                for _ in range(self.rng.randint(0, self._busy)):
                    self.happen()
                self._tell_containers()
                yield from self._cut()
            self.now = max(until, self.now)
            self._tick()
            yield from self._cut()

    def rest(self, ticks: int) -> Iterator[Told]:
        """Time passes, and nothing happens."""
        for _ in range(ticks):
            self.now += TICK
            self._tick()
            yield from self._cut()

    def _now_and_then(self, tick: int) -> Iterator[Told]:
        if tick % CLOCK_TICKS == 0:
            self._offset += self.rng.choice((-1, 1)) * self.rng.randint(60_000_000, 2 * SECOND)
            self._clock()
        if tick % ODD_TICKS == ODD_TICKS // 2:
            self.records.append(NOT_UNDERSTOOD)
            self.put(ContainerInfo(key=b"docker/7", state=State.COMPLETE, labels=FAILED))
        if tick % AGENT_TICKS == 0:
            yield from self.restart()
        elif tick % KEYFRAME_TICKS == 0:
            yield from self.keyframe()

    def restart(self) -> Iterator[Told]:
        """The agent is stopped or killed, and another one begins a while later."""
        end = self.rng.choice((End.STOPPED, End.KILLED))
        if end == End.STOPPED:
            self._tell_losses(self.boxes)
            self.put(AgentStop())
        yield from self._cut()
        blind = self.unix()
        self.unseen(self.rng.randint(0, 1), self.rng.randint(5, 40))
        self.now += SECOND
        yield from self.keyframe(AgentStart(end=end, blind_since=blind))

    def keyframe(self, start: AgentStart | None = None) -> Iterator[Told]:
        """As shipper.agent writes it: live records may stand between its marks."""
        yield from self._cut()
        self.put(KeyframeBegin())
        told = {"host_name": b"node", "host_id": self.host.hex().encode(), "kernel": b"6.12.0", "version": b"0.1.0"}
        self.put(HostInfo(boot_id=_uuid(self.boot), **told))
        self._clock()
        for box in self.boxes:
            self.put(box.told())
            for cgroup in box.cgroups:
                self.put(box.info(cgroup))
        if start:
            self.put(start)
        yield from self._cut(keyframe=True)
        for box in self.boxes:
            self.run(box)
            yield from self._cut()
        self.happen()
        self.put(KeyframeEnd())
        yield from self._cut()

    def _tick(self) -> None:
        self._tell_losses(self.boxes)
        self.put(Tick())

    def _clock(self) -> None:
        self.put(Clock(realtime=0))
        clock = Clock(time=self.now, realtime=self.unix())
        self.records[-1] = clock.encode()

    def removed(self, box: Box) -> None:
        """A container is removed: its last losses are told at once."""
        super().removed(box)
        self._tell_losses([box])

    def _tell_losses(self, boxes: list[Box]) -> None:
        for box in boxes:
            for (cause, number), count in box.lost.items():
                loss = Loss(cgroup_id=box.owner, count=count, since=self._read or self.now, cause=cause)
                loss.record_type = number
                self.put(loss)
            box.lost.clear()
        self._read = self.now

    def _tell_containers(self) -> None:
        for box in self.boxes:
            if box.state == State.PENDING and box.told_at <= self.now:
                box.state = State.COMPLETE
                self.put(box.told())

    def _cut(self, *, keyframe: bool = False) -> Iterator[Told]:
        records, self.records = self.records, []
        if records:
            yield Told(keyframe, self.unix(), tuple(records))


class _Drizzle(Recording):
    """A loss is told behind a record with a higher number: what the ledger must miss then follows from the numbers."""

    def _tell_losses(self, boxes: list[Box]) -> None:
        for box in boxes:
            if box.lost and box.lives:
                self.fail(box, box.lives[-1], sure=True)
        super()._tell_losses([box for box in boxes if box.lives or box not in self.boxes])


def _uuid(boot: bytes) -> bytes:
    text = boot.hex().encode()
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def records_of(boots: list[Boot]) -> int:
    """How many records they are."""
    return sum(len(frame.records) for boot in boots for frame in boot.frames)
