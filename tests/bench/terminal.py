"""What terminals cost: text that is shown, keys that are typed, calls that are none of it, and bytes in the spool."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.kernel import each_run, statistics_on
from tests.bench.lab import STRACE, Done, Lab, settle, spawner
from tests.bench.person import WORK
from tests.bench.processes import size_of
from tests.bench.report import Report, spread
from tests.faults.live import Rig
from tests.kernel.capture import capturing
from tests.kernel.terminals import at_terminal, record_all

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

WITHOUT, RECORDED, ALL, TRACED = "without cgtrail", "recorded, no worker", "recorded, with the worker", "strace"
TRACE = (STRACE, "-f", "-o", "/tmp/strace", "-e", "trace=read,write")
TRACED_SHARE = 10
"""Under strace so many times fewer bytes and keys."""
LINES_AN_HOUR = 240
CALLS = {
    "call": "a getppid()",
    "write": "a write() of a byte to /dev/null",
    "echo": "a key read, written and shown",
    "show": "text written and shown",
}
"""What a spawner is told to do (spawner.c), in words."""


def passing(report: Report, lab: Lab, size: Size) -> None:
    """Text and keys without us, recorded, and under strace, in turn; ratios are of the same round."""
    took: dict[tuple[str, str], list[Done]] = defaultdict(list)
    with lab.container() as made, lab.spawner(made) as plain, lab.spawner(made, *TRACE) as traced:

        def pass_through(state: str) -> None:
            actor, share = (traced, TRACED_SHARE) if state == TRACED else (plain, 1)
            for name, words in {"show": size.shown_bytes, "echo": size.keys}.items():
                took[name, state].append(actor.do(name, words // share))

        for _ in range(size.rounds):
            pass_through(WITHOUT)
            pass_through(TRACED)
            with lab.recording(worker=False):
                pass_through(RECORDED)
            with lab.recording():
                pass_through(ALL)
    speed = [each.rate / 1e6 for each in took["show", WITHOUT]]
    report.row(f"text of {size.shown_bytes / 1e6:,.0f} MB through a terminal, {WITHOUT}", f"{spread(speed)} MB/s")
    compare(report, took, "show", "the same text")
    keys = [each.ns_each / 1e3 for each in took["echo", WITHOUT]]
    report.row(f"a key and its echo, {WITHOUT}", f"{spread(keys, '{:,.1f}')} µs")
    compare(report, took, "echo", "keys and their echo")


def compare(report: Report, took: dict[tuple[str, str], list[Done]], name: str, what: str) -> None:
    """A row for each state: how many times as long as without."""
    for state in (RECORDED, ALL, TRACED):
        pairs = zip(took[name, state], took[name, WITHOUT], strict=True)
        report.row(f"{what}, {state}", spread([now.ns_each / before.ns_each for now, before in pairs], "{:.2f}x"))


def programs(report: Report, lab: Lab, size: Size) -> None:
    """Nanoseconds a run of the programs, by what the call was about."""
    counts = {"call": size.calls, "write": size.calls // 10, "echo": size.keys, "show": size.shown_bytes}
    with (
        capturing() as capture,
        lab.container() as inside,
        lab.container() as outside,
        lab.spawner(inside) as watched,
        lab.spawner(outside) as other,
        statistics_on(),
    ):
        record_all(capture, inside)
        capture.probes.unwatch(outside.cgroup_id)
        for what, count in counts.items():
            groups = {"watched": watched, "not watched": other}
            found = each_run(capture.probes, groups, size, words=(what, count))
            for (name, group), values in found.items():
                if name == "terminal":
                    report.row(f"{name}, {group}: {CALLS[what]}", f"{spread(values)} ns a call")


def price(report: Report, lab: Lab, size: Size) -> None:
    """What every system call of the host pays, in turn without and with the programs."""
    found: dict[tuple[str, bool], list[float]] = defaultdict(list)
    with spawner(str(lab.program)) as host:
        for _ in range(size.rounds):
            for what in ("call", "write"):
                found[what, False].append(host.do(what, size.calls).ns_each)
            with capturing():
                for what in ("call", "write"):
                    found[what, True].append(host.do(what, size.calls).ns_each)
    for what in ("call", "write"):
        added = [now - before for now, before in zip(found[what, True], found[what, False], strict=True)]
        report.row(f"{CALLS[what]} of the host, {WITHOUT}", f"{spread(found[what, False])} ns")
        report.row(f"added to {CALLS[what]} of the host by all programs", f"{spread(added)} ns")


def ordinary(report: Report, lab: Lab, size: Size) -> None:
    """What an hour of ordinary work leaves: its lines are typed key by key, and what they show is what they show."""
    with (
        lab.container() as made,
        lab.recording() as rig,
        at_terminal(lab.daemon, "exec", "-it", made.id, "sh") as client,
    ):
        client.type(b"", rb"# ")
        before, count = spooled(rig), min(LINES_AN_HOUR, size.samples)
        shown = len(client.received)
        for number in range(count):
            line = WORK[number % len(WORK)].encode()
            for key in line:
                client.type(bytes((key,)), rb"(?s).")
            client.type(b"\r", rb"# \x1b\[6n")
        shown = len(client.received) - shown
        settle(rig)
        spool, store = (now - then for now, then in zip(spooled(rig), before, strict=True))
        client.type(b"exit\r")
    keys = sum(len(WORK[number % len(WORK)]) + 1 for number in range(count)) / count
    told = f"{count} lines of {keys:.0f} keys, {shown / count:,.0f} bytes shown a line"
    report.row(
        f"spool, {LINES_AN_HOUR} lines in ash (of {told})", f"{spool / count * LINES_AN_HOUR / 1e6:,.2f} MB an hour"
    )
    report.row("local store of the same, with its processes", f"{store / count * LINES_AN_HOUR / 1e6:,.2f} MB an hour")


def spooled(rig: Rig) -> tuple[int, int]:
    """Bytes of the spool and of the local store."""

    def size(folder: Path) -> int:
        return size_of(list(folder.rglob("*")))

    return size(rig.data / "spool"), size(rig.data / "store")


def run(report: Report, lab: Lab, size: Size) -> None:
    """All of it."""
    passing(report, lab, size)
    programs(report, lab, size)
    price(report, lab, size)
    ordinary(report, lab, size)
