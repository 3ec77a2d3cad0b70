"""No input breaks a promise: kept inputs again, mutations of them, and inputs that were made up; the same each time.

`make fuzz` looks for more, with chance and coverage (tests/fuzz/README.md).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, GENERATED, TARGETS, corpus

KEPT = [path for target in TARGETS for path in corpus(target)]
SHORT = settings(
    max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
Change = Callable[[bytes], bytes]


def test_every_target_has_a_corpus() -> None:
    """And no corpus has lost its target."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(map(corpus, TARGETS))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_kept_inputs(path: Path) -> None:
    """What once broke a promise keeps it."""
    TARGETS[path.parent.name](path.read_bytes())


PLACES = st.integers(0, 2**16)
LENGTHS = st.integers(0, 200)


def _overwritten(at: int, content: bytes) -> Change:
    return lambda data: data[: at % (len(data) + 1)] + content + data[at % (len(data) + 1) + len(content) :]


def _inserted(at: int, content: bytes) -> Change:
    return lambda data: data[: at % (len(data) + 1)] + content + data[at % (len(data) + 1) :]


def _copied(start: int, length: int, at: int) -> Change:
    return lambda data: _inserted(at, data[start % (len(data) + 1) :][:length])(data)


def _left_out(at: int, length: int) -> Change:
    return lambda data: data[: at % (len(data) + 1)] + data[at % (len(data) + 1) + length :]


def _flipped(at: int, bit: int) -> Change:
    return lambda data: _overwritten(
        at, bytes([data[at % (len(data) + 1)] ^ bit]) if data[at % (len(data) + 1) :] else b""
    )(data)


NUMBERS = st.sampled_from([0, 1, 0x7F, 0xFF, 0xFFFF, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1])
CHANGES = st.one_of(
    st.builds(_flipped, PLACES, st.sampled_from([1 << bit for bit in range(8)])),
    st.builds(_overwritten, PLACES, st.binary(max_size=8) | NUMBERS.map(lambda number: number.to_bytes(8, "little"))),
    st.builds(_inserted, PLACES, st.binary(max_size=60)),
    st.builds(_copied, PLACES, LENGTHS, PLACES),
    st.builds(_left_out, PLACES, LENGTHS),
)


@pytest.mark.parametrize("target", TARGETS)
def test_mutated_inputs(target: str) -> None:
    """However kept inputs are changed: bits flipped, bytes overwritten, inserted, copied, left out."""

    @SHORT
    @given(st.sampled_from(corpus(target)), st.lists(CHANGES, max_size=6))
    def check(path: Path, changes: list[Change]) -> None:
        data = path.read_bytes()
        for change in changes:
            data = change(data)
        TARGETS[target](data)

    check()


@pytest.mark.parametrize("name", GENERATED)
def test_made_up_inputs(name: str) -> None:
    """What has the form of real input, and nothing else of it."""
    strategy, target = GENERATED[name]
    SHORT(given(strategy)(TARGETS[target]))()
