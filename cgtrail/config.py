"""One configuration: a TOML file, then environment variables, then flags; the later wins."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cgtrail.settings import POLICIES, Config
from cgtrail.settings_check import ConfigError, check

__all__ = ["POLICIES", "Config", "ConfigError", "environment", "keys", "load", "variable"]

_LISTS = {"spool.readers", "runtimes.docker", "runtimes.podman", "runtimes.containerd", "tenants.files",
          "tenants.unassigned", "secrets.files", "secrets.disable", "kafka.servers", "kafka.client",
          "elasticsearch.hosts"}  # fmt: skip
"""Keys of several values: comma-separated in the environment."""
_SECRETS = {"kafka.sasl_password", "kafka.client", "elasticsearch.api_key", "elasticsearch.password",
            "elasticsearch.hosts", "elasticsearch.proxy"}  # fmt: skip
"""Keys whose values are in no message."""
SINKS = ("sqlite", "stdout", "elasticsearch")
"""Where a worker can write (`cgtrail.halves`)."""
DEFAULT_FILE = Path("/etc/cgtrail.toml")


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """Read the configuration.

    `file` must exist when it is given; the default file may be missing. `flags` are dotted keys; None is unset.
    Raises ConfigError.
    """
    file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    place = str(file or "configuration")
    try:
        tree = tomllib.loads(file.read_text("utf-8-sig")) if file else {}
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
        found = "what is not shown" if key in _SECRETS else repr(_get(tree, key))
        message = f"{places.get(key, place)}: {key}: {wanted}, and found {found}"
        raise ConfigError(message) from error
    check(config, places)
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
