"""`cgtrail journal`: what is in it, in which order, and how it looks."""

from __future__ import annotations

import json
import re
import select
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgtrail import journal, journal_form, table
from cgtrail.config import Config
from cgtrail.search import show as show_documents
from enrich.document import Document
from enrich.sinks import DUPLICATE, OK
from enrich.sinks.sqlite import SqliteSink
from enrich.stores import StoreError, dayfile
from enrich.stores.query import QueryError
from enrich.stores.values import timestamp

SECOND = 1_000_000_000
NOON = 1_795_305_600 * SECOND + 43_200 * SECOND
"""2026-11-22T12:00:00Z."""
ID = "cafe0123" * 8
STYLE = re.compile("\x1b\\[[0-9;]*m")
SECONDS = 30
"""How long to wait for what must come."""
SAMPLES = [
    orjson.dumps(
        {
            "@timestamp": "9999-12-31T23:59:59.000000000Z" if action == "exec" else timestamp(NOON),
            "event": {"id": "1", "dataset": f"cgtrail.{kind}", "action": action, "duration": 90, "sequence": 7},
            "container": {"id": ID, "name": "web", "image": {"name": "a", "tag": ["b"]}},
            "process": {
                "pid": 1,
                "entity_id": "x",
                "exit_code": 1,
                "command_line": "a",
                "parent": {"pid": 2, "name": "b"},
            },
            "user": {"id": "1", "name": "bob"},
            "cgtrail": {"tenant": {"id": ["t"], "policy": ["exec"]}, "loss": {"count": 1, "cause": "x"}},
        }
    )
    for kind, action in [("process", "exec"), ("process", "end"), ("container", "died"), ("tenant", "created")]
]
HOSTILE = "\x1b[2J\x07\r\n\x9b31m\u202e\u200b"


@dataclass
class Story:
    """Documents as they happen, one second after another, and the journal of them."""

    data: Path
    told: list[Document] = field(default_factory=list)

    def add(
        self, dataset: str, action: str, *, container: str | None = "web", tenants: Any = ("t1",), **groups: Any
    ) -> None:
        """Something happens."""
        number = len(self.told)
        at = NOON + number * SECOND
        event = {"id": f"{number}", "sequence": number, "dataset": f"cgtrail.{dataset}", "action": action}
        source: dict[str, Any] = {"@timestamp": timestamp(at), **groups, "event": event | groups.get("event", {})}
        if container is not None:
            source["container"] = {"id": ID, "name": container} | groups.get("container", {})
        if tenants:
            source["cgtrail"] = {"tenant": {"id": list(tenants)}} | groups.get("cgtrail", {})
        self.told.append(Document(f"{number}", at, dataset, source))

    def process(self, pid: int, parent: int, line: str, action: str = "exec", **groups: Any) -> None:
        """A process does something; a parent's name is its number."""
        shown = {
            "entity_id": f"life-{pid}",
            "pid": pid,
            "name": line.split(maxsplit=1)[0],
            "command_line": line,
            "parent": {"entity_id": f"life-{parent}", "pid": parent, "name": f"n{parent}"},
        }
        more = groups.pop("process", {})
        self.add("process", action, process=shown | more, **{"user": {"id": "0"}} | groups)

    def store(self) -> None:
        """What has happened reaches the store; what was there stays."""
        with closing(SqliteSink(self.data / "store", 36_500, clock=lambda: NOON / SECOND)) as sink:
            assert set(sink.write(self.told)) <= {OK, DUPLICATE}


