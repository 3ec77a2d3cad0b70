"""`cgtrail check`: what can be recorded on this host, and what to do about what can't."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import orjson

from cgtrail.config import Config
from shipper import cgroups
from shipper.libbpf import LibbpfMissingError
from shipper.probes import CaptureError, Probes
from shipper.runtimes import docker_version

_BTF = Path("/sys/kernel/btf/vmlinux")
_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `level`: ok, note (works, but less well) or bad (something is not recorded)."""

    what: str
    level: str
    found: str
    advice: str = ""


def run(config: Config, *, as_json: bool) -> int:
    """Print what was found; returns 0, or 3 when something can't be recorded."""
    findings = list(look(config))
    for finding in findings:
        click.echo(orjson.dumps(asdict(finding)) if as_json else _line(finding))
    bad = [finding for finding in findings if finding.level == "bad"]
    if not as_json:
        click.echo(
            "\nThis host can be recorded." if not bad else f"\n{len(bad)} thing(s) to mend before all is recorded."
        )
    return 3 if bad else 0


def look(config: Config) -> Iterator[Finding]:
    """Look at everything, one finding after the other."""
    looks: list[Callable[[Config], Iterator[Finding]]] = [_kernel, _privileges, _hierarchy, _programs, _docker, _disk]
    for part in looks:
        yield from part(config)


def _kernel(_: Config) -> Iterator[Finding]:
    known = _BTF.exists()
    advice = "" if known else "boot a kernel with CONFIG_DEBUG_INFO_BTF: Debian 12 or Ubuntu 24.04 have it"
    yield Finding(
        "kernel", "ok" if known else "bad", f"{platform.release()}, {'with' if known else 'without'} BTF", advice
    )
    if platform.machine() != "x86_64":
        yield Finding("processor", "bad", platform.machine(), "only x86-64 is supported")


def _privileges(_: Config) -> Iterator[Finding]:
    root = os.geteuid() == 0
    yield Finding("privileges", "ok" if root else "bad", f"uid {os.geteuid()}", "" if root else "run it as root")


def _hierarchy(_: Config) -> Iterator[Finding]:
    try:
        root = cgroups.mount_point()
    except cgroups.Cgroup2MissingError as error:
        yield Finding("cgroups", "bad", "no cgroup2", str(error))
        return
    mixed = " - cgroup " in Path("/proc/self/mountinfo").read_text(errors="replace")
    yield Finding("cgroups", "ok", f"cgroup2 at {root}{', beside version 1' if mixed else ''}")


def _programs(config: Config) -> Iterator[Finding]:
    try:
        with Probes(config.capture.ring_bytes) as probes:
            attempts, missing = list(probes.attempts), probes.missing()
    except (CaptureError, LibbpfMissingError) as error:
        yield Finding("programs", "bad", "none could be loaded", str(error))
        return
    for attempt in attempts:
        if attempt.refused is None:
            yield Finding(attempt.event, "ok", f"recorded by {attempt.program}")
        elif attempt.event in missing:
            yield Finding(attempt.event, "bad", f"{attempt.program}: {attempt.refused}", "a newer kernel can record it")
        else:
            yield Finding(attempt.event, "note", f"{attempt.program}: {attempt.refused}", "the next best hook is used")


def _docker(config: Config) -> Iterator[Finding]:
    try:
        yield Finding("docker", "ok", f"{docker_version(config.docker.url)} at {config.docker.url}")
    except (OSError, ValueError) as error:
        advice = "containers are recorded without names and images; set docker.url if it runs elsewhere"
        yield Finding("docker", "note", f"not reachable at {config.docker.url}: {error}", advice)


def _disk(config: Config) -> Iterator[Finding]:
    folder = config.folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    writable = os.access(folder, os.W_OK)
    level = "ok" if writable and free > _FREE_BYTES else "bad"
    advice = "" if level == "ok" else "choose a folder that is writable and has 1 GiB free with --data"
    yield Finding(
        "data folder", level, f"{config.data}: {free >> 20:,} MiB free{'' if writable else ', not writable'}", advice
    )


def _line(finding: Finding) -> str:
    colour = {"ok": "green", "note": "yellow", "bad": "red"}[finding.level]
    advice = f"\n{'':22}→ {finding.advice}" if finding.advice else ""
    return f"{click.style(finding.level.ljust(5), fg=colour)} {finding.what.ljust(15)} {finding.found}{advice}"
