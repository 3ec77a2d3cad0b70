"""Boot the guest harness for real, under each kernel it offers."""

from pathlib import Path

import pytest

from .machine import KERNELS, GuestError, GuestTimeoutError, Job, Kernel, fetch, run

TIMEOUT = 120.0
"""Seconds that only a guest that hangs takes."""

pytestmark = pytest.mark.guest
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.version)


def shell(kernel: Kernel, script: str) -> list[str]:
    """Return the lines that a shell script prints under the kernel."""
    done = run(Job(kernel, ("sh", "-ec", script), TIMEOUT))
    assert done.returncode == 0, done
    return done.stdout.decode().splitlines()


@each_kernel
def test_guest_runs_the_kernel_with_what_tracing_needs(kernel: Kernel) -> None:
    """The guest runs the asked kernel, with BTF, cgroup2 and namespaces."""
    release, cgroup, user = shell(
        kernel,
        "uname -r; test -s /sys/kernel/btf/vmlinux; mkdir /sys/fs/cgroup/x;"
        "echo $$ >/sys/fs/cgroup/x/cgroup.procs; cat /proc/self/cgroup;"
        "unshare --user --map-root-user --pid --fork --mount-proc id -u",
    )
    assert release.startswith(f"{kernel.version}.")
    assert (cgroup, user) == ("0::/x", "0")


@each_kernel
def test_what_the_command_leaves_comes_back(kernel: Kernel, tmp_path: Path) -> None:
    """The exit code and both outputs come back, whatever bytes they hold."""
    script = tmp_path / "script.sh"
    script.write_text("""printf 'a\\000\\377\\r\\n'; printf "$WORD" >&2; pwd >&2; exit 77""")
    done = run(Job(kernel, ("sh", "./script.sh"), TIMEOUT, (("WORD", "it's $HOME\n"),), tmp_path))
    assert done.returncode == 77, done
    assert done.stdout == b"a\0\xff\r\n"
    assert done.stderr == f"it's $HOME\n{tmp_path}\n".encode()


@each_kernel
def test_the_host_is_read_only(kernel: Kernel, tmp_path: Path) -> None:
    """The guest can not write to the host's files, even after a remount."""
    (tmp_path / "seen").touch()
    lines = shell(
        kernel,
        f"mount -o remount,rw /; touch /root/written 2>&1 || true; cd {tmp_path};rm seen; touch written; ls",
    )
    assert "Read-only file system" in lines[0]
    assert lines[1:] == ["written"]
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


def test_a_guest_that_hangs_is_ended() -> None:
    """A command that does not finish in time raises, with what is known."""
    fetch(KERNELS[0])
    with pytest.raises(GuestTimeoutError, match="console"):
        run(Job(KERNELS[0], ("sleep", "infinity"), 1))


def test_an_unknown_kernel_says_what_to_run(tmp_path: Path) -> None:
    """A kernel that apt does not know is an error that says what to do."""
    with pytest.raises(GuestError, match="apt-get update"):
        fetch(Kernel("0.1", "linux-image-0.1-amd64"), tmp_path)
    assert list(tmp_path.iterdir()) == []
