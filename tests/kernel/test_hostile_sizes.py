"""How much there was of what is too long, and where a directory is that hides, is told honestly in documents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.capture import TRIGGER
from tests.kernel.conftest import FOREVER
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.spine import Document, Spine, spine

pytestmark = pytest.mark.kernel

ARGS_MAX = 65_535
"""Bytes of arguments that a record holds at most."""
LONGEST = 131_071
"""Bytes of one argument, its NUL not counted: execve(2) takes no longer ones."""
PIECE = "$(head -c {size} /dev/zero | tr '\\0' x)"
PREFIX = [TRIGGER, "nothing", "of-size"]
FIXED = sum(len(argument) + 1 for argument in PREFIX)


def exactly(total: int) -> tuple[str, list[str]]:
    """A shell's words for one argument that makes so many bytes of all, and the argument."""
    size = total - FIXED - 1
    return PIECE.format(size=size), ["x" * size]


CASES = {
    "20,000": ("$(seq 20000)", [str(number) for number in range(1, 20_001)]),
    "longest": (PIECE.format(size=LONGEST), ["x" * LONGEST]),
    "2 MB": (" ".join(["$a"] * 16), ["x" * 120_000] * 16),
    "empty": ('"" ' * 300, [""] * 300),
    "one less": exactly(ARGS_MAX - 1),
    "limit": exactly(ARGS_MAX),
    "one more": exactly(ARGS_MAX + 1),
}
FOLDERS = {
    "bind": ("cd /bound/inner", "/bound/inner", {}),
    "tmpfs": ("mkdir -p /mnt/here && cd /mnt/here", "/mnt/here", {}),
    "overlay": ("mkdir -p /tmp/layer && cd /tmp/layer", "/tmp/layer", {}),
    "symlink": ("ln -s /bound/inner /tmp/link && cd /tmp/link", "/bound/inner", {}),
    "removed": ("mkdir /tmp/gone && cd /tmp/gone && rmdir /tmp/gone", "/tmp/gone", {"deleted": True}),
}


@pytest.fixture(scope="module")
def running(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spine]:
    """cgtrail at work for the module."""
    with spine(docker_daemon, tmp_path_factory.mktemp("spine") / "data", "--quiet") as started:
        yield started


@pytest.fixture(scope="module")
def box(docker_daemon: Dockerd, running: Spine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container with a folder of the host's and a file system in memory."""
    folder = tmp_path_factory.mktemp("bound")
    (folder / "inner").mkdir()
    volumes = {str(folder): {"bind": "/bound", "mode": "rw"}}
    with docker_daemon.container("triggers", *FOREVER, volumes=volumes, tmpfs={"/mnt": ""}) as made:
        yield made


def started(running: Spine, box: Container, script: str) -> Document:
    """The document of what a shell script becomes."""
    pid = int(box.run("sh", "-c", f"echo $$; {script}"))
    (document,) = running.until(
        f"process.vpid:{pid} AND event.action:exec AND process.name:trigger", 1, "--container", box.id
    )
    return document


@pytest.mark.parametrize("name", CASES)
def test_sizes(running: Spine, box: Container, name: str) -> None:
    """A document has the arguments up to 65,535 bytes, says how many there were, and whether some are missing."""
    words, rest = CASES[name]
    setting = f"a={PIECE.format(size=120_000)};" if "$a" in words else ""
    document = started(running, box, f"{setting} exec {' '.join(PREFIX)} {words}")
    whole = "".join(f"{argument}\0" for argument in [*PREFIX, *rest])
    shown = document["process"]["args"]
    assert document["cgtrail"]["args"] == {"bytes": len(whole), "truncated": len(whole) > ARGS_MAX}
    assert "\0".join(shown) == whole[:ARGS_MAX].removesuffix("\0")
    assert document["process"]["args_count"] == len(shown)


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(running: Spine, box: Container, name: str) -> None:
    """The working directory is where it is mounted, not how it was reached; one that is no more is marked."""
    script, path, marks = FOLDERS[name]
    document = started(running, box, f"{script} && exec {TRIGGER} nothing of-folder")
    assert document["process"]["working_directory"] == path
    assert document["cgtrail"].get("cwd", {}) == marks
