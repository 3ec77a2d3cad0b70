"""The databases that people ask: real servers in the container, on Unix sockets, as an ordinary user of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.dockerd import STARTUP_DEADLINE, Container, wait_until

FOLDER = "servers"
"""Of the servers, in the folder that the container has as /home."""
AT = f"/home/{FOLDER}"


@dataclass(frozen=True)
class Server:
    """How a server's folder is made, how it is started, and which socket says that it is ready."""

    make: str
    start: str
    socket: str


POSTGRES = "$(ls -d /usr/lib/postgresql/*/bin | tail -1)"
SERVERS = {
    "psql": Server(
        f"{POSTGRES}/initdb -D {AT}/psql -U postgres -A trust -E UTF8 --no-sync",
        f"{POSTGRES}/postgres -D {AT}/psql -k {AT} -h ''",
        ".s.PGSQL.5432",
    ),
    "mysql": Server(
        f"mariadb-install-db --no-defaults --datadir={AT}/mysql --auth-root-authentication-method=normal",
        f"mariadbd --no-defaults --datadir={AT}/mysql --socket={AT}/mysql.sock --skip-networking --user=alice",
        "mysql.sock",
    ),
}
"""By the name of the client in programs.py."""


def start(box: Container, shared: Path, programs: Collection[str]) -> None:
    """Start the servers of some programs; they end with the container."""
    folder = shared / FOLDER
    folder.mkdir()
    folder.chmod(0o755)
    box.run("chown", "alice", AT)
    for name in SERVERS.keys() & set(programs):
        server = SERVERS[name]
        line = f"exec >{AT}/{name}.log 2>&1; {server.make} && exec {server.start}"
        box.handle.exec_run(["bash", "-c", line], user="alice", detach=True)


def await_ready(shared: Path, program: str) -> None:
    """Wait until the server of a program listens; at once where it needs none."""
    if program in SERVERS:
        socket, log = shared / FOLDER / SERVERS[program].socket, shared / FOLDER / f"{program}.log"
        wait_until(socket.exists, f"{program}'s server; see {log}", STARTUP_DEADLINE)
