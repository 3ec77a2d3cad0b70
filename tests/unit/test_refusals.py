"""Why the kernel refused a program, in words."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from shipper import privileges, refusals
from shipper.libbpf import BpfError
from shipper.refusals import last_words, refusal

LOG = """libbpf: prog 'exec': BPF program load failed: Permission denied
libbpf: prog 'exec': -- BEGIN PROG LOAD LOG --
0: R1=ctx() R10=fp0
5: (61) r0 = *(u32 *)(r1 +0)
R1 invalid mem access 'scalar'
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
-- END PROG LOAD LOG --
libbpf: prog 'exec': failed to load: -13
"""
EVERYTHING, NOTHING = (1 << 41) - 1, 0
BPF, PERFMON, ADMIN = 1 << 39, 1 << 38, 1 << 21


def test_the_verifiers_last_words() -> None:
    """Its reason is the last line of its log that is no statistics."""
    assert last_words(LOG) == "R1 invalid mem access 'scalar'"
    assert last_words(LOG.partition("BEGIN")[2]) == "R1 invalid mem access 'scalar'"  # the beginning was cut off
    assert last_words("libbpf: failed to load object\n") == ""
    assert last_words("") == ""


@pytest.mark.parametrize("number", [*errno.errorcode, 524, 9999])
def test_every_error_has_a_reason_and_a_next_step(number: int) -> None:
    """Known or not."""
    told = refusal(BpfError("loading", number))
    assert told.reason
    assert told.advice


def test_a_verifiers_refusal_has_its_words() -> None:
    """So that a report says what to mend."""
    error = BpfError("loading", errno.EACCES)
    error.log = LOG
    assert str(refusal(error)) == "the verifier refused it: R1 invalid mem access 'scalar'"


def test_without_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libbpf's "no such process" is about BTF where there is none, and about the hook where there is."""
    assert "no such function or tracepoint" in refusal(BpfError("attaching", errno.ESRCH)).reason
    monkeypatch.setattr(refusals, "BTF", Path("/none/vmlinux"))
    told = refusal(BpfError("loading", errno.ESRCH))
    assert "/none/vmlinux" in told.reason
    assert "CONFIG_DEBUG_INFO_BTF" in told.advice


@pytest.mark.parametrize(
    ("effective", "missing"),
    [
        (EVERYTHING, []),
        (ADMIN, []),
        (BPF | PERFMON, []),
        (BPF, ["CAP_PERFMON"]),
        (NOTHING, ["CAP_BPF", "CAP_PERFMON"]),
        (EVERYTHING & ~ADMIN & ~BPF, ["CAP_BPF"]),
    ],
)
def test_missing_capabilities_are_named(tmp_path: Path, effective: int, missing: list[str]) -> None:
    """CAP_SYS_ADMIN stands for both, as in the kernel."""
    file = tmp_path / "status"
    file.write_text(f"Name:\tx\nCapPrm:\t{EVERYTHING:016x}\nCapEff:\t{effective:016x}\n")
    assert privileges.missing_capabilities(file) == missing
