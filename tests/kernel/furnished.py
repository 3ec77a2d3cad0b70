"""A container with this machine's programs, as people at terminals have: editors, pagers, shells, an SSH server."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bpf.enums import Change
from bpf.events import TtyChange
from tests.kernel.capture import Capture, of
from tests.kernel.dockerd import Container, Dockerd, busybox_archive, program
from tests.kernel.terminals import Life, life, lives, screen

FOREVER = ("tail", "-f", "/dev/null")
FOLDERS = ("/usr", "/etc/alternatives", "/etc/mc", "/etc/pam.d", "/etc/security", "/etc/terminfo", "/etc/vim")
"""That are this machine's; busybox's commands are in /bin. The machine's /lib lies in /usr (Debian 12)."""
ENVIRONMENT = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/bin", "HOME": "/tmp"}
SHADOW = b"root:*:19000:0:99999:7:::\nalice:*:19000:0:99999:7:::\n"
USERS = b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/tmp:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/sh\n"
GROUPS = b"root:x:0:\nalice:x:1000:\ntty:x:5:\n"
FILES = {
    "etc/passwd": (USERS, 0o644),
    "etc/group": (GROUPS, 0o644),
    "etc/shadow": (SHADOW, 0o600),
    "etc/sudoers": (b"Defaults use_pty\nroot ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440),
    "run/sshd/here": (b"", 0o644),
}
SSHD = b"""HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
UsePAM no
PrintMotd no
PrintLastLog no
PidFile none
"""
"""Its configuration."""


@contextmanager
def furnished(
    daemon: Dockerd, files: dict[str, tuple[bytes, int]], shared: str = "", **options: Any
) -> Iterator[Container]:
    """A container with this machine's programs, the caller's files (path → content, mode) and folder (in /shared)."""
    daemon.add_image("furnished", busybox_archive({**FILES, **files}, links={"lib": "usr/lib", "lib64": "usr/lib64"}))
    volumes = [f"{folder}:{folder}:ro" for folder in FOLDERS]
    volumes += [f"{shared}:/shared"] if shared else []
    options = {"volumes": volumes, "environment": ENVIRONMENT, "security_opt": ["seccomp=unconfined"], **options}
    with daemon.container("furnished", *FOREVER, **options) as made:
        yield made


def ssh_server(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Files of a container with an SSH server; `user` in the folder is the key that logs in as anybody."""
    for name in ("host", "user"):
        subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return {
        "etc/ssh/host_key": ((folder / "host").read_bytes(), 0o600),
        "etc/ssh/authorized_keys": ((folder / "user.pub").read_bytes(), 0o644),
        "etc/ssh/sshd_config": (SSHD, 0o644),
    }


@contextmanager
def draining(capture: Capture) -> Iterator[None]:
    """The ring is drained all the time; nobody else may drain meanwhile."""
    ended = threading.Event()

    def drain() -> None:
        while not ended.wait(0.005):
            capture.drain()

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        capture.drain()


def hang_ups(capture: Capture, begin: int, container: Container) -> list[Life]:
    """The terminals of a container that began since and were hung up, in this order."""
    before = lives(capture.records[:begin], container.cgroup_id)
    changes = of(capture.records[begin:], TtyChange)
    hung_up = [life(r) for r in changes if r.change == Change.HANGUP and r.home == container.cgroup_id]
    return [each for each in hung_up if each not in before]


def whole(capture: Capture, begin: int, container: Container, hung_up: int = 1) -> dict[Life, bytes]:
    """The screens of a container's terminals that began since, once so many are hung up; nothing was skipped."""
    capture.until(lambda: len(hang_ups(capture, begin, container)) >= hung_up, f"{hung_up} hang-ups")
    records = capture.records[begin:]
    before = lives(capture.records[:begin], container.cgroup_id)  # one that another test left open is not counted
    new = [each for each in lives(records, container.cgroup_id) if each not in before]
    screens = {each: screen(records, each) for each in new}
    assert {each: found.skipped for each, found in screens.items()} == dict.fromkeys(screens, 0)
    return {each: found.content for each, found in screens.items()}
