"""A Docker daemon of the tests' own: one folder holds all of it, and nothing is left when it has ended."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

DEADLINE = 20.0
"""Seconds that only a failure takes."""
STARTUP_DEADLINE = 60.0
LOG_TAIL = 4000
API_VERSION = "1.41"
"""Of Debian 12's docker.io."""
PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "busybox": "busybox-static", "gcc": "gcc libc6-dev",
            "clang": "clang", "musl-gcc": "musl-tools", "strace": "strace", "true": "coreutils"}  # fmt: skip
"""Programs that the bench needs, and the Debian packages that have them."""
USERS = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/tmp:/bin/sh\n"


class BenchError(RuntimeError):
    """The bench itself failed; the message says what is missing or what was seen."""


def program(name: str) -> str:
    """Where a needed program is. Raises BenchError naming its Debian package."""
    found = shutil.which(name)
    if found is None:
        message = f"{name} is missing: apt-get install {PACKAGES[name]}"
        raise BenchError(message)
    return found


def wait_until(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Poll until a condition holds. Raises BenchError naming it when the deadline passes."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            message = f"still not so after {deadline:.0f} s: {what}"
            raise BenchError(message)
        time.sleep(0.01)


@dataclass(frozen=True)
class Container:
    """A running container of the bench's daemon."""

    handle: Any
    id: str
    pid: int
    """Its first process, as the host sees it."""
    cgroup: Path
    """Its folder in the cgroup2 mount."""
    cgroup_id: int
    pid_ns: int

    def run(self, *argv: str, user: str = "", expect: int = 0) -> bytes:
        """What a program prints that is started in the container as `docker exec` does, and ends as expected."""
        code, (out, err) = self.handle.exec_run(list(argv), user=user, demux=True)
        if code != expect:
            message = f"{argv[:3]} ended with {code}: {(out or b'') + (err or b'')!r}"
            raise BenchError(message)
        return out or b""


@dataclass(frozen=True)
class Dockerd:
    """The running daemon: its address and a client of it."""

    host: str
    client: docker.DockerClient
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """For the `docker` command."""
        return {**os.environ, "DOCKER_HOST": self.host, "DOCKER_CONTEXT": ""}

    def command(self, *arguments: str) -> str:
        """What `docker ARGUMENTS` prints. Raises BenchError when it fails."""
        argv = [program("docker"), *arguments]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{argv} ended with {done.returncode}: {done.stderr}"
            raise BenchError(message)
        return done.stdout

    def add_image(self, name: str, archive: bytes) -> None:
        """Make an image of a tar archive."""
        self.client.api.import_image_from_data(archive, repository=name)

    @contextmanager
    def container(self, image: str, *argv: str, **options: Any) -> Iterator[Container]:
        """A container without a network that runs `argv`, removed at the end."""
        options = {"network_mode": "none", **options}
        handle = self.client.containers.create(image, list(argv), **options)
        try:
            handle.start()
            yield _running(handle)
        finally:
            handle.remove(force=True)


def _running(handle: Any) -> Container:
    handle.reload()
    pid = handle.attrs["State"]["Pid"]
    cgroup = cgroup2_folder(pid)
    pid_ns = Path(f"/proc/{pid}/ns/pid").stat().st_ino
    return Container(handle, handle.id, pid, cgroup, cgroup.stat().st_ino, pid_ns)


def _mounts(kind: str) -> list[Path]:
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [Path(fields[4]) for fields in lines if fields[fields.index("-") + 1] == kind]


def cgroup2_mount() -> Path:
    """Where the cgroup2 hierarchy is mounted. Raises BenchError when it is not."""
    mounts = _mounts("cgroup2")
    if not mounts:
        message = "cgroup2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified"
        raise BenchError(message)
    return mounts[0]


def cgroup2_folder(pid: int) -> Path:
    """The folder of a process's cgroup in the cgroup2 hierarchy."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return cgroup2_mount() / line.removeprefix("0::/")
    message = f"process {pid} is in no cgroup of the cgroup2 hierarchy"
    raise BenchError(message)


def busybox_archive(files: Mapping[str, tuple[bytes, int]], links: Mapping[str, str] | None = None) -> bytes:
    """A root file system with busybox's commands, two users, files (path → content, mode) and symbolic links (path →
    target), as a tar archive."""
    busybox = program("busybox")
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    whole = {"bin/busybox": (Path(busybox).read_bytes(), 0o755), "etc/passwd": (USERS.encode(), 0o644), **files}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("jail/inner", 0o755)):
            _add(archive, folder, tarfile.DIRTYPE, mode)
        for path, (content, mode) in whole.items():
            _add(archive, path, tarfile.REGTYPE, mode, content)
        for path, target in (links or {}).items():
            _add(archive, path, tarfile.SYMTYPE, 0o777, link=target)
        for name in names:
            if f"bin/{name}" not in whole:
                _add(archive, f"bin/{name}", tarfile.SYMTYPE, 0o777, link="/bin/busybox")
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, path: str, kind: bytes, mode: int, content: bytes = b"", link: str = "") -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), link
    archive.addfile(entry, io.BytesIO(content))


@contextmanager
def dockerd() -> Iterator[Dockerd]:
    """A daemon with a folder of its own under the system's temporary one, whose path is short as sockets need it."""
    binary = program("dockerd")
    folder = Path(tempfile.mkdtemp(prefix="cgt-"))
    try:
        yield from _daemon(binary, folder)
    finally:
        _unmount_below(folder)
        shutil.rmtree(folder)
        for mount in _mounts("cgroup2") + _mounts("cgroup"):
            with suppress(OSError):  # not there, or another daemon's containers are in it
                (mount / "docker").rmdir()


