"""What people type in containers, in every shell and client, is told as it was: each line, where, by whom."""

from __future__ import annotations

import pytest

from tests.fidelity.performance import Result
from tests.fidelity.person import Script

pytestmark = pytest.mark.kernel


def test_script(results: dict[Script, Result], script: Script) -> None:
    """Everything that was typed is told as it was, nothing else is, and no secret is anywhere."""
    faults = results[script].faults
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)
