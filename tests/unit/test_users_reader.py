"""What is read of a container's passwd and group: beneath its root, regular files only, whatever lies there."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.users_reader import (
    ANSWER,
    FILE_BYTES,
    GROUPS_BYTES,
    LINES,
    NAME_BYTES,
    NEVER,
    NOT_YET,
    NOTHING,
    STAMP,
    USERS_BYTES,
    File,
    NotYetError,
    answer,
    parse,
    read,
)

PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"


def users(content: bytes, most: int = USERS_BYTES) -> tuple[dict[int, bytes], int]:
    """Names by id as a passwd tells them, and how many were left out."""
    told, left_out = parse(content, most, ids=2)
    assert len(told) <= most
    return {int(number): name for number, _, name in (e.partition(b":") for e in told.split(b"\0") if e)}, left_out


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A root directory with an empty etc; beside it is the host."""
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "host").write_bytes(b"host:x:0:0::/:\n")
    opened = os.open(tmp_path / "root", os.O_PATH)
    yield opened
    os.close(opened)


@pytest.fixture
def passwd(tmp_path: Path, root: int) -> Path:
    """Its passwd, which is not there."""
    return tmp_path / "root/etc/passwd"


def passwd_of(root: int) -> File:
    """What is read of a root's passwd."""
    return read(root, b"etc/passwd")


def test_read(root: int, passwd: Path) -> None:
    """A file's content comes with what tells it from another one."""
    passwd.write_bytes(PASSWD)
    there = passwd.stat()
    stamp = (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns)
    assert passwd_of(root) == File(stamp, PASSWD, 0)
    assert read(root, b"etc/passwd", content=False) == File(stamp, None, 0)


def test_stamps(root: int, passwd: Path) -> None:
    """A file that is replaced, grown, rewritten in place with its old times, or gone, has another stamp each time."""
    passwd.write_bytes(PASSWD)
    seen = [passwd_of(root).stamp]
    before = passwd.stat()
    passwd.with_name("new").write_bytes(PASSWD)
    passwd.with_name("new").rename(passwd)
    seen.append(passwd_of(root).stamp)
    passwd.write_bytes(PASSWD.upper())
    os.utime(passwd, ns=(before.st_atime_ns, before.st_mtime_ns))
    seen.append(passwd_of(root).stamp)
    passwd.unlink()
    seen.append(passwd_of(root).stamp)
    assert len(set(seen)) == 4
    assert seen[-1] == NOTHING


@pytest.mark.parametrize("target", ["{host}", "../../host", "../../../../../../../../{host}", "/proc/self/root{host}"])
def test_link_outside(tmp_path: Path, root: int, passwd: Path, target: str) -> None:
    """A link to the host's file, however it is written, ends beneath the root, where there is none."""
    passwd.symlink_to(target.format(host=tmp_path / "host"))
    assert passwd_of(root) == File(NOTHING, None, 0)


def test_folder_links_outside(tmp_path: Path, root: int) -> None:
    """So does a link in the place of etc."""
    (tmp_path / "root/etc").rmdir()
    (tmp_path / "passwd").write_bytes(PASSWD)
    (tmp_path / "root/etc").symlink_to(tmp_path)
    assert passwd_of(root) == File(NOTHING, None, 0)


def test_magic_link(root: int, passwd: Path) -> None:
    """A link of /proc that leads out of everything is not followed, even where /proc is in reach."""
    proc = os.open("/proc", os.O_PATH)
    try:
        found = read(proc, b"self/root/etc/passwd")
        assert found == File(NOTHING, None, 1)
    finally:
        os.close(proc)


@pytest.mark.parametrize("target", ["/shadow/passwd", "../shadow/passwd", "../../../../shadow/passwd"])
def test_link_inside(tmp_path: Path, root: int, passwd: Path, target: str) -> None:
    """A link that a container's own programs would follow is followed as they would."""
    (tmp_path / "root/shadow").mkdir()
    (tmp_path / "root/shadow/passwd").write_bytes(PASSWD)
    passwd.symlink_to(target)
    assert passwd_of(root).content == PASSWD


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _zero(path: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))


def _terminal(path: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(5, 2))


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _folder(path: Path) -> None:
    path.mkdir()


def _gigabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 30)


def _too_large(path: Path) -> None:
    path.touch()
    os.truncate(path, FILE_BYTES + 1)


def _socket(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # its whole path may be too long
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [_fifo, _zero, _terminal, _loop, _folder, _gigabyte, _too_large, _socket])
def test_no_file(root: int, passwd: Path, make: Callable[[Path], None]) -> None:
    """Whatever else lies there is not opened, and it is told that something was left out."""
    make(passwd)
    found = passwd_of(root)
    assert (found.content, found.left_out) == (None, 1)


