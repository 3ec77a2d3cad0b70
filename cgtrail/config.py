"""One configuration: a TOML file, then environment variables, then flags; the later wins."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

MAX_DAYS = 36500
_RANGES = {
    "capture.max_cgroups": (256, 1 << 22),
    "spool.max_bytes": (16 << 20, 1 << 60),
    "spool.max_hours": (1, 8760),
    "spool.keyframe_seconds": (1, 3600),
    "enrich.snapshot_seconds": (1, 86400),
    "store.retention_days": (1, MAX_DAYS),
}
"""The least and the most that a number may be."""
_LISTS = {"spool.readers", "runtimes.docker", "runtimes.podman", "runtimes.containerd", "tenants.files",
          "tenants.unassigned"}  # fmt: skip
"""Keys of several values: comma-separated in the environment."""
_READER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_ADDRESS = re.compile(r"([\w.-]*|\[[0-9a-fA-F:.]+\]):\d{1,5}", re.ASCII)
_MAX_PORT = 65535
_DAEMON = re.compile(r"unix://(?P<path>/[^,\0]+)|(?:tcp|https?)://(?P<address>[^/,]+)/?")
_SOCKET = re.compile(r"(?:unix://)?(?P<path>/[^,\0]+)")
_SOCKET_BYTES = 107
"""The longest path of a Unix socket (unix(7))."""
POLICIES = ("exec", "terminal", "output")
"""What can be recorded of a container (`bpf.events.Policy`)."""
_MAX_LABEL = 256
SINKS = ("sqlite", "stdout")
"""Where a worker can write (`cgtrail.halves`)."""
DEFAULT_FILE = Path("/etc/cgtrail.toml")


class ConfigError(ValueError):
    """A key or value of the configuration is wrong; the message names the place, the value and what would be right."""


class Capture(msgspec.Struct, forbid_unknown_fields=True):
    """[capture]: what the agent records."""

    host: bool = False
    """record the host's own processes too, not only containers"""
    ring_bytes: int = 16 * 1024 * 1024
    """size of the kernel's ring buffer; a power of two of at least 65536"""
    max_cgroups: int = 65536
    """cgroups that the kernel can watch at a time"""


class Runtimes(msgspec.Struct, forbid_unknown_fields=True):
    """[runtimes]: where names, images and labels come from."""

    docker: list[str] = msgspec.field(default_factory=lambda: ["unix:///var/run/docker.sock"])
    """addresses of Docker daemons, as unix:///path or tcp://host:port; without them, DOCKER_HOST"""
    podman: list[str] = msgspec.field(default_factory=lambda: ["unix:///run/podman/podman.sock"])
    """addresses of Podman's service"""
    containerd: list[str] = msgspec.field(default_factory=lambda: ["/run/containerd/containerd.sock"])
    """sockets of containerd"""


class Tenants(msgspec.Struct, forbid_unknown_fields=True):
    """[tenants]: whose containers are."""

    files: list[str] = msgspec.field(default_factory=list)
    """files that say so, YAML or CSV"""
    label: str = "cgtrail.tenant"
    """a container's label that names its tenants, with commas between; empty: none does"""
    unassigned: list[str] = msgspec.field(default_factory=lambda: list(POLICIES))
    """what is recorded of containers without a tenant; an empty list: nothing"""


class Spool(msgspec.Struct, forbid_unknown_fields=True):
    """[spool]: what is kept between agent and workers."""

    max_bytes: int = 2 << 30
    """bytes at which the spool is full; at least 16777216"""
    max_hours: int = 24
    """hours that are kept for replays once they were read"""
    readers: list[str] = msgspec.field(default_factory=lambda: ["sqlite"])
    """workers whose progress decides what may be removed, by the names of their sinks"""
    keyframe_seconds: int = 300
    """seconds from one keyframe to the next"""


class Enrich(msgspec.Struct, forbid_unknown_fields=True):
    """[enrich]: the worker."""

    snapshot_seconds: int = 60
    """seconds from one snapshot of the worker's state to the next"""


class Metrics(msgspec.Struct, forbid_unknown_fields=True):
    """[metrics]: where Prometheus finds them."""

    agent: str = ""
    """host:port of the agent's; empty: none"""
    worker: str = ""
    """host:port of the worker's; empty: none"""


class Store(msgspec.Struct, forbid_unknown_fields=True):
    """[store]: the local documents."""

    retention_days: int = 30
    """days that documents are kept"""


