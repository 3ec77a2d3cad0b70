"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Neither the speed of the machine nor what else runs on it decides whether a test passes. In CI the examples are the
# same each time; a developer's runs look for new ones.
settings.register_profile(
    "cgtrail", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("cgtrail")
