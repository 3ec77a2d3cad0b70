"""Whose a cgroup path is: what the path itself says, and where runtimes say that their containers are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shipper import cgroups
from shipper.runtimes.news import Metadata, key


@dataclass(frozen=True, slots=True)
class Place:
    """The container that a cgroup belongs to."""

    key: str
    path: str
    """Of the container's topmost cgroup."""
    metadata: Metadata
    """What its runtime told, otherwise what the path says."""


class Whereabouts:
    """What runtimes have told, by the ways in which a container can be found."""

    def __init__(self) -> None:
        self._known: dict[str, Metadata] = {}
        self._ids: dict[tuple[str, str, str], dict[str, None]] = {}
        """(runtime as a path tells it, user, id) → keys; runtime "" is one that the path does not tell."""
        self._paths: dict[str, str] = {}

    def known(self, container: str) -> Metadata | None:
        """What its runtime told of the container with this key."""
        return self._known.get(container)

    def told(self, metadata: Metadata) -> None:
        """A runtime told of a container."""
        self.forget(metadata.key)
        self._known[metadata.key] = metadata
        for place in _ids(metadata):
            self._ids.setdefault(place, {})[metadata.key] = None
        if metadata.cgroup:
            self._paths[metadata.cgroup] = metadata.key

    def forget(self, container: str) -> None:
        """A container was removed."""
        metadata = self._known.pop(container, None)
        if metadata is None:
            return
        for place in _ids(metadata):
            self._ids[place].pop(container)
            if not self._ids[place]:
                del self._ids[place]
        if self._paths.get(metadata.cgroup) == container:
            del self._paths[metadata.cgroup]

    def of(self, path: str) -> Place | None:
        """Whose a cgroup path is; None for the host's own. The outermost that is told counts."""
        owner = cgroups.owner(path)
        at = self._at(path)
        if at and (owner is None or len(at) <= len(owner.path)):
            return Place(self._paths[at], at, self._known[self._paths[at]])
        if owner is None:
            return None
        resolved = self._meant(owner.runtime, owner.user, owner.container_id)
        if resolved:
            return Place(resolved, owner.path, self._known[resolved])
        named = key(owner.runtime, owner.container_id, user=owner.user)
        told = Metadata(owner.runtime, owner.container_id, name=owner.name, pod_id=owner.pod_id, user=owner.user)
        return Place(named, owner.path, told)

    def unresolved(self, metadata: Metadata) -> Iterator[str]:
        """The keys that a container goes by as long as its runtime has not told of it."""
        for runtime, user, container_id in _ids(metadata):
            yield key(runtime, container_id, user=user)

    def _meant(self, runtime: str, user: str, container_id: str) -> str:
        """The key of the only container that an id can mean; empty where there is none, or where one must guess."""
        keys = self._ids.get((runtime, user, container_id), {})
        # What runs at a path that was told is found there, so that an id elsewhere is rather another's.
        elsewhere = [key for key in keys if not self._known[key].cgroup] or list(keys)
        return elsewhere[0] if len(elsewhere) == 1 else ""

    def _at(self, path: str) -> str:
        """The outermost of the told paths that this one lies in."""
        end = path.find("/", 1) if self._paths else 0
        while end != 0:
            above = path if end < 0 else path[:end]
            if above in self._paths:
                return above
            end = 0 if end < 0 else path.find("/", end + 1)
        return ""


def _ids(metadata: Metadata) -> tuple[tuple[str, str, str], ...]:
    return ((metadata.runtime, metadata.user, metadata.container_id), ("", metadata.user, metadata.container_id))
