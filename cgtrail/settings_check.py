"""What types can't say of settings: ranges, addresses, names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from cgtrail import settings_elasticsearch, settings_kafka
from cgtrail.settings import OUTPUTS, POLICIES, SOURCES, STORES, Config, Runtimes, Tenants

MAX_DAYS = 36500
_RANGES = {
    "capture.max_cgroups": (256, 1 << 22),
    "spool.max_bytes": (16 << 20, 1 << 60),
    "spool.max_hours": (1, 8760),
    "spool.keyframe_seconds": (1, 3600),
    "enrich.snapshot_seconds": (1, 86400),
    "store.retention_days": (1, MAX_DAYS),
    "elasticsearch.bulk_bytes": (64 << 10, 64 << 20),
    "elasticsearch.in_flight": (1, 64),
    "elasticsearch.timeout_seconds": (1, 3600),
}
"""The least and the most that a number may be."""

_READER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_ADDRESS = re.compile(r"([\w.-]*|\[[0-9a-fA-F:.]+\]):\d{1,5}", re.ASCII)
_RULE = re.compile(r"[a-z0-9-]+")
_MAX_PORT = 65535
_DAEMON = re.compile(r"unix://(?P<path>/[^,\0]+)|(?:tcp|https?)://(?P<address>[^/,]+)/?")
_SOCKET = re.compile(r"(?:unix://)?(?P<path>/[^,\0]+)")
_SOCKET_BYTES = 107
"""The longest path of a Unix socket (unix(7))."""
_MAX_LABEL = 256


class ConfigError(ValueError):
    """A key or value of the configuration is wrong; the message names the place, the value and what would be right."""


def check(config: Config, places: Mapping[str, str]) -> None:
    """Raises ConfigError. `places`: where each key was set."""
    size = config.capture.ring_bytes
    if size < 65536 or size & (size - 1) or size > 1 << 31:
        place = places["capture.ring_bytes"]
        message = f"{place}: capture.ring_bytes is {size}; it must be a power of two from 65536 to 2147483648"
        raise ConfigError(message)
    for key, (least, most) in _RANGES.items():
        section, _, name = key.partition(".")
        number = getattr(getattr(config, section), name)
        if not least <= number <= most:
            message = f"{places[key]}: {key} is {number}; it must be from {least} to {most}"
            raise ConfigError(message)
    for name in config.spool.readers:
        if not _READER.fullmatch(name):
            place = places["spool.readers"]
            message = f"{place}: spool.readers has {name!r}; a reader's name is made of letters, digits, '-' and '_'"
            raise ConfigError(message)
    _check_runtimes(config.runtimes, places)
    _check_tenants(config.tenants, places)
    _check_secrets(config, places)
    _check_servers(config, places)
    for key, value, known in (
        ("enrich.source", config.enrich.source, SOURCES),
        ("documents.output", config.documents.output, OUTPUTS),
        ("store.read", config.store.read, STORES),
    ):
        if value not in known:
            raise ConfigError(f"{places[key]}: {key} is {value!r}; it must be one of {', '.join(known)}")
    _check_metrics(config, places)
    if not config.data or "\0" in config.data or (os.path.exists(config.data) and not os.path.isdir(config.data)):
        message = f"{places['data']}: data is {config.data!r}, which is no folder; name one with --data"
        raise ConfigError(message)


def _check_servers(config: Config, places: Mapping[str, str]) -> None:
    kafka, elasticsearch = settings_kafka.wrong(config.kafka), settings_elasticsearch.wrong(config.elasticsearch)
    for section, wrong in (("kafka", kafka), ("elasticsearch", elasticsearch)):
        for name, what in wrong:
            raise ConfigError(f"{places[f'{section}.{name}']}: {section}.{name} {what}")


def _check_metrics(config: Config, places: Mapping[str, str]) -> None:
    for half in ("agent", "publisher", "worker"):
        address = getattr(config.metrics, half)
        if address and not _is_address(address):
            wanted = f"it must be host:port, as in 127.0.0.1:9464, with a port of at most {_MAX_PORT}"
            message = f"{places[f'metrics.{half}']}: metrics.{half} is {address!r}; {wanted}"
            raise ConfigError(message)


def _check_runtimes(runtimes: Runtimes, places: Mapping[str, str]) -> None:
    for name, pattern, wanted in (
        ("docker", _DAEMON, "unix:///path or tcp://host:port"),
        ("podman", _DAEMON, "unix:///path or tcp://host:port"),
        ("containerd", _SOCKET, "the absolute path of a socket"),
    ):
        for address in getattr(runtimes, name):
            match = pattern.fullmatch(address)
            parts = match.groupdict() if match else {}
            path, remote = parts.get("path"), parts.get("address")
            if not (path and len(os.fsencode(path)) <= _SOCKET_BYTES) and not (remote and _is_address(remote)):
                place = places[f"runtimes.{name}"]
                raise ConfigError(f"{place}: runtimes.{name} has {address!r}; an address is {wanted}")


def _is_address(text: str) -> bool:
    return bool(_ADDRESS.fullmatch(text)) and int(text.rpartition(":")[2]) <= _MAX_PORT


def _check_secrets(config: Config, places: Mapping[str, str]) -> None:
    for file in config.secrets.files:
        if not file.lower().endswith(".toml") or "," in file or "\0" in file or file != file.strip():
            wanted = "a file is a path without commas that ends in .toml"
            raise ConfigError(f"{places['secrets.files']}: secrets.files has {file!r}; {wanted}")
    for name in config.secrets.disable:
        if not _RULE.fullmatch(name):
            wanted = "it must be the id of a rule: `cgtrail secrets list` has them"
            raise ConfigError(f"{places['secrets.disable']}: secrets.disable has {name!r}; {wanted}")


def _check_tenants(tenants: Tenants, places: Mapping[str, str]) -> None:
    for file in tenants.files:
        if not file.lower().endswith((".yaml", ".yml", ".csv")) or "," in file or "\0" in file or file != file.strip():
            wanted = "a file is a path without commas that ends in .yaml, .yml or .csv"
            message = f"{places['tenants.files']}: tenants.files has {file!r}; {wanted}"
            raise ConfigError(message)
    for name in tenants.unassigned:
        if name not in POLICIES:
            wanted = f"it may have {', '.join(POLICIES)}"
            message = f"{places['tenants.unassigned']}: tenants.unassigned has {name!r}; {wanted}"
            raise ConfigError(message)
    if not tenants.label.isprintable() or len(tenants.label) > _MAX_LABEL or "=" in tenants.label:
        wanted = f"it must be the key of a label, of up to {_MAX_LABEL} printable characters without '=', or empty"
        message = f"{places['tenants.label']}: tenants.label is {tenants.label!r}; {wanted}"
        raise ConfigError(message)
