"""For a guest: a cgroup's policy changes, a map fills, somebody logs in and memory runs out, and what was recorded.

Prints one JSON object.
"""

from __future__ import annotations

import ctypes
import json
import os
from contextlib import ExitStack
from pathlib import Path

from bpf.enums import Counter, Policy
from bpf.events import Exec, Exit, SshLogin
from tests.kernel.capture import Capture, capturing, cgroup, of

FOLDER = Path("/sys/fs/cgroup/administered")
ROOM = 64
PR_SET_NAME = 15
"""prctl(2)."""
CONNECTION = {"HOME": "/root", "SSH_CONNECTION": "203.0.113.7 50022 192.0.2.1 22", "TERM": "xterm"}


def enter() -> None:
    """Go into the cgroup."""
    (FOLDER / "cgroup.procs").write_text(str(os.getpid()))


def program(*argv: str) -> None:
    """Run a program in the cgroup, and wait for its end."""
    pid = os.fork()
    if pid == 0:
        enter()
        os.execv(argv[0], argv)
    os.waitpid(pid, 0)


def login() -> None:
    """Do what an SSH server does for somebody who has logged in."""
    pid = os.fork()
    if pid == 0:
        enter()
        ctypes.CDLL(None).prctl(PR_SET_NAME, b"sshd", 0, 0, 0)
        child = os.fork()
        if child == 0:
            os.execve("/bin/true", ["login"], CONNECTION)
        os.waitpid(child, 0)
        os._exit(0)
    os.waitpid(pid, 0)


def filled(capture: Capture) -> dict[str, int]:
    """The map's counts while there are more cgroups than it has room for, and afterwards."""
    with ExitStack() as stack:
        for number in range(ROOM):
            stack.enter_context(cgroup(FOLDER / str(number)))
        reserved, crowded = capture.probes.entries(), capture.probes.counter(Counter.CROWDED)
        for number in range(ROOM):
            stack.enter_context(cgroup(FOLDER.parent / f"{number:064x}"))
        full, unwatched = capture.probes.entries(), capture.probes.unwatched()
    after = (capture.probes.entries(), capture.probes.counter(Counter.CROWDED))
    return {"reserved": reserved, "crowded": crowded, "full": full, "unwatched": unwatched, "after": sum(after)}


def main() -> None:
    """Do it all, and tell."""
    (FOLDER.parent / "cgroup.subtree_control").write_text("+memory")
    with capturing(max_cgroups=ROOM) as capture, cgroup(FOLDER) as made:
        (FOLDER / "memory.max").write_text(str(24 << 20))
        settled = capture.probes.watch(made, made, Policy.EXEC)
        for policy in (Policy.EXEC, Policy.TERMINAL, Policy.EXEC):
            capture.probes.set_policy(made, policy)
            program("/bin/true", policy.name or "")
        login()
        program("/bin/tail", "/dev/zero")
        counts = filled(capture)
        capture.drain()
        ends = {record.tgid: record for record in of(capture.records, Exit)}
        started = of(capture.records, Exec)
        logins = of(capture.records, SshLogin)
        at = capture.records.index(logins[0])
        told = {
            "refused": [a.program for a in capture.probes.refused()],
            "settled": settled,
            "started": [r.args.split(b"\0")[1].decode() for r in started if r.args.startswith(b"/bin/true")],
            "logins": [record.connection.decode() for record in logins],
            "behind_login": type(capture.records[at + 1]).__name__,
            "flags": [ends[r.tgid].exit_flags for r in started if r.args.startswith(b"/bin/tail")],
            "complete": capture.probes.seen()[made] == sum(record.owner == made for record in capture.records),
            **counts,
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
