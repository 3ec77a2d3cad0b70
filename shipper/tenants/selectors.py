"""What a container is chosen by: its labels, names, Kubernetes namespace, ids; by shell patterns where names are."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

COMPOSE_LABELS = ("com.docker.compose.project", "io.podman.compose.project")
"""Which say the compose project of a container."""
MAX_TEXT = 4096
"""Characters: no pattern is longer, and a longer name, which its maker chose, matches no pattern."""
MIN_PREFIX = 12
"""Hexadecimal digits that tell a container's id well enough; Docker shows so many."""
_WILD = re.compile(r"[*?\[]")
_OPEN = re.compile(r"\[(?!!?+\]?+[^\]]*+\])")
"""As fnmatch sees it: a ']' that stands first closes nothing."""
_HEX = re.compile(r"[0-9a-f]+")
_NUMBER = re.compile(r"[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Subject:
    """A container as tenants are chosen by: what its runtime told, and its cgroups."""

    key: str
    container_id: str
    name: str
    image: str
    labels: Mapping[str, str]
    namespace: str
    """Of Kubernetes."""
    cgroups: frozenset[int]
    """Ids of the cgroups it has now."""


class Selector(StrEnum):
    """What a condition looks at; the names are those of files and options."""

    LABEL = "label"
    """A key, whatever its value, or key=value, both as they are."""
    COMPOSE = "compose"
    """A pattern of the compose project's name."""
    IMAGE = "image"
    """A pattern of the image as it was asked for, with its tag and digest or without."""
    NAME = "name"
    """A pattern of the container's name."""
    NAMESPACE = "namespace"
    """A pattern of the Kubernetes namespace."""
    CONTAINER = "container"
    """The id, the beginning of one (from 12 hexadecimal digits on), or the key, as in docker/4f0c…."""
    CGROUP = "cgroup"
    """The id of one of its cgroups; it holds for one boot only."""


PATTERNS = frozenset({Selector.COMPOSE, Selector.IMAGE, Selector.NAME, Selector.NAMESPACE})
"""Those that take shell wildcards (fnmatch.fnmatchcase): * ? [abc] [!abc]."""


class SelectorError(ValueError):
    """Nothing can be chosen by this; the message says what is wrong with it and what would be right."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold of a container. Made by `condition`."""

    selector: Selector
    value: str
    pattern: re.Pattern[str] | None = field(default=None, compare=False, repr=False)
    """Where the value has wildcards."""

    def holds(self, subject: Subject) -> bool:
        """Whether it does."""
        match self.selector:
            case Selector.LABEL:
                key, equals, value = self.value.partition("=")
                return subject.labels.get(key) == value if equals else key in subject.labels
            case Selector.CGROUP:
                return int(self.value) in subject.cgroups
            case Selector.CONTAINER:
                return self.value in {subject.container_id, subject.key} or (
                    beginning(self.value) and subject.container_id.startswith(self.value)
                )
            case _:
                pattern = self.pattern
                known = texts(self.selector, subject)
                if pattern is None:
                    return self.value in known
                return any(len(text) <= MAX_TEXT and pattern.match(text) is not None for text in known)

    def __str__(self) -> str:
        return f"{self.selector}: {self.value}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who belongs to a tenant: each container of which all conditions hold."""

    tenant: str
    conditions: tuple[Condition, ...]
    """At least one."""
    source: str
    """Where it was said: a file and its line, a command and whose."""

    def holds(self, subject: Subject) -> bool:
        """Whether the container belongs to the tenant by this rule."""
        for condition in self.conditions:  # noqa: SIM110  all() takes three times as long here
            if not condition.holds(subject):
                return False
        return True


def condition(selector: Selector, value: str) -> Condition:
    """A condition from what was written. Raises SelectorError."""
    if not value or len(value) > MAX_TEXT or any(ord(char) < 0x20 or 0xD800 <= ord(char) < 0xE000 for char in value):
        raise SelectorError(f"{_short(value)} can't be a {selector}: write 1 to {MAX_TEXT} printable characters")
    match selector:
        case Selector.LABEL if value.startswith("="):
            raise SelectorError(f"{_short(value)} names no label: write its key, or key=value")
        case Selector.CGROUP if not (_NUMBER.fullmatch(value) and len(value) <= 20 and int(value) < 1 << 64):
            raise SelectorError(f"{_short(value)} is no cgroup's id: write the whole number that `ls -di` shows of it")
        case Selector.CONTAINER if _HEX.fullmatch(value) and len(value) < MIN_PREFIX:
            wanted = f"write at least {MIN_PREFIX} digits, or its key, as in lxc/web"
            raise SelectorError(f"{_short(value)} is too little of a container's id: {wanted}")
        case _ if selector in PATTERNS and _OPEN.search(value):
            raise SelectorError(
                f"{_short(value)} has a '[' that is not closed: close it, or write [[] for the character"
            )
    wild = selector in PATTERNS and _WILD.search(value)
    return Condition(selector, value, _compiled(value) if wild else None)


def beginning(value: str) -> bool:
    """Whether this may be the beginning of a container's id."""
    return len(value) >= MIN_PREFIX and _HEX.fullmatch(value) is not None


def texts(selector: Selector, subject: Subject) -> tuple[str, ...]:
    """What patterns of a selector are held against; nothing where nothing is known."""
    match selector:
        case Selector.COMPOSE:
            return tuple(found for label in COMPOSE_LABELS if (found := subject.labels.get(label)))
        case Selector.IMAGE:
            return image_names(subject.image)
        case Selector.NAME:
            return (subject.name,) if subject.name else ()
        case _:
            return (subject.namespace,) if subject.namespace else ()


def image_names(image: str) -> tuple[str, ...]:
    """An image's name as it is, without its digest, and without its tag (the distribution project's `reference`)."""
    if not image:
        return ()
    undigested = image.partition("@")[0]
    repository, colon, tag = undigested.rpartition(":")
    untagged = repository if colon and "/" not in tag else undigested
    return tuple(dict.fromkeys(name for name in (image, undigested, untagged) if name))


def ends(pattern: str) -> tuple[str, str]:
    """What everything that a pattern with wildcards matches begins with, and what it ends with."""
    found = _WILD.search(pattern)
    last = max(pattern.rfind(char) for char in "*?]")
    return pattern[: found.start() if found else len(pattern)], pattern[last + 1 :]


@lru_cache(maxsize=65536)  # a reload compiles only what is new
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _short(value: str) -> str:
    return repr(value) if len(value) <= 80 else f"{value[:80]!r}…"
