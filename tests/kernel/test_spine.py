"""What is done in real containers becomes documents that `cgtrail search` finds, with nothing but this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd, busybox_archive, wait_until
from tests.kernel.images import of_host
from tests.kernel.oracle import plain
from tests.kernel.spine import Document, Spine, spine

pytestmark = pytest.mark.kernel
RUNS, AT_ONCE = 100, 4
"""Containers, and how many of them Docker is asked for at the same time."""
LOOP = "while :; do /bin/busybox sleep 0.2; done"


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """cgtrail at work for the module."""
    with spine(docker_daemon, tmp_path_factory.mktemp("spine") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, running: Spine) -> Iterator[Container]:
    """A container made while cgtrail runs."""
    with docker_daemon.container("triggers", *FOREVER, name="box", security_opt=["seccomp=unconfined"]) as made:
        yield made


def trigger(running: Spine, box: Container, *argv: str) -> tuple[Document, Document]:
    """The report of what a trigger's target saw of itself, and the document of its exec."""
    report = json.loads(box.run("/triggers/trigger", *argv).splitlines()[-1])
    found = running.until(f"process.vpid:{report['pid']} AND event.action:exec", 2, "--container", box.id)
    return report, found[-1]


@pytest.fixture(scope="module")
def debian(docker_daemon: Dockerd, running: Spine) -> Iterator[Container]:
    """A container with Debian's shell, which starts a program for each command that it has not built in."""
    files = of_host({"usr/bin/dash": "/bin/dash", "usr/bin/ls": "/bin/ls"})
    docker_daemon.add_image("debian", busybox_archive(files))
    labels = {"com.example.team": "a.b"}
    with docker_daemon.container("debian:latest", *FOREVER, name="lab", labels=labels) as made:
        yield made


def test_document(running: Spine, debian: Container) -> None:
    """A command run through docker exec is one document with everything that is known of it, and one of its end."""
    debian.run("/usr/bin/dash", "-c", "cd /etc && /usr/bin/ls -la")
    found = running.until("process.name:ls", 2, "--container", "lab")
    assert [document["event"]["action"] for document in found] == ["exec", "end"]
    document, process = found[0], found[0]["process"]
    assert document["container"] == {
        "id": debian.id,
        "name": "lab",
        "runtime": "docker",
        "image": {"name": "debian", "tag": ["latest"]},
        "labels": {"com.example.team": "a.b"},
    }
    assert process["args"] == ["/usr/bin/ls", "-la"]
    assert process["executable"] == "/usr/bin/ls"
    assert process["working_directory"] == "/etc"
    assert process["parent"]["args"] == ["/usr/bin/dash", "-c", "cd /etc && /usr/bin/ls -la"]
    assert process["parent"]["entity_id"] != process["entity_id"]
    assert document["user"]["id"] == "0"
    assert document["event"]["dataset"] == "cgtrail.process"
    assert document["event"]["outcome"] == "success"
    assert document["cgtrail"]["attribution"] == "exact"
    assert document["@timestamp"] < found[1]["@timestamp"]
    assert found[1]["process"]["exit_code"] == 0
    assert found[1]["process"]["entity_id"] == process["entity_id"]


def test_short_lives(running: Spine, docker_daemon: Dockerd, tmp_path: Path) -> None:
    """Of a hundred containers that each run one short program, every one is there with its id, name and image."""

    def run(number: int) -> tuple[str, str]:
        cidfile = tmp_path / f"{number}.cid"
        options = ["--rm", "--network", "none", "--name", f"short-{number}", "--cidfile", str(cidfile)]
        docker_daemon.command("run", *options, "busybox", "true")
        return cidfile.read_text(), f"short-{number}"

    with ThreadPoolExecutor(AT_ONCE) as asked:
        started = dict(asked.map(run, range(RUNS)))
    found = running.until("process.name:true AND event.action:exec AND container.name:short-*", RUNS)
    assert {d["container"]["id"]: d["container"]["name"] for d in found} == started
    assert len(found) == RUNS
    assert {d["container"]["image"]["name"] for d in found} == {"busybox"}
    assert {d["cgtrail"]["attribution"] for d in found} <= {"exact", "late"}


@pytest.mark.parametrize(
    "argv",
    [
        ("exec-args", b"shown".hex(), b"one two".hex()),
        ("exec-script",),
        ("exec-memfd",),
        ("exec-thread",),
        ("exec-deep", "40"),
        ("exec-chroot", "/inner"),
        ("exec-bytes", "20000"),
    ],
    ids=lambda argv: argv[0],
)
def test_hard_execs(running: Spine, box: Container, argv: tuple[str, ...]) -> None:
    """The document of an exec says what the started program sees of itself."""
    report, document = trigger(running, box, *argv)
    process = document["process"]
    assert process["args"] == [plain(arg).decode() for arg in report["args"]]
    assert process["working_directory"] == plain(report["cwd"]).decode()
    assert process["args_count"] == len(report["args"])
    assert document["cgtrail"]["args"] == {"bytes": sum(len(plain(a)) + 1 for a in report["args"]), "truncated": False}
    assert document["cgtrail"].get("exec", {}).get("memfd", False) == (argv[0] == "exec-memfd")
    assert document["container"]["id"] == box.id


