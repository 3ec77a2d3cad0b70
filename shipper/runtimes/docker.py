"""Asks container runtimes what the kernel can't tell: names, images and labels."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import docker
import structlog
from docker.errors import DockerException
from docker.types import CancellableStream

_log = structlog.get_logger()
_CONNECT_SECONDS = 5
_EVENTS = ("create", "rename", "update", "destroy")
_LIST_SECONDS = 2
_RETRY_SECONDS = (0.5, 1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a runtime says of one container."""

    container_id: str
    runtime: str
    name: str
    image: str
    """As it was asked for, with its tag."""
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Removed:
    """A runtime has removed a container: it will not start again."""

    container_id: str


class Docker:
    """Listens to one Docker daemon in a thread of its own, so that a daemon that hangs stops nobody.

    `updates` holds what was learnt; a container's creation is told before it starts. When the daemon goes away it is
    tried again for ever, and all its containers are listed anew.
    """

    RUNTIME = "docker"

    def __init__(self, base_url: str) -> None:
        self.updates: queue.SimpleQueue[Metadata | Removed] = queue.SimpleQueue()
        self.error: str | None = "not connected yet"
        self._url = base_url
        self._known: set[str] = set()
        self._stop = threading.Event()
        self._listed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="docker", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def wait_listed(self) -> None:
        """Wait until the containers that run have been told, or the daemon proved unreachable; at most 2 s."""
        self._listed.wait(_LIST_SECONDS)

    def stop(self) -> None:
        """Stop trying; the thread ends with the process."""
        self._stop.set()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._listen()
                failures = 0
            # docker, requests, http.client and urllib3 raise their own, and an answer that makes no sense raises
            # whatever it trips: nothing of that may end this thread.
            except Exception as error:  # noqa: BLE001
                if self.error is None:  # it was connected until now
                    failures = 0
                self.error = _reason(error)
                if failures == 0:
                    _log.info(
                        "docker is not reachable",
                        url=self._url,
                        error=self.error,
                        next="recording goes on, and names wait for it; `cgtrail check` asks it again",
                    )
                self._listed.set()
            self._stop.wait(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1

    def _listen(self) -> None:
        with ExitStack() as stack:
            client = docker.APIClient(base_url=self._url, timeout=_CONNECT_SECONDS)
            client.headers["Connection"] = "close"  # it would keep one open for each URL, and so for each container
            stack.callback(client.close)
            # Open the stream of events before listing, so that nothing falls between the two.
            events = client.events(decode=True, filters={"type": "container", "event": list(_EVENTS)})
            stack.callback(_hang_up, events)
            self._list(client)
            self.error = None
            self._listed.set()
            _log.info("docker connected", url=self._url)
            for event in events:
                self._told(client, event)
                if self._stop.is_set():
                    return

    def _list(self, client: docker.APIClient) -> None:
        listed = {container["Id"]: _from_list(container) for container in client.containers(all=True)}
        for gone in self._known - listed.keys():
            self.updates.put(Removed(gone))
        for metadata in listed.values():
            self.updates.put(metadata)
        self._known = set(listed)

    def _told(self, client: docker.APIClient, event: Mapping[str, Any]) -> None:
        container_id = event["Actor"]["ID"]
        if event["Action"] == "destroy":
            self._known.discard(container_id)
            self.updates.put(Removed(container_id))
            return
        attributes = dict(event["Actor"]["Attributes"])
        self._known.add(container_id)
        first = None
        if event["Action"] == "create":  # at once: it may start and end before it could be asked for
            name, image = attributes.pop("name", ""), attributes.pop("image", "")
            first = _metadata(container_id, name, image, attributes)
            self.updates.put(first)
        # The attributes of an event hide labels called name and image, and hold more than labels for other actions.
        for container in client.containers(all=True, filters={"id": container_id}):
            listed = _from_list(container)
            if listed != first:
                self.updates.put(listed)


def docker_version(base_url: str) -> str:
    """The daemon's name, version and, where it tells, cgroup driver. Raises OSError when it does not answer."""
    try:
        client = docker.APIClient(base_url=base_url, timeout=_CONNECT_SECONDS)
        try:
            version = client.version()["Version"]
            told: dict[str, Any] = {}
            with suppress(DockerException):  # a proxy before its socket may answer this to nobody
                told = client.info()
        finally:
            client.close()
    # As in `Docker`: whatever is at that address, its answer may trip anything.
    except Exception as error:
        raise OSError(_reason(error)) from error
    driver, cgroups = told.get("CgroupDriver"), told.get("CgroupVersion")
    return f"Docker {version}" + (f", cgroup driver {driver}, version {cgroups}" if driver else "")


def _hang_up(events: CancellableStream[Any]) -> None:
    """Closing the client leaves the connection of its events open; the stream may be in any state."""
    with suppress(Exception):
        events.close()


def _reason(error: BaseException) -> str:
    """The operating system's own words, where they are: the client wraps them several times."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__context__
    return str(error) or repr(error)


def _from_list(container: Mapping[str, Any]) -> Metadata:
    name = (container.get("Names") or [""])[0].removeprefix("/")
    return _metadata(container["Id"], name, container["Image"], container.get("Labels") or {})


def _metadata(container_id: str, name: str, image: str, labels: Mapping[str, str]) -> Metadata:
    shown = {_text(key): _text(value) for key, value in labels.items()}
    return Metadata(_text(container_id), Docker.RUNTIME, _text(name), _text(image), shown)


def _text(value: object) -> str:
    """JSON can hold what UTF-8 can't: lone surrogates become question marks."""
    return str(value).encode(errors="replace").decode()
