"""Whose containers are: overlapping tenants, from labels, files and commands, in documents and in the kernel."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, wait_until
from tests.kernel.spine import Document, Spine, spine

pytestmark = pytest.mark.kernel
SHORT_RUNS, AT_ONCE = 500, 4
"""Containers, and how many of them Docker is asked for at the same time: one alone takes half a second."""
STORM = "i=0; while [ -e /tmp/go ]; do i=$((i+1)); /bin/busybox true $i; done; /bin/busybox true last"
FILE = """
tenants:
  - id: t1
    name: Team One
    members:
      - name: t1-*
      - name: shared-*
  - id: t2
    policy: [exec, terminal]
    members:
      - name: t2-*
      - name: shared-*
  - id: quiet
    policy: [terminal]
    members:
      - name: quiet-*
"""


@pytest.fixture(scope="module")
def tenants_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tenants that share a container, and one that wants no programs recorded."""
    file = tmp_path_factory.mktemp("tenants") / "tenants.yaml"
    file.write_text(FILE)
    return file


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory, tenants_file: Path) -> Iterator[Spine]:
    """cgtrail at work for the module, forks included."""
    settings = {"CGTRAIL_TENANTS_FILES": str(tenants_file), "CGTRAIL_DOCUMENTS_FORKS": "true"}
    with spine(docker_daemon, tmp_path_factory.mktemp("spine") / "data", settings=settings) as started:
        yield started


def numbers(found: list[Document]) -> dict[int, list[str]]:
    """Number of a storm's program → the tenants of its document."""
    named = (
        (document["process"]["args"][-1], document["cgtrail"].get("tenant", {}).get("id", [])) for document in found
    )
    return {int(number): tenants for number, tenants in named if number.isdigit()}


def test_each_tenant_sees_what_is_its_own(running: Spine, docker_daemon: Dockerd) -> None:
    """Two tenants, three containers, one shared: each search shows exactly the right programs, chains complete."""
    with (
        docker_daemon.container("busybox", *FOREVER, name="t1-web") as first,
        docker_daemon.container("busybox", *FOREVER, name="t2-web") as second,
        docker_daemon.container("busybox", *FOREVER, name="shared-files") as shared,
    ):
        for box, mark in ((first, "mine-1"), (second, "mine-2"), (shared, "ours")):
            box.run("sh", "-c", f"(/bin/busybox true {mark}); true")
        running.until("event.action:exec AND process.args:(mine-1 OR mine-2 OR ours)", 3)
        running.settle()
        seen = {tenant: running.search("event.dataset:cgtrail.process", "--tenant", tenant) for tenant in ("t1", "t2")}
        assert {document["container"]["id"] for document in seen["t1"]} == {first.id, shared.id}
        assert {document["container"]["id"] for document in seen["t2"]} == {second.id, shared.id}
        everything = running.search("event.dataset:cgtrail.process", "--container", shared.id)
        for tenant, found in seen.items():
            assert len({document["event"]["id"] for document in found}) == len(found)
            ours = [document for document in found if document["container"]["id"] == shared.id]
            assert ours == everything
            assert {tuple(document["cgtrail"]["tenant"]["id"]) for document in ours} == {("t1", "t2")}
            started = {d["process"]["entity_id"] for d in found if d["event"]["action"] in ("fork", "exec")}
            for mark in ("ours", f"mine-{tenant[1]}"):
                (program,) = [d for d in found if d["process"].get("args", [""])[-1] == mark and _is(d, "exec")]
                assert program["process"]["parent"]["entity_id"] in started
        assert running.search("*", "--tenant", "nobody") == []


