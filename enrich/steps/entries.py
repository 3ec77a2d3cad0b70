"""How each process's tree was entered: as the container's first process, from outside, over SSH, by cron, by a login.

A process is of a container's tree if its parent is one of the container's. One that is not was put in from outside: by
a runtime, whose own stages it runs until it starts a program; that one leads the entry, and all that descends from it
inherits. Within the tree, what an SSH server or cron starts is an entry of its own.
"""

from __future__ import annotations

import ipaddress
import posixpath
from typing import ClassVar

from bpf.enums import ExitFlag
from bpf.events import CgroupAttach, Exec, Exit, Fork, Image, Running, SshLogin, Task
from bpf.schema import Record
from enrich import render
from enrich.containers import NAMELESS, Life
from enrich.item import Entry, Epoch, Item, Process
from enrich.steps.processes import ProcessTree, came_in
from shipper.wire.records import KeyframeEnd

RUNTIME = frozenset(
    {"runc", "crun", "youki", "exe", "conmon", "containerd-shim", "lxc-start", "lxc-attach", "systemd-nspawn"}
)
"""Programs of runtimes that start before a container's own, by name or kernel's name; runc's stages are runc:[…]."""
SSH_SERVERS = frozenset({"sshd", "sshd-session", "sshd-auth", "dropbear"})
CRON = frozenset({"cron", "crond"})
BUSYBOX = frozenset({"busybox", "exe"})
"""It has a cron; its shell starts that as /proc/self/exe, by its first argument."""
_TYPES = {"init": "container", "exec": "container", "sshd": "sshd", "cron": "cron", "login": "terminal"}
"""cgtrail.entry → ECS's entry_meta.type of a container; these are the words of Elastic's own rules, cron apart."""
_OOM = int(ExitFlag.OOM)


class Entries:
    """The step behind the process tree: gives each process its `Entry`."""

    state: ClassVar[tuple[str, ...]] = ("_found",)

    def __init__(self, tree: ProcessTree) -> None:
        self._tree = tree
        self._found: dict[int, tuple[Running, Process, Epoch]] = {}
        """What the keyframe that is being read found running: a parent may be told behind its child."""

    def __call__(self, item: Item) -> None:
        """Decides where a process comes from when it is first seen, and at each program that it starts."""
        process, epoch, record = item.process, item.epoch, item.record
        if process is None or epoch is None:
            if type(record) is KeyframeEnd:
                self._rest()
            return
        if process.epoch is not epoch:
            self._move(process, epoch, record)
        if type(record) is Exec:
            item.entered = self._start(record, process, item.parent, epoch)
        elif type(record) is Running and process.entering and process.epoch is epoch:  # its program started unseen
            self._start(record, process, item.parent, epoch)
        elif type(record) is Exit:
            if record.exit_flags & _OOM:
                epoch.life.oom = True
        elif type(record) is SshLogin:
            item.entered = self._login(record, process, item.parent, epoch)

    def _move(self, process: Process, epoch: Epoch, record: Record) -> None:
        """Where a process is that is new, or in another cgroup than before."""
        assert isinstance(record, Task)
        if process.epoch is None:
            if isinstance(record, Running):
                self._found[record.tgid] = record, process, epoch
                return
            self._place(record, process, epoch)
        elif not process.epoch.together(epoch):
            _put_in(process, epoch, record)
            if not process.epoch.same(epoch) and not isinstance(record, Image):
                came_in(process)
        process.epoch = epoch

    def _place(self, record: Task, process: Process, epoch: Epoch) -> None:
        """A process that is seen for the first time, and before it those of its ancestors that were found running."""
        if not self._found:
            self._put(record, process, epoch)
            return
        waiting: list[tuple[Task, Process, Epoch]] = [(record, process, epoch)]
        self._found.pop(process.pid, None)
        while (above := self._found.get(waiting[-1][0].ppid)) and above[0].start == waiting[-1][0].parent_start:
            waiting.append(self._found.pop(above[0].tgid))
        for told, placed, where in reversed(waiting):
            self._put(told, placed, where)

    def _put(self, told: Task, placed: Process, where: Epoch) -> None:
        """One whose parent is where it belongs."""
        parent = self._tree.known(told.ppid, told.parent_start)
        placed.epoch = where
        if parent is not None and parent.epoch is not None and parent.epoch.together(where):
            placed.entry, placed.entering, placed.outside = parent.entry, parent.entering, parent.outside
            placed.first = parent.first
            if where.is_host and parent.pid == 1:
                placed.entry = _entry("init", "init", told, placed, where)
        else:
            _put_in(placed, where, told)
            if parent is not None and not where.same(parent.epoch) and not isinstance(told, Image):
                came_in(placed)
        if isinstance(told, Running):
            self._start(told, placed, parent, where)

    def _rest(self) -> None:
        """The keyframe is over: in the order they were made, so that a container's first process is its first."""
        for record, process, epoch in sorted(self._found.values(), key=lambda found: found[0].start):
            if record.tgid in self._found:
                self._place(record, process, epoch)
        self._found.clear()

    def _start(self, record: Image, process: Process, parent: Process | None, epoch: Epoch) -> Entry | None:
        """A process runs a program; an entry that begins with it, or None."""
        entry = process.entry
        if entry is not None and entry.leader is process.identity:
            return None
        name = parent.name if parent is not None else ""
        if process.entering:
            if _is_stage(record, process):
                return None
            process.entering = False
            kind, leader = "exec", process
            if _is_init(record, process, epoch):
                kind = "init"
                _begin(epoch.life, process, record)
            elif parent is not None and _leads_in(parent, record, process):
                leader = parent
            made = _entry(kind, _TYPES[kind], record, leader, epoch)
            leader.entering, leader.entry = False, made
        elif name in SSH_SERVERS and process.name not in SSH_SERVERS and _leads(record, process):
            made = _entry("sshd", "sshd", record, process, epoch)
            _claim(made, process.login or b"")
        elif _is_cron(parent) and not _is_cron(process):
            made = _entry("cron", "cron", record, process, epoch)
        elif epoch.is_host and _logs_in(record, parent, entry):
            made = _entry("login", "terminal", record, process, epoch)
        else:
            return None
        process.entry, process.login = made, None
        return made

    def _login(self, record: SshLogin, process: Process, parent: Process | None, epoch: Epoch) -> Entry | None:
        """It stands right before the exec of the same process, or right behind; then its document has no address.

        Without a connection it is none: OpenSSH's server starts itself again, and the keys' own command.
        """
        if not record.connection:
            return None
        entry = process.entry
        if entry is not None and entry.leader is process.identity:
            if entry.kind == "sshd":
                _claim(entry, record.connection)
            return None
        if parent is None or parent.name not in SSH_SERVERS:
            return None
        if process.name in SSH_SERVERS:
            process.login = record.connection
            return None
        process.entry = made = _entry("sshd", "sshd", record, process, epoch)
        _claim(made, record.connection)
        return made


