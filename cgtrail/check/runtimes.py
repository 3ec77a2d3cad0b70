"""Container runtimes: which answer, and which are there that nobody configured."""

from __future__ import annotations

import glob
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.settings import Config, Runtimes
from shipper.runtimes import sockets
from shipper.runtimes.listener import reason

ANSWER_SECONDS = 8.0
"""For the whole answers of all, however slowly they drip."""
_NAMELESS = "containers are recorded, without names and images"
_LISTENED = ("docker", "podman", "containerd")
_QUIET = frozenset(Runtimes().podman + Runtimes().containerd)
"""Where they are unless somebody says otherwise."""


def look(config: Config) -> Iterator[Finding]:
    """Each configured runtime, all asked at the same time, then the sockets of others."""
    asked = [_Asked(name, address) for name in _LISTENED for address in getattr(config.runtimes, name)]
    late = time.monotonic() + ANSWER_SECONDS
    for each in asked:
        each.thread.join(max(0.0, late - time.monotonic()))
        yield from each.found()
    known = {os.path.realpath(path) for each in asked if (path := sockets.path_of(each.address))}
    for name, files in sockets.KNOWN.items():
        for file in (*files, *sorted(glob.glob(sockets.USERS.get(name, "")))):
            if _is_socket(Path(file)) and os.path.realpath(file) not in known:
                yield _unconfigured(name, file)


class _Asked:
    """A runtime that is being asked in a thread of its own."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self._told: list[str | Exception] = []
        self.thread = threading.Thread(target=self._ask, name=f"{name} version", daemon=True)
        self.thread.start()

    def found(self) -> Iterator[Finding]:
        """What it answered so far; nothing of one that is not installed and that nobody asked for."""
        setting = f"runtimes.{self.name}"
        match self._told:
            case [str(version)]:
                yield Finding(self.name, Level.OK, f"{version} at {self.address}")
            case [FileNotFoundError()] if self.address in _QUIET:
                return
            case [Exception() as error] if not isinstance(error, TimeoutError):
                elsewhere = f"{setting} or DOCKER_HOST" if self.name == "docker" else setting
                advice = f"{_NAMELESS}, until it answers; set {elsewhere} if it runs elsewhere"
                yield Finding(self.name, Level.NOTE, f"not reachable at {self.address}: {reason(error)}", advice)
            case _:
                advice = f"{_NAMELESS}, until it answers; is the daemon stuck? See its log"
                yield Finding(self.name, Level.NOTE, f"{self.address} does not answer in time", advice)

    def _ask(self) -> None:
        try:
            self._told.append(_version(self.name)(self.address))
        except Exception as error:  # noqa: BLE001  whatever is at that address, its answer may trip anything
            self._told.append(error)


def _version(name: str) -> Callable[[str], str]:
    if name == "containerd":
        from shipper.runtimes.containerd import version
    else:
        from shipper.runtimes.docker import version
    return version


def _unconfigured(name: str, file: str) -> Finding:
    if name not in _LISTENED:
        return Finding(name, Level.OK, f"{file}: its containers are recorded by what their cgroups tell")
    address = file if name == "containerd" else f"unix://{file}"
    advice = f'add "{address}" to runtimes.{name} (CGTRAIL_RUNTIMES_{name.upper()}) to have names and images'
    return Finding(name, Level.NOTE, f"{file} is there, and not listened to", advice)


def _is_socket(file: Path) -> bool:
    with suppress(OSError):
        return file.is_socket()
    return False
