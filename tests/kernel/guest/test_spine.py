"""One build of the kernel programs serves every kernel: the whole of cgtrail on each, in a container of its own."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

import pytest

from .conftest import Guests
from .machine import KERNELS, Job

pytestmark = pytest.mark.guest
CGTRAIL = shlex.join([sys.executable, "-m", "cgtrail", "--data", "/tmp/cgtrail"])
SCRIPT = f"{CGTRAIL} check --json; echo; {CGTRAIL} demo --json"
JOBS = [Job(kernel, ("/bin/sh", "-c", SCRIPT), 600) for kernel in KERNELS]
ONLY = ["exec", "fork", "exit", "cgroup_mkdir", "cgroup_rmdir", "cgroup_attach", "running", "ssh_login"]
ONLY += ["terminal", "terminal_signal", "terminal_snapshot"]
URING = {"6.1": "terminal_uring__2_submit_sqe", "6.12": "terminal_uring__1_submit_req"}
"""Kernel → its name of the tracepoint of io_uring."""
HOOKS = {event: [event] for event in ONLY} | {"exec_failed": ["exec_failed__1_execve", "exec_failed__1_execveat"]}
"""Event → the programs that record it on a stock kernel."""

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module", params=JOBS, ids=str)
def told(request: pytest.FixtureRequest, guests: Guests) -> tuple[Lines, Lines, str]:
    """What `cgtrail check` and `cgtrail demo` print on another kernel, and which that is."""
    done = guests(request.param)
    assert done.returncode == 0, done.stdout + done.stderr
    check, _, demo = done.stdout.partition(b"\n\n")
    lines = [[json.loads(line) for line in part.splitlines()] for part in (check, demo)]
    return lines[0], lines[1], request.param.kernel.version


def test_every_program_loads(told: tuple[Lines, Lines, str]) -> None:
    """Every event is recorded on this kernel, and failed execs by the hooks that cost nobody else."""
    found = {(finding["what"], finding["level"], finding["found"]) for finding in told[0] if finding["what"] in HOOKS}
    assert found == {(event, "ok", f"recorded by {hook}") for event, hooks in HOOKS.items() for hook in hooks}
    uring = {finding["found"] for finding in told[0] if (finding["what"], finding["level"]) == ("terminal_uring", "ok")}
    assert uring == {f"recorded by {URING[told[2]]}"}


def test_demo(told: tuple[Lines, Lines, str]) -> None:
    """What is done in a container is found with its arguments, working directory, parent, user and exit code."""
    found = told[1]
    assert {d["container"]["name"] for d in found} == {"cgtrail-demo"}
    assert {d["cgtrail"]["attribution"] for d in found} == {"exact"}
    sessions = [d["event"]["action"] for d in found if d["event"]["dataset"] == "cgtrail.session"]
    assert sessions == ["session_opened", "session_closed"]
    found = [d for d in found if d["event"]["dataset"] == "cgtrail.process"]
    (listing,) = [d for d in found if d["process"]["args"] == ["ls", "-la"] and d["event"]["action"] == "exec"]
    assert listing["process"]["working_directory"] == "/etc"
    assert listing["process"]["executable"] == "/usr/bin/ls"
    assert listing["process"]["parent"]["args"] == ["/bin/sh", "-c", "cd /etc && ls -la"]
    (denied,) = [
        d for d in found if d["process"]["args"] == ["cat", "/root/deploy.key"] and "exit_code" in d["process"]
    ]
    assert (denied["user"]["id"], denied["process"]["exit_code"]) == ("1000", 1)
    (failed,) = [d for d in found if d["event"].get("outcome") == "failure"]
    assert (failed["process"]["executable"], failed["error"]["code"]) == ("/opt/miner", "ENOENT")
