"""Run a command of this machine's file system under another kernel, in QEMU.

The guest sees the host's files read-only. It writes to memory (/tmp, /run,
/dev/shm) and to one folder, the box, which brings back what the command said.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .kernels import KERNELS, GuestError, Image, Kernel, fetch, program

__all__ = [
    "KERNELS",
    "Finished",
    "GuestError",
    "GuestTimeoutError",
    "Job",
    "Kernel",
    "fetch",
    "run",
]

ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}

# Bound in a mount namespace that ends with QEMU, and over a folder that always
# exists: no folder that is later removed can lead to the host's files.
PREPARE = """
set -e
mount --rbind / /mnt
for folder in proc sys dev run; do mount -t tmpfs tmpfs /mnt/$folder; done
exec "$@"
"""


class GuestTimeoutError(GuestError):
    """The command did not finish in time."""


@dataclass(frozen=True)
class Job:
    """A command to run as root under a kernel.

    It gets ENVIRONMENT and `env`, but nothing of the environment of this
    process, and starts in `cwd`, by default the current folder. The timeout,
    in seconds, includes the boot but not the download of the kernel. `boot`
    is added to the kernel's command line.
    """

    kernel: Kernel
    command: tuple[str, ...]
    timeout: float
    env: tuple[tuple[str, str], ...] = ()
    cwd: Path | None = None
    boot: str = ""

    def __str__(self) -> str:
        """How a test of it is called."""
        return self.kernel.version


@dataclass(frozen=True)
class Finished:
    """What a command left: a death by signal N is the return code 128 + N."""

    returncode: int
    stdout: bytes
    stderr: bytes
    console: str


def run(job: Job) -> Finished:
    """Boot the kernel, run the command and return what it left."""
    image = fetch(job.kernel)
    with tempfile.TemporaryDirectory(prefix="guest-") as folder:
        scratch = Path(folder)
        box = scratch / "box"
        box.mkdir()
        (box / "job").write_bytes(_script(job))
        initramfs = _initramfs(image, scratch)
        ended = _boot(_qemu(image, initramfs, box, job.boot), scratch / "console", job.timeout)
        return _finished(box, scratch / "console", ended)


def _script(job: Job) -> bytes:
    """Return the shell script that runs the command in the guest."""
    busybox = shlex.quote(program("busybox"))
    variables = [f"{name}={value}" for name, value in {**ENVIRONMENT, **dict(job.env)}.items()]
    words = shlex.join(["/usr/bin/env", "-i", *variables, *job.command])
    return os.fsencode(
        f"(cd {shlex.quote(str(job.cwd or Path.cwd()))} && exec {busybox} setsid {words})"
        " </dev/null >/run/guest/stdout 2>/run/guest/stderr\n"
        "echo $? >/run/guest/status\n"
        f"exec {busybox} poweroff -f\n"
    )


def _initramfs(image: Image, scratch: Path) -> Path:
    """Pack the guest's first files: busybox, the modules and init.sh."""
    busybox = Path(program("busybox"))
    # The name of the loader, at the start of a file, tells it is not static.
    if b"ld-linux" in busybox.read_bytes()[:4096]:
        raise GuestError(f"{busybox} is not static: run apt-get install busybox-static")
    tree = scratch / "initramfs"
    shutil.copytree(image.modules, tree / "modules")
    shutil.copy(busybox, tree / "busybox")
    shutil.copy(Path(__file__).with_name("init.sh"), tree / "init")
    (tree / "init").chmod(0o755)
    names = [str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))]
    packed = subprocess.run(
        [busybox, "cpio", "-o", "-H", "newc"],
        cwd=tree,
        input="\n".join(names).encode(),
        capture_output=True,
        check=True,
    )
    archive = scratch / "initramfs.cpio"
    archive.write_bytes(packed.stdout)
    return archive


def _qemu(image: Image, initramfs: Path, box: Path, boot: str) -> list[str]:
    """Return the command that boots the guest and dies with this process."""
    share = "local,security_model=none,multidevs=remap"
    # One thread for both processors: with two, an emulated one can run a kernel's old code while the other patches it
    # (Oops: int3, now and then).
    machine = [program("qemu-system-x86_64"), "-accel", "tcg,thread=single", "-cpu", "max"]
    machine += ["-m", "1024", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none"]
    machine += ["-kernel", str(image.vmlinuz), "-initrd", str(initramfs)]
    machine += ["-append", f"console=ttyS0 quiet panic=-1 {boot}"]
    machine += ["-virtfs", f"{share},path=/mnt,mount_tag=host,readonly=on"]
    machine += ["-virtfs", f"{share},path={box},mount_tag=box"]
    # Each of these programs becomes the next one: one pid from start to end.
    wrapper = [program("setpriv"), "--pdeathsig", "KILL", program("unshare"), "--mount"]
    if os.geteuid() != 0:
        wrapper.append("--map-root-user")
    return [*wrapper, "sh", "-c", PREPARE, "sh", *machine]


def _boot(qemu: list[str], console: Path, timeout: float) -> bool:
    """Run QEMU with its console in a file; return whether it ended in time."""
    with console.open("wb") as log:
        process = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        finally:
            process.kill()
            process.wait()
    return True


def _finished(box: Path, console: Path, ended: bool) -> Finished:
    """Read what the guest left in the box, or raise with all that is known."""
    stdout, stderr, status = (
        path.read_bytes() if path.exists() else b"" for path in (box / "stdout", box / "stderr", box / "status")
    )
    log = console.read_text(errors="replace")
    if ended and status.strip().isdigit():
        return Finished(int(status), stdout, stderr, log)
    said = f"stdout: {stdout!r}\nstderr: {stderr!r}\nconsole:\n{log}"
    if not ended:
        raise GuestTimeoutError(f"the guest did not finish in time\n{said}")
    raise GuestError(f"the guest ended before its command\n{said}")
