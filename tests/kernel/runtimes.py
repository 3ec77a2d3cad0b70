"""containerd, Podman and LXC, each with a folder of its own, of which nothing is left at the end."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.dockerd import (
    DEADLINE,
    STARTUP_DEADLINE,
    BenchError,
    busybox_archive,
    cgroup2_mount,
    wait_until,
)
from tests.kernel.dockerd import _listens as listens
from tests.kernel.dockerd import _processes_of as processes_of
from tests.kernel.dockerd import _unmount_below as unmount_below

CONTAINERD_CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/s"
"""
PODMAN_CONFIG = """[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
LXC_CONFIG = """lxc.uts.name = {name}
lxc.rootfs.path = dir:{folder}/rootfs
lxc.net.0.type = empty
lxc.mount.auto = proc:mixed
lxc.init.cmd = /bin/busybox tail -f /dev/null
lxc.apparmor.profile = unconfined
"""


@dataclass(frozen=True)
class Client:
    """A command and what it is always given."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path

    @property
    def socket(self) -> Path:
        """The daemon's."""
        return self.folder / "s"

    def __call__(self, *arguments: str | Path) -> str:
        """What it prints. Raises BenchError when it fails."""
        done = subprocess.run(
            [*self.argv, *map(str, arguments)],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=STARTUP_DEADLINE,
        )
        if done.returncode:
            raise BenchError(f"{self.argv[0]} {arguments} ended with {done.returncode}: {done.stderr}")
        return done.stdout


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BenchError(f"{name} is missing: apt-get install {package}")
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cgr-"))
    try:
        yield folder
    finally:
        wait_until(lambda: not processes_of(folder), f"the end of the processes in {folder}")
        unmount_below(folder)
        shutil.rmtree(folder)


@contextmanager
def _daemon(argv: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: listens(f"unix://{folder}/s"), f"{argv[0]} listens", STARTUP_DEADLINE)
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)


@contextmanager
def containerd() -> Iterator[Client]:
    """A containerd, without CRI, and its `ctr`."""
    with _folder() as folder:
        config = folder / "config.toml"
        config.write_text(CONTAINERD_CONFIG.format(folder=folder))
        with _daemon([_program("containerd", "containerd"), "--config", str(config)], folder, {}):
            yield Client((_program("ctr", "containerd"), "--address", f"{folder}/s"), {}, folder)
        with suppress(OSError):
            (cgroup2_mount() / "default").rmdir()


@contextmanager
def podman() -> Iterator[Client]:
    """Podman with an image "busybox", and its service; where it may not raise limits, it must not try."""
    with _folder() as folder:
        (folder / "containers.conf").write_text(PODMAN_CONFIG)
        environment = {"CONTAINERS_CONF": f"{folder}/containers.conf"}
        paths = [f"--root={folder}/root", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp", "--storage-driver=vfs"]
        argv = [_program("podman", "podman"), *paths]
        client = Client(tuple(argv), environment, folder)
        (folder / "image.tar").write_bytes(busybox_archive({}))
        client("import", folder / "image.tar", "busybox")
        with _daemon([*argv, "system", "service", "--time=0", f"unix://{folder}/s"], folder, environment):
            try:
                yield client
            finally:
                client("rm", "--all", "--force", "--time=0")
        for name in ("conmon", ""):
            with suppress(OSError):
                (cgroup2_mount() / "libpod_parent" / name).rmdir()


@contextmanager
def lxc(name: str) -> Iterator[Client]:
    """A running container of LXC's: the cgroups of its payload and of its monitor are known by its name."""
    with _folder() as folder:
        own = folder / name
        (own / "rootfs").mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(busybox_archive({}))) as archive:
            archive.extractall(own / "rootfs", filter="fully_trusted")  # noqa: S202  ours
        for each in ("proc", "sys", "dev"):
            (own / "rootfs" / each).mkdir()
        (own / "config").write_text(LXC_CONFIG.format(name=name, folder=own))
        where = ("-P", str(folder), "-n", name)
        start = Client((_program("lxc-start", "lxc"), *where), {}, folder)
        start("-d", "-o", folder / "log")
        try:
            yield Client((_program("lxc-attach", "lxc"), *where, "--"), {}, folder)
        finally:
            Client((_program("lxc-stop", "lxc"), *where), {}, folder)("-k")
            with suppress(OSError):
                (cgroup2_mount() / "lxc.pivot").rmdir()
