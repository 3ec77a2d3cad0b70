"""The agent's loop: registry news, the ring, ticks, losses; each 25 ms, in this order, then one commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from bpf.enums import Cause, Policy
from bpf.events import CgroupMkdir, CgroupRmdir
from shipper import cgroups, keyframe, memory
from shipper.admission import FULL, REFUSE, Admission
from shipper.clock import HostClock
from shipper.control import Control
from shipper.facts import Facts
from shipper.intake import Intake
from shipper.inventory import Inventory
from shipper.keyframe import Keyframes
from shipper.lock import only
from shipper.losses import Losses
from shipper.probes import MAX_CGROUPS, RING_BYTES, Probes
from shipper.retention import Bounds, Retention
from shipper.runtimes.listen import runtimes
from shipper.spool import Spool
from shipper.status import LOCK, STATUS, write_status
from shipper.tell import boot_ns
from shipper.tenants.book import TenantBook
from shipper.tenants.model import EVERYTHING
from shipper.tenants.requests import Requests
from shipper.wire.records import AgentStart, AgentStop, KeyframeBegin, KeyframeEnd, Tick
from shipper.wire.segment import streams

_log = structlog.get_logger()

DRAIN_SECONDS = 0.025
TICK_NS = 200_000_000
STATUS_NS = 1_000_000_000
KEYFRAME_NS = 300_000_000_000
RETENTION_NS = 10_000_000_000
RETRY_NS = 1_000_000_000
"""A keyframe that the disk refused is tried anew so often: small frames may find room where it does not."""
WIDENED_NS = 10_000_000_000
"""What runs in containers that are recorded from now on is looked at so often at most."""
_CGROUPS = {cls.layout.number for cls in (CgroupMkdir, CgroupRmdir)}


@dataclass(frozen=True, slots=True)
class Settings:
    """What an agent needs to know."""

    data: Path
    """Folder that holds `spool/`, made if it is missing."""
    version: str
    runtimes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """docker, podman, containerd → where they listen."""
    tenant_files: Sequence[Path] = ()
    tenant_label: str = ""
    unassigned: Policy = EVERYTHING
    """What is recorded of a container that has no tenant."""
    max_cgroups: int = MAX_CGROUPS
    capture_host: bool = False
    ring_bytes: int = RING_BYTES
    bounds: Bounds = field(default_factory=Bounds)
    keyframe_ns: int = KEYFRAME_NS


@dataclass
class Agent:
    """Records this host until `stop` is set. Its status file appears once the first keyframe is committed.

    A disk that is full from the beginning keeps everything in the ring: nothing stands in the stream before the start.
    """

    settings: Settings
    stop: threading.Event
    _stack: ExitStack = field(default_factory=ExitStack)
    _clock: HostClock = field(default_factory=HostClock)
    _real: int = 0
    """Nanoseconds since 1970 when the last round began."""
    _ticked: int = 0
    _reported: int = 0
    _retained: int = 0
    _start: AgentStart | None = None
    _started: bool = False
    """The stream tells of this agent's start."""
    _troubled: bool = False
    """The disk has refused something, and no keyframe has made up for it yet."""
    keyframed: int = 0
    """Boot time in ns of the last keyframe."""
    latest: dict[str, Any] = field(default_factory=dict)
    """The facts of the last second; may be read from another thread."""

    def run(self) -> None:
        """Raises OSError, or an error of ours that says what to do, when it can't begin or go on."""
        settings, data, bounds = self.settings, self.settings.data, self.settings.bounds
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._stack as stack:
            stack.enter_context(only(data / LOCK, "agent"))
            root = cgroups.mount_point()
            memory.require(settings.ring_bytes + memory.LOADING_BYTES)
            book = TenantBook(settings.tenant_files, settings.tenant_label, settings.unassigned, data / "tenants.json")
            self.probes = stack.enter_context(
                Probes(settings.ring_bytes, settings.capture_host, settings.max_cgroups, book.current.at_first)
            )
            machine, boot = keyframe.id_of(keyframe.MACHINE_ID), keyframe.id_of(keyframe.BOOT_ID)
            self.spool = stack.enter_context(Spool(data / "spool", machine, boot))
            self.retention = Retention(data / "spool", bounds)
            self.admission = Admission(bounds.max_bytes)
            self.losses = Losses(self.probes, self.admission)
            self._intake = Intake(self.spool, self.probes, self.admission, boot_ns())
            stack.callback(self._intake.cmdlines.close)
            self.inventory = self._intake.inventory = Inventory(
                root, self.probes, self.losses, runtimes(**settings.runtimes), book, self._intake.put
            )
            stack.callback(self.inventory.close)
            self._control = Control(data)
            stack.callback(self._control.stop)
            self._facts = Facts(self.spool, self.probes, self.inventory, self._intake, self.losses, self.retention)
            self._requests = Requests(book, self._regroup, self.inventory.picture)
            self._keyframes = Keyframes(self.probes, self.losses, settings.capture_host, settings.version)
            self.inventory.start()
            for attempt in self.probes.refused():
                _log.warning("not recorded on this kernel", kernel_event=attempt.event, program=attempt.program,
                             reason=str(attempt.refused), next="`cgtrail check` tells what that means")  # fmt: skip
            self._keyframe()
            self._control.start()
            while not self.stop.wait(DRAIN_SECONDS):
                self._round()
            self._round()
            self._end()

    def _round(self) -> None:
        now = boot_ns()
        if now - self._retained >= RETENTION_NS:
            self._retain(now)
        if self._started:
            self._record(now)
        elif now - self.keyframed >= TICK_NS:
            self._keyframe()
        if now - self._reported >= STATUS_NS:
            self._reported = now
            self._report()

    def _record(self, now: int) -> None:
        self._real = time.time_ns()
        self.inventory.news(self._intake.drain)
        self._intake.drain()
        self.inventory.drained()
        self.inventory.sweep(now)
        self._control.handle(self._requests)
        if now - self._ticked >= TICK_NS:
            self._tick(now)
        due = RETRY_NS if self.admission.gap and self._takes_all() else self.settings.keyframe_ns
        widened = self.inventory.widened and now - self.keyframed >= WIDENED_NS
        if widened or now - self.keyframed >= due:
            self._keyframe()
        self._commit()
        self._intake.since = now

    def _regroup(self) -> None:
        """A command has changed the tenants: who gave it may rely on what is written when this returns."""
        self.inventory.regroup(self._intake.drain)
        self._commit()
        if self.spool.error:
            raise RuntimeError(f"the disk refused the record of it ({self.spool.error})")

    def _tick(self, now: int) -> None:
        """`now` is of before the ring was drained."""
        self._tell_clock(now)
        if self._clock.stepped:
            self._real = now + self._clock.offset  # it may have been set since this round began
        self._tell_losses(now)
        self._intake.put(Tick(time=now))
        self._ticked = now
        before = self.admission.level
        if self.admission.measure(self.spool.used):
            self.probes.narrow(self.admission.narrow)
            _log.warning(
                "the spool fills: less is recorded" if self.admission.level else "the spool has room again",
                fill=f"{self.spool.used / self.settings.bounds.max_bytes:.0%}",
                step=self.admission.level,
                unread_by=self.retention.holding,
                next="see that its readers run (`cgtrail spool ls`), or raise spool.max_bytes",
            )
        if self._clock.stepped or self.admission.level > before:
            # What fills the spool is an interval then, which can go once it is read, and each has one clock.
            self._keyframe()

    def _retain(self, now: int) -> None:
        self._retained = now
        try:
            self.spool.used -= self.retention.run(self.spool.used)
        except OSError as error:
            _log.error("the spool's past can't be removed", error=str(error), next="mend the folder's permissions; "
                       "it is tried again")  # fmt: skip
            self.spool.used = sum(stream.size for stream in streams(self.settings.data / "spool"))

    def _end(self) -> None:
        if self._started:
            self._tell_losses(boot_ns())
            self._intake.put(AgentStop(time=boot_ns()))
            self._commit()
        self._report()

    def _keyframe(self) -> None:
        """Everything that is alive, between two marks; live records stand between them as they come."""
        if not self._started:
            self.inventory.begin()
        now, number = boot_ns(), self.spool.number
        self.keyframed = now
        self.admission.gap = False
        self.spool.keyframe()
        self._intake.put(KeyframeBegin(time=now))
        self._intake.put(self._keyframes.host(now))
        self._tell_clock(now, always=True)
        self._clock.stepped = self.inventory.widened = False
        infos = list(self.inventory.all(host=self.settings.capture_host))
        if not self._started:  # in the first frame: without it, the others would end the blind time before it is told
            self._start = self._start or keyframe.start(self.spool.before, boot_ns())
            self._intake.put(self._start)
        for info in infos:
            self._intake.put(info)
        self._commit()
        self._started = self._started or self.spool.number > number
        if not self._started:
            return
        self._intake.cmdlines.keyframe()
        whole = self._keyframes.processes(self._move, self._intake.cmdlines)
        self._intake.put(KeyframeEnd(time=boot_ns(), incomplete=int(not whole or self.admission.gap)))
        self._commit()
        if self._troubled and not self.admission.gap:
            self._troubled = False
            _log.info("the spool can be written again")

    def _move(self) -> None:
        self._intake.drain()
        self._commit()

    def _tell_clock(self, now: int, *, always: bool = False) -> None:
        told = self._clock.news(now, always=always)
        if told:
            self._intake.put(told)

    def _takes_all(self) -> bool:
        return self.admission.level < REFUSE and self.spool.error is None

    def _tell_losses(self, now: int) -> None:
        """Only now may frames claim the time at which the ring was drained: all that was lost by then is told."""
        self.spool.time = self._real
        self._hold_time()
        for loss in self.losses.news(now):
            self._intake.put(loss)
            if loss.record_type in _CGROUPS:
                self.inventory.sweep_soon()

    def _hold_time(self) -> None:
        """Frames claim no time after a refusal that is not told: were this agent killed now, blindness began there."""
        if self.admission.since:
            self.spool.time = min(self.spool.time, self.admission.since + self._clock.offset)

    def _commit(self) -> None:
        room = self.admission.level < FULL and self.spool.used + self.spool.waiting <= self.settings.bounds.max_bytes
        self._hold_time()
        for payload in self.spool.commit(room=room):
            self.admission.refuse(payload, Cause.DISK if room else Cause.SPOOL_FULL, self._intake.since)
        if self.spool.error and not self._troubled:
            self._troubled = True
            _log.error("the spool can't be written: records are counted, and lost", error=str(self.spool.error),
                       folder=str(self.settings.data), next="make room; recording goes on by itself")  # fmt: skip

    def _report(self) -> None:
        with suppress(OSError):  # a full disk: the commit says so
            self.latest = self._facts.now(self.keyframed + self._clock.offset)
            write_status(self.settings.data / STATUS, self.latest)
