"""Asks Docker, and Podman by the same API: names, images, labels, what a container is allowed."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from shipper.runtimes import answers, sockets
from shipper.runtimes.engine import AnswerError, Events, get
from shipper.runtimes.news import Metadata
from shipper.runtimes.told import Change
from shipper.wire.records import Life

CONNECT_SECONDS = 5.0
LIST_SECONDS = 15.0
"""For a list of thousands of containers on a busy host."""
INSPECT_SECONDS = 3.0
_LIVES = {"create": Life.CREATED, "rename": Life.RENAMED, "destroy": Life.REMOVED, "remove": Life.REMOVED}
"""By an event's action; Podman says remove where Docker says destroy."""
_FILTERS = {"type": ["container"], "event": [*_LIVES, "update"]}
_IMAGES = 1024
_NOT_FOUND = 404


class DockerFeed:
    """Implements `listener.Feed` for a daemon that speaks Docker's API. Raises as `engine.get` does."""

    whole = False

    def __init__(self, address: str) -> None:
        self._address = address
        self.runtime = _runtime(get(address, "/version", CONNECT_SECONDS))
        self._socket, self._user = sockets.path_of(address) or "", sockets.user_of(address)
        self._digests: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._hung_up = False
        self._closing = threading.Lock()
        self._events = Events(address, f"/events?{_filters(_FILTERS)}", CONNECT_SECONDS)

    def changes(self) -> Iterator[Change]:
        """As `listener.Feed` says."""
        try:
            yield from map(self._change, self._events)
        finally:
            with self._closing:
                self._hung_up = True
                self._events.close()

    def list(self) -> Mapping[str, Metadata]:
        """As `listener.Feed` says; privileges and digests are not in it."""
        listed = map(self._listed, get(self._address, "/containers/json?all=1", LIST_SECONDS))
        return {metadata.key: metadata for metadata in listed}

    def inspect(self, known: Metadata) -> Metadata | None:
        """As `listener.Feed` says."""
        try:
            told = get(self._address, f"/containers/{quote(known.container_id, safe='')}/json", INSPECT_SECONDS)
        except AnswerError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        config, host = told["Config"], told["HostConfig"]
        labels, image = answers.labels(config.get("Labels")), answers.text(config.get("Image") or "")
        binds = [str(bind).partition(":")[0] for bind in host.get("Binds") or []]
        sources = [mount.get("Source") for mount in told.get("Mounts") or []]
        return Metadata(
            self.runtime,
            known.container_id,
            name=answers.text(told["Name"]).removeprefix("/"),
            image=image,
            digest=self._digest(answers.text(told.get("Image") or ""), image),
            labels=labels,
            created=answers.nanoseconds(told.get("Created")),
            privileged=host.get("Privileged") is True,
            runtime_socket=sockets.mounted([*binds, *sources], [self._socket]),
            user=self._user,
            **answers.pod(labels),
        )

    def close(self) -> None:
        """As `listener.Feed` says."""
        with self._closing:
            if not self._hung_up:
                self._events.hang_up()

    def _change(self, event: Mapping[str, Any]) -> Change:
        attributes = dict(event["Actor"]["Attributes"] or {})
        # They hide labels called name and image, and hold more than labels: who is asked tells better in a moment.
        name, image = attributes.pop("name", ""), attributes.pop("image", "")
        labels = answers.labels(attributes)
        realtime = answers.bounded(int(event.get("timeNano", 0))) or answers.nanoseconds(event.get("time"))
        life = _LIVES.get(event["Action"])
        metadata = Metadata(
            self.runtime,
            answers.text(event["Actor"]["ID"]),
            name=answers.text(name).removeprefix("/"),
            image=answers.text(image),
            labels=labels,
            created=realtime if life is Life.CREATED else 0,
            user=self._user,
            **answers.pod(labels),
        )
        return Change(metadata, life, realtime)

    def _listed(self, told: Mapping[str, Any]) -> Metadata:
        labels = answers.labels(told.get("Labels"))
        names = [answers.text(name).removeprefix("/") for name in told.get("Names") or [""]]
        own = [name for name in names if "/" not in name]  # the others are its links'
        return Metadata(
            self.runtime,
            answers.text(told["Id"]),
            name=(own or names)[0],
            image=answers.text(told["Image"]),
            labels=labels,
            created=answers.nanoseconds(told.get("Created")),
            runtime_socket=sockets.mounted([m.get("Source") for m in told.get("Mounts") or []], [self._socket]),
            user=self._user,
            **answers.pod(labels),
        )

    def _digest(self, image_id: str, name: str) -> str:
        """Its repository's, if it has one; asked once for each image."""
        key = image_id, name
        if key not in self._digests:
            found: list[str] = []
            with suppress(AnswerError):  # the image may be gone
                told = get(self._address, f"/images/{quote(image_id, safe=':')}/json", INSPECT_SECONDS)
                found = [answers.text(digest) for digest in told.get("RepoDigests") or []]
            repository = name.partition("@")[0].rpartition(":")[0] or name
            best = sorted(found, key=lambda digest: digest.partition("@")[0] not in {repository, name})
            self._digests[key] = best[0].rpartition("@")[2] if best else image_id
            if len(self._digests) > _IMAGES:
                self._digests.popitem(last=False)
        return self._digests[key]


def version(address: str) -> str:
    """The daemon's name, version and, where it tells, cgroup driver. Raises whatever it trips over."""
    told = get(address, "/version", CONNECT_SECONDS)
    shown = f"{_runtime(told).capitalize()} {answers.text(told['Version'])}"
    info: dict[str, Any] = {}
    with suppress(OSError):  # a proxy before its socket may answer this to nobody
        info = get(address, "/info", CONNECT_SECONDS)
    driver, cgroups = info.get("CgroupDriver"), info.get("CgroupVersion")
    return shown + (f", cgroup driver {answers.text(driver)}, version {answers.text(cgroups)}" if driver else "")


def _runtime(version: Mapping[str, Any]) -> str:
    """Whose API it is, whatever its socket is called: podman-docker makes a link to Podman's."""
    if not isinstance(version["Version"], str):
        raise TypeError(f"no version, but {version['Version']!r}")
    names = {component.get("Name") for component in version.get("Components") or []}
    return "podman" if "Podman Engine" in names else "docker"


def _filters(chosen: Mapping[str, list[str]]) -> str:
    return urlencode({"filters": json.dumps(chosen)})
