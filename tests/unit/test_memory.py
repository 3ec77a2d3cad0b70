"""How much memory the limits of a cgroup leave, and what is refused for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper import memory
from shipper.memory import MemoryLimitError


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