def test_largest(root: int, passwd: Path) -> None:
    """The largest file that is read is read whole."""
    passwd.write_bytes(PASSWD)
    os.truncate(passwd, FILE_BYTES)
    assert len(passwd_of(root).content or b"") == FILE_BYTES


def test_no_reader_meanwhile(root: int, passwd: Path) -> None:
    """A FIFO gets no reader even for a moment: a writer that does not wait for one finds none."""
    _fifo(passwd)
    passwd_of(root)
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
        os.open(passwd, os.O_WRONLY | os.O_NONBLOCK)


def test_unreadable_mode(root: int, passwd: Path) -> None:
    """Permissions that keep the container's own users out don't keep the agent, which is root."""
    passwd.write_bytes(PASSWD)
    passwd.chmod(0)
    assert passwd_of(root).content == PASSWD


def test_not_a_folder(tmp_path: Path, root: int) -> None:
    """Where etc is a file there is no passwd."""
    (tmp_path / "root/etc").rmdir()
    (tmp_path / "root/etc").write_bytes(PASSWD)
    assert passwd_of(root) == File(NOTHING, None, 0)


class _Meddler:
    """Does something to the file each time it has been read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[int], None]) -> None:
        self.times, self._meddle, self._fstat = 0, meddle, os.fstat
        monkeypatch.setattr(os, "fstat", self._looked)
        self._looks = 0

    def _looked(self, opened: int) -> os.stat_result:
        self._looks += 1
        if self._looks % 2 == 0:  # the second look is behind the read
            self._meddle(self.times)
            self.times += 1
        return self._fstat(opened)


def test_replaced_meanwhile(root: int, passwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is replaced while it is read is read again."""
    passwd.write_bytes(b"old")

    def replace(times: int) -> None:
        if times == 0:
            passwd.with_name("new").write_bytes(PASSWD)
            passwd.with_name("new").rename(passwd)

    meddler = _Meddler(monkeypatch, replace)
    assert passwd_of(root).content == PASSWD
    assert meddler.times == 2


