"""Where a benchmark works: a Docker daemon, containers whose processes do as told, cgtrail on a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.live import Rig, rig
from tests.kernel.dockerd import Container, Dockerd, busybox_archive, dockerd, program, wait_until
from tests.kernel.images import of_host

SOURCE = Path(__file__).with_name("spawner.c")
SPAWNER, TRUE, STRACE = "/bench/spawner", "/bench/true", "/bench/strace"
CATCH_UP = 1800.0
"""Seconds that a worker may need for a backlog; only a failure takes them."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a spawner did: how often, in how many nanoseconds, of CPU time of it and its programs, and since when."""

    done: int
    ns: int
    cpu: int
    since: int
    """In nanoseconds since 1970."""

    @property
    def ns_each(self) -> float:
        """Nanoseconds for one."""
        return self.ns / self.done

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.done / self.ns * 1e9


@dataclass(frozen=True)
class Spawner:
    """A process that does what it is told (spawner.c), and nothing meanwhile."""

    process: subprocess.Popen[str]

    def do(self, *words: object) -> Done:
        """Obey one command, to its end."""
        assert self.process.stdin
        assert self.process.stdout
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"the spawner ended on {words}"
        return Done(**json.loads(answer))


def together(spawners: list[Spawner], *words: object) -> list[Done]:
    """All obey the same command at once."""
    with ThreadPoolExecutor(len(spawners)) as pool:
        return list(pool.map(lambda each: each.do(*words), spawners))


@contextmanager
def spawner(*argv: str, environment: dict[str, str] | None = None) -> Iterator[Spawner]:
    """Start a spawner by a command of this host, and end it."""
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ready = Spawner(process)
        ready.do("spawn", 1)
        yield ready
        assert process.stdin
        process.stdin.close()


@dataclass(frozen=True)
class Lab:
    """The daemon with the image `bench`, the spawner as a program of this host, and a folder for what is recorded."""

    daemon: Dockerd
    program: Path
    scratch: Path

    @contextmanager
    def container(self, *argv: str, **options: object) -> Iterator[Container]:
        """A container; without `argv` it does nothing."""
        with self.daemon.container("bench", *(argv or ("tail", "-f", "/dev/null")), **options) as made:
            yield made

    @contextmanager
    def spawner(self, container: Container, *before: str) -> Iterator[Spawner]:
        """A spawner in a container, started by the command `before`."""
        argv = (program("docker"), "exec", "-i", container.id, *before, SPAWNER)
        with spawner(*argv, environment=self.daemon.environment) as ready:
            yield ready

    @contextmanager
    def spawners(self, container: Container, count: int) -> Iterator[list[Spawner]]:
        """Several spawners in one container."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.spawner(container)) for _ in range(count)]

    @contextmanager
    def recording(self, settings: Mapping[str, str] | None = None, *, worker: bool = True) -> Iterator[Rig]:
        """An agent, and a worker that has come up with it; both end well, and their folder goes.

        `settings` are variables of the environment.
        """
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        with rig(self.daemon, folder) as made:
            made.environment |= {"CGTRAIL_DOCUMENTS_FORKS": "false", **(settings or {})}
            made.start_agent()
            if worker:
                start_worker(made)
            yield made
            for process in (made.worker, made.agent):
                if process:
                    made.stop(process)
        shutil.rmtree(folder)


def start_worker(made: Rig) -> None:
    """Start the worker, and wait until it has stored all that there is."""
    made.start_worker()
    settle(made)


def settle(made: Rig) -> None:
    """Wait until all that has happened is stored, however much it is."""
    number = made.written()
    wait_until(lambda: made.position().next >= number, f"the worker to come to frame {number}", CATCH_UP)


def pids(made: Rig) -> dict[str, int]:
    """The processes that run, by name."""
    return {name: half.pid for name, half in (("agent", made.agent), ("worker", made.worker)) if half}


@contextmanager
def lab(scratch: Path) -> Iterator[Lab]:
    """Build the spawner, start the daemon."""
    built = scratch / "spawner"
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run([program("musl-gcc"), "-static", "-O2", *warnings, "-o", built, SOURCE], check=True)
    files = of_host({TRUE.lstrip("/"): program("true"), STRACE.lstrip("/"): program("strace")})
    with dockerd() as daemon:
        daemon.add_image("bench", busybox_archive({SPAWNER.lstrip("/"): (built.read_bytes(), 0o755), **files}))
        yield Lab(daemon, built, scratch)


def scratch_folder() -> Path:
    """A new folder, where CGTRAIL_BENCH_DIR says or in /var/tmp."""
    return Path(tempfile.mkdtemp(prefix="cgtrail-bench-", dir=os.environ.get("CGTRAIL_BENCH_DIR", "/var/tmp")))