def _put_in(process: Process, epoch: Epoch, record: Task) -> None:
    """Its parent is not one of the container's; to the host, all belongs that is not known to be otherwise."""
    process.entry, process.entering, process.outside = None, False, record.mount_ns
    if epoch.is_host:
        process.entry = _entry("init", "init", record, process, epoch)
    else:
        process.entering = _comes_in(record)
        process.first = process.entering and epoch.fresh
        epoch.fresh &= not process.entering


def _comes_in(record: Task) -> bool:
    """Whether it shows that a process comes from outside. Where its parent's record was lost, it could be anybody's."""
    moved = isinstance(record, (CgroupAttach, Running)) or record.vpid == 1
    return moved or (isinstance(record, Fork) and render.text(record.parent_comm)[0] in RUNTIME)


def _is_stage(record: Image, process: Process) -> bool:
    """A runtime's own program on its way in: still in the mount namespace that it came with, and known by its name.

    In the container's own, whoever made the image chooses names.
    """
    if record.mount_ns != process.outside:
        return False
    return _of_runtime(render.text(record.comm)[0], process)


def _of_runtime(comm: str, process: Process) -> bool:
    return comm.startswith("runc:[") or bool(
        {comm, process.name, posixpath.basename(process.program.executable)} & RUNTIME
    )


def _leads_in(parent: Process, record: Image, process: Process) -> bool:
    """Whether a parent was put in itself and is no runtime, as the host's shell that moved itself: it goes on there."""
    if not parent.entering or record.mount_ns != process.outside:
        return False
    return not _of_runtime(render.text(record.parent_comm)[0], parent)


def _is_init(record: Task, process: Process, epoch: Epoch) -> bool:
    """Whether who starts its first program is a container's first process: 1, or with --pid=host the first to come.

    Whose first process was not recorded, a later one is not taken for it.
    """
    life = epoch.life
    if record.vpid != 1 and not process.first and not isinstance(record, Running):
        return False
    reborn = record.owner == record.cgroup_id and epoch.started > life.start  # its cgroup is a new one
    return not life.init or reborn or (record.vpid == 1 and not life.alive)


def _begin(life: Life, process: Process, record: Task) -> None:
    life.init, life.start, life.alive, life.oom = process.entity_id, process.start, True, False
    life.user_ns = record.user_ns


def _is_cron(process: Process | None) -> bool:
    """Busybox's is started by no name of its own, and as /proc/self/exe by its shell: the arguments have the name."""
    if process is None or process.name in CRON:
        return process is not None
    busybox = process.name in BUSYBOX or posixpath.basename(process.program.executable) == "busybox"
    return busybox and any(posixpath.basename(argument) in CRON for argument in process.program.args[:2])


def _leads(record: Task, process: Process) -> bool:
    return record.sid == record.tgid or process.login is not None


def _logs_in(record: Task, parent: Process | None, entry: Entry | None) -> bool:
    """Whether a login id is new to this process's tree: its parent has another one, or none."""
    return record.login_uid != render.UNSET and (entry is None or entry.kind == "init") and parent is not None


def _entry(kind: str, type_: str, record: Task, process: Process, epoch: Epoch) -> Entry:
    name = (NAMELESS if epoch.container is None else epoch.container.named(record))[0]
    user = {"id": str(record.uid)} if record.uid != render.UNSET else {}
    found = isinstance(record, Running)
    return Entry(kind, type_, process.identity, user | ({"name": name} if name else {}), found)


def _claim(entry: Entry, connection: bytes) -> None:
    """Where an SSH client came from, as SSH_CONNECTION says; nothing where that is no address and port (ssh(1))."""
    told = connection.split(b" ")
    address, port = told[0], told[1] if len(told) > 1 else b""
    try:
        entry.source = _address(address)
    except ValueError:
        return
    entry.port = _port(port)
    try:
        both = [str(each) for i in (0, 2) for each in (_address(told[i]), _port(told[i + 1]))]
    except (ValueError, IndexError):
        both = []
    if both and len(told) == len(both):  # what else it holds is whatever somebody put there
        entry.environment = (f"SSH_CONNECTION={' '.join(both)}",)
    entry.parts = None


def _address(told: bytes) -> str:
    return str(ipaddress.ip_address(told.decode("ascii").partition("%")[0]))  # a zone is any text


def _port(told: bytes) -> int:
    return int(told) if told.isdigit() and len(told) <= 5 and int(told) < 1 << 16 else 0
