"""Opens pseudo-terminals and does with them what it is told; prints what was done, one JSON object a line.

Runs in containers, so it imports the standard library only.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import termios
import time
import tty
from pathlib import Path

TIOCPKT, TIOCSWINSZ, TIOCSTI, TIOCGPTN = 0x5420, 0x5414, 0x5412, 0x80045430
RAW, CANONICAL = "raw", "canonical"
LIBC = ctypes.CDLL(None, use_errno=True)


def told(**what: object) -> None:
    """Prints what was done."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def opened(*, raw: bool = True) -> tuple[int, int, int]:
    """A new terminal: master, slave, index."""
    master, slave = os.openpty()
    if raw:
        tty.setraw(slave)
    (index,) = struct.unpack("I", fcntl.ioctl(master, TIOCGPTN, bytes(4)))
    return master, slave, index


def read(master: int, size: int) -> bytes:
    """So many bytes of what it shows."""
    got = b""
    while len(got) < size:
        got += os.read(master, 65536)
    return got


def lives(count: str) -> None:
    """Terminals one after another, each with a text of its own."""
    indexes, begin = set(), time.monotonic_ns()
    for number in range(int(count)):
        master, slave, index = opened()
        text = b"life %d." % number
        os.write(slave, text)
        read(master, len(text))
        os.close(slave)
        os.close(master)
        indexes.add(index)
    told(indexes=sorted(indexes), nanoseconds=time.monotonic_ns() - begin)


def idle(count: str) -> None:
    """Terminals all at once; each shows its number, waits until all are open, and shows it again."""
    made = [opened() for _ in range(int(count))]
    for _ in range(2):
        for master, slave, index in made:
            text = b"%d." % index
            os.write(slave, text)
            read(master, len(text))
    told(indexes=[index for *_, index in made])


def sizes() -> None:
    """Windows of several sizes, and a byte after each."""
    master, slave, _ = opened()
    for rows, columns in ((0, 0), (1000, 1000), (65535, 65535), (24, 80)):
        fcntl.ioctl(master, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.write(slave, b".")
        read(master, 1)


def settings() -> None:
    """Settings that change, by each of the ways there are."""
    _, slave, _ = opened(raw=False)
    for when in (termios.TCSANOW, termios.TCSADRAIN, termios.TCSAFLUSH):
        values = termios.tcgetattr(slave)
        values[3] ^= termios.ECHO
        termios.tcsetattr(slave, when, values)


def packets() -> None:
    """A master that reads packets: of data, and of what happened."""
    master, slave, _ = opened()
    fcntl.ioctl(master, TIOCPKT, struct.pack("i", 1))
    got = b""
    for text in (b"one.", b"two.", b"three."):
        os.write(slave, text)
        time.sleep(0.02)
        termios.tcflush(slave, termios.TCIOFLUSH) if text == b"two." else None
        while not got.endswith(text):
            packet = os.read(master, 100)
            got += packet[1:] if packet[0] == 0 else b""
            if text == b"two." and packet[0]:
                break
    told(got=got.decode())


def pieces() -> None:
    """What is written and read in pieces: writev, readv, preadv2."""
    master, slave, _ = opened()
    os.writev(slave, [b"wri", b"", b"te", b"v."] + [b"12345678"] * 20)
    size = 7 + 160
    got = [bytearray(3), bytearray(0), bytearray(1000)]
    first = os.readv(master, got)
    while first < size:
        first += os.readv(master, [bytearray(10), bytearray(1000)])
    os.writev(slave, [b"x" * 1000, b"y" * 1000])
    left = 2000
    while left:
        left -= os.readv(master, [bytearray(7) for _ in range(30)])
    os.write(slave, b"preadv2.")
    left = 8
    while left:
        buffer = ctypes.create_string_buffer(64)
        vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 64)
        done = LIBC.syscall(327, master, vector, 1, ctypes.c_int64(-1), ctypes.c_int64(-1), 0)
        if done < 0:
            told(error=os.strerror(ctypes.get_errno()))
            return
        left -= done
    os.writev(master, [b"ke", b"ys"])
    buffers = [bytearray(1), bytearray(100)]
    os.readv(slave, buffers)
    told(consumed=b"".join(buffers).decode().rstrip("\0"))


