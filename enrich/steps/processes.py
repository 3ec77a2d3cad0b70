"""The process tree: what every live process is, so that documents can name parents and leaders."""

from __future__ import annotations

import hashlib
import posixpath
import struct
from typing import ClassVar

from bpf.enums import ImageFlag
from bpf.events import CgroupAttach, Exec, Exit, Fork, Image, Running, Task
from enrich import render
from enrich.arguments import Arguments as Rendered
from enrich.item import Identity, Item, Process
from enrich.steps.host import Host
from shipper.wire.records import Arguments, KeyframeBegin, KeyframeEnd

_LIFE = struct.Struct("<16sIQ")


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
            item.process = self._see(record, item.parent)
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
        process.identity.name = process.name
        process.group_leader = self._leader(process, record.pgid, parent.group_leader)
        process.session_leader = self._leader(process, record.sid, parent.session_leader)
        if isinstance(record, Exit):
            del self._live[record.tgid]
            if self._in_keyframe:
                self._ended.add((record.tgid, record.start))
        return process

    def _set_image(self, process: Process, record: Image) -> None:
        process.only_forked, process.as_parent = False, None
        process.exe_inode = record.exe_inode
        process.executable = render.text(record.exe)[0]
        filename = render.text(record.filename)[0]
        # What fexecve(3) started has a file name only the kernel made: /dev/fd/N.
        named = process.executable if not filename or filename.startswith("/dev/fd/") else filename
        process.name = posixpath.basename(named) or render.text(record.comm)[0]
        self._set_arguments(process, record.args)
        process.working_directory = render.text(record.cwd)[0]

    def _set_arguments(self, process: Process, raw: bytes, *, cut: bool = False) -> None:
        """What is kept of them goes into the process's end, and into each of its children's documents."""
        shown = self._arguments(raw)
        process.secrets = shown.secrets
        process.args, process.command_line = shown.cut()
        if cut and process.args:
            process.args, process.command_line = (), f"{process.command_line}…"

    def _find(self, process: Process, record: Running) -> None:
        """What a snapshot tells is believed of a process that was not known, or that started a program unseen."""
        forked = bool(record.flags & ImageFlag.FORKED)
        if not process.name or process.exe_inode != record.exe_inode or (process.only_forked and not forked):
            process.identity.found = True
            self._set_image(process, record)
            process.only_forked = forked

    def _tell(self, process: Process | None, record: Arguments) -> None:
        """What a process that was found running says of itself, unless it was told or started a program meanwhile."""
        if process and process.start == record.start and process.identity.found and not process.command_line:
            self._set_arguments(process, record.args, cut=bool(record.cut))
            process.as_parent = None

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
            parent.name = parent.identity.name = render.text(record.parent_comm)[0]
        return parent

    def _process(self, pid: int, start: int) -> Process:
        entity_id = self.entity_id(pid, start)
        return Process(entity_id, pid, start, Identity(entity_id, pid))

    def _leader(self, process: Process, pid: int, inherited: Identity | None) -> Identity | None:
        if pid == process.pid:
            return process.identity
        if inherited is not None and inherited.pid == pid:
            return inherited  # also after it ended: a group outlives its leader
        leader = self._live.get(pid)
        return leader.identity if leader else None

    def entity_id(self, pid: int, start: int) -> str:
        """hash(boot id, pid, start): stable across exec, never the same for two processes."""
        return hashlib.blake2b(_LIFE.pack(self._host.boot, pid, start), digest_size=16).hexdigest()


def _inherit_image(process: Process, record: Task, parent: Process) -> None:
    """A fork is its parent's image until it execs; of one that is not known, the kernel's name is."""
    process.identity.found, process.as_parent = parent.identity.found, None
    if parent.executable:
        process.name, process.executable = parent.name, parent.executable
        process.args, process.command_line = parent.args, parent.command_line
        process.secrets = parent.secrets
        process.working_directory, process.exe_inode = parent.working_directory, parent.exe_inode
    else:
        process.name = render.text(record.comm)[0]
