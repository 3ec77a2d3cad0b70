"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Neither the speed of the machine nor what else runs on it decides whether a test passes. In CI the examples are the
# same each time; a developer's runs look for new ones.
settings.register_profile(
    "cgtrail", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("cgtrail")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much the fault tests try, and what their chances come from; the environment can say it too."""
    # Taken out: `cgtrail` refuses variables of its own that it does not know.
    long, seed = os.environ.pop("CGTRAIL_FAULTS", "") == "long", os.environ.pop("CGTRAIL_FAULTS_SEED", None)
    parser.addoption("--faults-long", action="store_true", default=long, help="try faults at a hundred moments")
    parser.addoption("--faults-seed", type=int, default=seed, help="repeat a run of the fault tests")
