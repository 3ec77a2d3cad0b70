"""Where scripts are played: a container with this machine's programs, and people at terminals in it."""

from __future__ import annotations

import os
import secrets
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fidelity.elsewhere import CLIENT
from tests.fidelity.person import Line, Script
from tests.fidelity.programs import PROGRAMS, WITH, Program
from tests.fidelity.servers import await_ready
from tests.fidelity.typist import Typist, seat
from tests.kernel.dockerd import Container, Dockerd, busybox_archive, wait_until
from tests.kernel.furnished import ENVIRONMENT, FOLDERS, FOREVER, ssh_server
from tests.kernel.furnished import FILES as FURNISHED
from tests.kernel.terminals import Client, at_terminal

AT_ONCE = 10
"""People who type at the same time."""
MARK = "FIDELITY"
"""The variable that tells a script's processes apart on the host, from those of other runs too."""
RUN = secrets.token_hex(8)
ALICE = 1000
USERS = (
    b"root:x:0:0:root:/root:/usr/bin/bash\nalice:x:1000:1000:Alice:/home/alice:/usr/bin/bash\n"
    b"sshd:x:100:65534::/run/sshd:/bin/sh\n"
)
SHADOW = (
    b"root:$6$fidelity$9x1OwNbW9WIlie2si1RFH6J0dUmtLkorZksDP8AhZXEkRr3hVxLRbrr.Krxuizs9Tr6.313axnnfxfBXEOSgu.:"
    b"19000:0:99999:7:::\nalice:*:19000:0:99999:7:::\n"
)
"""Root's password is marble-orchid-2291."""
BASHRC = b"PS1='\\u:\\w\\$ '\nHISTFILE=\nbind 'set bell-style none'\n"
PROFILE = b". ~/.bashrc\n"
FILES = {
    "etc/passwd": (USERS, 0o644),
    "etc/shadow": (SHADOW, 0o600),
    "etc/hosts": (b"127.0.0.1 localhost inside\n", 0o644),
    "root/.ssh/config": (CLIENT.encode(), 0o600),
    "root/.bashrc": (BASHRC, 0o644),
    "root/.bash_profile": (PROFILE, 0o644),
    "etc/sudoers": (b"Defaults use_pty\nroot ALL=(ALL:ALL) NOPASSWD: ALL\nalice ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440),
}
_SPAWNING = threading.Lock()


@dataclass
class Played:
    """A script that was typed, and what is true of it."""

    script: Script
    number: str
    home: Path
    """Its folder, on the host."""
    box: str = ""
    """Id of its container."""
    truth: list[Line] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    secrets: list[tuple[bytes, bool]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    failure: str = ""
    """Why it could not be typed to its end."""
    screen: bytes = b""

    @property
    def alone(self) -> bool:
        """It has a container of its own."""
        return self.script.alone or PROGRAMS[self.script.program].alone

    @property
    def cwd(self) -> str:
        """Where it begins, in the container: no other script's."""
        return f"/home/{self.number}"


def build(daemon: Dockerd, keys: Path) -> None:
    """Make the image of all stages; the keys of its SSH server are made in a folder."""
    files = {**FURNISHED, **ssh_server(keys), **FILES}
    archive = busybox_archive(files, links={"lib": "usr/lib", "lib64": "usr/lib64"})
    daemon.add_image("stage", archive)


@contextmanager
def stage(daemon: Dockerd, shared: Path, name: str) -> Iterator[Container]:
    """A container of the suite; the scripts' folders are in its /home."""
    volumes = [f"{folder}:{folder}:ro" for folder in FOLDERS] + [f"{shared}:/home"]
    options = {"volumes": volumes, "environment": ENVIRONMENT, "security_opt": ["seccomp=unconfined"]}
    with daemon.container("stage", *FOREVER, name=name, hostname="box", **options) as made:
        yield made


def prepare(script: Script, number: str, shared: Path) -> Played:
    """Make a script's folder, with its program's start-up files and its own lines in them."""
    home = shared / number
    home.mkdir(parents=True)
    program = PROGRAMS[script.program]
    for path, content in program.files:
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.replace(WITH, "\n".join(script.setup)))
    if script.user == "alice":
        for each in [home, *home.rglob("*")]:
            os.chown(each, ALICE, ALICE)
    return Played(script, number, home)


def play(daemon: Dockerd, box: Container, played: Played) -> None:
    """Type a script from its first prompt until its program has ended."""
    script, program = played.script, PROGRAMS[played.script.program]
    played.box = box.id
    command = ["exec", "-it", "-u", script.user, "-w", played.cwd, *_environment(played, program), box.id]
    try:
        await_ready(played.home.parent, script.program)
        with ExitStack() as seated:
            with _SPAWNING:
                at = at_terminal(daemon, *command, *program.argv, rows=script.rows, columns=script.columns)
                client = seated.enter_context(at)
            _type(client, played, program)
    except Exception:
        played.failure = traceback.format_exc(limit=-3)


def _type(client: Client, played: Played, program: Program) -> None:
    script = played.script
    person = Typist(client, _find(played.number), [seat(script.program, script.user, played.cwd, script.prompt)])
    played.truth, played.depths, played.secrets = person.truth, person.depths, person.secrets
    played.doubts = person.doubts
    try:
        person.begin()
        script.type(person)
        person.end(program.leave)
    finally:
        played.screen = client.received
        _end(played.number)


def play_all(daemon: Dockerd, box: Container, every: list[Played]) -> None:
    """Type many scripts, several at a time."""
    with ThreadPoolExecutor(AT_ONCE) as people:
        list(people.map(lambda played: play(daemon, box, played), every))


def _environment(played: Played, program: Program) -> list[str]:
    variables = {**ENVIRONMENT, "HOME": played.cwd, MARK: f"{RUN}.{played.number}"}
    variables |= {key: value.replace("{home}", played.cwd) for key, value in program.environment}
    variables |= played.script.environment
    return [part for key, value in variables.items() for part in ("-e", f"{key}={value}")]


def _find(number: str) -> int:
    """The first process of a script, once it is there."""
    found: list[int] = []

    def there() -> bool:
        found[:] = _processes(number)
        return bool(found)

    wait_until(there, f"the first process of script {number}")
    return found[0]


def _processes(number: str) -> list[int]:
    """A script's processes on the host, oldest first."""
    mark, found = f"{MARK}={RUN}.{number}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                begun = int((folder / "stat").read_text().rpartition(")")[2].split()[19])
                found.append((begun, int(folder.name)))
        except OSError:
            continue
    return [pid for _, pid in sorted(found)]


def _end(number: str) -> None:
    """End what a script has left behind."""
    for pid in _processes(number):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
