"""A busy host, for a storm: containers with their processes, what happens to them, and how the kernel tells it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bpf.enums import Cause, ImageFlag, Policy, Watch
from bpf.events import CgroupAttach, CgroupMkdir, CgroupRmdir, Exec, ExecFailed, Exit, Fork, Header, Running, Task
from shipper.wire.records import CgroupInfo, ContainerInfo, Kind, State

SECOND = 1_000_000_000
LOSES, PASSES = 0.01, 0.03
"""How often the ring loses a record, and how often one CPU passes another."""
MOST = 30
"""Processes of one container, at the most."""
PROGRAMS = (b"/bin/sh", b"/usr/bin/curl", b"/usr/bin/python3", b"/usr/sbin/sshd", b"/tmp/\xff\xfe x", b"/bin/cat")
TOLD_AFTER = (0, 0.1, 0.5, 0.9, 1.6, 900)
"""Seconds from a container's birth until its name is known: at once, in time, late, never."""
_OWNER, _SEQUENCE = slice(24, 32), slice(44, 48)


@dataclass(slots=True, eq=False)
class Life:
    """One process."""

    pid: int
    start: int
    parent: tuple[int, int]
    group: int
    session: int
    cgroup: int
    program: tuple[bytes, ...] = ()
    forked: bool = True
    tty: int = 0
    """Its controlling terminal, as dev_t."""


@dataclass(slots=True, eq=False)
class Box:
    """One container: its topmost cgroup is the owner of what the kernel numbers."""

    owner: int
    cgroups: list[int]
    born: int
    told_at: int
    policy: Policy
    state: State = State.PENDING
    seen: int = 0
    lost: Counter[tuple[int, int]] = field(default_factory=Counter)
    lives: list[Life] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        """Its name in the stream."""
        return b"docker/%064x" % self.owner

    def told(self) -> ContainerInfo:
        """What the registry tells of it."""
        known = {"name": b"box%d" % self.owner, "image": b"debian:12", "labels": b'{"tier": "test"}'}
        return ContainerInfo(
            key=self.key,
            state=self.state,
            policy=int(self.policy),
            container_id=b"%064x" % self.owner,
            runtime=b"docker",
            **known if self.state == State.COMPLETE else {},
        )

    def info(self, cgroup: int) -> CgroupInfo:
        """What the registry tells of one of its cgroups."""
        path = b"/docker/%064x" % self.owner + b"/child" * (cgroup - self.owner)
        return CgroupInfo(cgroup_id=cgroup, told=self.born, kind=Kind.CONTAINER, path=path, key=self.key)


