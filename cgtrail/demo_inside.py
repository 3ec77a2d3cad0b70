"""What `cgtrail demo` runs in its helper processes: this file as a script, with the standard library only.

`hold` makes a container's namespaces and keeps its init alive exactly as long as its maker lives; `enter` starts one
command inside; `type` starts a shell there at a terminal, and types. All prepare everything outside the cgroup: the
first exec in it is init's, then the commands'.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NAME = "cgtrail-demo"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOMES = {0: "/root", 1000: "/home/alice"}
NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
# What Docker leaves to a container's root: no mounting, no modules, no raw I/O on the host.
CAPABILITIES = 0xA80425FB
READY, GO = b"\1", b"\2"
KEY_SECONDS = 0.03
"""From key to key."""
QUIET_SECONDS = 0.3
"""When nothing was shown for so long, the shell waits for the next line."""
LAST_SECONDS = 5.0
"""The shell is given so long to end."""

# /tmp is covered in the new mount namespace only, so no folder of ours is ever on the host; -n: nor a line in /run.
SETUP = r"""set -eu
mount -n --make-rprivate /
mount -n -t tmpfs -o mode=755,size=64m,nodev cgtrail-demo /tmp
cd /tmp
mkdir -p etc proc dev/pts dev/shm host tmp var/tmp root home/alice
chmod 1777 tmp var/tmp dev/shm
chmod 700 root
for name in usr bin sbin lib lib32 lib64 libx32 etc/alternatives; do
    if [ -L /$name ]; then cp -P /$name $name
    elif [ -d /$name ]; then mkdir $name; mount -n --bind -o ro /$name $name; fi
done
for name in null zero full random urandom tty; do
    touch dev/$name
    mount -n --bind /dev/$name dev/$name
done
mount -n -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5,nosuid,noexec devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -n -t proc -o nosuid,nodev,noexec proc proc
mount -n --bind -o ro proc/sys proc/sys
if [ -e proc/sysrq-trigger ]; then mount -n --bind -o ro proc/sysrq-trigger proc/sysrq-trigger; fi
if [ -e /etc/ld.so.cache ]; then cp /etc/ld.so.cache etc; fi
printf '%s\n' root:x:0:0:root:/root:/bin/sh alice:x:1000:1000:Alice:/home/alice:/bin/sh >etc/passwd
printf '%s\n' root:x:0: tty:x:5: alice:x:1000: >etc/group
printf '%s\n' cgtrail-demo >etc/hostname
printf '%s\n' '127.0.0.1 localhost cgtrail-demo' >etc/hosts
printf '%s\n' 'not a real key: made for the cgtrail demo' >root/deploy.key
printf '%s\n' 'ask root for the deploy key' >home/alice/notes.txt
printf '%s\n' id,name 1,Ada 2,Grace >home/alice/customers.csv
chown -R 1000:1000 home/alice
ip link set lo up || true
pivot_root . host
cd /
umount -n -l /host
rmdir /host
"""


@contextmanager
def locked(cgroup_root: Path) -> Iterator[None]:
    """Hold the lock under which demo cgroups are made and removed."""
    folder = os.open(cgroup_root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(folder, fcntl.LOCK_UN)
        os.close(folder)


def remove(cgroup: Path) -> None:
    """Remove a demo cgroup whose processes are dead or dying, and the folder of all if it was the last."""
    # rmdir is refused for a moment after the last process has died.
    deadline = time.monotonic() + 5
    while cgroup.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            cgroup.rmdir()
            break
        time.sleep(0.01)
    with contextlib.suppress(OSError), locked(cgroup.parent.parent):
        cgroup.parent.rmdir()


def pids_of(cgroup: Path) -> set[int]:
    """The processes in a cgroup; none where there is no cgroup."""
    try:
        return {int(pid) for pid in (cgroup / "cgroup.procs").read_text().split()}
    except OSError:  # the cgroup is gone, and its processes with it
        return set()


def _call(function: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*map(ctypes.c_ulong, arguments)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), function)


def _prepare_init() -> list[str]:
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0o022)
    _call("unshare", NEWNS | NEWUTS | NEWIPC | NEWNET)
    socket.sethostname(NAME)
    command = ["/bin/sh", "-c", SETUP]
    setup = subprocess.run(command, env={"PATH": PATH}, capture_output=True, text=True, check=False)
    if setup.returncode:
        raise OSError(errno.EPERM, setup.stderr.strip(), "set-up script")
    # Ignored across exec: the kernel then reaps orphans inside, which sleep never would.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _become(0, "/", null_streams=(0, 1, 2))
    return ["/bin/sleep", "sleep", "infinity"]


def _prepare_command(user: int, cwd: str, argv: Sequence[str]) -> list[str]:
    _become(user, cwd, null_streams=(0,))
    program = shutil.which(argv[0], path=PATH)
    if program is None:
        os.stat(argv[0])
        raise PermissionError(errno.EACCES, "not an executable file", argv[0])
    return [program, *argv]


def _become(user: int, cwd: str, null_streams: Sequence[int]) -> None:
    os.setsid()
    os.umask(0o022)
    null = os.open("/dev/null", os.O_RDWR)
    for stream in null_streams:
        os.dup2(null, stream)
    for capability in range(64):
        if not CAPABILITIES >> capability & 1:
            with contextlib.suppress(OSError):  # this kernel knows fewer
                _call("prctl", PR_CAPBSET_DROP, capability)
    os.setgroups([user])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.chdir(cwd)


def _spawn(procs: int, prepare: Callable[[], list[str]], environment: dict[str, str]) -> int:
    """Fork a child that prepares, is moved into the cgroup and only then execs; return its pid.

    `procs` is the open cgroup.procs; `prepare` returns the program's file, then argv. Raises the child's OSError.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _child(theirs, prepare, environment)
    theirs.close()
    with ours:
        answer = ours.recv(4096)
        if answer == READY:
            os.write(procs, b"%d" % pid)
            ours.sendall(GO)
            answer = ours.recv(4096)  # empty once exec has closed the child's end
    if answer:
        os.waitpid(pid, 0)
        number, _, text = answer.decode(errors="replace").partition(" ")
        raise OSError(int(number), text)
    return pid


