"""Targets: what container runtimes answer, and the names that containers give their cgroups."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from bpf.schema import decode
from shipper import cgroups
from shipper.runtimes.containerd import ContainerdFeed
from shipper.runtimes.docker import DockerFeed
from shipper.runtimes.news import Lived, Metadata
from shipper.runtimes.protobuf import Message
from shipper.runtimes.told import Told
from shipper.wire.records import ContainerInfo


def docker(data: bytes) -> None:
    """Any answer tells what a record can hold, or is an error that the listener survives."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return
    feed = DockerFeed.__new__(DockerFeed)
    feed.runtime, feed._socket = "docker", "/run/docker.sock"
    told = Told()
    with suppress(Exception):
        told.event(feed._change(answer))
    with suppress(Exception):
        listed = [feed._listed(each) for each in (answer if isinstance(answer, list) else [answer])]
        told.listed({each.key: each for each in listed}, whole=False)
    _recorded(told)


def containerd(data: bytes) -> None:
    """As `docker`."""
    feed = ContainerdFeed.__new__(ContainerdFeed)
    feed._path, feed._user, feed._digests = "/run/containerd/containerd.sock", "", _Nothing()
    told = Told()
    with suppress(ValueError):
        metadata = feed._metadata("k8s.io", Message(data))
        told.listed({metadata.key: metadata}, whole=True)
    _recorded(told)


def cgroup(data: bytes) -> None:
    """Any path is the host's, or a container's whose topmost cgroup is above it, and whose own are all below that."""
    path = "/" + data.decode(errors="surrogateescape")
    found = cgroups.owner(path)
    if found is not None:
        assert path.startswith(found.path)
        assert found.container_id
        if found.runtime != "nspawn":  # beside whose payload is the host's
            again = cgroups.owner(found.path + "/docker/" + "c" * 64)
            assert again == found


class _Nothing(dict[Any, str]):
    def __missing__(self, key: object) -> str:
        return ""

    def __contains__(self, key: object) -> bool:
        return True


def _recorded(told: Told) -> None:
    while not told.news.empty():
        news = told.news.get()
        if isinstance(news, Metadata):
            texts = {"key": news.key, "name": news.name, "image": news.image, "pod": news.pod, "path": news.cgroup}
            texts |= dict(news.labels)
            info = ContainerInfo(created=news.created, key=json.dumps(texts, ensure_ascii=False).encode()[:4096])
            raw = info.encode()
            read = decode(raw, 0, len(raw))
            assert isinstance(read, ContainerInfo)
            assert (read.created, read.key) == (info.created, info.key)
        elif isinstance(news, Lived):
            assert 0 <= news.realtime < 1 << 64
            news.key.encode()
