"""A spool as an agent leaves it, made fast: a container whose processes come and go, ticks, keyframes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bpf.enums import Policy
from bpf.events import Exec, Exit, Fork, Header, Running
from shipper.spool import Spool
from shipper.wire.frame import wrap
from shipper.wire.records import (
    AgentStart,
    CgroupInfo,
    Clock,
    ContainerInfo,
    HostInfo,
    KeyframeBegin,
    KeyframeEnd,
    Kind,
    State,
    TenantInfo,
    Tick,
    UserNames,
)

SECOND = 1_000_000_000
TICK_NS, KEYFRAME_NS = 200_000_000, 300 * SECOND
UNIX = 1_790_000_000 * SECOND
BOX, FIRST_PID = 77, 1000


@dataclass
class Day:
    """Writes a stream. `standing` processes live all the time; the others live for one command."""

    spool: Spool
    standing: int = 100
    policy: Policy = Policy.EXEC
    now: int = 10 * SECOND
    sequence: int = 0
    _ticked: int = 0
    _keyframed: int = field(default=-KEYFRAME_NS)

    def run(self, seconds: float, commands_per_second: float, frame_ns: int = TICK_NS) -> None:
        """Go on for so much stream time; a command is a fork, an exec and an end. `frame_ns`: from frame to frame."""
        end, step = self.now + int(seconds * SECOND), int(SECOND / commands_per_second)
        following, number = self.now, 0
        while self.now < end:
            if self.now - self._keyframed >= KEYFRAME_NS:
                self.keyframe()
            while following <= self.now:
                self.command(FIRST_PID + self.standing + number % 20_000)
                following, number = following + step, number + 1
            if self.now - self._ticked >= TICK_NS:
                self._ticked = self.now
                self.put(Tick())
            self.spool.time = UNIX + self.now
            self.spool.commit()
            self.now += frame_ns

    def keyframe(self) -> None:
        """Everything that is alive."""
        first, self._keyframed = self._keyframed < 0, self.now
        self.spool.keyframe()
        self.put(KeyframeBegin(), HostInfo(host_name=b"bench", boot_id=b"0" * 32), Clock(realtime=UNIX + self.now))
        told = {"key": b"docker/" + b"c" * 64, "container_id": b"c" * 64, "name": b"lab", "image": b"debian:12"}
        self.put(
            TenantInfo(tenant_id=b"red", name=b"Red team", policy=int(self.policy)),
            ContainerInfo(
                **told, runtime=b"docker", state=State.COMPLETE, policy=int(self.policy), tenants=b"blue\0red"
            ),
            CgroupInfo(cgroup_id=BOX, kind=Kind.CONTAINER, key=told["key"], path=b"/docker/" + b"c" * 64, told=SECOND),
            UserNames(key=told["key"], users=b"0:root", groups=b"0:root"),
        )
        if first:
            self.put(AgentStart())
        for index in range(self.standing):
            self.put(self.process(Running, FIRST_PID + index, b"/usr/sbin/worker", b"--serve"))
        self.put(KeyframeEnd())

    def command(self, pid: int) -> None:
        """A process is made, starts a program, and ends."""
        self.put(
            self.process(Fork, pid),
            self.process(Exec, pid, b"/usr/bin/ls", b"-la", b"/var/lib/something"),
            self.process(Exit, pid),
        )

    def process(self, kind: type[Header], pid: int, *args: bytes) -> Header:
        """A record of a process of the container."""
        self.sequence += 1
        told = {"tgid": pid, "start": SECOND if kind is Running else self.now,
                "ppid": FIRST_PID, "parent_start": SECOND,
                "pgid": pid, "sid": FIRST_PID, "vpid": pid, "comm": b"ls", "parent_comm": b"bash",
                "cgroup_id": BOX, "owner": BOX, "sequence": self.sequence & 0xFFFFFFFF}  # fmt: skip
        if args:
            raw = b"".join(arg + b"\0" for arg in args)
            told |= {"args": raw, "args_bytes": len(raw), "exe": args[0], "cwd": b"/home/alice", "exe_inode": 7}
        return kind(**told)

    def put(self, *records: Header) -> None:
        """Add records that happen now."""
        for record in records:
            record.time = self.now
            self.spool.add(wrap(record.encode()), 1)


@contextmanager
def day(folder: Path, *, durable: bool = False, host: bytes = b"h" * 16) -> Iterator[Day]:
    """A new stream in a data folder. Not durable: nothing is waited for, which makes a day in a minute."""
    real = os.fdatasync
    if not durable:
        os.fdatasync = lambda fd: None  # noqa: ARG005  a file descriptor, as the real one
    try:
        with Spool(folder / "spool", host, b"b" * 16) as spool:
            yield Day(spool)
    finally:
        os.fdatasync = real
