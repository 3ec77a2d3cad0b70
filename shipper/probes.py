"""Loads every kernel program on its own and says what the kernel refused and why.

A program named `event` is the only way to record it. Programs named `event__<rank>_<hook>` are alternatives: all of a
rank must attach, and the lowest rank that does is used. Maps are made by the first object and shared with the rest.
"""

from __future__ import annotations

import os
import re
import struct
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from bpf.enums import Control, Counter, Policy
from shipper.kernel_maps import CGROUP_ID, CONTROL, COUNT, LOSS_KEY, WATCHED, entries_at_first, loss_keys
from shipper.libbpf import BpfError, Link, Map, Object, Program, possible_cpus
from shipper.objects import CaptureError, families, object_file
from shipper.refusals import SHORTAGES, Refusal, refusal
from shipper.ring import Ring

_log = structlog.get_logger()

RING_BYTES = 16 * 1024 * 1024
MAX_CGROUPS = 65_536
_SHARED = {
    "ring": (0, 0),
    "scratch": (4, 0),
    "watched": (8, WATCHED.size),
    "losses": (16, 8),
    "counters": (4, 8),
    "narrow": (4, 4),
    "birth": (4, 4),
}
_KERNELS = {"terminals"}  # maps that programs share, and user space has no business with
_BY_CPU = ("scratch", "own_scratch")
"""Maps with an entry for each processor."""
_MIN_LOSSES = 4096
_ALTERNATIVE = re.compile(r"(?P<event>\w+?)__(?P<rank>\d+)_(?P<hook>\w+)")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One program that was tried: which event it would record, and None or the reason why it is not used."""

    event: str
    program: str
    refused: Refusal | None


_AT_EVERY_CALL = "terminal"
"""Its program sees every system call's return, and so also the execs that failed where nothing else does."""


