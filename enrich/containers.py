"""What is known of a container, and how documents show it: made once, when it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec

from bpf.enums import EVERYTHING as ALL
from bpf.enums import Policy
from enrich import render
from enrich.document import Part
from enrich.secrets.scrub import Scrubber
from shipper.wire.records import ContainerFlag, ContainerInfo, State, UserNames

EXEC = int(Policy.EXEC)
EVERYTHING = int(ALL)
_TOLD = attrgetter(*(f.name for f in ContainerInfo.layout.blocks[-1][1]))
"""What a ContainerInfo itself says, without its header."""

MAX_LABEL = 8191
"""UTF-16 units of a label's value, which is cut visibly beyond: so much of it an index of Elasticsearch takes, and
documents that had more would not say so. An agent tells less; what stands in place of secrets can be longer than they.
"""

Shown = tuple[str | None, str | None, str | None, str | None]
"""Names of a process's user, group, real user and saved user."""
NAMELESS: Shown = (None, None, None, None)


@dataclass(slots=True, eq=False)
class Names:
    """A container's own names of its users and groups, for processes in one mount namespace."""

    mount_ns: int
    keyframe: int
    users: dict[int, str]
    groups: dict[int, str]

    def user(self, uid: int, mount_ns: int) -> str | None:
        """The name of a user, for somebody in a mount namespace; None where it was read in another one."""
        return self.users.get(uid) if mount_ns == self.mount_ns else None

    def of(self, record: Any) -> Shown:
        """The names of the ids of a Task; none where they were read in another mount namespace than its own."""
        if record.mount_ns != self.mount_ns:
            return NAMELESS
        user = self.users.get
        return user(record.uid), self.groups.get(record.gid), user(record.real_uid), user(record.saved_uid)


@dataclass(slots=True, eq=False)
class Life:
    """The life of a container's processes: from its first one's program to that one's end."""

    init: str = ""
    """`Process.entity_id` of its first process; empty while there was none."""
    start: int = 0
    """When that process was made, boot time in ns."""
    user_ns: int = 0
    """In which user namespace it started its program; 0: not known."""
    alive: bool = False
    oom: bool = False
    """One of its processes was killed since because memory ran out."""


@dataclass(slots=True, eq=False)
class Container:
    """One container, shared by its cgroups: as the latest ContainerInfo of its key has it."""

    key: bytes
    info: ContainerInfo | None = None
    keyframe: int = 0
    pending: bool = True
    """More is expected to be told."""
    policy: int = EVERYTHING
    """bpf.enums.Policy: what is recorded of it."""
    connected: bool = True
    """Its runtime is being heard, or has none that could be."""
    shown: Part = field(default_factory=Part)
    """The ECS container object; of one that was not told, what its key says."""
    journal: Part = field(default_factory=Part)
    """The same with what only documents about the container have."""
    allowed: dict[str, Any] = field(default_factory=dict)
    """cgtrail.container of documents about it."""
    orchestrator: Part | None = None
    tenants: tuple[bytes, ...] = ()
    tenant: Part | None = None
    """cgtrail.tenant of its documents; None where it has no tenant."""
    asked: dict[int, Part] = field(default_factory=dict)
    """Policy → the same of documents that were recorded under it: with those tenants that asked for them."""
    asking: dict[str, int] = field(default_factory=dict)
    """Tenant, as it is shown → what it asks for."""
    names: Names | None = None
    life: Life = field(default_factory=Life)

    def __post_init__(self) -> None:
        """Its key is all that is known."""
        runtime, _, rest = render.text(self.key)[0].partition("/")
        self.shown = self.journal = Part(
            {"id": rest.rpartition("/")[2] or runtime} | ({"runtime": runtime} if rest else {})
        )

    def named(self, record: Any) -> Shown:
        """Its names of a Task's ids; none for ids of a user namespace that somebody in it made, who chooses them."""
        if self.names is None or self.life.user_ns not in (0, record.user_ns):
            return NAMELESS
        return self.names.of(record)

    def user(self, uid: int, mount_ns: int, user_ns: int) -> str | None:
        """Its name of one user, for somebody in these namespaces; None as above."""
        if self.names is None or self.life.user_ns not in (0, user_ns):
            return None
        return self.names.user(uid, mount_ns)

    def tell(self, info: ContainerInfo, scrubber: Scrubber) -> bool:
        """What the registry says of it from now on, without secrets; True where that is not what it said before."""
        if self.info is not None and _TOLD(self.info) == _TOLD(info):
            return False
        self.info, self.policy = info, info.policy
        self.pending = info.state == State.PENDING
        self.shown = Part(_container(info, scrubber))
        self.journal = Part(self.shown | _details(info, self.shown))
        self.allowed = {"runtime_socket": bool(info.flags & ContainerFlag.RUNTIME_SOCKET)}
        if info.created:
            self.allowed["created"] = render.timestamp(info.created)
        self.orchestrator = _orchestrator(info)
        self.tenants = tuple(tenant for tenant in info.tenants.split(b"\0") if tenant)
        return True

    def ask(self, policies: Mapping[bytes, int]) -> None:
        """Say what its tenants ask for; one that was never told of asks for everything."""
        self.asking = {render.text(tenant)[0]: policies.get(tenant, EVERYTHING) for tenant in self.tenants}
        self.tenant = Part(id=sorted(self.asking)) if self.asking else None
        self.asked.clear()

    def tenant_of(self, policy: int) -> Part | None:
        """cgtrail.tenant of documents that were recorded under a policy (any of several)."""
        if self.tenant is None or not policy:
            return self.tenant
        if policy not in self.asked:
            asked = sorted(name for name, asks in self.asking.items() if asks & policy)
            self.asked[policy] = Part(self.tenant | ({"asked": asked} if asked else {}))
        return self.asked[policy]


