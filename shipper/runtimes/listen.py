"""The runtimes that are listened to, as they are configured."""

from __future__ import annotations

import os
from collections.abc import Sequence

from shipper.runtimes import sockets
from shipper.runtimes.listener import Feed, Listener, Source
from shipper.runtimes.news import Runtime


def runtimes(docker: Sequence[str] = (), podman: Sequence[str] = (), containerd: Sequence[str] = ()) -> list[Runtime]:
    """A listener for each address, not started; none twice, under whatever name a socket is known."""
    sources = [Source("containerd", address, _containerd) for address in containerd]
    sources += [Source("docker", address, _docker) for address in docker]
    sources += [Source("podman", address, _docker) for address in podman]
    return [Listener(source) for source in {_place(source.address): source for source in sources}.values()]


def _docker(address: str) -> Feed:
    from shipper.runtimes.docker import DockerFeed

    return DockerFeed(address)


def _containerd(address: str) -> Feed:
    from shipper.runtimes.containerd import ContainerdFeed  # HTTP/2 takes memory that others need not give

    return ContainerdFeed(address)


def _place(address: str) -> str:
    path = sockets.path_of(address)
    return address if path is None else os.path.realpath(path)
