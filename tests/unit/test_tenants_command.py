"""`cgtrail tenants` and `cgtrail containers`, against a control socket with a book behind it."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from cgtrail import command, config, listing, tenants
from cgtrail.check import report
from cgtrail.check.finding import Level
from cgtrail.cli import cli, main
from cgtrail.settings import Config, Tenants
from cgtrail.table import columns
from shipper.control import Control
from shipper.tenants import saved
from shipper.tenants.book import TenantBook
from shipper.tenants.model import Subject
from shipper.tenants.requests import Requests

IDS = {"web": "4f0c" * 16, "shared": "4f0d" + "4f0c" * 15, "db": "beef" * 16}
HOSTILE = "\x1b]0;owned\x07\u202edb"
Ran = tuple[int, str, str]
Run = Callable[..., Ran]


class Agent:
    """What the agent has behind its socket: a book, and containers that are regrouped when it changes."""

    def __init__(self, data: Path, *files: Path) -> None:
        self.data = data
        self.book = TenantBook(files, saved=data / saved.FILE)
        self.regrouped = 0
        self.fails = False
        self.subjects = [
            Subject(f"docker/{number}", number, name, f"{name}:1", {}, "", frozenset({7}))
            for name, number in IDS.items()
        ]
        self._in_force = self.book.current
        self._control = Control(data)
        self._control.start()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    def regroup(self) -> None:
        """What was changed is in force only from here on."""
        if self.fails:
            raise OSError(5, "Input/output error")
        self.regrouped += 1
        self._in_force = self.book.current

    def containers(self) -> list[dict[str, Any]]:
        """As the registry tells of them."""
        told = []
        for subject in self.subjects:
            membership = self._in_force.of(subject)
            told.append(
                {
                    "key": subject.key,
                    "id": subject.container_id,
                    "name": subject.name,
                    "runtime": "docker",
                    "image": subject.image,
                    "tenants": dict(membership.tenants),
                    "policy": ["exec"],
                    "cgroups": 3,
                    "cgroup": 7,
                    "state": "complete",
                    "recorded": subject.name != "db",
                    "started": 1_700_000_000 * 10**9 if subject.name == "web" else 0,
                }
            )
        return told

    def _loop(self) -> None:
        requests = Requests(self.book, self.regroup, self.containers)
        while not self._stop.wait(0.002):
            if self.book.poll():
                self.regroup()
            self._control.handle(requests)

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()
        self._control.stop()
        self.book.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """One that runs, with a tenant of a file."""
    file = tmp_path / "t.yaml"
    file.write_text("tenants:\n- id: f1\n  name: Of a file\n  policy: [exec]\n  members: [{name: shared}]\n")
    data = tmp_path / "data"
    data.mkdir()
    with closing(Agent(data, file)) as running:
        yield running


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command in this process, as its entry point does: exit code, output, errors."""
    for name in [name for name in os.environ if name.startswith("CGTRAIL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.setattr(command, "_log_to_stderr", lambda verbose: verbose)  # it is for the whole process

    def run_it(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["cgtrail", "--data", str(tmp_path / "data"), *arguments])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return code, out, err

    return run_it


def members(agent: Agent, tenant: str) -> set[str]:
    """Names of the containers that belong to a tenant, as it is in force."""
    return {one["name"] for one in agent.containers() if tenant in one["tenants"]}


def test_two_tenants_and_a_shared_container(run: Run, agent: Agent) -> None:
    """The example of docs/tenants.md, by commands."""
    for arguments, told in (
        (("add", "t1", "--name", "Team One", "--container-name", "we?"), "cgtrail: there is a tenant t1 now\n"),
        (("add", "t2", "--policy", "exec, terminal"), "cgtrail: there is a tenant t2 now\n"),
        (("attach", "t1", "shared"), "cgtrail: shared belongs to tenant t1 from now on\n"),
        (
            ("attach", "t2", "4f0d", IDS["db"]),
            "cgtrail: shared belongs to tenant t2 from now on\ncgtrail: db belongs to tenant t2 from now on\n",
        ),
    ):
        assert run("tenants", *arguments) == (0, "", told)
    assert agent.regrouped == 4
    assert (members(agent, "t1"), members(agent, "t2")) == ({"web", "shared"}, {"shared", "db"})
    code, out, err = run("tenants", "list", "--json")
    assert (code, err) == (0, "")
    listed = [json.loads(line) for line in out.splitlines()]
    assert [(one["id"], one["name"], one["policy"], one["containers"]) for one in listed] == [
        ("f1", "Of a file", ["exec"], 1),
        ("t1", "Team One", ["exec", "terminal", "output"], 2),
        ("t2", "t2", ["exec", "terminal"], 2),
    ]
    by = f"command, uid {os.getuid()}"
    code, out, err = run("tenants", "show", "t1", "--json")
    shown = json.loads(out)
    assert shown["rules"] == [
        {"conditions": ["name: we?"], "source": by},
        {"conditions": [f"container: docker/{IDS['shared']}"], "source": by},
    ]
    assert [(one["name"], one["why"]) for one in shown["containers"]] == [("web", by), ("shared", by)]
    code, out, err = run("containers", "--tenant", "t2", "--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["db", "shared"]


def test_tables(run: Run, agent: Agent) -> None:
    """Columns with names; what is not recorded is said, and what to do."""
    code, out, err = run("tenants", "list")
    assert (code, err) == (0, "")
    header, line = out.splitlines()
    assert header.split() == ["ID", "NAME", "POLICY", "CONTAINERS", "SAID", "BY"]
    assert line.split()[:6] == ["f1", "Of", "a", "file", "exec", "1"]
    assert line.endswith("t.yaml, line 2")
    code, out, err = run("containers")
    assert (code, err) == (
        0,
        "cgtrail: what is not recorded found no room in the kernel's map: raise capture.max_cgroups\n",
    )
    lines = out.splitlines()
    assert lines[0].split() == ["NAME", "ID", "RUNTIME", "IMAGE", "SINCE", "CGROUPS", "RECORDED", "TENANTS"]
    assert [row.split()[0] for row in lines[1:]] == ["db", "shared", "web"]
    assert "NOT: no room" in lines[1]
    assert lines[2].split() == ["shared", IDS["shared"][:12], "docker", "shared:1", "-", "3", "exec", "f1"]
    code, out, err = run("tenants", "show", "f1")
    assert (code, err) == (0, "")
    assert "name     Of a file\npolicy   exec\n" in out
    assert "name: shared" in out
    assert f"{IDS['shared'][:12]}" in out


def test_nothing_to_show(run: Run, agent: Agent) -> None:
    """No containers are a table of none; a policy of nothing is said."""
    agent.subjects = []
    assert len(run("containers")[1].splitlines()) == 1
    assert run("containers", "--json")[1] == ""
    assert run("tenants", "add", "t1", "--policy", "")[0] == 0
    assert agent.book.current.known["t1"].policy == 0
    assert "nothing" in run("tenants", "list")[1]


def test_change_and_remove(run: Run, agent: Agent) -> None:
    """What a command made, a command can change."""
    run("tenants", "add", "t1")
    by = f"command, uid {os.getuid()}"
    assert run("tenants", "change", "t1", "--name", "One", "--policy", "output") == (
        0,
        "",
        "cgtrail: tenant t1 is changed\n",
    )
    assert (agent.book.current.known["t1"].name, agent.book.current.known["t1"].policy) == ("One", 4)
    assert agent.book.current.known["t1"].source == by
    assert run("tenants", "remove", "t1") == (0, "", "cgtrail: tenant t1 is removed\n")
    assert list(agent.book.current.known) == ["f1"]


def test_detach(run: Run, agent: Agent) -> None:
    """Only what was attached; a container that stays by a rule is said, and one that has ended can be detached too."""
    by = f"command, uid {os.getuid()}"
    run("tenants", "add", "t1", "--image", "web")
    run("tenants", "attach", "t1", "web", "db")
    assert run("tenants", "detach", "t1", "db") == (0, "", "cgtrail: db belongs to tenant t1 no more\n")
    assert run("tenants", "detach", "t1", "web") == (
        0,
        "",
        f"cgtrail: web is detached, and still belongs to tenant t1 by {by}\n",
    )
    run("tenants", "attach", "t1", "db")
    agent.subjects = [subject for subject in agent.subjects if subject.name != "db"]
    assert run("tenants", "detach", "t1", "beef")[0] == 0
    assert agent.book.attached("t1") == {}


def test_what_was_attached_to_a_tenant_that_is_gone(run: Run, agent: Agent) -> None:
    """A file declares a tenant no more: what commands attached to it can be undone, and it is not theirs to remove."""
    run("tenants", "attach", "f1", "db")
    (agent.data.parent / "t.yaml").write_text("tenants: []\n")
    while "f1" in agent.book.current.known:
        time.sleep(0.01)
    advice = "see `cgtrail tenants list`; one that a label names goes with the label"
    assert run("tenants", "remove", "f1") == (1, "", f"cgtrail: no command has added a tenant 'f1': {advice}\n")
    assert run("tenants", "detach", "f1", "db") == (0, "", "cgtrail: db belongs to tenant f1 no more\n")
    assert agent.book.attached("f1") == {}
    assert run("tenants", "detach", "f1", "db")[2] == "cgtrail: there is no tenant 'f1': see `cgtrail tenants list`\n"


def test_refusals(run: Run, agent: Agent) -> None:
    """Each says what is wrong and what to do; nothing changes, and nothing is regrouped."""
    by = f"command, uid {os.getuid()}"
    run("tenants", "add", "t1", "--image", "web")
    file = agent.data.parent / "t.yaml"
    web, shared = (f"'docker/{IDS[name]}' ('{name}')" for name in ("web", "shared"))
    before = agent.book.current
    for arguments, message in (
        (("attach", "t1", "4f0"), "there is no container '4f0' that runs: see `cgtrail containers`"),
        (("attach", "t1", "wep"),
         "there is no container 'wep' that runs: did you mean 'web'? Otherwise see `cgtrail containers`"),
        (("attach", "t1", "web", "nope"),
         "there is no container 'nope' that runs: see `cgtrail containers`"),
        (("attach", "tt1", "web"),
         "there is no tenant 'tt1': did you mean 't1'? Otherwise declare it: cgtrail tenants add tt1"),
        (("detach", "t1", "web"),
         f"container {web} belongs to tenant 't1' by {by}, not by attaching: change that"),
        (("detach", "f1", "shared"),
         f"container {shared} belongs to tenant 'f1' by {file}, line 5, not by attaching: change that"),
        (("detach", "f1", "web"),
         f"container {web} does not belong to tenant 'f1': nothing to detach"),
        (("remove", "f1"),
         f"tenant 'f1' stands in {file}, line 2: remove it there"),
        (("change", "f1", "--name", "x"),
         f"tenant 'f1' stands in {file}, line 2: change it there"),
        (("show", "none"),
         "there is no tenant 'none': see `cgtrail tenants list`"),
        (("add", "t2", "--policy", "exce"),
         "'exce' is no policy: did you mean 'exec'? Otherwise write some of exec, terminal, output"),
        (("add", "t2", "--container-name", "[x"),
         "'[x' has a '[' that is not closed: close it, or write [[] for the character"),
        (("add", "f1"),
         f"there is a tenant 'f1' already, from {file}, line 2: change it there"),
    ):  # fmt: skip
        assert run("tenants", *arguments) == (1, "", f"cgtrail: {message}\n")
    assert run("containers", "--tenant", "x")[::2] == (
        1,
        "cgtrail: there is no tenant 'x': see `cgtrail tenants list`\n",
    )
    assert agent.book.current is before
    assert agent.regrouped == 1


def test_an_ambiguous_name(run: Run, agent: Agent) -> None:
    """Digits that begin several ids, a name of two, a name that is the beginning of another's id: all are listed."""
    agent.subjects = [
        *agent.subjects,
        Subject("podman/x", "f" * 64, "web", "", {}, "", frozenset()),
        Subject("podman/y", "e" * 64, "beef", "", {}, "", frozenset()),
    ]
    run("tenants", "add", "t1")
    for name, those in (
        ("web", f"'docker/{IDS['web']}' ('web'), 'podman/x' ('web')"),
        ("beef", f"'docker/{IDS['db']}' ('db'), 'podman/y' ('beef')"),
    ):
        message = f"'{name}' may be any of 2 containers: {those}: write more of its id, or its key"
        assert run("tenants", "attach", "t1", name) == (1, "", f"cgtrail: {message}\n")
    assert run("tenants", "attach", "t1", "podman/x", "docker/" + IDS["web"])[0] == 0
    assert members(agent, "t1") == {"web"}
    assert len(agent.book.attached("t1")) == 2


def test_nothing_of_a_container_reaches_the_terminal_raw(run: Run, agent: Agent) -> None:
    """Names, images and labels are an attacker's, in tables, in messages and as JSON."""
    agent.subjects = [
        Subject("docker/x", "x" * 64, HOSTILE, HOSTILE, {"cgtrail.tenant": "t9"}, "", frozenset()),
        Subject("docker/y", "y" * 64, HOSTILE, "", {}, "", frozenset()),
    ]
    agent.regroup()
    run("tenants", "add", "t1")
    for arguments in (
        ("containers",),
        ("containers", "--json"),
        ("tenants", "show", "t9"),
        ("tenants", "show", "t9", "--json"),
        ("tenants", "list"),
        ("tenants", "attach", "t1", HOSTILE),
        ("tenants", "attach", "t1", "docker/x"),
        ("tenants", "detach", "t1", "docker/x"),
        ("tenants", "detach", "t9", "docker/x"),
    ):
        _, out, err = run(*arguments)
        assert out + err
        assert not set("\x07\u202e") & set(out + err)
        assert "\x1b]" not in out + err


def test_a_mistake_in_a_file_is_shown(run: Run, agent: Agent) -> None:
    """Whoever lists tenants sees that a file is not in force, and why."""
    file = agent.data.parent / "t.yaml"
    file.write_text("tenants: [")
    while not agent.book.error:
        pass
    code, out, err = run("tenants", "list")
    assert code == 0
    assert "f1" in out
    assert err.lstrip().startswith(f"cgtrail: files are not taken as they are now, those before hold: {file}, line 2: ")


def test_a_change_that_is_not_in_force(run: Run, agent: Agent) -> None:
    """Nobody gets an OK for what does not stand in the stream and in the kernel."""
    agent.fails = True
    advice = "it was kept, and holds from the next change or start of the agent"
    message = f"cgtrail: the change is not in force: [Errno 5] Input/output error: {advice}\n"
    assert run("tenants", "add", "t1") == (1, "", message)


def test_a_change_that_can_not_be_kept(run: Run, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is named; nothing was changed."""
    path = agent.data / "tenants.new"
    path.mkdir()
    advice = "nothing was changed; see that the data folder has room and can be written"
    assert run("tenants", "add", "t1") == (1, "", f"cgtrail: {path}: Is a directory: {advice}\n")
    assert list(agent.book.current.known) == ["f1"]


def test_without_an_agent(run: Run, tmp_path: Path) -> None:
    """How to start one is told."""
    for arguments in (("containers",), ("tenants", "list"), ("tenants", "attach", "a", "b")):
        code, out, err = run(*arguments)
        assert (code, out) == (1, "")
        assert err.startswith(f"cgtrail: no agent runs on {tmp_path / 'data'}: start it with `cgtrail up --data ")


def test_usage(run: Run) -> None:
    """What can't be meant is refused before anybody is asked."""
    for arguments in (("change", "t1"), ("attach", "t1"), ("detach", "t1"), ("add",), ("show",)):
        assert run("tenants", *arguments)[0] == 2
    assert "give --name or --policy" in run("tenants", "change", "t1")[2]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"request": 5},
        {"request": "tenants"},
        {"request": "tenants.show"},
        {"request": "tenants.show", "id": 5},
        {"request": "tenants.list", "more": 1},
        {"request": "tenants.add", "id": "t", "rules": [["label"]]},
        {"request": "tenants.add", "id": "t", "rules": [[["labels", "x"]]]},
        {"request": "tenants.add", "id": "t", "rules": [[["cgroup", "7"]]]},
        {"request": "tenants.attach", "id": "f1", "containers": "web"},
        {"request": "tenants.attach", "id": "f1", "containers": [""]},
        {"request": "tenants.change", "id": "f1"},
    ],
)
def test_requests_that_are_none(tmp_path: Path, request_: dict[str, Any]) -> None:
    """Whoever speaks to the socket himself gets a refusal in words, and changes nothing."""
    book = TenantBook(saved=tmp_path / saved.FILE)
    regrouped: list[int] = []
    before = book.current
    requests = Requests(book, lambda: regrouped.append(1), list)
    with pytest.raises(ValueError, match=r"^[^\n]{10,}$"):
        requests(request_, 0)
    assert (book.current is before, regrouped) == (True, [])


def test_check_looks_at_tenants(agent: Agent) -> None:
    """How many there are; or the first mistake, before an agent meets it."""
    file, data = agent.data.parent / "t.yaml", str(agent.data)
    agent.book.add("t1", "command, uid 0")
    settings = Config(data=data, tenants=Tenants(files=[str(file)]))
    (found,) = report.LOOKS["tenants"](settings)
    assert (found.level, found.found) == (Level.OK, "1 in files, 1 by commands; label cgtrail.tenant")
    file.write_text("tenants:\n- id: a\n- id: a\n")
    (found,) = report.LOOKS["tenants"](settings)
    assert found.level is Level.BAD
    assert found.found == f"{file}, line 3: tenant 'a' stands in {file}, line 2 already: keep one of them"
    (agent.data / saved.FILE).write_text("x")
    (found,) = report.LOOKS["tenants"](Config(data=data))
    assert found.found.startswith(f"{agent.data / saved.FILE}: it is damaged")


def test_a_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No line is longer; wide characters take two columns; elsewhere nothing is cut that a line can hold."""
    rows = [("漢字" * 20, "x" * 100), ("a", "b")]
    listing.table(("NAME", "REST"), rows)
    assert capsys.readouterr().out.splitlines()[1] == "漢字" * 20 + "  " + "x" * 100
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    listing.table(("NAME", "REST"), rows, marked=[True, False])
    lines = [click.unstyle(line) for line in capsys.readouterr().out.splitlines()]
    assert [columns(line) for line in lines[1:2]] == [60]
    assert lines[1].endswith("xxx…")
    assert lines[2].split() == ["a", "b"]


def test_a_place_keeps_its_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not fit of a file and its line is cut where it says less."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    listing.table(("ID", "SAID BY"), [("a", f"/etc/{'x' * 40}/漢.yaml, line 12"), ("b", "f, line 1")], places=True)
    cut, whole = capsys.readouterr().out.splitlines()[1:]
    assert columns(cut) == 40
    assert cut.startswith("a   …xxx")
    assert cut.endswith("/漢.yaml, line 12")
    assert whole == "b   f, line 1"


def test_completion(run: Run, agent: Agent, tmp_path: Path) -> None:
    """The shell completes tenants' ids; without an agent it completes nothing."""
    context = cli.make_context("cgtrail", ["--data", str(agent.data)], resilient_parsing=True)
    found = tenants.complete(context, context.command.params[0], "f")
    assert [(item.value, item.help) for item in found] == [("f1", "Of a file")]
    for name in ("search", "tail", "journal", "containers"):
        (option,) = [option for option in cli.commands[name].params if option.name == "tenant"]
        assert [item.value for item in option.shell_complete(context, "f")] == ["f1"]
    context = cli.make_context("cgtrail", ["--data", str(tmp_path / "none")], resilient_parsing=True)
    assert tenants.complete(context, context.command.params[0], "f") == []
