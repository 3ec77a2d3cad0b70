"""The throwaway container `cgtrail demo` plays in: namespaces and one cgroup, no container runtime.

What must happen in other processes is in `cgtrail.demo_inside`, which is run as a script.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cgtrail import demo_inside
from cgtrail.demo_inside import NAME, locked, pids_of, remove


class DemoError(Exception):
    """The demo container cannot be made or entered; the text says where, what, and what to do."""

    def __init__(self, place: str, value: str, next_step: str) -> None:
        super().__init__(f"{place}: {value}; {next_step}")


@dataclass(frozen=True, slots=True)
class DemoContainer:
    """A running demo container, valid until its `demo_container` block ends. `init_pid` is the host's number."""

    id: str
    name: str
    hostname: str
    cgroup: Path
    init_pid: int

    def run(
        self, argv: Sequence[str], *, cwd: str = "/", timeout: float = 30, user: int = 0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `argv` inside as uid and gid `user`, stdin empty; return its code and output once the latter is closed.

        The code is negative for a signal, 127 if the program or `cwd` is missing, 126 if it may not be used. After
        `timeout` seconds, or on any exception here, every process of the container but its init is killed.
        Raises TimeoutExpired (holding the output), DemoError if the container is gone, ValueError for no `argv`.
        """
        if not argv:
            raise ValueError("argv is empty: name the program to run")
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as status:
            # The helper's stdin is where it *writes* the code: stdout and stderr are the command's.
            with open(write_end, "wb") as stdin:
                arguments = ("enter", str(self.cgroup), str(self.init_pid), str(user), cwd, *argv)
                helper = _helper(arguments, stdin.fileno(), subprocess.PIPE)
            with helper:
                try:
                    out, err = helper.communicate(timeout=timeout)
                except subprocess.TimeoutExpired:
                    self._kill_commands(helper)
                    raise subprocess.TimeoutExpired(argv, timeout, *helper.communicate()) from None
                except BaseException:
                    self._kill_commands(helper)
                    raise
            code = status.read()
        if not code:
            reason = err.decode(errors="replace").strip() or "its helper process ended early"
            raise DemoError(f"demo container {self.id}", reason, "start a new demo container")
        return subprocess.CompletedProcess(argv, int(code), out, err)

    def type(self, lines: Sequence[str], *, timeout: float = 60, user: int = 0) -> bytes:
        """Type lines at a shell on a terminal inside, key by key, the last of which ends it; returns what it showed.

        Raises DemoError where that is not possible, or not over after `timeout` seconds.
        """
        arguments = ("type", str(self.cgroup), str(self.init_pid), str(user), *lines)
        with _helper(arguments, subprocess.DEVNULL, subprocess.PIPE) as helper:
            try:
                out, err = helper.communicate(timeout=timeout)
            except BaseException as error:
                self._kill_commands(helper)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise DemoError("demo session", f"not over after {timeout:.0f} s", "start a new one") from None
                raise
        if helper.returncode:
            raise DemoError("demo session", err.decode(errors="replace").strip(), "start a new demo container")
        return out

    def _kill_commands(self, helper: subprocess.Popen[bytes]) -> None:
        # The helper ends by itself, after reaping its command: killed, it would leave a zombie to the host's init.
        deadline = time.monotonic() + 5
        while (pids := pids_of(self.cgroup) - {self.init_pid}) or helper.poll() is None:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError), open(os.pidfd_open(pid), "rb") as process:
                    # Asked again with the handle held: the pid cannot have passed to a stranger.
                    if pid in pids_of(self.cgroup):
                        signal.pidfd_send_signal(process.fileno(), signal.SIGKILL)
            if time.monotonic() > deadline:
                helper.kill()
                break
            time.sleep(0.01)


@contextmanager
def demo_container(cgroup_root: Path) -> Iterator[DemoContainer]:
    """Make a demo container with its cgroup below `cgroup_root`, the cgroup2 mount, and remove it after the block.

    First removes what killed makers left: empty cgroups of ours. Raises DemoError if not root, if `cgroup_root` is
    no writable cgroup2 mount, or if the kernel refuses a step.
    """
    if os.geteuid() != 0:
        raise DemoError("demo container", f"uid {os.geteuid()} is not root", "run it with sudo")
    if not (cgroup_root / "cgroup.controllers").is_file():
        raise DemoError(str(cgroup_root), "not a cgroup2 mount", "mount cgroup2 and name its folder")
    cgroup = cgroup_root / NAME / secrets.token_hex(32)
    with contextlib.ExitStack() as stack:
        # Under the lock an empty cgroup of ours is a stale one, never one about to be filled.
        with locked(cgroup_root):
            _remove_stale(cgroup.parent)
            stack.callback(remove, cgroup)
            try:
                cgroup.mkdir(parents=True)
            except OSError as error:
                raise DemoError(str(cgroup), str(error.strerror), "run as root on the host") from error
            holder = stack.enter_context(_helper(("hold", str(cgroup)), subprocess.PIPE, subprocess.STDOUT))
            stack.callback(_let_go, holder)
            assert holder.stdout is not None
            report = holder.stdout.readline()
        if not report.strip().isdigit():
            reason = (report + holder.stdout.read()).decode(errors="replace").strip() or "the helper ended early"
            raise DemoError("demo container", reason, "run as root on the host, with util-linux installed")
        yield DemoContainer(cgroup.name, NAME, NAME, cgroup, int(report))


def _helper(arguments: Sequence[str], stdin: int, stderr: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", os.path.abspath(demo_inside.__file__), *arguments]
    # Its own session: Ctrl-C reaches the maker alone, which then cleans up in order.
    return subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, cwd="/", start_new_session=True
    )


def _let_go(holder: subprocess.Popen[bytes]) -> None:
    assert holder.stdin is not None
    # A byte, not only the close: a forked copy of the maker may still hold the pipe open.
    with contextlib.suppress(BrokenPipeError), holder.stdin:
        holder.stdin.write(b"\n")


def _remove_stale(parent: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for folder in parent.iterdir():
            if re.fullmatch("[0-9a-f]{64}", folder.name):
                with contextlib.suppress(OSError):  # rmdir refuses a cgroup with a live process
                    folder.rmdir()
