"""Containers with this machine's own programs: its /usr below an /etc of the tests', with a user and passwords."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.dockerd import Container, Dockerd, program

TYPED = "xQ7vK2mZ9wJ4bT6h"
"""Of both users; no four characters in a row occur twice, or anywhere else."""
_HASH = "$6$saltsalt$jydg9Tk6Ur.yEPHl8zImZMu7Gy3X3rgJuBWjfvVfwYMDcB.ij.8lIjYCs6/4ztzW7hS0XFGxl9GTGABvlf8XE."
_ALL = "".join(f"{kind} required pam_unix.so\n" for kind in ("auth", "account", "password", "session"))
_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n"
    "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n",
    "shadow": f"root:{_HASH}:19000:0:99999:7:::\nalice:{_HASH}:19000:0:99999:7:::\n",
    "group": "root:x:0:\nalice:x:1000:\nnogroup:x:65534:\ntty:x:5:\nsudo:x:27:alice\n",
    "sudoers": "Defaults !lecture\nalice ALL=(ALL) ALL\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    "inputrc": "set enable-bracketed-paste off\n",
    "hosts": "127.0.0.1 localhost\n",
    "ssh/sshd_config": "UsePAM no\nPasswordAuthentication yes\nPermitRootLogin yes\nUseDNS no\n",
    "ssh/ssh_config": "Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n",
    **{f"pam.d/{name}": _ALL for name in ("su", "sudo", "passwd", "login", "other")},
}
_MODES = {"shadow": 0o640, "sudoers": 0o440}


def _archive(host_key: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("usr", "etc", "etc/ssh", "etc/pam.d", "proc", "dev", "run", "run/sshd", "root", "home", "var"):
            _add(archive, folder, tarfile.DIRTYPE, 0o755)
        _add(archive, "tmp", tarfile.DIRTYPE, 0o1777)
        _add(archive, "home/alice", tarfile.DIRTYPE, 0o777)
        for name in ("bin", "sbin", "lib", "lib64"):
            _add(archive, name, tarfile.SYMTYPE, 0o777, link=f"usr/{name}")
        for name, text in _ETC.items():
            _add(archive, f"etc/{name}", tarfile.REGTYPE, _MODES.get(name, 0o644), text.encode())
        _add(archive, "etc/ld.so.cache", tarfile.REGTYPE, 0o644, Path("/etc/ld.so.cache").read_bytes())
        _add(archive, "etc/ssh/ssh_host_ed25519_key", tarfile.REGTYPE, 0o600, host_key)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, path: str, kind: bytes, mode: int, content: bytes = b"", link: str = "") -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), link
    archive.addfile(entry, io.BytesIO(content))


@contextmanager
def distribution(daemon: Dockerd, folder: Path, name: str = "distribution") -> Iterator[Container]:
    """Such a container. `folder` is the test's own and may be changed: it is /work there."""
    folder.chmod(0o755)
    key = folder / "host_key"
    if not key.exists():
        subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    daemon.add_image(name, _archive(key.read_bytes()))
    volumes = {"/usr": {"bind": "/usr", "mode": "ro"}, str(folder): {"bind": "/work", "mode": "rw"}}
    options = {"volumes": volumes, "security_opt": ["seccomp=unconfined"], "environment": {"TERM": "xterm"}}
    with daemon.container(name, "tail", "-f", "/dev/null", **options) as made:
        yield made
