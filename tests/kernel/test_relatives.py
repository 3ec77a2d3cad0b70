"""Parents and leaders are those that the processes themselves see, and told as of what they ran and were by then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, cgroup2_mount
from tests.kernel.spine import Document, Spine, spine

pytestmark = pytest.mark.kernel

SEE = "read -r pid comm state ppid group session tty rest </proc/self/stat; exec /triggers/trigger nothing saw "
SEE += '"$1" "$RUN" $pid $ppid $group $session $tty'
"""A shell that becomes a program whose arguments are what /proc/self/stat said of it."""
WAYS = {
    "plain": 'sh -c "$SEE" sh plain; true',
    "setsid": 'setsid sh -c "$SEE" sh setsid; sleep 0.2',
    "twice": '(setsid sh -c "(sleep 0.3; sh -c \\"\\$SEE\\" sh twice) & exit 0" &); sleep 0.6',
    "left": 'sh -c "sleep 0.3; sh -c \\"\\$SEE\\" sh left; true" & exec true',
    "jobs": 'set -m; sh -c "$SEE" sh jobs | cat; sh -c "$SEE" sh jobs & wait',
    "su": "su alice -s /bin/sh -c 'sh -c \"$SEE\" sh su; true'",
    "becomes": 'exec setsid sh -c "exec sh -c \'sh -c \\"\\$SEE\\" sh becomes; true\'"',
    "script": "printf '#!/bin/sh -e\\nsh -c \"$SEE\" sh script\\ntrue\\n' >/tmp/s; chmod +x /tmp/s; /tmp/s -p; true",
}
OF_ITS_OWN = ("setsid", "twice", "becomes")
"""Ways into a session without a terminal. That of a leader that has ended had one."""
SECRET = "f00dcafe5ecre7"  # noqa: S105  nobody's
OTHERS = ("parent", "group_leader", "session_leader", "entry_leader")


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """cgtrail at work for the module, with documents of forks."""
    folder = tmp_path_factory.mktemp("spine")
    config = folder / "cgtrail.toml"
    config.write_text("[documents]\nforks = true\n")
    with spine(docker_daemon, folder / "data", "--quiet", "--config", str(config)) as started:
        yield started


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, running: Spine) -> Iterator[Container]:
    """A container that sees the host's process ids."""
    with docker_daemon.container("triggers", *FOREVER, name="relatives", pid_mode="host") as made:
        yield made


def consistent(documents: list[Document]) -> None:
    """All that documents say of others is what those others' own documents said before."""
    programs: dict[str, Any] = {}
    for document in documents:
        own = document["process"]
        for other in OTHERS:
            told = own.get(other, {})
            before = programs.get(told.get("entity_id"))
            if before and told["entity_id"] != own["entity_id"]:
                assert (told["name"], told.get("args"), told["start"]) == before, (other, own["command_line"])
            assert other == "parent" or not told or told["same_as_process"] == (told["pid"] == own["pid"])
        if document["event"].get("outcome") != "failure":
            programs[own["entity_id"]] = own["name"], own.get("args"), own["start"]


@pytest.mark.parametrize("tty", [False, True])
def test_who_they_are(running: Spine, box: Container, *, tty: bool) -> None:
    """However a program comes to run, its parent and leaders are those that it sees itself."""
    for ran in WAYS.values():
        box.handle.exec_run(["sh", "-c", f"trap '' HUP; {ran}"], environment={"SEE": SEE, "RUN": f"tty-{tty}"}, tty=tty)
    query = f'process.args:"saw" AND process.args:"tty-{tty}" AND event.action:exec AND process.name:trigger'
    found = running.until(query, len(WAYS) + 1)
    assert {document["process"]["args"][3] for document in found} == WAYS.keys()
    for document in found:
        own = document["process"]
        pid, parent, group, session, terminal = (int(number) for number in own["args"][5:10])
        assert (own["pid"], own["parent"]["pid"]) == (pid, parent)
        assert (own["group_leader"]["pid"], own["session_leader"]["pid"]) == (group, session)
        assert own["interactive"] == bool(terminal)
        assert own["entry_leader"]["entry_meta"]["type"] == "container"
        assert own["session_leader"]["interactive"] == tty * (own["args"][3] not in OF_ITS_OWN)
        for other in OTHERS:
            assert own[other]["entity_id"]
    consistent(running.search("event.dataset:cgtrail.process", "--container", "relatives"))


def test_another_container(running: Spine, docker_daemon: Dockerd, box: Container) -> None:
    """Who moves into another container's cgroup, or is born there, has nothing there of what it was started with."""
    options = {"cap_add": ["SYS_ADMIN"], "security_opt": ["seccomp=unconfined"]}
    with docker_daemon.container("triggers", *FOREVER, name="mover", **options) as mover:
        mover.run("sh", "-c", "mkdir /tmp/c && mount -t cgroup2 none /tmp/c")
        there = f"/tmp/c/{box.cgroup.relative_to(cgroup2_mount())}"
        script = f"echo $$ >{there}/cgroup.procs; /bin/echo came-in; sh -c '/bin/echo came-deeper; true'; true"
        mover.run("sh", "-c", script, "own-business")
        mover.run("sh", "-c", f"/triggers/trigger fork-into {there} born-in; true", "own-business")
        found = [
            running.until(f'process.args:"{mark}" AND event.action:exec', 1)[-1] for mark in ("came-in", "came-deeper")
        ]
        found.append(running.until('process.args:"born-in" AND event.action:exec', 1, "--container", "relatives")[-1])
    for document in found:
        assert document["container"]["name"] == "relatives"
        assert "own-business" not in str(document), document
        assert "fork-into" not in str(document["process"]["parent"])


def test_masked_everywhere(running: Spine, box: Container) -> None:
    """A password among a leader's arguments is in no byte that is kept of it, its children or those it leaves."""
    inner = "sh -c 'sleep 0.2; /bin/echo masked-inner; true' & /bin/echo masked-first; true"
    program = ["sh", "sh", "-c", inner, f"--password={SECRET}", f"https://u:{SECRET}@h/"]
    box.run("sh", "-c", 'setsid "$@"; sleep 0.5', *program)
    running.until("process.args:masked-inner AND event.action:exec", 1)
    running.settle()
    for found in running.search('process.args:"masked*" AND event.action:exec'):
        assert found["cgtrail"]["secrets"]
    data = running.data
    for file in (each for each in data.rglob("*") if each.is_file() and "spool" not in each.parts):
        assert SECRET.encode() not in file.read_bytes(), file
    for database in data.rglob("*.db"):
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            assert SECRET not in "".join(opened.iterdump())