Show = Callable[..., list[str]]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Nothing has happened yet."""
    return Story(tmp_path)


@pytest.fixture
def show(story: Story, capsys: pytest.CaptureFixture[str]) -> Show:
    """Shows the journal of what was stored: its lines without colours."""

    def shown(*, as_json: bool = False, **chosen: Any) -> list[str]:
        everything = journal.Chosen(**{"processes": True} | chosen)
        journal.run(Config(data=str(story.data)), everything, as_json=as_json, follow=False)
        return STYLE.sub("", capsys.readouterr().out).splitlines()

    return shown


def ids(lines: list[str]) -> list[str]:
    """The ids of documents that are printed as JSON."""
    return [json.loads(line)["event"]["id"] for line in lines]


def commands(lines: list[str]) -> list[str]:
    """What stands in the last column."""
    at = lines[0].index("COMMAND")
    return [line[at:] for line in lines[1:]]


# What is in it


def test_everything_of_a_tenant_in_order(story: Story, show: Show) -> None:
    """Two tenants, three containers, one shared: each journal has its own and the shared, once, the oldest first."""
    for container, tenants in [("a", ["t1"]), ("b", ["t2"]), ("s", ["t1", "t2"]), ("none", [])]:
        story.add("container", "started", container=container, tenants=tenants)
        story.process(1, 0, "sh", container=container, tenants=tenants)
    story.store()
    assert ids(show(tenant="t1", as_json=True)) == ["0", "1", "4", "5"]
    assert ids(show(tenant="t2", as_json=True)) == ["2", "3", "4", "5"]
    assert ids(show(container="s", as_json=True)) == ["4", "5"]
    assert ids(show(container="s", tenant="t2", as_json=True)) == ["4", "5"]
    assert ids(show(container="a", tenant="t2", as_json=True)) == []
    assert ids(show(container=ID[:8], as_json=True)) == [f"{n}" for n in range(8)]
    assert show(tenant="nobody") == show(tenant="nobody", as_json=True) == []


def test_ends_only_when_asked_for(story: Story, show: Show) -> None:
    """How processes ended is an option; how a container did is not."""
    story.process(1, 0, "sh")
    story.process(1, 0, "sh", "end", process={"exit_code": 3})
    story.add("container", "died")
    story.store()
    assert ids(show(tenant="t1", as_json=True)) == ["0", "2"]
    assert ids(show(tenant="t1", as_json=True, ends=True)) == ["0", "1", "2"]
    assert "exit code 3: " in show(tenant="t1", ends=True)[2]


def test_kinds_and_times(story: Story, show: Show) -> None:
    """A kind and times narrow a journal as they narrow a search."""
    story.add("tenant", "created", container=None)
    story.add("container", "started")
    story.process(1, 0, "sh")
    story.add("loss", "loss", cgtrail={"loss": {"count": 3, "cause": "ring_full"}})
    story.store()
    for number, kind in enumerate(["tenant", "container", "process", "loss"]):
        assert ids(show(tenant="t1", kind=kind, as_json=True)) == [f"{number}"]
    assert ids(show(tenant="t1", since=NOON + SECOND, until=NOON + 3 * SECOND, as_json=True)) == ["1", "2"]


def test_what_may_be_anybodys_is_in_every_journal(story: Story, show: Show) -> None:
    """A loss that no container is known of is told to everybody; another container's, or the host's, to nobody else."""
    loss = {"loss": {"count": 3, "record": "Exec", "cause": "ring_full"}}
    story.process(1, 0, "sh")
    story.add("loss", "loss", container=None, tenants=["-"], cgtrail={"loss": {"cause": "agent_killed"}, "tenant": {}})
    story.add("loss", "loss", container=None, tenants=["-"], cgtrail=loss | {"attribution": "unknown", "tenant": {}})
    story.add("loss", "loss", container=None, tenants=["-"], cgtrail=loss | {"attribution": "exact", "tenant": {}})
    story.add("loss", "loss", container="other", tenants=["t2"], cgtrail=loss | {"tenant": {"id": ["t2"]}})
    story.add("loss", "loss", cgtrail=loss)
    story.process(1, 0, "cat")
    story.store()
    assert ids(show(tenant="t1", as_json=True)) == ["0", "1", "2", "5", "6"]
    assert ids(show(container="web", as_json=True)) == ["0", "1", "2", "5", "6"]
    assert ids(show(container="web", kind="process", as_json=True)) == ["0", "6"]
    lines = show(tenant="t1")
    assert re.search(r"\(anywhere\) +LOST all records: agent_killed$", lines[2])
    assert re.search(r"web +LOST 3 Exec records: ring_full$", lines[4])


def test_a_long_journal_is_whole(story: Story, show: Show) -> None:
    """There is no limit, and days follow each other."""
    for _ in range(700):
        story.add("container", "entered")
    for index, document in enumerate(story.told):
        document.time += index * 400 * SECOND
        document.source["@timestamp"] = timestamp(document.time)
    story.store()
    assert len(dayfile.days(story.data / "store")) == 4
    assert ids(show(tenant="t1", as_json=True)) == [f"{n}" for n in range(700)]


# How it looks


def test_who_started_what(story: Story, show: Show) -> None:
    """A program stands below who started it, also through a parent that started none; the first names its parent."""
    story.process(10, 9, "bash -l")
    story.process(11, 10, "sh -c x")
    story.process(11, 10, "ls -la")  # the same process
    story.process(12, 11, "cat /etc/passwd")
    story.process(14, 13, "id", process={"session_leader": {"entity_id": "life-10"}})  # 13 was a subshell
    story.process(20, 19, "cron")
    story.store()
    assert commands(show(tenant="t1")) == [
        "[n9] bash -l",
        "└ sh -c x",
        "└ ls -la",
        "  └ cat /etc/passwd",
        "└ id",
        "[n19] cron",
    ]


def test_a_deep_chain_stays_on_the_screen(story: Story, show: Show) -> None:
    """However deep a chain is, its commands are shown; from some depth on below each other."""
    for pid in range(1, 100):
        story.process(pid, pid - 1, f"c{pid}")
    story.store()
    shown = commands(show(tenant="t1"))
    assert [line.split()[-1] for line in shown] == [f"c{pid}" for pid in range(1, 100)]
    assert max(map(len, shown)) < 40


def test_the_tree_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many processes only the latest are kept, and those that go on starting others."""
    monkeypatch.setattr(journal_form, "_KNOWN", 10)
    form = journal_form.Form()
    assert form._depth({"entity_id": "root"}) == 0
    for number in range(100):
        assert form._depth({"entity_id": f"{number}", "parent": {"entity_id": "root"}}) == 1
        form._depth({"entity_id": "root"})
    assert len(form._depths) == 10


