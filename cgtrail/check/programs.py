"""The kernel programs, each loaded and attached for a moment: what the kernel takes, what it refuses and why."""

from __future__ import annotations

from collections.abc import Iterator

from cgtrail.check.finding import Finding, Level
from cgtrail.check.memory import SMALL_RING_BYTES, fits
from cgtrail.config import Config
from cgtrail.errors import told
from shipper.libbpf import LibbpfMissingError
from shipper.objects import CaptureError
from shipper.probes import Attempt, Probes

WITHOUT = {
    "exec": "no program that starts is recorded",
    "exec_failed": "programs that could not be started are not recorded",
    "ssh_login": "from where somebody came over SSH is not recorded",
    "fork": "a process that starts no program of its own is not known as anybody's parent",
    "exit": "ends of programs are not recorded",
    "cgroup_mkdir": "the first seconds of a new container may be missed",
    "cgroup_rmdir": "ends of containers are noticed late",
    "cgroup_attach": "who enters a container from outside (docker exec) is not known",
    "running": "what ran before the agent started is not known by name",
    "terminal": "what terminals show and what is typed there is not recorded",
    "terminal_signal": "ctrl-c and hang-ups of terminals are not recorded",
    "terminal_snapshot": "terminals that were open before are known only once something happens in them",
    "terminal_uring": "who uses io_uring on a terminal, and so goes unrecorded, is not told",
}
"""Event → what its absence means to whoever searches."""


def look(config: Config) -> Iterator[Finding]:
    """One finding a program."""
    ring = config.capture.ring_bytes
    if not fits(SMALL_RING_BYTES):
        yield Finding("programs", Level.BAD, "not tried: too little memory", "see memory above")
        return
    try:
        with Probes(ring if fits(ring) else SMALL_RING_BYTES) as probes:
            attempts, missing = list(probes.attempts), probes.missing()
    except (CaptureError, LibbpfMissingError, OSError) as error:
        yield Finding("programs", Level.BAD, "none could be loaded", told(error))
        return
    for attempt in attempts:
        yield _of(attempt, attempts, missing)


def _of(attempt: Attempt, attempts: list[Attempt], missing: list[str]) -> Finding:
    event, refused = attempt.event, attempt.refused
    if event in missing:
        why = refused or "its companion was refused"
        advice = f"{WITHOUT.get(event, 'it is not recorded')}; {refused.advice if refused else 'see the other one'}"
        return Finding(event, Level.BAD, f"{attempt.program}: {why}", advice)
    if refused is None:
        return Finding(event, Level.OK, f"recorded by {attempt.program}")
    serves = attempts[-1 - [other.event for other in reversed(attempts)].index(event)].program
    return Finding(event, Level.NOTE, f"{attempt.program}: {refused}", f"{serves} serves instead")
