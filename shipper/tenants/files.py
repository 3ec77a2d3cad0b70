"""Tenants files, YAML or CSV. All together are one set, right as a whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from shipper.tenants import yaml_file
from shipper.tenants.csv_file import rows
from shipper.tenants.declare import TenantsError, nearest, shown
from shipper.tenants.declared import MAX_RULES, Declared
from shipper.tenants.selectors import Rule, Selector
from shipper.wire.regular import open_regular

MAX_BYTES = 8 << 20
"""Of one file."""
READINGS = 3
"""How often a file that is changed while it is read is read again at once."""
_UNSETTLED_NS = 2_000_000_000
"""A file changed so lately may change again without its times telling."""


class UnreadableError(TenantsError):
    """A file can't be read now; nothing is known of what it says."""


class Stamp(NamedTuple):
    """What tells one content of a file from another without reading it; zeros: there is none."""

    device: int = 0
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0


@dataclass
class FileSet:
    """What all files say."""

    declared: Declared = field(default_factory=Declared)
    stamps: tuple[Stamp, ...] = ()
    settled: bool = True
    """The files had been left alone for a while when they were read."""
    outlived: tuple[str, ...] = ()
    """Places that name a cgroup by its id, in files of before this boot: another cgroup may have the number now."""

    def check(self, known: Collection[str]) -> None:
        """Raises TenantsError when a row names a tenant that neither the files nor `known` declare."""
        tenants = self.declared.tenants
        for rule in self.declared.rules:
            if rule.tenant not in tenants and rule.tenant not in known:
                near = nearest(rule.tenant, [*tenants, *known])
                raise TenantsError(
                    f"{rule.source}: there is no tenant {rule.tenant!r}: {near}declare it in a row without cgroup and "
                    f"scope, in another file, or with `cgtrail tenants add {rule.tenant}`"
                )


def read(files: Sequence[Path]) -> FileSet:
    """Everything that the files say. Raises TenantsError, which names file, line and value; UnreadableError."""
    now = time.time_ns()
    booted = now - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    declared, stamps, outlived = Declared(), [], []
    for file in files:
        content, stamp = _content(file)
        stamps.append(stamp)
        before = len(declared.rules)
        text = _text(file, content)
        if file.suffix.lower() == ".csv":
            rows(file, text, declared)
        elif file.suffix.lower() in {".yaml", ".yml"}:
            yaml_file.tenants(file, text, declared)
        else:
            raise TenantsError(f"{file}: what is in it can't be told from its name: call it .yaml, .yml or .csv")
        if max(len(declared.rules), len(declared.tenants)) > MAX_RULES:
            many = f"there are more than {MAX_RULES:,} tenants or members"
            raise TenantsError(f"{file}: {many}: choose containers by label or pattern")
        if stamp.mtime_ns < booted:
            fresh = [rule for rule in declared.rules[before:] if not _by_cgroup(rule)]
            outlived += [rule.source for rule in declared.rules[before:] if _by_cgroup(rule)]
            declared.rules[before:] = fresh
    return FileSet(declared, tuple(stamps), settled(stamps, now), tuple(outlived))


def settled(stamps: Iterable[Stamp], now: int) -> bool:
    """Whether files had been left alone for so long that a later change shows in their times; `now`: since 1970, ns."""
    return all(abs(now - max(stamp.mtime_ns, stamp.ctime_ns)) > _UNSETTLED_NS for stamp in stamps)


def stamps(files: Sequence[Path]) -> tuple[Stamp, ...]:
    """What the files are like now."""
    return tuple(map(_stamp_of, files))


def _by_cgroup(rule: Rule) -> bool:
    return any(one.selector is Selector.CGROUP for one in rule.conditions)


def _stamp_of(file: Path) -> Stamp:
    try:
        return _stamp(os.stat(file))
    except OSError:
        return Stamp()


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _content(file: Path) -> tuple[bytes, Stamp]:
    """A file's bytes, and what it was like while they were read."""
    for _ in range(READINGS):
        try:
            with open_regular(file) as opened:
                before = _stamp(os.fstat(opened.fileno()))
                content = opened.read(MAX_BYTES + 1)
                after = _stamp(os.fstat(opened.fileno()))
        except OSError as error:
            advice = "mend it, or take it out of tenants.files"
            raise UnreadableError(f"{file}: {error.strerror or error}: {advice}") from error
        if len(content) > MAX_BYTES:
            raise TenantsError(
                f"{file}: it is larger than {MAX_BYTES >> 20} MiB: choose containers by label or pattern"
            )
        if before == after == _stamp_of(file):
            return content, before
    raise UnreadableError(f"{file}: it is being changed: it is read again when that is over")


def _text(file: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TenantsError(
            f"{file}, line {line}: byte {content[error.start]:#04x} is no UTF-8: save the file as UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TenantsError(f"{file}, line {line}: {shown(chr(0))} is no text: save the file as UTF-8")
    return text
