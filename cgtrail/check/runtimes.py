"""Container runtimes: Docker gives names and images, others are recognised by their cgroups."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config
from shipper.runtimes import docker_version

ANSWER_SECONDS = 8.0
"""For Docker's whole answer, however slowly it drips."""
_NAMELESS = "containers are recorded, without names and images"
_SOCKETS = {
    "containerd": ("/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"),
    "CRI-O": ("/run/crio/crio.sock",),
    "Podman": ("/run/podman/podman.sock",),
    "LXD": ("/var/snap/lxd/common/lxd/unix.socket", "/var/lib/lxd/unix.socket"),
    "Incus": ("/var/lib/incus/unix.socket",),
}


def look(config: Config) -> Iterator[Finding]:
    """Docker, then the sockets of other runtimes."""
    yield _docker(config.docker.url)
    for name, files in _SOCKETS.items():
        for file in files:
            if _is_socket(Path(file)):
                yield Finding(name, Level.OK, f"{file}: its containers are recorded by id; names come later")


def _docker(url: str) -> Finding:
    told: list[str | OSError] = []

    def ask() -> None:
        try:
            told.append(docker_version(url))
        except OSError as error:
            told.append(error)

    asking = threading.Thread(target=ask, name="docker version", daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    match told:
        case [str(version)]:
            return Finding("docker", Level.OK, f"{version} at {url}")
        case [OSError() as error]:
            advice = f"{_NAMELESS}, until it answers; set docker.url or DOCKER_HOST if it runs elsewhere"
            return Finding("docker", Level.NOTE, f"not reachable at {url}: {error}", advice)
        case _:
            advice = f"{_NAMELESS}, until it answers; is the daemon stuck? See its log"
            return Finding(
                "docker", Level.NOTE, f"{url} accepts, and does not answer in {ANSWER_SECONDS:.0f} s", advice
            )


def _is_socket(file: Path) -> bool:
    with suppress(OSError):
        return file.is_socket()
    return False
