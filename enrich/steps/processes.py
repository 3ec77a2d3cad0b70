"""The process tree: what every live process is, so that documents can name parents and leaders."""

from __future__ import annotations

import hashlib
import posixpath
import struct
from dataclasses import replace
from operator import attrgetter
from typing import ClassVar

from bpf.enums import ImageFlag
from bpf.events import CgroupAttach, Exec, Exit, Fork, Image, Running, Task
from enrich import render
from enrich.arguments import Arguments as Rendered
from enrich.item import NOTHING, Identity, Ids, Item, Process, Program
from enrich.steps.host import Host
from shipper.wire.records import Arguments, KeyframeBegin, KeyframeEnd

_LIFE = struct.Struct("<16sIQ")
_IDS = attrgetter(*Ids._fields)


class ProcessTree:
    """The third step: gives each record of a process its `Process`, with parent and leaders."""

    state: ClassVar[tuple[str, ...]] = ("_live", "_keyframe", "_ended", "_in_keyframe")

    def __init__(self, host: Host, arguments: Rendered) -> None:
        self._host, self._arguments = host, arguments
        self._live: dict[int, Process] = {}
        self._keyframe = 0
        self._ended: set[tuple[int, int]] = set()
        """(pid, start) of what ended inside the keyframe being read: a snapshot must not bring it back."""
        self._in_keyframe = False

    def __call__(self, item: Item) -> None:
        """Sets the item's process."""
        record = item.record
        if isinstance(record, Task):
            if isinstance(record, Running) and (record.tgid, record.start) in self._ended:
                return
            item.parent = self._parent(record)
            item.process = process = self._see(record, item.parent)
            process.identity.epoch = epoch = item.epoch
            if epoch is not None and record.owner:
                epoch.owner = record.owner
        elif isinstance(record, Arguments):
            self._tell(self._live.get(record.tgid), record)
        elif isinstance(record, KeyframeBegin):
            self._keyframe += 1
            self._in_keyframe = True
        elif isinstance(record, KeyframeEnd):
            if self._in_keyframe and not record.incomplete:
                self._live = {pid: p for pid, p in self._live.items() if p.keyframe == self._keyframe}
            self._ended.clear()
            self._in_keyframe = False

    def _see(self, record: Task, parent: Process) -> Process:
        process = self._live.get(record.tgid)
        if process is None or process.start != record.start:
            process = self._process(record.tgid, record.start)
            process.only_forked = isinstance(record, (Fork, CgroupAttach))
            self._live[record.tgid] = process
        process.keyframe = self._keyframe
        process.mount_ns, process.user_ns = record.mount_ns, record.user_ns
        if isinstance(record, Exec):
            process.identity.found = False
            self._set_image(process, record)
        elif isinstance(record, Running):
            self._find(process, record)
        elif not process.name:
            _inherit_image(process, record, parent)
        identity = process.identity
        if identity.ids is None or type(record) is not Exit:  # by then it has given up its terminal
            ids = _IDS(record)
            if ids != identity.ids:
                identity.ids, identity.parts = ids, None
        process.group_leader = self._leader(process, record.pgid, process.group_leader, parent.group_leader)
        process.session_leader = self._leader(process, record.sid, process.session_leader, parent.session_leader)
        if isinstance(record, Exit):
            del self._live[record.tgid]
            if self._in_keyframe:
                self._ended.add((record.tgid, record.start))
        return process

    def _set_image(self, process: Process, record: Image) -> None:
        process.only_forked = False
        process.exe_inode = record.exe_inode
        executable, filename = render.text(record.exe)[0], render.text(record.filename)[0]
        # What fexecve(3) started has a file name only the kernel made: /dev/fd/N.
        named = executable if not filename or filename.startswith("/dev/fd/") else filename
        process.name = posixpath.basename(named) or render.text(record.comm)[0]
        shown = self._arguments(record.args)
        args, line = shown.cut()
        directory = render.text(record.cwd)[0]
        _run(process, Program(executable, args, len(shown.args), line, directory, shown.secrets))

    def _find(self, process: Process, record: Running) -> None:
        """What a snapshot tells is believed of a process that was not known, or that started a program unseen."""
        forked = bool(record.flags & ImageFlag.FORKED)
        if not process.name or process.exe_inode != record.exe_inode or (process.only_forked and not forked):
            process.identity.found = True
            self._set_image(process, record)
            process.only_forked = forked

    def _tell(self, process: Process | None, record: Arguments) -> None:
        """What a process that was found running says of itself, unless it was told or started a program meanwhile."""
        if process and process.start == record.start and process.identity.found and not process.program.command_line:
            shown = self._arguments(record.args)
            args, line = shown.cut()
            count = len(shown.args)
            if record.cut and line:
                args, count, line = (), 0, f"{line.removesuffix('…')}…"
            told = process.program
            _run(process, replace(told, args=args, args_count=count, command_line=line, secrets=shown.secrets))

    def known(self, pid: int, start: int) -> Process | None:
        """A process that lives, by its id and when it was made."""
        process = self._live.get(pid)
        return process if process is not None and process.start == start else None

    def at(self, pid: int) -> Process | None:
        """The process that has an id now."""
        return self._live.get(pid)

    def _parent(self, record: Task) -> Process:
        """The parent as it is known, or what the record itself tells: a parent on the host is not recorded."""
        parent = self.known(record.ppid, record.parent_start)
        if parent is None:
            parent = self._process(record.ppid, record.parent_start)
            parent.name = render.text(record.parent_comm)[0]
            _run(parent, NOTHING)
        return parent

    def _process(self, pid: int, start: int) -> Process:
        entity_id = self.entity_id(pid, start)
        return Process(entity_id, pid, start, Identity(entity_id, pid, start))

    def _leader(self, process: Process, pid: int, own: Identity | None, inherited: Identity | None) -> Identity | None:
        if pid == process.pid:
            return process.identity
        for known in (own, inherited):
            if known is not None and known.pid == pid:
                return known  # also after it ended: a group outlives its leader
        leader = self._live.get(pid)
        return leader.identity if leader else None

    def entity_id(self, pid: int, start: int) -> str:
        """hash(boot id, pid, start): stable across exec, never the same for two processes."""
        return hashlib.blake2b(_LIFE.pack(self._host.boot, pid, start), digest_size=16).hexdigest()


def came_in(process: Process) -> None:
    """It was put into another container than it started its program in: how it was started is not told there."""
    if process.program.command_line or process.program.working_directory:
        _run(process, Program(process.program.executable))


def _inherit_image(process: Process, record: Task, parent: Process) -> None:
    """A fork is its parent's image until it execs; of one that is not known, the kernel's name is."""
    process.identity.found = parent.identity.found
    if parent.program.executable:
        process.name, process.exe_inode = parent.name, parent.exe_inode
        _run(process, parent.program)
    else:
        process.name = render.text(record.comm)[0]
        _run(process, NOTHING)


def _run(process: Process, program: Program) -> None:
    """Its name is set already."""
    process.program = program
    process.identity.become(process.name, program)
