"""Asks containerd: Kubernetes' containers (CRI), nerdctl's, ctr's. Docker's and BuildKit's are told by others."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress

from shipper.runtimes import answers, oci, sockets
from shipper.runtimes.grpc import NOT_FOUND, Call, CallError, unary
from shipper.runtimes.news import Metadata
from shipper.runtimes.protobuf import Message, string
from shipper.runtimes.told import Change
from shipper.wire.records import Life

CONNECT_SECONDS = 5.0
LIST_SECONDS = 15.0
INSPECT_SECONDS = 3.0
OTHERS = frozenset({"moby", "buildkit"})
"""Namespaces of Docker, which tells more of its containers, and of BuildKit, whose cgroups tell all there is."""
_API = "/containerd.services"
_LIVES = {"/containers/create": Life.CREATED, "/containers/delete": Life.REMOVED, "/containers/update": None}
"""By an event's topic."""
_SECOND = 1_000_000_000


class ContainerdFeed:
    """Implements `listener.Feed`. Raises as `grpc.Call` does."""

    runtime = "containerd"
    whole = True

    def __init__(self, address: str) -> None:
        self._path = path = _path(address)
        self._user = sockets.user_of(address)
        version(address)  # the stream of events begins with the first of them: only this tells that somebody is there
        self._digests: dict[tuple[str, str], str] = {}
        self._hung_up = False
        self._closing = threading.Lock()
        self._events = Call(path, f"{_API}.events.v1.Events/Subscribe", string(1, 'topic~="^/containers/"'), None)

    def changes(self) -> Iterator[Change]:
        """As `listener.Feed` says."""
        try:
            for raw in self._events:
                envelope = Message(raw)
                scope, topic = envelope.text(2), envelope.text(3)
                if scope not in OTHERS and topic in _LIVES:
                    event = envelope.message(4).message(2)  # of an Any, the value
                    container_id, image = event.text(1), event.text(2)
                    made = Metadata(self.runtime, container_id, scope, name=container_id, image=image, user=self._user)
                    life = _LIVES[topic]
                    yield Change(self._whole(made) if life is Life.CREATED else made, life, _time(envelope.message(1)))
        finally:
            with self._closing:
                self._hung_up = True
                self._events.close()

    def list(self) -> Mapping[str, Metadata]:
        """As `listener.Feed` says."""
        self._digests.clear()  # a tag may be another image's by now
        raw = unary(self._path, f"{_API}.namespaces.v1.Namespaces/List", b"", LIST_SECONDS)
        scopes = [namespace.text(1) for namespace in Message(raw).messages(1)]
        found: dict[str, Metadata] = {}
        for scope in scopes:
            if scope not in OTHERS:
                # A stream: one answer with a thousand specifications would be larger than containerd may send.
                method = f"{_API}.containers.v1.Containers/ListStream"
                with Call(self._path, method, b"", LIST_SECONDS, scope) as call:
                    listed = [self._metadata(scope, Message(answer).message(1)) for answer in call]
                found |= {metadata.key: metadata for metadata in listed}
        return found

    def inspect(self, known: Metadata) -> Metadata | None:
        """As `listener.Feed` says."""
        method, request = f"{_API}.containers.v1.Containers/Get", string(1, known.container_id)
        try:
            raw = unary(self._path, method, request, INSPECT_SECONDS, known.scope)
        except CallError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return self._metadata(known.scope, Message(raw).message(1))

    def _whole(self, made: Metadata) -> Metadata:
        """The event has neither labels, by which tenants are chosen, nor the cgroup: it starts in a moment."""
        try:
            return self.inspect(made) or made
        except Exception:  # noqa: BLE001  as in the listener, which asks again: its creation is told in any case
            return made

    def close(self) -> None:
        """As `listener.Feed` says."""
        with self._closing:
            if not self._hung_up:
                self._events.hang_up()

    def _metadata(self, scope: str, container: Message) -> Metadata:
        container_id, image, labels = container.text(1), container.text(3), container.mapping(2)
        spec = oci.read(container.message(5).raw(2))
        name = labels.get("nerdctl/name") or labels.get("io.kubernetes.container.name") or container_id
        return Metadata(
            self.runtime,
            container_id,
            scope,
            name=name,
            image=image,
            digest=self._digest(scope, image) if image else "",
            labels=labels,
            cgroup=oci.cgroup(spec),
            created=_time(container.message(8)),
            privileged=oci.privileged(spec),
            runtime_socket=sockets.mounted(oci.mounts(spec), [self._path]),
            user=self._user,
            **answers.pod(labels),
        )

    def _digest(self, scope: str, image: str) -> str:
        key = scope, image
        if key not in self._digests:
            found = ""
            with suppress(CallError):  # it may be gone, or none of containerd's: ctr run --rootfs
                method = f"{_API}.images.v1.Images/Get"
                raw = unary(self._path, method, string(1, image), INSPECT_SECONDS, scope)
                found = Message(raw).message(1).message(3).text(2)  # image, target, digest
            self._digests[key] = found
        return self._digests[key]


def version(address: str) -> str:
    """The daemon's name and version. Raises whatever it trips over."""
    raw = unary(_path(address), f"{_API}.version.v1.Version/Version", b"", CONNECT_SECONDS)
    return f"containerd {Message(raw).text(1)}"


def _path(address: str) -> str:
    path = sockets.path_of(address)
    if path is None:
        raise ValueError(f"{address!r} is no address of containerd's; write the path of its socket")
    return path


def _time(timestamp: Message) -> int:
    return answers.bounded(timestamp.number(1) * _SECOND + timestamp.number(2))
