"""Fetch Debian kernels to boot: never installed, only unpacked into a cache."""

import lzma
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "busybox": "busybox-static",
    "dpkg-deb": "dpkg",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""The Debian package of each program the harness runs."""

MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""What a guest needs to mount the host's files; dependencies are added."""


class GuestError(Exception):
    """A guest can not be prepared, or did not come to its end."""


@dataclass(frozen=True)
class Kernel:
    """A kernel series and the Debian meta-package that follows it."""

    version: str
    package: str


@dataclass(frozen=True)
class Image:
    """The parts of an unpacked kernel that a boot needs.

    The names of the files in `modules` sort in the order of loading.
    """

    vmlinuz: Path
    modules: Path


KERNELS = (
    Kernel("6.1", "linux-image-amd64"),
    Kernel("6.12", "linux-image-6.12-amd64"),
)


def default_cache() -> Path:
    """Return the folder that keeps unpacked kernels between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cgtrail" / "kernels"


def program(name: str) -> str:
    """Return the path of a program, or say which Debian package has it."""
    # An unprivileged PATH often lacks the sbin folders.
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise GuestError(f"{name} is missing: run apt-get install {PACKAGES[name]}")
    return path


def fetch(kernel: Kernel, cache: Path | None = None) -> Image:
    """Return the kernel unpacked in the cache, downloading it at first use.

    A cached kernel is kept as it is: remove its folder to get a newer one.
    """
    cache = cache or default_cache()
    folder = cache / kernel.version
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            built = _unpack(_download(kernel, Path(scratch)), Path(scratch))
            _publish(built, folder)
    return Image(folder / "vmlinuz", folder / "modules")


def _publish(built: Path, folder: Path) -> None:
    """Move a complete folder in place, unless another process was faster."""
    try:
        built.rename(folder)
    except OSError:
        if not folder.exists():
            raise


def _download(kernel: Kernel, folder: Path) -> Path:
    """Download the package that the kernel's meta-package now depends on."""
    listed = _output([program("apt-cache"), "depends", kernel.package], folder)
    series = re.escape(kernel.version)
    found = re.search(rf"Depends: (linux-image-{series}\.\S+)", listed)
    if found is None:
        raise GuestError(
            f"apt knows no Linux {kernel.version} through {kernel.package}: "
            "run apt-get update, or look for that package in this Debian release"
        )
    _output([program("apt-get"), "download", found[1]], folder)
    return next(folder.glob("*.deb"))


def _output(command: list[str], folder: Path) -> str:
    """Run a packaging command and return its output, or say why it failed."""
    # What the commands print is searched for English words.
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=os.environ | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        hint = "; run apt-get update if the package is not found"
        raise GuestError(f"{' '.join(command)} failed: {done.stderr.strip()}" + (hint if "apt" in command[0] else ""))
    return done.stdout


def _unpack(package: Path, scratch: Path) -> Path:
    """Keep the kernel of a package and the modules a guest loads."""
    tree, built = scratch / "tree", scratch / "built"
    (built / "modules").mkdir(parents=True)
    _output([program("dpkg-deb"), "--extract", str(package), str(tree)], scratch)
    next(tree.glob("boot/vmlinuz-*")).rename(built / "vmlinuz")
    for number, (name, code) in enumerate(_load_order(tree).items()):
        (built / "modules" / f"{number:02}-{name}.ko").write_bytes(code)
    return built


def _load_order(tree: Path) -> dict[str, bytes]:
    """Return the code of the modules to load, dependencies first.

    Modules that the kernel has built in have no file, and are left out.
    """
    files = {path.name.partition(".")[0].replace("-", "_"): path for path in tree.glob("**/*.ko*")}
    ordered: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in files and name not in ordered:
            code = _module_code(files[name])
            # The package has no modules.dep: depmod writes it at installation.
            depends = re.search(rb"\0depends=([^\0]+)\0", code)
            for needed in depends[1].decode().split(",") if depends else []:
                add(needed.replace("-", "_"))
            ordered[name] = code

    for name in MODULES:
        add(name)
    return ordered


def _module_code(path: Path) -> bytes:
    """Return the bytes of a module, decompressed as insmod needs them."""
    if path.suffix == ".ko":
        return path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    raise GuestError(f"{path.name}: modules of this compression are not supported")
