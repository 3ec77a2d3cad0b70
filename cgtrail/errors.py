"""Which errors are expected: those end a command with their message alone."""

from __future__ import annotations

import importlib
import sys

# By name, because importing the modules would make every command slow.
_EXIT_CODES = {
    "cgtrail.config.ConfigError": 2,
    "enrich.stores.query.QueryError": 2,
    "cgtrail.demo_container.DemoError": 1,
    "cgtrail.metrics.MetricsError": 1,
    "cgtrail.spool.SpoolError": 1,
    "enrich.letters.LettersError": 1,
    "enrich.replay.ReplayError": 1,
    "enrich.statefile.StateError": 1,
    "enrich.stores.dayfile.StoreError": 1,
    "shipper.lock.AlreadyRunningError": 1,
    "shipper.cgroups.Cgroup2MissingError": 1,
    "shipper.libbpf.BpfError": 1,
    "shipper.memory.MemoryLimitError": 1,
    "shipper.libbpf.LibbpfMissingError": 1,
    "shipper.probes.CaptureError": 1,
    "shipper.spool.SpoolGoneError": 1,
    "shipper.wire.frame.FrameError": 1,
    "cgtrail.supervise.HalfEndedError": 1,
    "builtins.PermissionError": 1,
    "builtins.OSError": 1,
}


def expected(error: BaseException) -> int | None:
    """The exit code for an expected error, None for a bug of ours."""
    for name, code in _EXIT_CODES.items():
        module, _, kind = name.rpartition(".")
        if module in sys.modules and isinstance(error, getattr(importlib.import_module(module), kind)):
            return code
    return None
