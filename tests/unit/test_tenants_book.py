"""The tenants in force: files that change while commands do, what is kept, and what is refused."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bpf.enums import Policy
from shipper.tenants import saved, watch
from shipper.tenants.book import TenantBook
from shipper.tenants.declare import TenantsError
from shipper.tenants.files import Stamp
from shipper.tenants.model import EVERYTHING, Subject, Tenant
from shipper.tenants.saved import SavedError
from shipper.tenants.selectors import Selector, condition

ID = "4f0c" * 16
KEY = f"docker/{ID}"
WEB = Subject(KEY, ID, "web", "nginx:1", {}, "", frozenset({7}))
BY = "command, uid 0"
LISTED = "see `cgtrail tenants list`; one that a label names goes with the label"
ID_WANTED = "write up to 63 of a-z, 0-9, '.', '_' and '-', the first of them a letter or digit"
SECONDS = 30
"""How long to wait for what must come."""


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.005)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A tenants file."""
    path = tmp_path / "t.yaml"
    path.write_text("tenants:\n- id: f1\n  members: [{name: web}]\n")
    return path


class Books:
    """Makes books of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[TenantBook] = []

    def __call__(self, *files: Path) -> TenantBook:
        self.made.append(TenantBook(files, saved=self.folder / saved.FILE))
        return self.made[-1]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """Books of this test's folder; they are closed behind it."""
    made = Books(tmp_path)
    yield made
    for book in made.made:
        book.close()


def polled(book: TenantBook, *, error: bool = False) -> None:
    """Waits until the book has taken what changed, or has found an error."""
    until = time.monotonic() + SECONDS
    while not book.poll() and not (error and book.error):
        assert time.monotonic() < until, "nothing has come"
        time.sleep(0.005)


def refused(change: object) -> str:
    """What a change is refused with."""
    assert callable(change)
    with pytest.raises(TenantsError) as caught:
        change()
    return str(caught.value)


# Commands


def test_what_commands_say_survives(books: Books) -> None:
    """Tenants, their rules and attachments are there again after a restart."""
    book = books()
    book.add("t1", BY, "Team One", Policy.EXEC, [[condition(Selector.NAME, "web*"), condition(Selector.CGROUP, "7")]])
    book.add("t2", "command, uid 7")
    book.attach("t2", {KEY: ID}, BY)
    book.change("t1", "command, uid 1", name="One")
    again = books()
    for each in (book, again):
        assert each.current.known == {
            "t1": Tenant("t1", "One", Policy.EXEC, "command, uid 1"),
            "t2": Tenant("t2", "t2", EVERYTHING, "command, uid 7"),
        }
        assert each.current.of(WEB).tenants == {"t1": "command, uid 1", "t2": BY}
        assert each.attached("t2") == {KEY: ID}
    again.detach("t2", [KEY])
    again.remove("t1")
    third = books()
    assert list(third.current.known) == ["t2"]
    assert third.current.of(WEB).tenants == {}


def test_a_change_is_another_object(books: Books) -> None:
    """Whoever holds the tenants of before holds them unchanged."""
    book = books()
    before = book.current
    book.add("t1", BY)
    assert before.known == {}
    assert book.current is not before


def test_attaching_twice_is_no_mistake(books: Books, tmp_path: Path) -> None:
    """Nothing changes, and nothing is written."""
    book = books()
    book.add("t1", BY)
    book.attach("t1", {KEY: ID}, BY)
    written = os.stat(tmp_path / saved.FILE)
    book.attach("t1", {KEY: ID}, "command, uid 1")
    assert os.stat(tmp_path / saved.FILE).st_ino == written.st_ino
    assert book.current.of(WEB).tenants == {"t1": BY}


