"""Why the kernel refused a program, in words; and how much memory it may take."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from shipper import memory, privileges, refusals
from shipper.libbpf import BpfError
from shipper.memory import MemoryLimitError
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


# Memory


def proc(folder: Path, *, groups: str, mounts: str, swap: int = 0) -> Path:
    """What /proc/self says of a process."""
    (folder / "meminfo").write_text(f"MemTotal: 100 kB\nSwapFree: {swap} kB\n")
    (folder / "self").mkdir()
    (folder / "self" / "cgroup").write_text(groups)
    (folder / "self" / "mountinfo").write_text(mounts)
    return folder / "self"


def limited(folder: Path, names: tuple[str, str, str, str], limit: str, used: int, cache: int, shared: int) -> None:
    """A cgroup with a limit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(limit + "\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cache}\n{names[3]} {shared}\n")


def test_the_tightest_limit_counts(tmp_path: Path) -> None:
    """A limit above this cgroup holds too; the page cache gives way, shared memory does not."""
    tree = tmp_path / "tree"
    limited(tree / "a", memory._VERSION_2, "1000", 900, 300, 100)
    limited(tree / "a" / "b", memory._VERSION_2, "max", 5, 0, 0)
    limited(tree / "a" / "b" / "c", memory._VERSION_2, "5000", 10, 0, 0)
    where = proc(tmp_path, groups="0::/a/b/c\n", mounts=f"1 2 0:1 / {tree} rw - cgroup2 none rw\n")
    found = memory.tightest(where)
    assert found is not None
    assert (found.file, found.limit, found.used, found.room) == (tree / "a" / "memory.max", 1000, 700, 300)


@pytest.mark.parametrize(("swap", "room"), [(0, 10), (2, 2058), (1000, 10000)])
def test_what_can_be_swapped_gives_way(tmp_path: Path, swap: int, room: int) -> None:
    """No more than what is used."""
    limited(tmp_path / "tree", memory._VERSION_2, "10000", 9990, 0, 0)
    mounts = f"1 2 0:1 / {tmp_path}/tree rw - cgroup2 none rw\n"
    found = memory.tightest(proc(tmp_path, groups="0::/\n", mounts=mounts, swap=swap))
    assert found is not None
    assert found.room == room


def test_limits_of_version_1(tmp_path: Path) -> None:
    """Beside an empty cgroup2 the memory controller's own hierarchy is asked."""
    tree = tmp_path / "memory"
    limited(tree / "x", memory._VERSION_1, "4096", 4096, 0, 0)
    limited(tree, memory._VERSION_1, "9223372036854771712", 10**9, 0, 0)
    mounts = f"1 2 0:1 / /cpu rw - cgroup none rw,cpu\n1 2 0:2 / {tree} rw - cgroup none rw,memory\n"
    found = memory.tightest(proc(tmp_path, groups="4:memory:/x\n1:cpu:/\n0::/\n", mounts=mounts))
    assert found is not None
    assert (found.file, found.room) == (tree / "x" / "memory.limit_in_bytes", 0)


@pytest.mark.parametrize("groups", ["", "0::/none/of/these\n", "0::/../..\n", "nonsense\n"])
def test_where_there_is_no_limit(tmp_path: Path, groups: str) -> None:
    """Nothing is told that is not known."""
    (tmp_path / "tree").mkdir()
    mounts = f"1 2 0:1 / {tmp_path}/tree rw - cgroup2 none rw\n"
    assert memory.tightest(proc(tmp_path, groups=groups, mounts=mounts)) is None
    assert memory.tightest(tmp_path / "none") is None


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file, the numbers and what to do."""
    monkeypatch.setattr(memory, "tightest", lambda: memory.Limit(Path("/x/memory.max"), 64 << 20, 40 << 20))
    memory.require(24 << 20)
    with pytest.raises(MemoryLimitError, match=r"/x/memory.max allows 64 MiB, of which 24 MiB are left, and 25 MiB"):
        memory.require(25 << 20)