def names(told: UserNames, keyframe: int) -> Names:
    """The names that a record tells; what is no <id>:<name> is passed over."""
    return Names(told.mount_ns, keyframe, _numbered(told.users), _numbered(told.groups))


def _numbered(lines: bytes) -> dict[int, str]:
    found: dict[int, str] = {}
    for line in lines.split(b"\0"):
        number, colon, name = line.partition(b":")
        if colon and name and number.isdigit() and len(number) <= 10:
            found.setdefault(int(number), render.text(name)[0])
    return found


def _container(info: ContainerInfo, scrubber: Scrubber) -> dict[str, Any]:
    shown = {
        "id": render.text(info.container_id)[0],
        "name": render.text(info.name)[0],
        "runtime": render.text(info.runtime)[0],
        "image": render.image(render.text(info.image)[0]) if info.image else None,
        "labels": {name: _cut(scrubber.named(name, value)) for name, value in labels(info.labels).items()},
    }
    return {name: value for name, value in shown.items() if value}


def _cut(value: str) -> str:
    units = len(value) if len(value) <= MAX_LABEL // 2 else len(value.encode("utf-16-le", "surrogatepass")) // 2
    return value if units <= MAX_LABEL else f"{value[: MAX_LABEL // 2]}…"


def _details(info: ContainerInfo, shown: Mapping[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = {"security_context": {"privileged": bool(info.flags & ContainerFlag.PRIVILEGED)}}
    if info.digest:
        details["image"] = shown.get("image", {}) | {"hash": {"all": [render.text(info.digest)[0]]}}
    return details


def _orchestrator(info: ContainerInfo) -> Part | None:
    told = {"id": info.pod_id, "name": info.pod}
    pod = {name: render.text(value)[0] for name, value in told.items() if value}
    if not pod and not info.namespace:
        return None
    shown: dict[str, Any] = {"type": "kubernetes"}
    if info.namespace:
        shown["namespace"] = render.text(info.namespace)[0]
    if pod:
        shown["resource"] = {"type": "pod"} | pod
    return Part(shown)


def labels(encoded: bytes) -> dict[str, str]:
    """What a runtime gave; what can't be read shows as it is, so that nobody takes it for no labels."""
    try:
        return msgspec.json.decode(encoded, type=dict[str, str]) if encoded else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"unreadable": render.text(encoded)[0]}
