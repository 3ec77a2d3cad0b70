"""Where container runtimes listen on a host, and which mounts put such a socket into a container."""

from __future__ import annotations

import os
import posixpath
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress

KNOWN: Mapping[str, tuple[str, ...]] = {
    "docker": ("/run/docker.sock",),
    "podman": ("/run/podman/podman.sock",),
    "containerd": ("/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"),
    "cri-o": ("/run/crio/crio.sock",),
    "lxd": ("/var/snap/lxd/common/lxd/unix.socket", "/var/lib/lxd/unix.socket"),
    "incus": ("/var/lib/incus/unix.socket",),
}
"""Runtime → its sockets; each gives whoever may write to it the host's root."""
USERS: Mapping[str, str] = {"docker": "/run/user/*/docker.sock", "podman": "/run/user/*/podman/podman.sock"}
"""Where those of users are."""
_DOCKERS_OWN = "/run/docker/containerd/containerd.sock"
"""Of the containerd that Docker starts when there is none."""
_NAMES = frozenset({"docker.sock", "podman.sock", "containerd.sock", "crio.sock"})
"""Wherever they are: those of users' own daemons, of other installations."""
_ALL = (*(file for files in KNOWN.values() for file in files), _DOCKERS_OWN)


def mounted(sources: Iterable[object], configured: Iterable[str] = ()) -> bool:
    """Whether one of these paths of the host, bind-mounted, is a runtime's socket or a folder that holds one.

    `configured`: sockets beside those that are known.
    """
    sockets = (*_ALL, *map(_plain, configured))
    return any(_holds(_plain(str(source)), sockets) for source in sources if source)


def hang_up(connection: socket.socket) -> None:
    """End a connection, also for a thread that reads it now, which closes it."""
    with suppress(OSError):  # the other side hung up first
        connection.shutdown(socket.SHUT_RDWR)


def path_of(address: str) -> str | None:
    """The socket's file of an address; None when it is no Unix socket's."""
    path = address.removeprefix("unix://") if address.startswith("unix://") else address
    return path if path.startswith("/") else None


def user_of(address: str) -> str:
    """The uid of the user who listens at an address; empty for root, for ourselves, and on a network. Raises OSError.

    Whoever can write to root's socket is root: one that belongs to another user is that user's own.
    """
    path = path_of(address)
    owner = os.stat(path).st_uid if path is not None else 0
    return "" if owner in {0, os.geteuid()} else str(owner)


def _holds(source: str, sockets: Iterable[str]) -> bool:
    folder = source.rstrip("/") + "/"
    return posixpath.basename(source) in _NAMES or any(
        socket == source or socket.startswith(folder) for socket in sockets
    )


def _plain(path: str) -> str:
    """Without detours; /var/run is /run on every distribution."""
    path = posixpath.normpath(path)
    path = "/" + path.lstrip("/")
    return path.removeprefix("/var") if path == "/var/run" or path.startswith("/var/run/") else path