class Documents(msgspec.Struct, forbid_unknown_fields=True):
    """[documents]: what becomes a document."""

    forks: bool = False
    """also processes that were only forked"""


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The whole configuration, with its defaults."""

    data: str = "/var/lib/cgtrail"
    """folder of the spool and the local store"""
    capture: Capture = msgspec.field(default_factory=Capture)
    runtimes: Runtimes = msgspec.field(default_factory=Runtimes)
    tenants: Tenants = msgspec.field(default_factory=Tenants)
    spool: Spool = msgspec.field(default_factory=Spool)
    enrich: Enrich = msgspec.field(default_factory=Enrich)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    store: Store = msgspec.field(default_factory=Store)
    documents: Documents = msgspec.field(default_factory=Documents)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def store_folder(self) -> Path:
        """Where the local store's day files are."""
        return self.folder / "store"

    @property
    def spool_folder(self) -> Path:
        """Where the spool's streams are."""
        return self.folder / "spool"


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """Read the configuration.

    `file` must exist when it is given; the default file may be missing. `flags` are dotted keys; None is unset.
    Raises ConfigError.
    """
    file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    place = str(file or "configuration")
    try:
        tree = tomllib.loads(file.read_text()) if file else {}
        repr(tree)  # a number too long to be shown in a message raises here
    except (OSError, ValueError, RecursionError) as error:
        message = f"{place}: {error}"
        raise ConfigError(message) from error
    _refuse_unknown(tree, place)
    _refuse_variables(environment)
    places = dict.fromkeys(keys(), place)
    if environment.get("DOCKER_HOST") and "docker" not in tree.get("runtimes", {}):
        _set(tree, "runtimes.docker", [environment["DOCKER_HOST"]])
        places["runtimes.docker"] = "DOCKER_HOST"
    for key in keys():
        value = environment.get(variable(key))
        if value is not None:
            _set(tree, key, _list(value) if key in _LISTS else value)
            places[key] = variable(key)
    for key, value in flags.items():
        if value is not None:
            _set(tree, key, value)
            places[key] = f"--{key.rpartition('.')[2]}"
    try:
        config = msgspec.convert(tree, Config, strict=False)
    except msgspec.ValidationError as error:
        what, _, key = str(error).partition(" - at `$.")
        key = key.rstrip("`").partition("[")[0]
        wanted = what.replace("`bool`", "true or false").replace("`int`", "a whole number").replace("`str`", "text")
        wanted = wanted.replace("`array`", "a list")
        message = f"{places.get(key, place)}: {key}: {wanted}, and found {_get(tree, key)!r}"
        raise ConfigError(message) from error
    _check(config, places)
    return config


def keys() -> Iterator[str]:
    """Every key, dotted, as in capture.host."""
    for field in msgspec.structs.fields(Config):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from (f"{field.name}.{inner.name}" for inner in msgspec.structs.fields(field.type))
        else:
            yield field.name


def variable(key: str) -> str:
    """The environment variable of a key: capture.host is CGTRAIL_CAPTURE_HOST."""
    return "CGTRAIL_" + key.replace(".", "_").upper()


def environment(config: Config) -> dict[str, str]:
    """The environment variables that give a child process exactly this configuration."""
    tree = msgspec.to_builtins(config)
    return os.environ | {variable(key): _text(_get(tree, key)) for key in keys()}


def _refuse_unknown(tree: Mapping[str, Any], place: str) -> None:
    known = set(keys())
    sections = {key.partition(".")[0] for key in known if "." in key}
    for name, value in tree.items():
        if name in sections and not isinstance(value, dict):
            message = f"{place}: {name!r} is a section, not a value: write [{name}] and its keys below"
            raise ConfigError(message)
        given = [f"{name}.{inner}" for inner in value] if isinstance(value, dict) and name in sections else [name]
        for key in given:
            if key not in known:
                near = difflib.get_close_matches(key, known | sections, n=1, cutoff=0)
                message = f"{place}: unknown key {key!r}; did you mean {near[0]!r}?"
                raise ConfigError(message)


def _refuse_variables(environment: Mapping[str, str]) -> None:
    known = {"CGTRAIL_CONFIG", *map(variable, keys())}
    for name in environment:
        if name.startswith("CGTRAIL_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)
            message = f"unknown environment variable {name!r}; did you mean {near[0]!r}?"
            raise ConfigError(message)


def _check(config: Config, places: Mapping[str, str]) -> None:
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
    for half in ("agent", "worker"):
        address = getattr(config.metrics, half)
        if address and not _is_address(address):
            wanted = f"it must be host:port, as in 127.0.0.1:9464, with a port of at most {_MAX_PORT}"
            message = f"{places[f'metrics.{half}']}: metrics.{half} is {address!r}; {wanted}"
            raise ConfigError(message)
    if not config.data or "\0" in config.data or (os.path.exists(config.data) and not os.path.isdir(config.data)):
        message = f"{places['data']}: data is {config.data!r}, which is no folder; name one with --data"
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


def _set(tree: dict[str, Any], key: str, value: object) -> None:
    section, dot, name = key.rpartition(".")
    (tree.setdefault(section, {}) if dot else tree)[name] = value


def _get(tree: Mapping[str, Any], key: str) -> object:
    section, dot, name = key.rpartition(".")
    return (tree[section] if dot else tree)[name]


def _list(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