def test_user_entry_and_failure(story: Story, show: Show) -> None:
    """A line tells who, how they came in and from where they claim to, and why a program was not started."""
    leader = {
        "entry_leader": {"entry_meta": {"type": "sshd", "source": {"ip": "2001:db8:1234:5678:9abc:def0:1234:5678"}}}
    }
    story.process(
        1, 0, "nosuch -x", process=leader, user={"id": "1000", "name": "alice"}, error={"code": "ENOENT"},
        event={"outcome": "failure"}, cgtrail={"entry": "sshd", "tenant": {"id": ["t1"]}},
    )  # fmt: skip
    story.process(2, 0, "ls", cgtrail={"entry": "exec", "tenant": {"id": ["t1"]}}, user={"id": "1000", "name": "root"})
    story.store()
    failed, other = show(tenant="t1")[1:]
    words = "alice(1000) sshd (2001:db8:1234:5678:9abc:def0:1234:5678) failed 1 0 [n0] ENOENT: nosuch -x"
    assert failed.split()[3:] == words.split()
    assert other.split()[3:] == ["1000", "exec", "exec", "2", "0", "[n0]", "ls"]


def test_a_container_is_told_as_it_lived(story: Story, show: Show) -> None:
    """Its beginning with what makes it dangerous, who entered it, how it ended."""
    shim = {"parent": {"name": "containerd-shim", "pid": 1234}, "command_line": "nginx"}
    image = {"image": {"name": "nginx", "tag": ["1.29"]}}
    story.add("container", "created", container="web")
    story.add(
        "container", "started", process=shim, cgtrail={"container": {"runtime_socket": True}, "tenant": {"id": ["t1"]}},
    )  # fmt: skip
    story.told[-1].source["container"] |= image | {"security_context": {"privileged": True}}
    story.add("container", "entered", process={"command_line": "bash"}, user={"id": "0", "name": "root"})
    story.add("container", "died", process={"exit_code": 137}, event={"duration": 90 * SECOND},
              cgtrail={"signal": "SIGKILL", "container": {"oom": True}, "tenant": {"id": ["t1"]}})  # fmt: skip
    story.add("container", "removed")
    story.store()
    assert [line.partition("container ")[2] for line in show(tenant="t1")[1:]] == [
        "created",
        "started (nginx:1.29) by containerd-shim 1234, PRIVILEGED, RUNTIME SOCKET MOUNTED: nginx",
        "entered from outside as root: bash",
        "died with exit code 137 (SIGKILL), out of memory, after 1 min 30 s",
        "removed",
    ]


