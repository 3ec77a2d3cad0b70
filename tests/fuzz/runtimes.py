"""Targets: what a container runtime answers."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from bpf.schema import decode
from enrich.containers import Container
from shipper.registry import Registry
from shipper.runtimes import Docker, Metadata
from shipper.wire.frame import MAX_PAYLOAD
from shipper.wire.records import ContainerInfo

ID = "c" * 64
"""The container whose cgroup there is."""


class _Client:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def containers(self, **_: object) -> Any:
        return self._answer


def docker(data: bytes) -> None:
    """Any answer tells what a record can hold and a worker understands, or is an error that the listener survives."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return
    listener = Docker("unix:///nowhere")
    client: Any = _Client(answer if isinstance(answer, list) else [answer])
    with suppress(Exception):
        listener._list(client)
    with suppress(Exception):
        listener._told(client, answer)
    while not listener.updates.empty():
        told = listener.updates.get()
        if isinstance(told, Metadata):
            _recorded(told)


def _recorded(metadata: Metadata) -> None:
    registry = Registry(frozenset({Docker.RUNTIME}))
    registry.found(7, f"/system.slice/docker-{ID}.scope", 0)
    for info in registry.told(metadata):
        raw = info.encode()
        assert len(raw) < MAX_PAYLOAD
        read = decode(raw, 0, len(raw))
        if isinstance(read, ContainerInfo):
            container = Container(read.key)
            container.tell(read)
            assert container.shown["id"] == ID
