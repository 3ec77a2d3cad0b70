"""One Docker daemon for the session; for each test module kernel programs, and a container that they see from birth."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.kernel.capture import Capture, capturing
from tests.kernel.dockerd import Container, Dockerd, busybox_archive, dockerd, program

TRIGGERS = Path(__file__).parent / "triggers"
GCC = ["-static", "-O1", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]
FOREVER = ("tail", "-f", "/dev/null")


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> Iterator[None]:
    """The verifier's words, which are long, stay out of a failed test's output."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def trigger_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the programs "trigger" and "report"."""
    folder = tmp_path_factory.mktemp("triggers")
    sources = {"report": ["report.c"], "trigger": sorted(p.name for p in TRIGGERS.glob("*.c") if p.name != "report.c")}
    for name, files in sources.items():
        subprocess.run([program("gcc"), *GCC, "-o", folder / name, *files], cwd=TRIGGERS, check=True)
    return folder


@pytest.fixture(scope="session")
def docker_daemon(trigger_programs: Path) -> Iterator[Dockerd]:
    """A Docker daemon with the images "busybox" and "triggers"."""
    report, trigger = ((trigger_programs / name).read_bytes() for name in ("report", "trigger"))
    files = {
        "triggers/report": (report, 0o755),
        "triggers/trigger": (trigger, 0o755),
        **{f"triggers/{name}": (trigger, 0o755) for name in ("sshd", "sshd-session", "dropbear", "sshd2")},
        "triggers/script": (b"#!/triggers/report -x\n", 0o755),
        "triggers/denied": (report, 0o644),
        "triggers/noexec": (b"not a program\n", 0o755),
        "jail/report": (report, 0o755),
    }
    with dockerd() as daemon:
        daemon.add_image("busybox", busybox_archive({}))
        daemon.add_image("triggers", busybox_archive(files))
        yield daemon


@pytest.fixture(scope="module")
def capture() -> Iterator[Capture]:
    """Kernel programs that record containers only."""
    with capturing() as capture:
        yield capture


@pytest.fixture(scope="module")
def container(docker_daemon: Dockerd, capture: Capture) -> Iterator[Container]:
    """A container that the programs saw being made; it may make user namespaces."""
    with docker_daemon.container("triggers", *FOREVER, security_opt=["seccomp=unconfined"]) as made:
        yield made