def test_hostile_text_is_one_printable_line(story: Story, show: Show) -> None:
    """Whatever a container chose, in any field, in any kind: lines stay lines and nothing raw reaches a terminal."""
    hostile: dict[str, Any] = {
        "entity_id": HOSTILE,
        "name": HOSTILE,
        "command_line": HOSTILE * 5_000,
        "parent": {"entity_id": "x", "name": HOSTILE * 100, "pid": 5},
        "thread": {"capabilities": {"effective": [HOSTILE]}},
        "entry_leader": {"entry_meta": {"type": HOSTILE, "source": {"ip": HOSTILE * 9}}},
        "pid": 7,
        "exit_code": 1,
    }
    user = {"id": "1000", "name": HOSTILE}
    own = {"entry": HOSTILE, "signal": HOSTILE}
    tenant = {"id": ["t1"], "name": HOSTILE, "policy": [HOSTILE], "source": HOSTILE}
    for action in ("exec", "end", HOSTILE):
        story.add("process", action, container=HOSTILE, process=hostile, user=user, error={"code": HOSTILE},
                  cgtrail=own | {"tenant": tenant})  # fmt: skip
    for action in ("created", "started", "entered", "died", "renamed", "removed", "unheard of"):
        story.add("container", action, container=HOSTILE, process=hostile, user=user, cgtrail=own | {"tenant": tenant})
        story.told[-1].source["container"]["image"] = {"name": HOSTILE * 50, "tag": [HOSTILE]}
    for action in ("created", "attached", "detached"):
        story.add("tenant", action, container=HOSTILE, cgtrail={"tenant": tenant})
    story.store()
    lines = show(tenant="t1", ends=True)
    assert len(lines) == 1 + len(story.told)
    assert not [char for line in lines for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert max(map(len, lines)) < 4_000
    for line in show(tenant="t1", ends=True, as_json=True):
        assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf")]


def test_fifty_tenants_have_the_same_document(story: Story, show: Show) -> None:
    """A container of fifty tenants is in the journal of each."""
    names = [f"t{n}" for n in range(50)]
    story.process(1, 0, "sh", tenants=names)
    story.store()
    assert {name: ids(show(tenant=name, as_json=True)) for name in names} == {name: ["0"] for name in names}


def test_damaged_documents_are_named_and_left_out(story: Story, show: Show, capsys: pytest.CaptureFixture[str]) -> None:
    """What flipped bytes made unreadable is told by its id, the rest is shown in order, and the end is an error."""
    for pid in range(5):
        story.process(pid + 1, 0, f"c{pid}")
    story.store()
    with closing(dayfile.open_writer(story.data / "store", dayfile.day_of(NOON))) as db:
        db.execute("UPDATE docs SET body = replace(body, '\"@timestamp\":', '\"@timestamp\";') WHERE id = '2'")
        db.execute("UPDATE docs SET body = replace(body, '\"parent\":{', '\"parent\":7,\"x\":{') WHERE id = '3'")
    with pytest.raises(StoreError, match="2 damaged documents"):
        show(tenant="t1")
    shown = capsys.readouterr()
    assert [line.split()[-1] for line in shown.out.splitlines()] == ["COMMAND", "c0", "c1", "c4"]
    assert re.findall(r"document (\d) .*is damaged", shown.err) == ["2", "3"]


def test_a_time_beyond_the_calendar_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time that no calendar has where the reader lives is a damaged document, not the end."""
    monkeypatch.setenv("TZ", "UTC-9")
    time.tzset()
    try:
        for form in (table, journal_form.Form()):
            assert show_documents([SAMPLES[0]], as_json=False, header=False, form=form) == (1, 1)
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bytes_end_nothing(data: st.DataObject) -> None:
    """Whatever became of a document on the disk, it is a line or a damaged one, for the table and for a journal."""
    raw = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for form in (table, journal_form.Form()):
        count, damaged = show_documents([bytes(raw)], as_json=False, header=False, form=form)
        assert (count, damaged in (0, 1)) == (1, True)


# The command


def test_nobodys_journal_is_an_error() -> None:
    """A tenant or a container has to be named, by something that can be one, and a kind must exist."""
    with pytest.raises(click.UsageError, match="--tenant, --container or --session"):
        journal.Chosen()
    wrongs: list[dict[str, Any]] = [{"tenant": "\x1b"}, {"container": "a\n"}, {"tenant": "\udcff"}]
    for wrong in [*wrongs, {"tenant": "a", "kind": "nothing"}]:
        with pytest.raises(QueryError):
            journal.Chosen(**wrong)


def start(story: Story, *arguments: str) -> subprocess.Popen[str]:
    """Runs the command in a process of its own."""
    argv = [sys.executable, "-m", "cgtrail", "journal", "--data", str(story.data), *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--tenant, --container or --session"),
        (["--tenant", "a\nb"], 2, "--tenant 'a"),
        (["--tenant", "t1", "--kind", "x"], 2, "container, tenant"),
        (["--tenant", "nobody"], 0, "nothing has been recorded"),
    ],
)
def test_exit_codes(story: Story, arguments: list[str], code: int, said: str) -> None:
    """A wrong command line ends with 2 and says why; an empty answer is none."""
    with start(story, *arguments) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (code, "")
    assert said in err


def test_following_goes_on_where_the_past_ends(story: Story) -> None:
    """With --follow what is stored comes after what was there, each once, until Ctrl-C ends it quietly."""
    story.process(1, 0, "first")
    story.store()
    with start(story, "--tenant", "t1", "--json", "--follow") as process:
        assert process.stdout is not None
        found = [json.loads(process.stdout.readline())["event"]["id"]]
        deadline = time.monotonic() + SECONDS
        while len(found) < 4:  # one a turn, whenever it looks: none may come twice or be missed
            assert time.monotonic() < deadline
            story.process(1, 0, "other", tenants=["t2"])
            story.process(1, 0, "more")
            story.store()
            if select.select([process.stdout], [], [], 1)[0]:
                found.append(json.loads(process.stdout.readline())["event"]["id"])
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    found += ids(out.splitlines())
    assert found == [f"{n}" for n in range(0, 2 * len(found), 2)]
    assert (process.returncode, err.strip()) == (130, "")


def test_a_reader_that_goes_away_is_no_error(story: Story) -> None:
    """`cgtrail journal | head` ends quietly."""
    for _ in range(1_000):
        story.add("container", "entered")
    story.store()
    with start(story, "--tenant", "t1", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(SECONDS) == 0