def _daemon(binary: str, folder: Path) -> Iterator[Dockerd]:
    host, log = f"unix://{folder}/s", folder / "log"
    paths = {"--data-root": "d", "--exec-root": "x", "--pidfile": "p"}
    options = [f"{option}={folder / name}" for option, name in paths.items()]
    offline = [f"--host={host}", "--iptables=false", "--ip6tables=false", "--bridge=none"]
    with log.open("wb") as output:
        process = subprocess.Popen([binary, *options, *offline], stdout=output, stderr=output, start_new_session=True)
    try:
        client = _connect(process, host, log)
        try:
            yield Dockerd(host, client, log)
        finally:
            client.close()
    finally:
        _stop(process, folder)


def _connect(process: subprocess.Popen[bytes], host: str, log: Path) -> docker.DockerClient:
    """A client that the daemon has answered. It asks only once there is a listener: the SDK leaks sockets otherwise."""
    try:
        wait_until(lambda: process.poll() is not None or _listens(host), "dockerd listens", STARTUP_DEADLINE)
        client = docker.DockerClient(base_url=host, version=API_VERSION, timeout=int(STARTUP_DEADLINE))
        client.ping()
    except (BenchError, DockerException) as error:
        message = f"dockerd does not answer: {error}; its log ends with:\n{_tail(log)}"
        raise BenchError(message) from error
    return client


def _listens(host: str) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        return trial.connect_ex(host.removeprefix("unix://")) == 0


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:]


def _stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    left = _processes_of(folder)
    with suppress(BenchError):
        wait_until(lambda: not _processes_of(folder), "the daemon's processes have ended")
        return
    for pid in _processes_of(folder):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not _processes_of(folder), "the daemon's killed processes are gone")
    message = f"dockerd left {left} behind; its log ends with:\n{_tail(folder / 'log')}"
    raise BenchError(message)


def _processes_of(folder: Path) -> dict[int, str]:
    """The daemon, its containerd and its shims: processes whose arguments name the folder."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (process / "cmdline").read_bytes()
            if os.fsencode(folder) + b"/" in arguments:
                found[int(process.name)] = arguments.replace(b"\0", b" ").decode(errors="replace")
    return found


def _unmount_below(folder: Path) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", mount], check=True)
