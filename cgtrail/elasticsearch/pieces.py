"""What of ours a cluster keeps under a name (templates, policies, roles), and how it is told from others' and edited.

Each piece carries `{version, sent, kept}` in its metadata: who wrote it, a digest of what was sent, and one of what the
server made of that (it fills in defaults). A piece whose digest is not `kept` was edited since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

VERSION = version("cgtrail")
_OURS = "cgtrail"
_SERVERS = ("transient_metadata", "created_date", "created_date_millis", "modified_date", "modified_date_millis")


@dataclass(frozen=True, slots=True)
class Api:
    """Where pieces of one sort are kept."""

    noun: str
    path: str
    right: str
    """The privilege that it takes to write one."""
    opened: Callable[[Any, str], dict[str, Any]]
    """A server's answer and a name → the body."""
    wrapped: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: body
    """A body → the request."""
    metadata: str = "_meta"
    """The key of the body that is the writer's own."""


COMPONENT = Api(
    "component template",
    "_component_template",
    "manage_index_templates",
    lambda answer, _: dict(answer["component_templates"][0]["component_template"]),
)
INDEX = Api(
    "index template",
    "_index_template",
    "manage_index_templates",
    lambda answer, _: dict(answer["index_templates"][0]["index_template"]),
)
POLICY = Api(
    "ILM policy",
    "_ilm/policy",
    "manage_ilm",
    lambda answer, name: dict(answer[name]["policy"]),
    lambda body: {"policy": body},
)
ROLE = Api("role", "_security/role", "manage_security", lambda answer, name: dict(answer[name]), metadata="metadata")


@dataclass(frozen=True, slots=True)
class Seal:
    """What we wrote of a piece beside it."""

    version: str
    sent: str
    kept: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One of ours as it is wanted; its body is without metadata."""

    api: Api
    name: str
    body: dict[str, Any] = field(hash=False)

    @property
    def path(self) -> str:
        """Where it is asked for and written."""
        return f"{self.api.path}/{self.name}"

    def found(self, answer: Any) -> Found:
        """What the server's answer to GET `path` holds."""
        body = self.api.opened(answer, self.name)
        own = body.pop(self.api.metadata, None) or {}
        return Found({key: value for key, value in body.items() if key not in _SERVERS}, own, _seal(own.get(_OURS)))

    def request(self, found: Found | None = None, kept: str = "") -> dict[str, Any]:
        """What is sent to write it; what others put into its metadata stays."""
        sent = digest(self.body)
        seal = {"version": VERSION, "sent": sent, "kept": kept or sent}
        others = dict(found.metadata) if found else {}
        return self.api.wrapped(self.body | {self.api.metadata: others | {_OURS: seal}})


@dataclass(frozen=True, slots=True)
class Found:
    """A piece as a server has it."""

    body: dict[str, Any]
    metadata: Mapping[str, Any]
    seal: Seal | None
    """None: it was never ours."""

    @property
    def edited(self) -> bool:
        """Somebody else made it or changed it."""
        return self.seal is None or self.seal.kept != digest(self.body)

    @property
    def newer(self) -> bool:
        """A newer cgtrail wrote it."""
        return self.seal is not None and _numbers(self.seal.version) > _numbers(VERSION)

    def holds(self, wanted: Piece) -> bool:
        """Nothing differs from what is wanted, but for what the server fills in."""
        if canonical(self.body) == canonical(wanted.body):
            return True
        return not self.edited and self.seal is not None and self.seal.sent == digest(wanted.body)


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body as it compares: settings by their full names, as strings, since servers show them nested or not."""
    told = dict(body)
    template = told.get("template")
    if isinstance(template, Mapping) and "settings" in template:
        settings = {
            name if name.startswith("index.") else f"index.{name}": value
            for name, value in flat(template["settings"]).items()
        }
        told["template"] = {**template, "settings": settings}
    return told


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name, values as servers show them."""
    told: dict[str, Any] = {}
    for key, each in value.items():
        if isinstance(each, Mapping):
            told |= flat(each, f"{prefix}{key}.")
        else:
            told[prefix + key] = str(each).lower() if isinstance(each, bool | int) else each
    return told


def digest(body: Mapping[str, Any]) -> str:
    """Of a body in its canonical form."""
    text = json.dumps(canonical(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _seal(told: Any) -> Seal | None:
    try:
        return Seal(str(told["version"]), str(told["sent"]), str(told["kept"]))
    except (KeyError, TypeError):
        return None


def _numbers(told: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() and part.isascii() else 0 for part in told.split("."))
