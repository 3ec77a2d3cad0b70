"""A recorded storm and what an undisturbed worker makes of it; how long the tests are, and by which seed they go."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.kept import Kept, assert_same, kept, undisturbed
from tests.faults.processes import CGTRAIL, processes
from tests.faults.storm import Boot, storm
from tests.faults.writer import write
from tests.kernel.conftest import docker_daemon, trigger_programs

__all__ = ["docker_daemon", "trigger_programs"]  # fixtures of the live tests


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried."""

    long: bool
    moments: int
    """At which somebody is killed."""
    ticks: int
    """Of the storm, five a second."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A storm in a spool of its own, and what comes of it."""

    data: Path
    seed: int
    ticks: int
    boots: list[Boot]
    wanted: Kept

    @property
    def frames(self) -> int:
        """How many it has."""
        return sum(len(boot.frames) for boot in self.boots)

    def copy(self, to: Path) -> Path:
        """A data folder with this spool, and nothing else."""
        shutil.copytree(self.data / "spool", to / "data" / "spool")
        return to / "data"


@pytest.fixture(scope="session")
def effort(pytestconfig: pytest.Config) -> Effort:
    """Short by default: a sample of the moments; `--faults-long` tries a hundred."""
    long = bool(pytestconfig.getoption("faults_long"))
    return Effort(long, 100, 1000) if long else Effort(long, 8, 120)


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """What this run's chances come from; it is printed, and `--faults-seed` repeats it."""
    given = pytestconfig.getoption("faults_seed")
    return random.SystemRandom().randrange(1 << 32) if given is None else int(given)


@pytest.fixture
def rng(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """Chances of this test's own."""
    print(f"repeat with --faults-seed {seed}")
    return random.Random(f"{seed} {request.node.name}")  # noqa: S311  chance, no secret


@pytest.fixture(scope="session")
def recorded(effort: Effort, seed: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """The storm of this run, recorded once. The worker as it is installed stores exactly what one in memory makes."""
    folder = tmp_path_factory.mktemp("recorded")
    boots = storm(seed, effort.ticks)
    write(folder / "data" / "spool", boots)
    wanted = undisturbed(folder / "data", folder / "memory")
    found = Recorded(folder / "data", seed, effort.ticks, boots, wanted)
    (folder / "stored").mkdir()
    with processes(found.copy(folder / "stored"), CGTRAIL) as undisturbed_process:
        undisturbed_process.finish()
        assert_same(kept(undisturbed_process.data), wanted, f"seed {seed}")
    yield found
    shutil.rmtree(folder, ignore_errors=True)
