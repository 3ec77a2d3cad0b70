"""An SSH server outside of all containers, which nobody records; they reach it by a socket in a shared folder."""

from __future__ import annotations

import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.dockerd import program

SOCKET = "far"
DIAL = """import os, socket, sys, threading
far = socket.socket(socket.AF_UNIX)
far.connect(sys.argv[1])
def up():
    while data := os.read(0, 65536):
        far.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := far.recv(65536):
    os.write(1, data)
"""
"""What ssh has as its ProxyCommand: from its pipes to the socket and back."""
CLIENT = """Host *
    IdentityFile /home/keys/user
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel QUIET
Host inside
    HostName 127.0.0.1
    User alice
Host far
    User root
    ProxyCommand /usr/bin/python3 -IS /home/dial.py /home/far
"""
"""The configuration of clients in containers."""
SERVER = """HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PermitRootLogin prohibit-password
UsePAM no
PrintMotd no
PrintLastLog no
PidFile none
ForceCommand exec env -i HOME=/tmp TERM=xterm-256color PATH=/usr/bin:/bin PS1='far:\\w$ ' bash --norc --noprofile
"""
START = "mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -i -f {folder}/far.conf"
"""For one connection, as inetd does; with a /run of its own, where the folder that it wants is."""


@contextmanager
def elsewhere(shared: Path, keys: Path) -> Iterator[None]:
    """The server; `keys` has the keys "host" and "user", and `shared` is the containers' /home."""
    (shared / "keys").mkdir()
    (shared / "keys" / "user").write_bytes((keys / "user").read_bytes())
    (shared / "keys" / "user").chmod(0o600)
    (shared / "dial.py").write_text(DIAL)
    (keys / "far.conf").write_text(SERVER.format(folder=keys))
    argv = [program("unshare"), "--mount", "sh", "-c", START.format(folder=keys)]

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            """Nothing but sshd talks."""
            subprocess.run(argv, stdin=self.request, stdout=self.request, stderr=subprocess.DEVNULL, check=False)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(shared / SOCKET), Connection) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
