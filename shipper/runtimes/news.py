"""What a runtime tells, whichever it is: text without lone surrogates, of any length and content."""

from __future__ import annotations

import queue
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from shipper.wire.records import Life


def key(runtime: str, container_id: str, scope: str = "", user: str = "") -> str:
    """A container's name in the stream. `scope`: the runtime's own namespace, where ids are unique only within such.

    `user`: the uid of an unprivileged user whose container it is, for that one may take anybody's id.
    """
    return "/".join(part for part in (runtime, user, scope, container_id) if part)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a runtime says of one container; it replaces what it said before."""

    runtime: str
    """docker, podman, containerd."""
    container_id: str
    scope: str = ""
    """containerd's namespace; empty where ids are the host's."""
    name: str = ""
    image: str = ""
    """As it was asked for, with its tag."""
    digest: str = ""
    """The image's, as in sha256:…; of the repository where it has one, otherwise of the image itself."""
    labels: Mapping[str, str] = field(default_factory=dict)
    cgroup: str = ""
    """Path of its cgroup below the root of the hierarchy, where that can't be told from the path itself."""
    created: int = 0
    """Nanoseconds since 1970; 0: not told."""
    privileged: bool = False
    runtime_socket: bool = False
    pod_id: str = ""
    pod: str = ""
    namespace: str = ""
    user: str = ""
    """The uid of the user whose runtime it is; empty where that is root's."""

    @property
    def key(self) -> str:
        """Its name in the stream."""
        return key(self.runtime, self.container_id, self.scope, self.user)


@dataclass(frozen=True, slots=True)
class Lived:
    """Something happened to a container. One that was removed will not start again."""

    key: str
    life: Life
    realtime: int = 0
    """Nanoseconds since 1970 by the runtime's clock; 0: not told."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A runtime is being listened to from now on, or not any more."""

    runtime: str
    connected: bool


News: TypeAlias = Metadata | Lived | Heard


class Runtime(Protocol):
    """One runtime that is listened to. It is tried again for ever; all it has is told anew now and then."""

    name: str
    """As in `Metadata.runtime`."""
    error: str | None
    """Why it can't be heard now; None while it can."""
    expected: bool
    """It is there, or was: what it has not told of a container yet, it will."""
    updates: queue.SimpleQueue[News]
    """What was learnt. A container's creation is told before it starts; Metadata stands before what it lives."""

    def start(self) -> None:
        """Begin to listen, in a thread of its own."""

    def wait_listed(self) -> None:
        """Wait until the containers there are have been told, or it proved unreachable; at most 2 s."""

    def stop(self) -> None:
        """Stop trying; the thread ends with the process."""
