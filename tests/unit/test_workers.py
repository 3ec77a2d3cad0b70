"""Several workers on one machine: what is refused, and what their parent makes of their ends. No broker is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOBODY = {"CGTRAIL_KAFKA_SERVERS": "127.0.0.1:1"}
"""Where no broker is."""


def _enrich(data: Path, *options: str, **settings: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cgtrail", "--data", str(data), "enrich", *options]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stderr=subprocess.PIPE, text=True)


def test_a_spool_has_one_reader(tmp_path: Path) -> None:
    """Without Kafka there is nothing to share."""
    process = _enrich(tmp_path, "--workers", "2")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--workers: a spool has one reader; several need kafka.servers" in said


def test_a_wrong_configuration_ends_them_all(tmp_path: Path) -> None:
    """Who is refused is not started again: the exit code says that it is the configuration."""
    wrong = {"CGTRAIL_KAFKA_SECURITY_PROTOCOL": "ssl", "CGTRAIL_KAFKA_SSL_KEY_PASSWORD_FILE": "/nowhere"}
    process = _enrich(tmp_path, "--workers", "3", **NOBODY | wrong)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "/nowhere can't be read" in said


def test_they_wait_for_brokers_and_end_when_asked(tmp_path: Path) -> None:
    """Nobody answers: it is said in words, and SIGTERM ends all of them with success; none is left behind."""
    process = _enrich(tmp_path, "--workers", "2", **NOBODY)
    files = [tmp_path / "enrich.sqlite.status.json", tmp_path / "enrich.sqlite.1.status.json"]
    deadline = time.monotonic() + 120
    while not all(file.exists() for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pids = [int((tmp_path / f"enrich.sqlite{n}.lock").read_text()) for n in ("", ".1")]
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "no broker can be reached" in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