def crumbs() -> None:
    """What is read in more pieces than are looked at."""
    master, slave, _ = opened()
    os.write(slave, b"x" * 600)
    got = os.readv(master, [bytearray(6) for _ in range(100)])
    os.write(slave, b"the end.")
    read(master, 8)
    told(got=got)


def unseen() -> None:
    """What no system call with a buffer writes: sendfile and splice."""
    master, slave, _ = opened()
    Path("/tmp/unseen").write_bytes(b"sendfile.")
    with open("/tmp/unseen", "rb") as file:
        os.sendfile(slave, file.fileno(), 0, 9)
    read(master, 9)
    front, back = os.pipe()
    os.write(back, b"splice.")
    os.splice(front, slave, 7)
    read(master, 7)
    os.write(slave, b"out by splice.")
    time.sleep(0.02)
    os.splice(master, back, 14)
    os.write(slave, b"the end.")
    read(master, 8)
    told(spliced=os.read(front, 100).decode())


def newinstance() -> None:
    """A devpts of its own, whose first terminal has index 0, too."""
    Path("/tmp/pts").mkdir(exist_ok=True)
    if LIBC.mount(b"devpts", b"/tmp/pts", b"devpts", 0, b"newinstance,ptmxmode=0666"):
        raise OSError(ctypes.get_errno(), "mount")
    master = os.open("/tmp/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(master, 0x40045431, struct.pack("i", 0))
    (index,) = struct.unpack("I", fcntl.ioctl(master, TIOCGPTN, bytes(4)))
    slave = fcntl.ioctl(master, 0x5441, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(slave)
    os.write(slave, b"an instance of its own.")
    read(master, 23)
    told(index=index, device=os.stat("/tmp/pts").st_dev)


def signals() -> None:
    """Keys that send signals to the foreground group: a child that waits for the last."""
    master, slave, _ = opened(raw=False)
    child = os.fork()
    if not child:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        got: list[int] = []
        for number in (signal.SIGTSTP, signal.SIGQUIT, signal.SIGINT):
            signal.signal(number, lambda number, _: got.append(number))
        os.write(slave, b"ready")
        while signal.SIGINT not in got:
            signal.pause()
        os._exit(0)
    read(master, 5)
    for key in (b"\x1a", b"\x1c", b"\x03"):
        os.write(master, key)
    os.waitpid(child, 0)
    told(child=child)


def orphan() -> None:
    """A session whose leader ends while one of its processes goes on and shows something."""
    master, slave, _ = opened()
    child = os.fork()
    if not child:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.write(slave, b"early.")
        if not os.fork():
            while os.getppid() == os.getpgrp():
                time.sleep(0.01)
            os.write(slave, b"late.")
        os._exit(0)
    os.close(slave)
    told(leader=child, early=read(master, 6).decode())
    os.waitpid(child, 0)
    told(late=read(master, 5).decode())
    try:
        os.read(master, 1)
    except OSError:
        told(ended=True)


def give(path: str) -> None:
    """Waits for whoever connects and hands over a terminal's slave; shows what is written there."""
    master, slave, _ = opened(raw=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        connection, _ = listening.accept()
        connection.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [slave]))])
        got = b""
        while not got.endswith(b"end."):
            got += os.read(master, 100)
        os.write(master, b"an answer")
        connection.recv(1)
        told(got=got.decode())


def take(path: str) -> None:
    """Takes a terminal from somebody else and uses it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        _, passed, _, _ = connection.recvmsg(1, 100)
        (slave,) = array.array("i", passed[0][2])
        os.write(slave, b"taken, the end.")
        told(pid=os.getpid(), answer=os.read(slave, 100).decode())


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
