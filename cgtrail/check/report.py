"""Asks every look in turn, and prints what they found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import click

from cgtrail.check import (
    clock,
    control_groups,
    data_folder,
    elasticsearch,
    kafka,
    kernel,
    memory,
    others,
    privileges,
    programs,
    runtimes,
    store,
    tenants,
)
from cgtrail.check.finding import Finding, Level, line
from cgtrail.config import Config

Look = Callable[[Config], Iterator[Finding]]

LOOKS: dict[str, Look] = {
    "kernel": kernel.look,
    "privileges": privileges.look,
    "cgroups": control_groups.look,
    "memory": memory.look,
    "programs": programs.look,
    "runtimes": runtimes.look,
    "data folder": data_folder.look,
    "store": store.look,
    "tenants": tenants.look,
    "kafka": kafka.look,
    "elasticsearch": elasticsearch.look,
    "agents": others.look,
    "clock": clock.look,
}
PATIENCE_SECONDS = 15.0
"""For a look at what may hang: a daemon, a network file system."""
_UNHURRIED = {"programs"}
"""The kernel's verifier takes as long as it takes, and always ends."""


def run(config: Config, *, as_json: bool) -> int:
    """Print each finding as it is found; returns 0, or 3 when something can't be recorded."""
    bad = 0
    for finding in findings(config):
        bad += finding.level is Level.BAD
        click.echo(line(finding, as_json=as_json))
    if not as_json:
        things = "1 thing" if bad == 1 else f"{bad} things"
        click.echo(f"\n{things} to mend before all is recorded." if bad else "\nThis host can be recorded.")
    return 3 if bad else 0


def findings(config: Config) -> Iterator[Finding]:
    """What all looks find, one after the other."""
    for what, look in LOOKS.items():
        yield from guarded(what, look, config, None if what in _UNHURRIED else PATIENCE_SECONDS)


def guarded(what: str, look: Look, config: Config, seconds: float | None) -> list[Finding]:
    """What a look finds. One that takes too long is left behind, and one that fails is a finding of its own."""
    found: list[Finding] = []

    def ask() -> None:
        try:
            found.extend(look(config))
        except Exception as error:  # noqa: BLE001  whatever is odd on a host: the other looks go on
            advice = "run it as root; if it still says so, see what stands in its way"
            found.append(Finding(what, Level.BAD, f"could not be looked at: {str(error) or repr(error)}", advice))

    asking = threading.Thread(target=ask, name=f"check {what}", daemon=True)
    asking.start()
    asking.join(seconds)
    if not asking.is_alive():
        return found
    hangs = Finding(what, Level.BAD, f"no answer for {seconds:.0f} s", "something hangs: see what it waits for")
    return [*found, hangs]
