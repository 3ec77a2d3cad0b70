"""Registry records of what is known: within the bounds of a frame, whatever a runtime, a label or a file told."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from shipper.runtimes.news import Metadata
from shipper.tenants.model import Membership, Tenant
from shipper.wire.records import ContainerFlag, ContainerInfo, State, TenantChange, TenantEvent, TenantInfo

NAME_BYTES = 4096
"""At most so much of a name, an image, a path or a key: a record must fit a frame."""
LABELS_BYTES = 8 * 1024
"""So many bytes of labels are recorded of a container: they are in each of its documents."""


def boot_ns() -> int:
    """Nanoseconds since boot, suspend included: the records' time."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def container(known: Metadata, key: str, membership: Membership, *, pending: bool) -> ContainerInfo:
    """What is known of a container now."""
    labels, whole = _labels(known.labels)
    flags = ContainerFlag(0)
    for flag, holds in (
        (ContainerFlag.PRIVILEGED, known.privileged),
        (ContainerFlag.RUNTIME_SOCKET, known.runtime_socket),
        (ContainerFlag.LABELS_CUT, not whole),
    ):
        flags |= flag if holds else ContainerFlag(0)
    return ContainerInfo(
        time=boot_ns(),
        created=known.created,
        state=State.PENDING if pending else State.COMPLETE,
        policy=int(membership.policy),
        flags=int(flags),
        labels=labels,
        tenants="\0".join(membership.tenants).encode(),
        **texts(
            key=key,
            container_id=known.container_id,
            name=known.name,
            image=known.image,
            digest=known.digest,
            runtime=known.runtime,
            pod_id=known.pod_id,
            pod=known.pod,
            namespace=known.namespace,
        ),
    )


def tenant(told: Tenant) -> TenantInfo:
    """A tenant as it is now."""
    return TenantInfo(time=boot_ns(), policy=int(told.policy), **texts(tenant_id=told.id, name=told.name))


def changed(told: Tenant, change: TenantChange, *, key: str = "", source: str = "") -> TenantEvent:
    """Something became of a tenant, or of the container with this key in it."""
    named = texts(tenant_id=told.id, name=told.name, key=key, source=source or told.source)
    return TenantEvent(time=boot_ns(), change=change, policy=int(told.policy), **named)


def texts(**shown: str) -> dict[str, Any]:
    """Texts as a record has them."""
    return {name: as_bytes(text)[:NAME_BYTES] for name, text in shown.items()}


def as_bytes(text: str) -> bytes:
    """A path as the kernel has it, or any other text."""
    return text.encode(errors="surrogateescape")


def _labels(labels: Mapping[str, str]) -> tuple[bytes, bool]:
    """As JSON; of too many, the longest are left out. Whether all are there."""
    sizes = {key: len(json.dumps({key: value})) for key, value in labels.items()}
    left, kept = LABELS_BYTES, set()
    for key in sorted(sizes, key=sizes.__getitem__):
        left -= sizes[key]
        if left >= 0:
            kept.add(key)
    shown = {key: value for key, value in labels.items() if key in kept}
    return as_bytes(json.dumps(shown)) if shown else b"", len(kept) == len(labels)