def test_five_hundred_short_containers(running: Spine, docker_daemon: Dockerd) -> None:
    """Of 500 containers that run one program of a few milliseconds, beside a hog of both processors, none is missed."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        options = ["--rm", "--network", "none", "--label", "cgtrail.tenant=short"]
        runs = [("run", *options, "--name", f"t1-short-{n}", "busybox", "true") for n in range(SHORT_RUNS)]
        with ThreadPoolExecutor(AT_ONCE) as asked:
            list(asked.map(lambda run: docker_daemon.command(*run), runs))
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    query = "process.name:true AND event.action:exec AND container.name:t1-short-*"
    found = running.until(query, SHORT_RUNS, "--tenant", "short")
    assert {document["container"]["name"] for document in found} == {f"t1-short-{n}" for n in range(SHORT_RUNS)}
    assert {document["container"]["image"]["name"] for document in found} == {"busybox"}
    assert {tuple(document["cgtrail"]["tenant"]["id"]) for document in found} == {("short", "t1")}
    assert {document["cgtrail"]["attribution"] for document in found} <= {"exact", "late"}


def test_attached_in_a_storm(running: Spine, docker_daemon: Dockerd) -> None:
    """No program is lost; none before the change carries the tenant, and all behind it do."""
    running.command("tenants", "add", "auditors", "--name", "Auditors")
    with docker_daemon.container("busybox", *FOREVER, name="stormy") as box:
        with Storm(box):
            time.sleep(0.5)  # some before
            running.command("tenants", "attach", "auditors", "stormy")
            box.run("/bin/busybox", "true", "0")
            time.sleep(0.5)  # and some after
            running.command("tenants", "detach", "auditors", "stormy")
        running.until('process.args:"last" AND event.action:exec', 1, "--container", box.id)
        found = numbers(running.search("event.action:exec AND process.args:true", "--container", box.id))
        changes = running.search("event.dataset:cgtrail.tenant", "--tenant", "auditors")
        lost = running.search("event.dataset:cgtrail.loss", "--container", box.id)
    assert found.pop(0) == ["auditors"]
    ordered = [found[number] for number in sorted(found)]
    assert sorted(found) == list(range(1, len(found) + 1))
    carried = [index for index, tenants in enumerate(ordered) if tenants == ["auditors"]]
    assert carried == list(range(carried[0], carried[-1] + 1))
    assert 0 < carried[0] < carried[-1] < len(ordered) - 1
    assert lost == []
    assert [change["event"]["action"] for change in changes] == ["created", "attached", "detached"]
    assert changes[1]["container"]["name"] == "stormy"


def test_policy_in_the_kernel(running: Spine, docker_daemon: Dockerd) -> None:
    """A tenant that asks for no programs has none recorded; another one that does adds up; then not any more."""
    running.command("tenants", "add", "curious")
    with docker_daemon.container("busybox", *FOREVER, name="quiet-box") as box:
        box.run("/bin/busybox", "true", "unseen")
        running.command("tenants", "attach", "curious", "quiet-box")
        box.run("/bin/busybox", "true", "seen")
        (found,) = running.until('process.args:"seen" AND event.action:exec', 1)
        running.command("tenants", "detach", "curious", "quiet-box")
        box.run("/bin/busybox", "true", "hidden")
        running.settle()
        assert found["cgtrail"]["tenant"] == {"id": ["curious", "quiet"], "asked": ["curious"]}
        assert running.search('process.args:("unseen" OR "hidden")') == []


def test_a_file_that_changes(running: Spine, docker_daemon: Dockerd, tenants_file: Path) -> None:
    """A changed file holds within a moment, without a restart; one with a mistake changes nothing and is named."""
    with docker_daemon.container("busybox", *FOREVER, name="late-comer") as box:
        tenants_file.write_text(FILE + "  - id: t3\n    members: [{name: late-*}]\n")
        wait_until(lambda: '"t3"' in running.command("tenants", "list", "--json").stdout, "the new tenant")
        box.run("/bin/busybox", "true", "now-t3")
        (found,) = running.until('process.args:"now-t3" AND event.action:exec', 1)
        tenants_file.write_text(FILE + "  - id: t1\n")
        wait_until(lambda: str(tenants_file) in running.log.read_text(), "the mistake to be named")
        box.run("/bin/busybox", "true", "still-t3")
        (still,) = running.until('process.args:"still-t3" AND event.action:exec', 1)
        tenants_file.write_text(FILE)
        wait_until(lambda: '"t3"' not in running.command("tenants", "list", "--json").stdout, "the old tenants")
    assert found["cgtrail"]["tenant"]["id"] == still["cgtrail"]["tenant"]["id"] == ["t3"]
    assert "line 17" in running.log.read_text()


def test_the_live_picture(running: Spine, docker_daemon: Dockerd) -> None:
    """`cgtrail containers` and `cgtrail tenants` show what is so now."""
    with docker_daemon.container("busybox", *FOREVER, name="shared-picture") as box:
        listed = [json.loads(line) for line in running.command("containers", "--json").stdout.splitlines()]
        (shown,) = [container for container in listed if container["id"] == box.id]
        table = running.command("containers", "--tenant", "t2").stdout
        tenant = running.command("tenants", "show", "t1").stdout
    assert (shown["name"], shown["state"], shown["recorded"]) == ("shared-picture", "complete", True)
    assert list(shown["tenants"]) == ["t1", "t2"]
    assert "shared-picture" in table
    assert "Team One" in tenant
    assert box.id[:12] in tenant or "shared-picture" in tenant


def test_tenants_survive_a_restart(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """What commands said holds after a restart, for a container that ran all the while; and nothing is told twice."""
    data = tmp_path / "data"
    with docker_daemon.container("busybox", *FOREVER, name="kept") as box:
        with spine(docker_daemon, data) as running:
            running.command("tenants", "add", "keeper", "--policy", "exec")
            running.command("tenants", "attach", "keeper", box.id)
        with spine(docker_daemon, data) as running:
            box.run("/bin/busybox", "true", "afterwards")
            (found,) = running.until('process.args:"afterwards" AND event.action:exec', 1)
            changes = running.search("event.dataset:cgtrail.tenant")
    assert found["cgtrail"]["tenant"]["id"] == ["keeper"]
    assert [change["event"]["action"] for change in changes] == ["created", "attached"]


class Storm:
    """A container starts programs, numbered, as fast as it can."""

    def __init__(self, box: Container) -> None:
        self._box = box
        self._thread = threading.Thread(target=box.run, args=("sh", "-c", STORM))

    def __enter__(self) -> None:
        self._box.run("touch", "/tmp/go")
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._box.run("rm", "/tmp/go")
        self._thread.join()


def _is(document: Document, action: str) -> bool:
    return bool(document["event"]["action"] == action)