def _child(line: socket.socket, prepare: Callable[[], list[str]], environment: dict[str, str]) -> None:
    try:
        program, *argv = prepare()
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        line.sendall(READY)
        if line.recv(1) == GO:
            os.execve(program, argv, environment)
    except OSError as error:
        line.sendall(f"{error.errno} {error.filename}: {error.strerror}".encode(errors="replace"))
    finally:
        os._exit(1)


def _hold(cgroup: str) -> None:
    """Print the pid of a new container's init; keep it until stdin says so or the maker ends."""
    maker = os.pidfd_open(os.getppid())
    procs = os.open(f"{cgroup}/cgroup.procs", os.O_WRONLY)
    _call("unshare", NEWPID)
    pid = _spawn(procs, _prepare_init, {"PATH": PATH})
    init = os.pidfd_open(pid)
    print(pid, flush=True)
    select.select([0, maker, init], [], [])
    signal.pidfd_send_signal(init, signal.SIGKILL)
    os.waitpid(pid, 0)  # returns once every process of the container is dead
    remove(Path(cgroup))


def _inside(cgroup: str, init_pid: int) -> int:
    """Come into the container; what is written to the returned file as its cgroup.procs enters the cgroup."""
    procs = os.open(f"{cgroup}/cgroup.procs", os.O_WRONLY)
    init = os.pidfd_open(init_pid)
    if init_pid not in pids_of(Path(cgroup)):  # a stranger may have its pid by now
        raise ProcessLookupError(errno.ESRCH, "its init has ended")
    _call("setns", init, NEWNS | NEWPID | NEWUTS | NEWIPC | NEWNET)
    return procs


def _environment(user: int) -> dict[str, str]:
    return {"PATH": PATH, "HOME": HOMES.get(user, "/"), "HOSTNAME": NAME}


def _enter(cgroup: str, init_pid: int, user: int, cwd: str, argv: Sequence[str]) -> None:
    """Run `argv` in the container; write its code to fd 0, or to fd 2 why there is none."""
    procs = _inside(cgroup, init_pid)
    try:
        pid = _spawn(procs, lambda: _prepare_command(user, cwd, argv), _environment(user))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        code = 127 if isinstance(error, FileNotFoundError) else 126
    os.write(0, b"%d" % code)


def _prepare_shell(user: int, slave: int) -> list[str]:
    _become(user, HOMES.get(user, "/"), null_streams=())
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for stream in (0, 1, 2):
        os.dup2(slave, stream)
    return [next(shell for shell in ("/bin/bash", "/bin/sh") if os.path.exists(shell)), "-sh", "-i"]


def _type(cgroup: str, init_pid: int, user: int, lines: Sequence[str]) -> None:
    """A shell at a terminal of the container, and somebody who types line by line; what is shown is copied to fd 1."""
    procs = _inside(cgroup, init_pid)
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = _environment(user) | {"TERM": "xterm", "PS1": r"\u@\h:\w\$ ", "HISTFILE": ""}
    pid = _spawn(procs, lambda: _prepare_shell(user, slave), environment)
    os.close(slave)
    for line in lines:
        _show(master, QUIET_SECONDS)
        for key in f"{line}\r".encode():
            os.write(master, bytes((key,)))
            _show(master, KEY_SECONDS)
    _show(master, LAST_SECONDS)
    os.close(master)  # whatever still runs there is hung up
    os.waitpid(pid, 0)


def _show(master: int, patience: float) -> None:
    """Copy what is shown until nothing came for so long, or the terminal has ended."""
    while select.select([master], [], [], patience)[0]:
        try:
            os.write(1, os.read(master, 4096))
        except OSError:  # EIO: nobody has it open any more
            return


if __name__ == "__main__":
    try:
        if sys.argv[1] == "hold":
            _hold(sys.argv[2])
        elif sys.argv[1] == "type":
            _type(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
        else:
            _enter(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], sys.argv[6:])
    except OSError as failure:
        sys.exit(": ".join(str(part) for part in (failure.filename, failure.strerror) if part))
