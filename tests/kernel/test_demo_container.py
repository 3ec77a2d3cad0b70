"""The demo container on the real kernel: what it shows inside, and that it leaves nothing outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgtrail.demo_container import DemoContainer, DemoError, demo_container

DEADLINE = 60  # seconds; only ever waited out by a failure
REPOSITORY = Path(__file__).parents[2]
MAKER = """
import sys
from pathlib import Path
from cgtrail.demo_container import demo_container
with demo_container(Path(sys.argv[1])) as container:
    print(container.id, flush=True)
    container.run(["sleep", "600"], timeout=600)
"""


def cgroup2_mount() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    return None


@pytest.fixture(scope="module")
def cgroup_root() -> Path:
    root = cgroup2_mount()
    if root is None or os.geteuid() != 0:
        pytest.skip("needs root and a cgroup2 mount")
    return root


@pytest.fixture(scope="module")
def container(cgroup_root: Path) -> Iterator[DemoContainer]:
    with demo_container(cgroup_root) as made:
        yield made


def ours() -> set[int]:
    """The pids of every demo container's processes: in its cgroup, or helpers that name it."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cgroup").read_bytes() + (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"/cgtrail-demo/" in text:
            found.add(int(folder.name))
    return found


def host_state(cgroup_root: Path) -> tuple[str, set[Path], set[int]]:
    cgroups = {path for path in cgroup_root.glob("cgtrail-demo/**") if path.is_dir()}
    return Path("/proc/self/mountinfo").read_text(), cgroups, ours()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {DEADLINE} s: {what}"
        time.sleep(0.02)


def procs(cgroup: Path) -> set[int]:
    return {int(pid) for pid in (cgroup / "cgroup.procs").read_text().split()}


