"""Everything that is fuzzed: a target takes any bytes, and raises only where a promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import files, generators, partition, records, runtimes, search, secrets, spool, terminals, users, worker
from tests.unit.any_record import any_record

CORPUS = Path(__file__).parent / "corpus"
"""A folder for each target: seeds, and the input of each bug that was found."""

TARGETS: dict[str, Callable[[bytes], None]] = {
    "decoder": records.decoder,
    "shown": records.shown,
    "frame": spool.frame,
    "segment": spool.segment,
    "sealed": spool.sealed,
    "worker": worker.worker,
    "partition": partition.partition,
    "query": search.query,
    "position": files.position,
    "snapshot": files.snapshot,
    "status": files.status,
    "configuration": files.configuration,
    "letters": files.letters,
    "store": files.store,
    "docker": runtimes.docker,
    "containerd": runtimes.containerd,
    "cgroup": runtimes.cgroup,
    "users": users.users,
    "secrets": secrets.secrets,
}


GENERATED: dict[str, tuple[st.SearchStrategy[bytes], str]] = {
    "records": (any_record.map(lambda made: made.encode()), "decoder"),
    "payloads": (generators.PAYLOADS, "worker"),
    "terminals": (terminals.TERMINALS, "worker"),
    "segments": (generators.SEGMENTS, "segment"),
    "queries": (generators.QUERIES, "query"),
}
"""Inputs that are made up, and the target that gets them."""


def corpus(target: str) -> list[Path]:
    """The inputs that are kept for a target."""
    return sorted((CORPUS / target).iterdir())


def everything() -> dict[str, Callable[[bytes], object]]:
    """All that a fuzzer can be let loose on: the targets, and what makes their inputs up from a fuzzer's bytes."""
    made_up = {name: given(strategy)(TARGETS[target]) for name, (strategy, target) in GENERATED.items()}
    return TARGETS | {name: test.hypothesis.fuzz_one_input for name, test in made_up.items()}  # type: ignore[attr-defined]