def test_failed_exec(running: Spine, box: Container) -> None:
    """A program that could not be started is a document of its own, with the reason."""
    box.run("sh", "-c", "/not/there --now; exit 0")
    (document,) = running.until("event.outcome:failure AND process.name:there", 1, "--container", "box")
    assert document["event"]["action"] == "exec"
    assert document["error"] == {"code": "ENOENT"}
    assert document["cgtrail"]["return_code"] == -2
    assert document["process"]["args"] == ["/not/there", "--now"]
    assert document["process"]["executable"] == "/not/there"


def test_containers_only(running: Spine) -> None:
    """Programs of the host are not recorded unless they are asked for."""
    subprocess.run(["/bin/echo", "of-the-host"], check=True, stdout=subprocess.DEVNULL)
    running.settle()
    assert running.search('process.args:"of-the-host"') == []


def test_host_too(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """With --host, programs of the host are recorded, and name no container."""
    with spine(docker_daemon, tmp_path / "data", "--host") as running:
        subprocess.run(["/bin/echo", "of-the-host"], check=True, stdout=subprocess.DEVNULL)
        (document,) = running.until('process.args:"of-the-host" AND event.action:exec', 1)
    assert "container" not in document
    assert document["cgtrail"]["attribution"] == "exact"


def test_second_refused(running: Spine) -> None:
    """A second agent on the same data folder is refused and told who the first is."""
    told = running.command("ship", expect=1).stderr
    assert f"agent {running.status()['agent']['pid']} already works on {running.data}" in told


def test_restarted_container(running: Spine, docker_daemon: Dockerd) -> None:
    """A container that stops and starts again keeps its name, though its cgroup is another."""
    with docker_daemon.container("busybox", *FOREVER, name="again") as made:
        made.handle.restart(timeout=0)
        made.run("true", "second-life")
        (document,) = running.until('process.args:"second-life" AND event.action:exec', 1)
    assert (document["container"]["id"], document["container"]["name"]) == (made.id, "again")


def test_found_running(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """A container that is older than the agent is known by name, and its processes as parents; so after a restart."""
    data = tmp_path / "data"
    with docker_daemon.container("busybox", "sh", "-c", LOOP, name="older") as made:
        ids: set[str] = set()
        for turn in (1, 2):
            with spine(docker_daemon, data) as running:
                query = "event.action:exec AND process.name:busybox"
                # Its first programs may start before the agent has looked at who runs.
                found = running.until(query, 2 * turn, "--container", made.id)
                found = running.until(query, len(found) + 2, "--container", made.id)
            assert {d["container"]["name"] for d in found} == {"older"}
            assert {d["cgtrail"]["attribution"] for d in found} == {"exact"}
            assert found[-1]["process"]["parent"]["args"] == ["sh", "-c", LOOP]
            assert found[-1]["container"]["id"] == made.id
            ids |= {d["event"]["id"] for d in found}
    (folder,) = (data / "spool").glob("*-*")
    assert len({event_id.partition("-")[0] for event_id in ids}) == 1, f"one boot, one stream: {folder}"


def test_from_the_spool_again(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """A store that was deleted is made again from the spool: the same documents with the same ids."""
    with spine(docker_daemon, tmp_path / "data") as running:
        with docker_daemon.container("busybox", *FOREVER) as made:
            made.run("sh", "-c", "/bin/busybox true; /not/there; exit 3", expect=3)
        running.until("event.action:end AND process.exit_code:3", 1)
        running.settle()
    running.command("enrich", "--once")  # what a busy machine had not come to when it was stopped
    before = running.search("*")
    shutil.rmtree(running.data / "store")
    (running.data / "spool" / "readers" / "sqlite.json").unlink()
    running.command("enrich", "--once")
    assert running.search("*") == before
    printed = running.command("enrich", "--once", "--sink", "stdout").stdout
    assert {json.loads(line)["event"]["id"] for line in printed.splitlines()} == {d["event"]["id"] for d in before}
    assert len(before) >= 6


def test_agent_dies(docker_daemon: Dockerd, tmp_path: Path) -> None:
    """When the agent is killed, `cgtrail up` says so and ends, however much there is to show."""
    storm = "for i in $(/bin/busybox seq 3000); do /bin/busybox true $i; done"
    with spine(docker_daemon, tmp_path / "data", code=1) as running:
        with docker_daemon.container("busybox", *FOREVER) as made:
            made.run("sh", "-c", storm)
            os.kill(running.status()["agent"]["pid"], signal.SIGKILL)
            wait_until(lambda: running.process.poll() is not None, "cgtrail up to end")
        assert "cgtrail: the agent was ended by SIGKILL" in running.log.read_text()
        assert running.status()["worker"]["running"] is False


def test_labels_of_any_name(running: Spine, docker_daemon: Dockerd) -> None:
    """Labels that Docker's events hide, and hostile ones, are in the document as the container has them."""
    labels = {"name": "N", "image": "I", "x": "\x1b[2J\u202e"}
    with docker_daemon.container("busybox", *FOREVER, labels=labels) as made:
        made.run("/bin/busybox", "true", "labelled")
        (document,) = running.until('process.args:"labelled" AND event.action:exec', 1)
        shown = running.command("search", "--json", 'process.args:"labelled"').stdout
    assert document["container"]["labels"] == labels
    assert not {"\x1b", "\u202e"} & set(shown)