def start_maker(cgroup_root: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """Start another process with a container and a command running in it; return it and the cgroup."""
    maker = subprocess.Popen([sys.executable, "-c", MAKER, cgroup_root], cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert maker.stdout is not None
    cgroup = cgroup_root / "cgtrail-demo" / maker.stdout.readline().decode().strip()
    wait_until(lambda: len(procs(cgroup)) == 2, "init and the command run")
    return maker, cgroup


def test_run_returns_code_and_output(container: DemoContainer) -> None:
    """The code, stdout and stderr of the command come back exactly and apart."""
    done = container.run(["sh", "-c", r"printf 'out\0\377'; printf err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\0\xff", b"err")


def test_run_returns_a_signal_as_a_negative_code(container: DemoContainer) -> None:
    """A command that a signal ends has the negative signal number as its code."""
    assert container.run(["sh", "-c", "kill -TERM $$"]).returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("argv", "cwd", "code"),
    [(["no-such-program"], "/", 127), (["ls"], "/no-such-folder", 127), (["/etc/passwd"], "/", 126)],
)
def test_run_reports_what_cannot_be_run(container: DemoContainer, argv: list[str], cwd: str, code: int) -> None:
    """A missing program or folder gives 127 and an unusable one 126, with the reason on stderr."""
    done = container.run(argv, cwd=cwd)
    assert done.returncode == code
    assert (argv[0] if cwd == "/" else cwd).encode() in done.stderr


def test_identity(container: DemoContainer, cgroup_root: Path) -> None:
    """The id is 64 hex digits, names the cgroup, and the init runs in that cgroup."""
    assert len(container.id) == 64
    assert set(container.id) <= set("0123456789abcdef")
    assert container.cgroup == cgroup_root / "cgtrail-demo" / container.id
    assert procs(container.cgroup) == {container.init_pid}


def test_own_namespaces(container: DemoContainer) -> None:
    """Mount, pid, uts, ipc and net namespaces are the init's own, and a command joins every one of them."""
    for kind in ("mnt", "pid", "uts", "ipc", "net"):
        inside = container.run(["readlink", f"/proc/self/ns/{kind}"]).stdout.decode().strip()
        assert inside == os.readlink(f"/proc/{container.init_pid}/ns/{kind}")
        assert inside != os.readlink(f"/proc/self/ns/{kind}")


def test_hostname_and_pids(container: DemoContainer) -> None:
    """Inside, the hostname is the container's, pids are small, init is 1 and a command's parent is outside."""
    assert container.run(["hostname"]).stdout == b"cgtrail-demo\n"
    pid, parent, init = container.run(["sh", "-c", "echo $$ $PPID; cat /proc/1/comm"]).stdout.split()
    assert 1 < int(pid) < 1000
    assert (parent, init) == (b"0", b"sleep")


def test_command_runs_in_the_cgroup(container: DemoContainer) -> None:
    """A command is in the container's cgroup from its first instruction."""
    assert container.run(["grep", "^0::", "/proc/self/cgroup"]).stdout.endswith(f"/{container.id}\n".encode())


def test_user_and_cwd(container: DemoContainer) -> None:
    """A command has the uid, gid, groups, home and working folder asked for, and no capabilities as a user."""
    script = "id -un; id -G; echo $HOME; pwd; grep CapEff /proc/self/status; cat notes.txt >copy && echo written"
    done = container.run(["sh", "-c", script], user=1000, cwd="/home/alice")
    expected = ["alice", "1000", "/home/alice", "/home/alice", "CapEff:", "0" * 16, "written"]
    assert done.stdout.decode().split() == expected
    assert container.run(["cat", "/root/deploy.key"], user=1000).returncode != 0


def test_root_is_bounded(container: DemoContainer) -> None:
    """Root inside writes to /tmp but neither to /usr nor /proc/sys, and may not mount."""
    assert container.run(["touch", "/tmp/file", "/root/file"]).returncode == 0
    assert b"Read-only" in container.run(["touch", "/usr/file"]).stderr
    assert b"Read-only" in container.run(["touch", "/proc/sys/kernel/hostname"]).stderr
    assert container.run(["mount", "-t", "tmpfs", "none", "/tmp"]).returncode != 0


def test_files_stay_inside(container: DemoContainer) -> None:
    """A file made in the container's /tmp is not on the host."""
    container.run(["touch", f"/tmp/{container.id}"])
    assert not Path("/tmp", container.id).exists()


def test_timeout_kills_the_command(container: DemoContainer) -> None:
    """A command over its time is killed with its children, and the container stays usable."""
    with pytest.raises(subprocess.TimeoutExpired):
        container.run(["sh", "-c", "sleep 600 & sleep 600"], timeout=1)
    assert procs(container.cgroup) == {container.init_pid}
    assert container.run(["true"]).returncode == 0


def test_orphans_are_reaped(container: DemoContainer) -> None:
    """A process whose parent ends first leaves no zombie."""
    container.run(["sh", "-c", "(sleep 0.1 >/dev/null 2>&1 &)"])
    wait_until(lambda: b"sleep 0.1" not in container.run(["ps", "-eo", "args"]).stdout, "the orphan has ended")
    assert b"Z" not in container.run(["ps", "-eo", "stat="]).stdout


def test_nothing_left_after_normal_exit(cgroup_root: Path) -> None:
    """Mounts, cgroups and processes of the host are the same before and after, its mounts also during."""
    before = host_state(cgroup_root)
    with demo_container(cgroup_root) as made:
        made.run(["sh", "-c", "sleep 600 >/dev/null 2>&1 &"])
        mounts, cgroups, processes = host_state(cgroup_root)
        assert mounts == before[0]
        assert made.cgroup in cgroups
        assert procs(made.cgroup) < processes
    assert host_state(cgroup_root) == before
    with pytest.raises(DemoError, match="start a new demo container"):
        made.run(["true"])


def test_nothing_left_after_an_exception(cgroup_root: Path) -> None:
    """An exception in the block passes through and leaves the host as it was."""
    before = host_state(cgroup_root)
    with pytest.raises(LookupError, match="in the block"), demo_container(cgroup_root):
        raise LookupError("in the block")
    assert host_state(cgroup_root) == before


def test_nothing_left_after_the_maker_is_killed(cgroup_root: Path) -> None:
    """When SIGKILL ends the maker, the container, its command and its cgroup go by themselves."""
    before = host_state(cgroup_root)
    maker, cgroup = start_maker(cgroup_root)
    with maker:
        maker.kill()
    wait_until(lambda: host_state(cgroup_root) == before, "the host is as before")
    assert not cgroup.exists()


def test_stale_cgroup_is_removed_by_the_next_start(cgroup_root: Path) -> None:
    """When SIGKILL ends the helpers too, the processes die and the next start removes the empty cgroup."""
    before = host_state(cgroup_root)
    maker, cgroup = start_maker(cgroup_root)
    helpers = [pid for pid in ours() if cgroup.name in Path(f"/proc/{pid}/cmdline").read_text()]
    with maker:
        for pid in (*helpers, maker.pid):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not procs(cgroup), "the cgroup is empty")
    wait_until(lambda: ours() == before[2], "no process is left")
    with demo_container(cgroup_root):
        assert not cgroup.exists()
    assert host_state(cgroup_root) == before


def test_a_start_leaves_others_alone(container: DemoContainer, cgroup_root: Path) -> None:
    """Another container that lives, and an empty cgroup that is not one of ours, survive a start."""
    stranger = cgroup_root / "cgtrail-demo" / "stranger"
    stranger.mkdir()
    try:
        with demo_container(cgroup_root) as other:
            assert other.id != container.id
        assert stranger.is_dir()
        assert container.run(["true"]).returncode == 0
    finally:
        stranger.rmdir()


def test_wrong_cgroup_root_is_refused(tmp_path: Path) -> None:
    """A folder that is no cgroup2 mount is named in the error."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with pytest.raises(DemoError, match=str(tmp_path)), demo_container(tmp_path):
        pass


def test_empty_argv_is_refused(container: DemoContainer) -> None:
    """Running nothing is a ValueError."""
    with pytest.raises(ValueError, match="argv is empty"):
        container.run([])