def test_grows_for_ever(root: int, passwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is never the same twice is given up for now, after three times."""
    passwd.write_bytes(PASSWD)

    def grow(times: int) -> None:
        with passwd.open("ab") as opened:
            opened.write(PASSWD * (times + 1))

    meddler = _Meddler(monkeypatch, grow)
    with pytest.raises(NotYetError):
        passwd_of(root)
    assert meddler.times == 3


def test_lease(root: int, passwd: Path) -> None:
    """A lease, which makes who opens the file wait for three quarters of a minute, is not waited for."""
    passwd.write_bytes(PASSWD)
    code = (
        "import fcntl, os, signal, sys; signal.signal(signal.SIGIO, signal.SIG_IGN); f = open(sys.argv[1], 'r+b')\n"
        "fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK); print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        ["python3", "-c", code, passwd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(NotYetError):
            passwd_of(root)
        holder.stdin.close()
    assert passwd_of(root).content == PASSWD


@pytest.mark.parametrize("procs", ["", "0\n", "4194305\n", "no number\n", "\n\n", f"{os.getpid()}", f"{os.getpid()}\n"])
def test_nobody_to_ask(tmp_path: Path, procs: str) -> None:
    """Without a process that is there, and stands in a root of its own, nothing is told yet."""
    (tmp_path / "cgroup.procs").write_text(procs)
    known = bytes(range(STAMP.size))
    status, *_, stamp = ANSWER.unpack(answer(known + bytes(tmp_path)))
    assert (status, stamp) == (NOT_YET, known)


def test_many_folders(tmp_path: Path) -> None:
    """However many cgroups a container makes below its own, and links in them, few are looked into."""
    for number in range(1000):
        (tmp_path / f"{number}/deep/er").mkdir(parents=True)
    (tmp_path / "0/loop").symlink_to(tmp_path)
    (tmp_path / "999/deep/er/cgroup.procs").mkdir()
    assert answer(NEVER + bytes(tmp_path))[0] == NOT_YET
    assert answer(NEVER + bytes(tmp_path / "gone"))[0] == NOT_YET


def test_names() -> None:
    """Ids and names are told, and nothing else of the file."""
    content = b"root:secret:0:0:gecos:/root:/bin/sh\nalice:hidden:1000:100:Alice:/tmp:/bin/sh\n"
    assert parse(content, USERS_BYTES, ids=2) == (b"0:root\x001000:alice", 0)
    assert parse(b"wheel:pw:10:root,alice\nusers:x:100:\nlast:x:5", GROUPS_BYTES, ids=1) == (
        b"10:wheel\x00100:users\x005:last",
        0,
    )


@pytest.mark.parametrize(
    ("content", "names", "left_out"),
    [
        (b"", {}, 0),
        (b"\n\n \n# root:x:0:0\n", {}, 0),
        (b"a:x:5:5", {5: b"a"}, 0),
        (b"a:x:5:5::/:\r\nb:x:6:6::/:\r\n", {5: b"a", 6: b"b"}, 0),
        (b"a:x:5:5\nb:x:5:5\n", {5: b"a"}, 0),
        (b"+::::::\n+@netgroup::::::\n-bad::0:0:::\na:x:5:5\n", {5: b"a"}, 0),
        (b"a:x:-1:5\nb:x:+5:5\nc:x:4294967296:5\nd:x:" + b"9" * 10_000 + b":5\ne:x::5\nf:x:5 :5\n", {}, 6),
        (b"a:x:5:\nb:x:6:x\nc\nd:x\ne:x:7\n:x:8:8\n", {}, 6),
        (b"a:x:4294967295:5\nb:x:0007:5\n", {2**32 - 1: b"a", 7: b"b"}, 0),
        (b"\xff\xc3\x28:x:5:5\n\x1b[2J\r:x:6:6\n", {5: b"\xff\xc3\x28", 6: b"\x1b[2J\r"}, 0),
        (b"a\0b:x:5:5\na:x:6\0:5\nb:x:7:7:\0:\n", {7: b"b"}, 2),
        (b"n" * NAME_BYTES + b":x:5:5\n" + b"n" * (NAME_BYTES + 1) + b":x:6:6\n", {5: b"n" * NAME_BYTES}, 1),
        (b"x" * 4096 + b":x:5:5\na:x:5:5\n" + b"y" * 4096 + b":x:5000:5\nb:x:5000:5\n", {}, 2),
        (b"\xd9\xa5:x:\xd9\xa5:5\n", {}, 1),
    ],
)
def test_odd_lines(content: bytes, names: dict[int, bytes], left_out: int) -> None:
    """Lines of every kind; a name that is left out does not make room for another one of its id."""
    assert users(content) == (names, left_out)


def test_many_users() -> None:
    """Of 100,000 users there are as many as fit, those of the system first, and the rest is counted."""
    lines = [b"u%d:x:%d:5::/:\n" % (number, number) for number in range(100_000, 0, -1)]
    names, left_out = users(b"".join(lines))
    assert len(names) + left_out == 100_000
    assert set(range(1, 1000)) <= names.keys()
    assert max(names) == 100_000
    assert USERS_BYTES - sum(len(b"%d:%b\0" % item) for item in names.items()) < 20


def test_room() -> None:
    """What there is room for is used to the last byte, and what does not fit leaves none for what stands behind."""
    content = b"a:x:1:1\nb:x:2000:1\n" + b"c" * 200 + b":x:3000:1\nd:x:4000:1\n"
    assert parse(content, 10, ids=2) == (b"1:a\x002000:b", 2)
    assert parse(content, 9, ids=2) == (b"1:a", 3)
    assert parse(content, 2, ids=2) == (b"", 4)


def test_many_lines() -> None:
    """Behind so many lines, the others are counted, whatever they are."""
    assert users(b"\n" * LINES + b"a:x:1:1\nb:x:2:2") == ({}, 2)
    assert users(b"\n" * (LINES - 1) + b"a:x:1:1\nb:x:2:2\n") == ({1: b"a"}, 1)


def test_many_nameless() -> None:
    """Of names that are left out so many are kept in mind; then all that are no system's are."""
    content = b"".join(b":x:%d:1\n" % number for number in range(1000, 21_000))
    assert users(content + b"a:x:1000:1\nb:x:30000:1\nc:x:7:1\n") == ({7: b"c"}, 20_001)


_FIELD = st.sampled_from([b"", b"0", b"7", b"1000", b"70000", b"4294967296", b"-1", b"x", b"\0", b"+", b"#", b"\xff"])
_LINE = st.lists(_FIELD, max_size=8).map(b":".join)


@given(st.lists(_LINE, max_size=12).map(b"\n".join) | st.binary(max_size=300), st.sampled_from([1, 2]))
def test_any_content(content: bytes, ids: int) -> None:
    """Each id is told once, in so many bytes, with a name that stands in the file before it."""
    told, left_out = parse(content, 40, ids=ids)
    entries = [entry.partition(b":") for entry in told.split(b"\0") if entry]
    assert len(told) <= 40
    assert len({number for number, _, _ in entries}) == len(entries)
    assert all(0 <= int(number) < 2**32 and name and name + b":" in content for number, _, name in entries)
    assert 0 <= left_out <= content.count(b"\n") + 1
