"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Neither the speed of the machine nor what else runs on it decides whether a test passes.
settings.register_profile("cgtrail", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cgtrail")