def test_a_container_that_was_removed_is_forgotten(books: Books) -> None:
    """What it was attached to need not be kept; others stay."""
    book = books()
    for tenant in ("t1", "t2"):
        book.add(tenant, BY)
        book.attach(tenant, {KEY: ID, "lxc/a": "a"}, BY)
    book.forget(KEY)
    book.forget("docker/unknown")
    assert books().attached("t1") == books().attached("t2") == {"lxc/a": "a"}


def test_what_commands_may_not(books: Books, file: Path) -> None:
    """Each refusal says whose it is, and what to do; nothing changes by it."""
    rows = file.with_name("rows.csv")
    rows.write_text("cgroup,tenant\n7,t1\n")
    book = books()
    book.add("t1", BY)
    book = books(file, rows)
    before = book.current
    for change, message in (
        (lambda: book.add("f1", BY), f"there is a tenant 'f1' already, from {file}, line 2: change it there"),
        (
            lambda: book.add("t1", BY),
            "there is a tenant 't1' already, from command, uid 0: `cgtrail tenants change t1` changes it",
        ),
        (lambda: book.change("f1", BY, name="x"), f"tenant 'f1' stands in {file}, line 2: change it there"),
        (lambda: book.remove("f1"), f"tenant 'f1' stands in {file}, line 2: remove it there"),
        (lambda: book.remove("t1"), f"tenant 't1' is named by {rows}, line 2: remove that row first"),
        (
            lambda: book.remove("t11"),
            f"no command has added a tenant 't11': did you mean 't1'? Otherwise {LISTED}",
        ),
        (lambda: book.change("x", BY, name="x"), f"no command has added a tenant 'x': {LISTED}"),
        (
            lambda: book.attach("x", {KEY: ID}, BY),
            "there is no tenant 'x': declare it: cgtrail tenants add x",
        ),
        (
            lambda: book.detach("f1", [KEY]),
            f"container '{KEY}' was not attached to tenant 'f1': see `cgtrail tenants show`",
        ),
        (
            lambda: book.add("T", BY),
            f"'T' can't be a tenant's id: {ID_WANTED}",
        ),
        (lambda: book.add("t", BY, "a\tb"), "'a\\tb' can't be a tenant's name: write 1 to 200 printable characters"),
    ):
        assert refused(change) == message
    assert book.current is before


def test_a_tenant_of_files_and_of_a_command(books: Books, file: Path) -> None:
    """The file's name and policy hold, what the command chose stays; without the file, the command's is there again."""
    book = books()
    book.add("f1", BY, "By command", Policy.EXEC, [[condition(Selector.IMAGE, "nginx")]])
    with_file = books(file)
    assert with_file.current.known["f1"] == Tenant("f1", "f1", EVERYTHING, f"{file}, line 2")
    assert with_file.current.of(Subject("k", "k", "db", "nginx:1", {}, "", frozenset())).tenants == {"f1": BY}
    assert refused(lambda: with_file.remove("f1")) == f"tenant 'f1' stands in {file}, line 2: remove it there"
    assert books().current.known["f1"].name == "By command"


def test_attaching_to_a_tenant_of_a_file(books: Books, file: Path) -> None:
    """It may be; where the file drops the tenant, that sleeps until it is there again."""
    book = books(file)
    other = Subject("docker/x", "x", "db", "", {}, "", frozenset())
    book.attach("f1", {"docker/x": "x"}, BY)
    assert book.current.of(other).tenants == {"f1": BY}
    file.write_text("tenants: []\n")
    polled(book)
    assert book.current.of(other).tenants == {}
    file.write_text("tenants: [{id: f1}]\n")
    polled(book)
    assert book.current.of(other).tenants == {"f1": BY}


