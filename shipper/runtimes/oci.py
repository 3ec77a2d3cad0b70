"""Reads a container's OCI runtime specification (opencontainers/runtime-spec, config.md and config-linux.md)."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

_POWERS = frozenset({"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_BOOT"})
"""No container has these four that was not given all there are."""


def read(raw: bytes) -> Mapping[str, Any]:
    """The specification; an empty one for what is none."""
    with suppress(ValueError, RecursionError):
        told = json.loads(raw)
        return told if isinstance(told, dict) else {}
    return {}


def cgroup(spec: Mapping[str, Any]) -> str:
    """Path of the container's cgroup below the root of the hierarchy; empty where the specification does not tell.

    A path as runc's systemd driver takes it is slice:prefix:name, and of a slice's name each part is a slice of its own
    (systemd.slice(5)).
    """
    path = str(_inner(spec, "linux").get("cgroupsPath") or "")
    if path.startswith("/"):
        return posixpath.normpath("/" + path.lstrip("/")).rstrip("/")  # as runc does; the root is no container's
    slice_, colon, rest = path.partition(":")
    prefix, second, name = rest.partition(":")
    if not (colon and second and name) or "/" in path or not (slice_ or "system.slice").endswith(".slice"):
        return ""  # below the cgroup of whoever started it
    unit = name if name.endswith(".slice") else f"{prefix}-{name}.scope"
    return f"{_slices(slice_ or 'system.slice')}/{unit}"


def privileged(spec: Mapping[str, Any]) -> bool:
    """It may do all that root may: no system call is refused, nothing of /proc masked, and it has every capability."""
    process, linux = _inner(spec, "process"), _inner(spec, "linux")
    bounding = _inner(process, "capabilities").get("bounding")
    allowed = {each for each in bounding if isinstance(each, str)} if isinstance(bounding, list) else set()
    return allowed >= _POWERS and not linux.get("seccomp") and not linux.get("maskedPaths")


def mounts(spec: Mapping[str, Any]) -> Iterator[str]:
    """Paths of the host that are mounted in it."""
    listed = spec.get("mounts")
    for mount in listed if isinstance(listed, list) else ():
        source = mount.get("source") if isinstance(mount, dict) else None
        if isinstance(source, str) and source.startswith("/"):
            yield source


def _inner(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = told.get(name)
    return inner if isinstance(inner, dict) else {}


def _slices(name: str) -> str:
    """Each slice is below that whose name is one part shorter: a-b.slice is /a.slice/a-b.slice; -.slice is the root."""
    parts = name.removesuffix(".slice").split("-")
    if not all(parts):
        return ""
    return "".join(f"/{'-'.join(parts[:count])}.slice" for count in range(1, len(parts) + 1))
