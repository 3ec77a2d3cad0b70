"""The agent's loop: registry news, the ring, ticks, losses; each 25 ms, in this order, then one commit."""

from __future__ import annotations

import os
import platform
import queue
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import structlog

from bpf.events import CgroupMkdir, CgroupRmdir
from bpf.schema import Record, RecordError, decode
from shipper import cgroups
from shipper.lock import only
from shipper.probes import RING_BYTES, Probes
from shipper.registry import Registry
from shipper.runtimes import Docker, Removed
from shipper.spool import Spool
from shipper.wire.frame import MAX_PAYLOAD, wrap
from shipper.wire.records import AgentStart, CgroupInfo, Clock, KeyframeBegin, KeyframeEnd, Kind, Loss, Tick

_log = structlog.get_logger()

LOCK, STATUS = "agent.lock", "agent.json"
DRAIN_SECONDS = 0.025
TICK_NS = 200_000_000
STATUS_NS = 1_000_000_000
CLOCK_MOVE_NS = 50_000_000
_CUT = frozenset(cls.layout.number for cls in (CgroupMkdir, CgroupRmdir) if cls.layout.number)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an agent needs to know."""

    data: Path
    """Folder that holds `spool/`, made if it is missing."""
    docker_url: str
    version: str
    capture_host: bool = False
    ring_bytes: int = RING_BYTES


def boot_ns() -> int:
    """Nanoseconds since boot, suspend included: the records' time."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass
class Agent:
    """Records this host until `stop` is set. Its status file appears once the first keyframe is committed."""

    settings: Settings
    stop: threading.Event
    _stack: ExitStack = field(default_factory=ExitStack)
    _losses: dict[tuple[int, int, int], int] = field(default_factory=dict)
    _offset: int = 0
    _ticked: int = 0
    _reported: int = 0

    def run(self) -> None:
        """Raises CaptureError, Cgroup2MissingError, AlreadyRunningError or OSError when it can't begin or go on."""
        data = self.settings.data
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._stack as stack:
            stack.enter_context(only(data / LOCK, "agent"))
            self._root = cgroups.mount_point()
            self._docker = Docker(self.settings.docker_url)
            self._registry = Registry(frozenset({Docker.RUNTIME}))
            self._probes = stack.enter_context(Probes(self.settings.ring_bytes, self.settings.capture_host))
            self._spool = stack.enter_context(Spool(data / "spool", _id("/etc/machine-id"), _id(BOOT_ID)))
            self._docker.start()
            stack.callback(self._docker.stop)
            for event in self._probes.missing():
                _log.warning("not recorded on this kernel", kernel_event=event, next="see `cgtrail check`")
            self._begin()
            while not self.stop.wait(DRAIN_SECONDS):
                self._round()
            self._round()
            self._report()

    def _begin(self) -> None:
        self._put(self._start_record())
        self._clock(boot_ns())
        self._docker.wait_listed()
        self._news()
        self._put(KeyframeBegin(time=boot_ns()))
        for number, path in cgroups.walk(self._root):
            self._found(number, path, 0)
        self._drain()
        self._probes.snapshot()
        self._drain()
        self._put(KeyframeEnd(time=boot_ns()))
        self._round()

    def _round(self) -> None:
        self._news()
        self._drain()
        now = boot_ns()
        if now - self._ticked >= TICK_NS:
            self._clock(now)
            self._count_losses(self._ticked, now)
            self._ticked = now
            self._put(Tick(time=now))
        self._spool.commit()
        if now - self._reported >= STATUS_NS:
            self._reported = now
            self._report()

    def _news(self) -> None:
        while True:
            try:
                news = self._docker.updates.get_nowait()
            except queue.Empty:
                return
            if isinstance(news, Removed):
                self._registry.forget(news.container_id)
                continue
            for info in self._registry.told(news):
                self._put(info)

    def _drain(self) -> None:
        for span, count, cut in self._probes.ring.drain(_CUT, MAX_PAYLOAD):
            self._spool.add(span, count)
            if cut >= 0:
                self._cgroup(span, cut)

    def _cgroup(self, span: bytes, offset: int) -> None:
        try:
            record = decode(span, offset, int.from_bytes(span[offset + 4 : offset + 8], "little"))
        except RecordError as error:
            _log.error("cgroup record not understood", error=str(error))
            return
        if isinstance(record, CgroupMkdir):
            self._found(record.cgroup_id, os.fsdecode(record.path), record.time)
        elif isinstance(record, CgroupRmdir):
            self._registry.gone(record.cgroup_id)

    def _found(self, cgroup_id: int, path: str, started: int) -> None:
        info = self._registry.found(cgroup_id, path, started)
        if info.kind == Kind.CONTAINER or started or self.settings.capture_host:
            self._put(info)
        if info.kind == Kind.HOST and started:
            self._probes.unwatch(cgroup_id)
        elif info.kind == Kind.CONTAINER and not started:
            self._probes.watch(cgroup_id, self._topmost(info))

    def _topmost(self, info: CgroupInfo) -> int:
        placed = cgroups.owner(os.fsdecode(info.path))
        try:
            return cgroups.topmost(self._root, placed) if placed else info.cgroup_id
        except FileNotFoundError:
            return info.cgroup_id

    def _clock(self, now: int) -> None:
        real = time.time_ns()
        if abs(real - now - self._offset) > CLOCK_MOVE_NS:
            self._offset = real - now
            self._put(Clock(time=now, realtime=real))

    def _count_losses(self, since: int, now: int) -> None:
        for key, count in self._probes.losses().items():
            before = self._losses.get(key, 0)
            if count > before:
                owner, cause, kind = key
                lost = count - before
                self._put(Loss(time=now, cgroup_id=owner, count=lost, since=since, cause=cause, record_type=kind))
                self._losses[key] = count

    def _put(self, record: Record) -> None:
        self._spool.add(wrap(record.encode()), 1)

    def _start_record(self) -> AgentStart:
        return AgentStart(
            time=boot_ns(),
            capture_host=int(self.settings.capture_host),
            agent_pid=os.getpid(),
            host_name=platform.node().encode(),
            host_id=_id("/etc/machine-id").hex().encode(),
            boot_id=Path(BOOT_ID).read_bytes().strip(),
            kernel=platform.release().encode(),
            version=self.settings.version.encode(),
        )

    def _report(self) -> None:
        status = {
            "pid": os.getpid(),
            "time": time.time_ns(),
            "stream": self._spool.stream.id.hex(),
            "frames": self._spool.number,
            "records": self._spool.records,
            "bytes": self._spool.bytes,
            "ring_bytes_waiting": self._probes.ring.waiting(),
            "lost": sum(self._losses.values()),
            "containers": len(self._registry.containers),
            "docker": self._docker.error,
            "not_recorded": self._probes.missing(),
        }
        write_status(self.settings.data / STATUS, status)


BOOT_ID = "/proc/sys/kernel/random/boot_id"


def _id(file: str) -> bytes:
    """16 bytes from a file that holds 32 hexadecimal digits, dashes allowed; zeros when there is none."""
    try:
        return bytes.fromhex(Path(file).read_text().strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)


def write_status(file: Path, status: dict[str, object]) -> None:
    """Replace a status file whole, so that a reader never sees half of one."""
    temporary = file.with_suffix(".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(orjson.dumps(status))
    temporary.replace(file)