def test_forgetting_needs_no_disk(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that is removed while the disk is full ends nobody; it is forgotten another time."""
    book = books()
    book.add("t1", BY)
    book.attach("t1", {KEY: ID}, BY)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    book.forget(KEY)
    assert book.attached("t1") == {KEY: ID}
    monkeypatch.undo()
    book.forget(KEY)
    assert book.attached("t1") == {}


def test_cgroups_of_before_this_boot(books: Books, file: Path) -> None:
    """A number that another cgroup may have by now makes nobody a tenant's; a file written since does."""
    rows = file.with_name("rows.csv")
    rows.write_text(f"cgroup,scope,tenant\n,,t1\n7,,t1\n7,{ID},t1\n,{'0' * 64},t1\n")
    assert books(file, rows).current.of(WEB).tenants == {"f1": f"{file}, line 3", "t1": f"{rows}, line 3"}
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for old in (file, rows):
        os.utime(old, (booted - 100, booted - 100))
    with capture_logs() as logs:
        book = books(file, rows)
    assert book.current.of(WEB).tenants == {"f1": f"{file}, line 3"}
    assert len(book.current.rules) == 2
    assert [(entry["event"], entry["count"], entry["first"]) for entry in logs] == [
        ("cgroups' ids of before this boot are passed over", 2, f"{rows}, line 3")
    ]


# What is kept


def test_only_its_owner_may_read_it(books: Books, tmp_path: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        books().add("t1", BY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / saved.FILE).st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [saved.FILE]


def test_a_damaged_file_is_named(books: Books, tmp_path: Path) -> None:
    """Any bit that flips, any byte that is missing: the agent does not begin with other tenants than there were."""
    book = books()
    book.add("t1", BY, "Team", Policy.EXEC, [[condition(Selector.NAME, "web")]])
    book.attach("t1", {KEY: ID}, BY)
    path = tmp_path / saved.FILE
    whole = path.read_bytes()
    damaged = [whole[:at] for at in range(len(whole))]
    damaged += [whole[:at] + bytes([byte ^ 4]) + whole[at + 1 :] for at, byte in enumerate(whole)]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(SavedError) as refusal:
            saved.load(path)
        assert str(refusal.value).startswith(f"{path}: it is damaged (")
        wanted = "restore it from a backup, or move it away to do without the tenants that commands made"
        assert str(refusal.value).endswith(wanted)


def test_what_is_no_file(books: Books, tmp_path: Path) -> None:
    """A folder or a pipe in its place is named too, and hangs nobody."""
    (tmp_path / saved.FILE).mkdir()
    with pytest.raises(SavedError, match=rf"^{tmp_path / saved.FILE}: Is a directory: "):
        books()
    (tmp_path / saved.FILE).rmdir()
    os.mkfifo(tmp_path / saved.FILE)
    with pytest.raises(SavedError, match=rf"^{tmp_path / saved.FILE}: not a regular file: "):
        books()


def test_a_change_that_can_not_be_kept_is_none(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk nothing changes, also not in memory."""
    book = books()
    book.add("t1", BY)
    before = book.current

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        book.attach("t1", {KEY: ID}, BY)
    monkeypatch.undo()
    assert book.current is before
    assert book.attached("t1") == books().attached("t1") == {}


# Files that change


def test_a_changed_file_holds(books: Books, file: Path) -> None:
    """Written anew or replaced, what it says then holds; what says the same changes nothing."""
    book = books(file)
    assert book.current.of(WEB).tenants == {"f1": f"{file}, line 3"}
    assert not book.poll()
    file.write_text("tenants:\n- id: f2\n  members: [{name: web}]\n")
    polled(book)
    assert book.current.of(WEB).tenants == {"f2": f"{file}, line 3"}
    other = file.with_name("other")
    other.write_text("tenants:\n- id: f3\n  members: [{name: web}]\n")
    other.replace(file)
    polled(book)
    assert list(book.current.known) == ["f3"]


def test_a_change_that_leaves_size_and_time_alone(books: Books, file: Path) -> None:
    """A file changed lately is read again: its times may not tell."""
    book = books(file)
    before = os.stat(file)
    with open(file, "r+") as opened:
        opened.write(file.read_text().replace("f1", "g1"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    polled(book)
    assert list(book.current.known) == ["g1"]


def test_a_mistake_leaves_the_old_set(books: Books, file: Path) -> None:
    """It is named, logged once, and gone once it is mended."""
    second = file.with_name("u.yaml")
    second.write_text("tenants: [{id: g1}]")
    book = books(file, second)
    before = book.current
    with capture_logs() as logs:
        file.write_text("tenants:\n- id: f9\n- id: g1\n")
        polled(book, error=True)
        for _ in range(20):
            assert not book.poll()
            time.sleep(0.005)
    message = f"{second}, line 1: tenant 'g1' stands in {file}, line 3 already: keep one of them"
    assert book.error == message
    assert [(entry["log_level"], entry["error"]) for entry in logs] == [("error", message)]
    assert book.current is before
    file.write_text("tenants:\n- id: f9\n")
    polled(book)
    assert book.error is None
    assert list(book.current.known) == ["f9", "g1"]


def test_a_file_that_is_gone_for_a_while(books: Books, file: Path) -> None:
    """The old set stays; the same file back again is taken without a change."""
    book = books(file)
    before = book.current
    text = file.read_text()
    file.unlink()
    polled(book, error=True)
    assert book.error == f"{file}: No such file or directory: mend it, or take it out of tenants.files"
    file.write_text(text)
    until = time.monotonic() + SECONDS
    while book.error and time.monotonic() < until:
        assert not book.poll()
        time.sleep(0.005)
    assert book.error is None
    assert book.current is before


def test_a_row_that_waits_for_a_command(books: Books, file: Path) -> None:
    """Its tenant is unknown, and the set refused, until a command declares it."""
    rows = file.with_name("rows.csv")
    rows.write_text("cgroup,tenant\n")
    book = books(file, rows)
    rows.write_text("cgroup,tenant\n7,t1\n")
    polled(book, error=True)
    assert book.error
    assert book.error.startswith(f"{rows}, line 2: there is no tenant 't1': ")
    book.add("t1", BY)
    assert book.error is None
    assert book.current.of(WEB).tenants == {"f1": f"{file}, line 3", "t1": f"{rows}, line 2"}


def test_a_command_and_a_file_at_once(books: Books, file: Path) -> None:
    """While files are refused, commands are not."""
    book = books(file)
    file.write_text("tenants: [")
    polled(book, error=True)
    book.add("t1", BY)
    assert list(book.current.known) == ["f1", "t1"]
    assert book.error


def test_a_mistake_at_the_start(books: Books, file: Path) -> None:
    """Nobody records under tenants that are not meant."""
    file.write_text("tenants: [{id: a, polcy: []}]")
    message = refused(lambda: books(file))
    assert message.startswith(f"{file}, line 1: unknown key 'polcy' of a tenant")
    file.unlink()
    assert refused(lambda: books(file)).startswith(f"{file}: No such file")


def test_a_file_that_hangs_holds_nobody_up(books: Books, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at a dead file system never returns: asking for news and commands go on."""
    book, hanging, looking = books(file), threading.Event(), threading.Event()

    def hang(*_: object) -> tuple[Stamp, ...]:
        looking.set()
        hanging.wait(SECONDS)
        return ()

    monkeypatch.setattr(watch, "stamps", hang)
    assert not book.poll()
    assert looking.wait(SECONDS)
    assert not book.poll()
    book.add("t1", BY)
    hanging.set()


def test_a_parser_that_fails_is_a_mistake_like_others(
    books: Books, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are watched on, whatever one of them has done."""
    book = books(file)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(watch, "read", fail)
    file.write_text("tenants: []")
    polled(book, error=True)
    assert book.error == f"{file}: can't be read: MemoryError()"
    monkeypatch.undo()
    file.write_text("tenants: [{id: z}]")
    polled(book)
    assert list(book.current.known) == ["z"]