class Boxes:
    """The host of one boot, and the records it makes: in `records`, encoded, in their order."""

    policy = Policy.EXEC
    """Of all containers: what is recorded of them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = 5 * SECOND
        self.boxes: list[Box] = []
        self.records: list[bytes] = []
        self._cgroup, self._pid = 1000, 100

    def put(self, record: Header) -> None:
        """The next record; a moment passes."""
        self.now += self.rng.randint(10_000, 400_000)
        record.time = self.now
        self.records.append(record.encode())

    def kernel(self, box: Box, record: Header, *, sure: bool = False) -> None:
        """The kernel numbers a record, and the ring may lose it."""
        box.seen += 1
        record.owner, record.sequence = box.owner, box.seen
        if not sure and self.rng.random() < LOSES:
            box.lost[Cause.RING_FULL, record.layout.number or 0] += 1
            return
        self.put(record)
        if len(self.records) > 1 and self.rng.random() < PASSES:
            self.records[-2:] = _numbers_swapped(*self.records[-2:])

    def happen(self) -> None:
        """Something happens."""
        if not self.boxes or (len(self.boxes) < 6 and self.rng.random() < 0.02):
            self.born()
            return
        box = self.rng.choice(self.boxes)
        if not box.lives:
            self.removed(box)
            return
        life = self.rng.choice(box.lives)
        acts = (self._fork, self._exec, self.fail, self.end, self._enter, self._empty, self._host_cgroup)
        (act,) = self.rng.choices(acts, weights=(38, 22, 6, 28, 3, 0.3, 0.5))
        act(box, life)

    def born(self) -> Box:
        """A container is made, and its first program starts."""
        self._cgroup += 10
        cgroups = [self._cgroup, self._cgroup + 1][: self.rng.randint(1, 2)]
        told = self.now + int(self.rng.choice(TOLD_AFTER) * SECOND)
        state = State.COMPLETE if told == self.now else State.PENDING
        box = Box(self._cgroup, cgroups, self.now, told, self.policy, state)
        self.boxes.append(box)
        for number, cgroup in enumerate(cgroups):
            info = box.info(cgroup)
            self.kernel(box, CgroupMkdir(cgroup_id=cgroup, watch=Watch.CONTAINER, level=2, path=info.path), sure=True)
            if not number:
                self.put(box.told())
            self.put(info)
        self._enter(box, None)
        self._exec(box, box.lives[-1])
        return box

    def removed(self, box: Box) -> None:
        """A container without processes is removed."""
        self.boxes.remove(box)
        for cgroup in reversed(box.cgroups):
            self.kernel(box, CgroupRmdir(cgroup_id=cgroup), sure=True)

    def end(self, box: Box, life: Life) -> None:
        """A process ends."""
        box.lives.remove(life)
        self.kernel(box, self._task(Exit, life, status=self.rng.choice((0, 0, 256, 9, 139))))

    def enter(self, box: Box) -> Life:
        """A process is put into a container."""
        life = self._life(box, None)
        self.kernel(box, self._task(CgroupAttach, life))
        return life

    def fork(self, box: Box, life: Life) -> Life:
        """A process makes another."""
        child = self._life(box, life)
        self.kernel(box, self._task(Fork, child))
        return child

    def start(self, box: Box, life: Life, *program: bytes) -> None:
        """A process starts a program."""
        life.program, life.forked = program, False
        self.kernel(box, self._image(Exec, life))

    def fail(self, box: Box, life: Life, *, sure: bool = False) -> None:
        """A program can't be started."""
        self.kernel(box, self._image(ExecFailed, life, error=-self.rng.choice((2, 13, 8))), sure=sure)

    def run(self, box: Box) -> None:
        """Every process of a container that lives, as the task iterator tells it."""
        for life in box.lives:
            self.kernel(box, self._image(Running, life, flags=int(ImageFlag.FORKED) * life.forked), sure=True)

    def unseen(self, births: int, events: int = 0) -> None:
        """What happens while nobody records: containers are born, processes come and go."""
        for _ in range(births):
            self.born()
        for _ in range(events):
            self.happen()
        self.records = []
        for box in self.boxes:
            box.seen = 0
            box.lost.clear()

    def _life(self, box: Box, leader: Life | None) -> Life:
        taken = {life.pid for each in self.boxes for life in each.lives}
        while self._pid in taken:
            self._pid = 100 + self._pid % 600  # process ids come again
        pid, self._pid = self._pid, self._pid + 1
        group, session = (leader.group, leader.session) if leader else (pid, pid)
        parent = (leader.pid, leader.start) if leader else (1, 1)
        life = Life(pid, self.now, parent, group, session, self.rng.choice(box.cgroups))
        life.program, life.tty = (leader.program, leader.tty) if leader else ((), 0)
        box.lives.append(life)
        return life

    def _fork(self, box: Box, life: Life) -> None:
        if len(box.lives) >= MOST:
            self.end(box, life)
            return
        child = self.fork(box, life)
        if self.rng.random() < 0.6:
            self._exec(box, child)

    def _exec(self, box: Box, life: Life) -> None:
        words = [b"w%d" % self.rng.randrange(1000) for _ in range(self.rng.randint(0, 4))]
        if self.rng.random() < 0.003:
            words.append(self.rng.randbytes(30_000).replace(b"\0", b"."))
        program = (self.rng.choice(PROGRAMS), *words)
        if self.rng.random() < 0.1:
            life.group = life.session = life.pid
            life.tty = 0
        self.start(box, life, *program)

    def _enter(self, box: Box, _: Life | None) -> None:
        self.enter(box)

    def _empty(self, box: Box, _: Life) -> None:
        for each in list(box.lives):
            self.end(box, each)

    def _host_cgroup(self, *_: object) -> None:
        """A cgroup of the host, which is recorded until its name was looked at."""
        self._cgroup += 10
        host = Box(self._cgroup, [self._cgroup], self.now, 0, self.policy)
        self.kernel(host, CgroupMkdir(cgroup_id=host.owner, watch=Watch.PROVISIONAL, path=b"/x"), sure=True)
        self.kernel(host, self._image(Exec, self._life(host, None)), sure=True)
        self.put(CgroupInfo(cgroup_id=host.owner, kind=Kind.HOST, path=b"/x", told=self.now))

    @staticmethod
    def _task(kind: type[Task], life: Life, **fields: Any) -> Task:
        ids = {"tgid": life.pid, "start": life.start, "ppid": life.parent[0], "parent_start": life.parent[1]}
        places = {
            "cgroup_id": life.cgroup,
            "pgid": life.group,
            "sid": life.session,
            "vpid": life.pid % 97,
            "tty": life.tty,
        }
        comm = life.program[0][-15:] if life.program else b"runc"
        return kind(**{"comm": comm, "parent_comm": b"parent"} | ids | places | fields)

    def _image(self, kind: type[Task], life: Life, **fields: Any) -> Task:
        args = b"".join(arg + b"\0" for arg in life.program)
        exe = life.program[0] if life.program else b"/usr/bin/runc"
        told = {"exe": exe, "filename": exe, "args": args, "args_bytes": len(args), "cwd": b"/", "exe_inode": len(exe)}
        return self._task(kind, life, **told | fields)


def _numbers_swapped(first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """Two records of one owner whose CPUs passed each other; others as they are."""
    if first[_OWNER] != second[_OWNER] or not any(first[_SEQUENCE]) or not any(second[_SEQUENCE]):
        return first, second
    return _numbered(first, second[_SEQUENCE]), _numbered(second, first[_SEQUENCE])


def _numbered(record: bytes, number: bytes) -> bytes:
    return record[: _SEQUENCE.start] + number + record[_SEQUENCE.stop :]