@dataclass
class Probes:
    """The loaded programs, their maps and the ring. Closing detaches everything."""

    ring_bytes: int = RING_BYTES
    capture_host: bool = False
    max_cgroups: int = MAX_CGROUPS
    """Watched at the same time; a quarter of them is kept for containers' topmost cgroups."""
    birth: Policy = Policy.EXEC
    """As of `birth_policy`, to begin with."""
    attempts: list[Attempt] = field(default_factory=list)
    maps: dict[str, Map] = field(default_factory=dict)
    _fds: dict[str, int] = field(default_factory=dict)
    _links: dict[str, Link] = field(default_factory=dict)
    _beside: set[str] = field(default_factory=set)
    """Events that a program of another one records."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        try:
            for family in families():
                self._family(object_file(family))
            if not any(attempt.refused is None for attempt in self.attempts):
                raise CaptureError(self._nothing())
            self._control = self._load_control()
            self.ring = self._stack.enter_context(Ring(self._fds["ring"], self.ring_bytes))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def missing(self) -> list[str]:
        """Events that no program records on this kernel."""
        tried = {attempt.event for attempt in self.attempts}
        return sorted(tried - {program.partition("__")[0] for program in self._links} - self._beside)

    def refused(self) -> list[Attempt]:
        """The programs that were tried in vain for those events."""
        missing = self.missing()
        return [attempt for attempt in self.attempts if attempt.refused and attempt.event in missing]

    def snapshot(self) -> None:
        """Send every running watched process (`bpf.events.Running`) and open terminal (`TtyOpen`) through the ring.

        Returns when all were sent; a thread of its own may wait for that while another one drains the ring.
        """
        for program in ("running", "terminal_snapshot"):
            if program in self._links:
                self._links[program].run_iterator()

    def watch(self, cgroup_id: int, owner: int, policy: int = Policy.EXEC) -> bool:
        """Record a cgroup's processes from now on, on its owner's account.

        `owner` is its container's topmost cgroup: the same, with the container's policy (`bpf.enums.Policy`); or one
        that is watched, whose policy stands. An entry that is there stays, for it counts already; one that is
        provisional, or whose owner is gone, becomes what is said here. A cgroup below its owner's for which there is
        no room is found by the owner's entry; it need not be asked for again. False: there is no room for a topmost
        one, or the owner is not watched; nothing of this cgroup is recorded.
        """
        return self._ask(Control.WATCH, policy, cgroup_id, owner)

    def unwatch(self, cgroup_id: int) -> None:
        """Stop recording a cgroup's processes and, if it is an owner, those of the cgroups that are on its account."""
        self._ask(Control.UNWATCH, 0, cgroup_id)

    def set_policy(self, owner: int, policy: int) -> bool:
        """Record this of a container from now on (`bpf.enums.Policy`). False: that is no watched topmost cgroup."""
        return self._ask(Control.SET_POLICY, policy, owner=owner)

    def watched_cgroups(self) -> set[int]:
        """The cgroups that have an entry; what is made or removed meanwhile may be missing. Raises BpfError."""
        keys, _ = self.maps["watched"].read()
        return {cgroup for (cgroup,) in CGROUP_ID.iter_unpack(keys)} - {0}

    def entries(self) -> int:
        """How many those are, of `max_cgroups`."""
        return self.counter(Counter.ENTRIES)

    def unwatched(self) -> int:
        """How many topmost cgroups found no room when they were made, since loading."""
        return self.counter(Counter.UNWATCHED)

    def counter(self, which: Counter) -> int:
        """What the kernel has counted."""
        return int.from_bytes(self.maps["counters"].get(which.to_bytes(4, "little")) or b"", "little")

    def narrow(self, level: int) -> None:
        """Leave out what a level of `bpf.enums.Narrow` names, from now on."""
        self.maps["narrow"].set(bytes(4), level.to_bytes(4, "little"))

    def birth_policy(self, policy: int) -> None:
        """Record this of containers that are made from now on, until their own policy is set (`bpf.enums.Policy`)."""
        self.maps["birth"].set(bytes(4), policy.to_bytes(4, "little"))

    def seen(self) -> dict[int, int]:
        """Owner → records made so far, lost ones included, of those that are watched now; 0 is the host."""
        counts = {}
        keys, values = self.maps["watched"].read()
        for (cgroup,), (owner, _, _, _, _, seen, *_) in zip(
            CGROUP_ID.iter_unpack(keys), WATCHED.iter_unpack(values), strict=True
        ):
            if owner == cgroup:
                counts[owner] = seen
        return counts

    def recursion_misses(self) -> int:
        """How often a program could not run (`Cause.RECURSION`), since loading."""
        return sum(link.recursion_misses() for link in self._links.values())

    def losses(self) -> dict[tuple[int, int, int], int]:
        """(owner cgroup, cause, record type) → records that could not be written since loading."""
        keys, values = self.maps["losses"].read()
        accounts, counts = LOSS_KEY.iter_unpack(keys), COUNT.iter_unpack(values)
        return {(owner, cause, kind): count for (owner, cause, kind), (count,) in zip(accounts, counts, strict=True)}

    def losses_of(self, owner: int) -> dict[tuple[int, int, int], int]:
        """The same of one owner, however many others there are."""
        found = ((key, self.maps["losses"].get(key)) for key in loss_keys(owner))
        return {LOSS_KEY.unpack(key): int.from_bytes(value, "little") for key, value in found if value is not None}

    def forget(self, owner: int) -> None:
        """Drop the counts of an owner that is gone, so that the map does not fill up."""
        for key in loss_keys(owner):
            self.maps["losses"].delete(key)

    def _family(self, path: Path) -> None:
        with Object(path) as opened:
            names = sorted(opened.programs)
        for event, programs in groupby(names, key=lambda name: name.partition("__")[0]):
            self._event(path, event, list(programs))

    def _event(self, path: Path, event: str, programs: list[str]) -> None:
        for _, rank in groupby(programs, key=_rank):
            tried = [(program, *self._try(path, program)) for program in rank]
            self.attempts += [Attempt(event, program, refused) for program, _, refused in tried]
            links = {program: link for program, link, _ in tried if link}
            if len(links) == len(tried):
                for program, link in links.items():
                    self._links[program] = link
                    self._stack.callback(link.close)
                if event == _AT_EVERY_CALL and "exec_failed" in self.missing():
                    self._beside.add("exec_failed")
                    self.attempts.append(Attempt("exec_failed", event, None))
                return
            for link in links.values():
                link.close()

    def _try(self, path: Path, program: str) -> tuple[Link | None, Refusal | None]:
        with Object(path) as opened:
            try:
                opened.choose(program)
                self._settings(opened)
                opened.load()
                link = opened.attach(program)
            except BpfError as error:
                _log.debug("program refused", program=program, error=str(error), log=error.log)
                told = refusal(error)
                if error.errno in SHORTAGES:  # of no program's making: to go on with a part would hide it
                    raise CaptureError(f"{program} can't be loaded: {told.reason}; {told.advice}") from error
                return None, told
            self._keep_maps(opened)
            return link, None

    def _load_control(self) -> Program:
        with Object(object_file("control")) as opened:
            try:
                opened.choose("control")
                self._settings(opened)
                opened.load()
            except BpfError as error:
                told = refusal(error)
                message = f"who is watched can't be changed, for control is refused: {told.reason}; {told.advice}"
                raise CaptureError(message) from error
            program = opened.runnable("control")
        self._stack.callback(os.close, program.fd)
        return program

    def _ask(self, operation: Control, policy: int, cgroup_id: int = 0, owner: int = 0) -> bool:
        return self._control.run(CONTROL.pack(operation, policy, cgroup_id, owner)) == 0

    def _settings(self, opened: Object) -> None:
        for name in opened.maps:
            if name in self._fds:
                opened.share_map(name, self._fds[name])
            elif name == "ring":
                opened.size_map(name, self.ring_bytes)
            elif name in _BY_CPU:
                opened.size_map(name, possible_cpus())
            elif name == "watched":
                opened.size_map(name, self.max_cgroups + 1)  # the host
            elif name == "losses":
                opened.size_map(name, max(self.max_cgroups, _MIN_LOSSES))
        failed_execs = "exec_failed" in self.missing()
        opened.set_rodata(struct.pack("<III", self.capture_host, self.max_cgroups, failed_execs))

    def _keep_maps(self, opened: Object) -> None:
        for name in (_SHARED.keys() | _KERNELS) & opened.maps.keys() - self._fds.keys():
            self._fds[name] = fd = opened.map_fd(name)
            self._stack.callback(os.close, fd)
            if name not in _KERNELS:
                self.maps[name] = Map(fd, *_SHARED[name])
                for key, value in entries_at_first(name, self.birth):
                    self.maps[name].set(key, value)

    def _nothing(self) -> str:
        told: dict[str, list[str]] = {}
        for attempt in self.attempts:
            if attempt.refused:
                told.setdefault(f"{attempt.refused.reason}; {attempt.refused.advice}", []).append(attempt.program)
        if len(told) == 1:
            return f"no kernel program could be loaded: {next(iter(told))}"
        reasons = "; ".join(f"{', '.join(programs)}: {reason}" for reason, programs in told.items())
        return f"no kernel program could be loaded ({reasons}); see `cgtrail check`"


def _rank(program: str) -> str:
    alternative = _ALTERNATIVE.fullmatch(program)
    return alternative["rank"] if alternative else "0"
