"""How `cgtrail up` waits for its halves, and stops them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cgtrail import supervise
from cgtrail.config import Config
from cgtrail.errors import expected
from shipper.status import STATUS, write_status


class Stuck:
    """A process that nothing ends: it waits in the kernel for a disk."""

    pid = 4242

    def __init__(self) -> None:
        self.signals: list[str] = []

    def terminate(self) -> None:
        """SIGTERM."""
        self.signals.append("TERM")

    def kill(self) -> None:
        """SIGKILL."""
        self.signals.append("KILL")

    def poll(self) -> None:
        """It runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Never comes back without a limit."""
        assert timeout is not None, "waits for ever"
        raise subprocess.TimeoutExpired("half", timeout)


def stuck() -> tuple[Stuck, Any]:
    """Such a process, and it as what is expected of one."""
    made = Stuck()
    return made, cast("Any", made)


def test_what_is_stuck_in_the_kernel_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever can't be killed does not keep `up` from ending; which process it is, is told."""
    process, half = stuck()
    supervise._stop("worker", half)
    assert process.signals == ["TERM", "KILL"]
    assert "the worker, pid 4242, was killed and has not ended: it is stuck in the kernel" in capsys.readouterr().err


def test_an_agent_that_does_not_begin_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is known: who has not begun, and for how long."""
    _, half = stuck()
    rounds = iter(range(5))

    def sleep(_: float) -> None:
        if next(rounds) == 3:
            write_status(tmp_path / STATUS, {"pid": Stuck.pid})

    monkeypatch.setattr(supervise, "PATIENCE_SECONDS", -1)
    monkeypatch.setattr(time, "sleep", sleep)
    assert supervise.Halves(Config(data=str(tmp_path)), half, half).wait_ready() == {"pid": Stuck.pid}
    told = capsys.readouterr().err
    assert told.count("the agent, pid 4242, has not begun to record for -1 s; a busy machine verifies") == 1


@pytest.mark.parametrize(("ended", "code"), [(2, 2), (1, 1), (0, 1), (-9, 1)])
def test_a_half_that_a_mistake_ends(ended: int, code: int) -> None:
    """What is wrong with the configuration has the exit code 2 also where a half found it."""
    half = cast("Any", SimpleNamespace(poll=lambda: ended, returncode=ended))
    with pytest.raises(supervise.HalfEndedError) as caught:
        supervise.Halves(Config(), half, half).check()
    assert expected(caught.value) == code
