"""Arguments of running processes are read by a child; one that does not answer costs its process's arguments only."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bpf.events import Task
from shipper import expendable
from shipper.cmdline_reader import ANSWER, BYTES, QUESTION, answer
from shipper.cmdlines import MOST_ABANDONED, MOST_ASKED, MOST_SLOW, PATIENCE_NS, Cmdlines
from shipper.expendable import COMMAND, PATIENT_ROUNDS, STARTING_NS
from shipper.wire.records import Arguments

TICK_NS = 10_000_000
DEADLINE = 30
SLEEPER = (sys.executable, "-c", "import time; time.sleep(1000)")


class Folder:
    """A folder that looks like /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(self, pid: int, args: bytes = b"", *, owner: int = 7, name: bytes = b"sh") -> Task:
        """A process that runs, and what a record tells of it."""
        start = pid * 3
        self.stat(pid, b"%d (%s) S 1 %s%d 9 9\n" % (pid, name, b"0 " * 17, start))
        (self.root / str(pid) / "cmdline").write_bytes(args)
        return Task(tgid=pid, start=start * TICK_NS + 123, owner=owner, cgroup_id=owner + 1)

    def stat(self, pid: int, text: bytes) -> None:
        (self.root / str(pid)).mkdir(exist_ok=True)
        (self.root / str(pid) / "stat").write_bytes(text)

    def silent(self, pid: int, owner: int = 7) -> Task:
        """A process whose arguments can't be read to an end: nobody writes to a pipe."""
        process = self.process(pid, owner=owner)
        (self.root / str(pid) / "cmdline").unlink()
        os.mkfifo(self.root / str(pid) / "cmdline")
        return process


class Agent:
    """Rounds of an agent, whose time passes as the test says."""

    def __init__(self, asked: Cmdlines) -> None:
        self.cmdlines, self.now, self.got = asked, 1_000, list[Arguments]()

    def round(self) -> None:
        """One of its rounds."""
        self.got += self.cmdlines.answers(self.now)

    def until(self, count: int) -> list[bytes]:
        """Rounds without time until there are so many answers; what they were."""
        self.rounds_until(lambda: len(self.got) >= count)
        return [record.args for record in self.got]

    def rounds_until(self, condition: object) -> None:
        end = time.monotonic() + DEADLINE
        assert callable(condition)
        while not condition():
            assert time.monotonic() < end, f"never; {self.cmdlines}"
            self.round()
            time.sleep(0.001)

    def wait_asked(self) -> None:
        """Rounds until the child has begun and was asked."""
        self.rounds_until(lambda: self.cmdlines._reader.asked)

    def pass_time(self, nanoseconds: int = PATIENCE_NS + 1) -> None:
        """So much time in as many rounds as patience takes; the children are not given any."""
        self.now += nanoseconds
        for _ in range(PATIENT_ROUNDS + 1):
            self.round()

    def idle(self) -> None:
        """Rounds until nothing is asked and every child is gone."""
        self.rounds_until(
            lambda: (
                not (self.cmdlines._reader.asked or self.cmdlines._reader._child or self.cmdlines._reader._abandoned)
            )
        )


@pytest.fixture
def proc(tmp_path: Path) -> Folder:
    """An empty /proc."""
    return Folder(tmp_path)


@pytest.fixture
def agent(proc: Folder) -> Iterator[Agent]:
    """An agent on it."""
    made = Agent(Cmdlines(str(proc.root)))
    yield made
    made.cmdlines._reader.waiting.clear()
    made.cmdlines._reader.asked.clear()
    made.idle()


def test_answers(proc: Folder, agent: Agent) -> None:
    """Each process's arguments come with its id, its exact start and its owner, in the order of the questions."""
    many = [proc.process(pid, b"sh\0%d\0" % pid) for pid in range(2, 402)]
    for process in many:
        agent.cmdlines.ask(process)
    assert agent.until(len(many)) == [b"sh\0%d\0" % process.tgid for process in many]
    for process, record in zip(many, agent.got, strict=True):
        assert (record.tgid, record.start, record.owner) == (process.tgid, process.start, process.owner)
        assert (record.cgroup_id, record.cut) == (0, 0)
    agent.idle()
    assert agent.cmdlines.unread == 0


@pytest.mark.parametrize("more", [-1, 0, 1, 100_000])
def test_long(proc: Folder, agent: Agent, more: int) -> None:
    """Of long arguments there is the beginning, and it is said that there was more."""
    agent.cmdlines.ask(proc.process(2, b"x" * (BYTES + more)))
    assert agent.until(1) == [b"x" * min(BYTES, BYTES + more)]
    assert agent.got[0].cut == (more > 0)


def test_many_long(proc: Folder, agent: Agent) -> None:
    """More answers than a pipe holds come all the same."""
    for pid in range(2, 1002):
        agent.cmdlines.ask(proc.process(pid, b"x" * BYTES))
    assert agent.until(1000) == [b"x" * BYTES] * 1000


@pytest.mark.parametrize("name", [b"a) S 1 (", b"\n) ", b"))) R", b"\xff\0"])
def test_odd_names(proc: Folder, agent: Agent, name: bytes) -> None:
    """Whatever a process calls itself, its start is found."""
    agent.cmdlines.ask(proc.process(2, b"\xff\n\0", name=name))
    assert agent.until(1) == [b"\xff\n\0"]


def test_nothing_to_tell(proc: Folder, agent: Agent) -> None:
    """Of a process that is gone, another one with its number, one without arguments, and nonsense, nothing comes."""
    odd = [proc.process(pid, b"x\0") for pid in range(2, 7)]
    (proc.root / "2" / "cmdline").unlink()
    proc.process(3, b"")
    odd[2].start += TICK_NS
    proc.stat(5, b"")
    proc.stat(6, b"6 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 many 7")
    for process in [*odd, Task(tgid=9, start=1), Task(tgid=2**32 - 1, start=1), proc.process(8, b"yes\0")]:
        agent.cmdlines.ask(process)
    assert agent.until(1) == [b"yes\0"]
    agent.idle()
    assert len(agent.got) == 1


def test_first_thread_gone(proc: Folder, agent: Agent) -> None:
    """Where the first thread has no memory any more, another one's is read."""
    process = proc.process(2)
    for thread in (2, 3):
        (proc.root / "2" / "task" / str(thread)).mkdir(parents=True)
        (proc.root / "2" / "task" / str(thread) / "cmdline").write_bytes(b"" if thread == 2 else b"x\0")
    agent.cmdlines.ask(process)
    assert agent.until(1) == [b"x\0"]


def test_really() -> None:
    """The system's own /proc says of this process what it was started with."""
    cut, start = ANSWER.unpack_from(whole := answer(QUESTION.pack(os.getpid()), "/proc"))
    stat = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    shown = Path("/proc/self/cmdline").read_bytes()
    assert start == int(stat[19])
    assert (whole[ANSWER.size :], cut) == (shown[:BYTES], len(shown) > BYTES)


def test_silent(proc: Folder, agent: Agent) -> None:
    """A process whose arguments can't be read is given up after a second, is not asked again, and is told of."""
    before, silent, after = proc.process(2, b"a\0"), proc.silent(3), proc.process(4, b"b\0", owner=9)
    for process in (before, silent, after):
        agent.cmdlines.ask(process)
    assert agent.until(1) == [b"a\0"]
    agent.now += PATIENCE_NS - 1
    for _ in range(2 * PATIENT_ROUNDS):
        agent.round()
    assert agent.cmdlines.unread < 1
    with capture_logs() as logs:
        agent.pass_time(2)
    assert agent.until(2) == [b"a\0", b"b\0"]
    assert [(entry["pid"], entry["cgroup"]) for entry in logs] == [(3, silent.cgroup_id)]
    agent.idle()
    agent.cmdlines.keyframe()
    for process in (silent, after):
        agent.cmdlines.ask(process)
    assert not agent.cmdlines._slow
    assert agent.until(3) == [b"a\0", b"b\0", b"b\0"]
    assert agent.cmdlines.unread == 1


def test_silent_at_two_keyframes(proc: Folder, agent: Agent) -> None:
    """A process that is told again while it is waited for is given up once."""
    silent = proc.silent(2)
    agent.cmdlines.ask(silent)
    agent.wait_asked()
    agent.cmdlines.keyframe()
    agent.cmdlines.ask(silent)
    agent.round()
    agent.cmdlines.ask(silent)
    with capture_logs() as logs:
        agent.pass_time()
        agent.idle()
    assert (len(logs), agent.cmdlines.unread) == (1, 1)


def test_machine_stood_still(proc: Folder, agent: Agent) -> None:
    """When much time has passed in few rounds, the child has had none either: nobody is blamed."""
    agent.cmdlines.ask(proc.silent(2))
    agent.wait_asked()
    agent.now += 100 * PATIENCE_NS
    for _ in range(PATIENT_ROUNDS - 1):
        agent.round()
    assert (agent.cmdlines.unread, len(agent.cmdlines._reader.asked)) == (0, 1)


def test_late_agent(proc: Folder, agent: Agent) -> None:
    """An answer that lies there is taken, however late the agent comes for it."""
    agent.cmdlines.ask(proc.process(2, b"a\0"))
    agent.wait_asked()
    assert agent.cmdlines._reader._child
    select.select([agent.cmdlines._reader._child._answers], [], [], DEADLINE)
    agent.pass_time(100 * PATIENCE_NS)
    assert ([record.args for record in agent.got], agent.cmdlines.unread) == ([b"a\0"], 0)


def test_others_first(proc: Folder, agent: Agent) -> None:
    """Who has silent processes is asked behind everybody else, and no more after so many of them."""
    agent.cmdlines.ask(proc.silent(2))
    for pid in range(3, 3 + 2 * MOST_SLOW):
        agent.cmdlines.ask(proc.silent(pid))
    agent.cmdlines.ask(proc.process(100, b"last\0", owner=9))
    agent.wait_asked()
    agent.pass_time()
    assert agent.until(1) == [b"last\0"]
    for _ in range(MOST_SLOW - 1):
        agent.wait_asked()
        agent.pass_time()
    assert len(agent.cmdlines._mute) == MOST_SLOW
    assert agent.cmdlines.unread == 1 + 2 * MOST_SLOW
    agent.idle()


def test_children_that_stay(proc: Folder, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of children that the kernel does not let go there are a handful; beyond, arguments are left out, said once."""
    with monkeypatch.context() as patched:
        patched.setattr(subprocess.Popen, "kill", lambda _: None)
        for number in range(MOST_ABANDONED):
            agent.cmdlines.ask(proc.silent(2 + number, owner=number))
            agent.wait_asked()
            agent.pass_time()
        assert len(agent.cmdlines._reader._abandoned) == MOST_ABANDONED
        with capture_logs() as logs:
            for pid in range(100, 110):
                agent.cmdlines.ask(proc.process(pid, b"x\0", owner=9))
                agent.round()
        assert len(logs) == 1
        assert agent.cmdlines.unread == MOST_ABANDONED + 10
        assert (agent.got, agent.cmdlines._reader._child) == ([], None)
    for child, _ in agent.cmdlines._reader._abandoned:
        child.kill()
    agent.idle()
    agent.cmdlines.ask(proc.process(200, b"again\0"))
    assert agent.until(1) == [b"again\0"]


def test_bound(proc: Folder, agent: Agent) -> None:
    """So many processes are asked for in one keyframe; the rest is counted, and said once."""
    with capture_logs() as logs:
        for pid in range(MOST_ASKED + 5):
            agent.cmdlines.ask(Task(tgid=pid, start=pid))
    assert (len(agent.cmdlines._reader.waiting), agent.cmdlines.unread, len(logs)) == (MOST_ASKED, 5, 1)
    agent.cmdlines.keyframe()
    assert not agent.cmdlines._reader.waiting
    agent.cmdlines.ask(proc.process(2, b"x\0"))
    assert agent.until(1) == [b"x\0"]


@pytest.mark.parametrize("command", [("/nonexistent/python",), (sys.executable, "-c", "")])
def test_no_child(proc: Folder, agent: Agent, command: tuple[str, ...]) -> None:
    """Where none can be started, or it ends at once, arguments are left out, and asked for at the next keyframe."""
    agent.cmdlines._reader.command = command
    agent.cmdlines.ask(proc.process(2, b"x\0"))
    with capture_logs() as logs:
        agent.idle()
        agent.rounds_until(lambda: agent.cmdlines.unread)
    assert (len(logs), agent.cmdlines.unread) == (1, 1)
    agent.cmdlines._reader.command = COMMAND
    agent.cmdlines.keyframe()
    agent.cmdlines.ask(proc.process(2, b"x\0"))
    assert agent.until(1) == [b"x\0"]


def test_never_begins(proc: Folder, agent: Agent) -> None:
    """A child that does not even begin is given more time, and nobody's process is blamed."""
    agent.cmdlines._reader.command = SLEEPER
    agent.cmdlines.ask(proc.process(2, b"x\0"))
    agent.pass_time()
    assert agent.cmdlines.unread == 0
    agent.pass_time(STARTING_NS + 1)
    assert (agent.cmdlines.unread, agent.cmdlines._mute) == (1, {})


def test_killed_child(proc: Folder, agent: Agent) -> None:
    """A child that somebody kills is replaced when there is something to ask again; nobody's process is blamed."""
    agent.cmdlines.ask(proc.silent(2))
    agent.wait_asked()
    assert agent.cmdlines._reader._child
    agent.cmdlines._reader._child._process.kill()
    agent.rounds_until(lambda: agent.cmdlines.unread)
    assert agent.cmdlines._mute == {}
    agent.cmdlines.ask(proc.process(3, b"x\0"))
    assert agent.until(1) == [b"x\0"]


def test_holds_nothing_of_ours(tmp_path: Path, proc: Folder, agent: Agent) -> None:
    """The child has its pipes and nothing else, even of what other children would inherit; it is no zombie after."""
    with (tmp_path / "lock").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        agent.cmdlines.ask(proc.silent(2))
        agent.wait_asked()
        assert agent.cmdlines._reader._child
        pid = agent.cmdlines._reader._child._process.pid
        held_by_it = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.name in "012"}
        names = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    assert {name.partition(":")[0] for name in held_by_it} == {"pipe", "/dev/null"}
    assert str(tmp_path / "lock") not in names
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    agent.cmdlines.close()
    assert not Path(f"/proc/{pid}").exists()


def test_ends_with_the_agent(proc: Folder) -> None:
    """An agent that is killed takes its child with it, wherever that hangs."""
    silent = proc.silent(2)
    code = (
        "import sys, time; from bpf.events import Task; from shipper.cmdlines import Cmdlines\n"
        f"asked = Cmdlines(sys.argv[1]); asked.ask(Task(tgid=2, start={silent.start}))\n"
        "while not asked._reader.asked: asked.answers(1); time.sleep(0.001)\n"
        "print(asked._reader._child._process.pid, flush=True); time.sleep(1000)\n"
    )
    command = [sys.executable, "-c", code, str(proc.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as made:
        assert made.stdout
        child = Path("/proc") / made.stdout.readline().strip()
        assert child.exists()
        made.kill()
    end = time.monotonic() + DEADLINE
    while child.exists() and ") Z " not in (child / "stat").read_text():
        assert time.monotonic() < end, "it stays"
        time.sleep(0.005)


def test_pieces(monkeypatch: pytest.MonkeyPatch, proc: Folder, agent: Agent) -> None:
    """Answers may come in pieces of any size."""
    monkeypatch.setattr(expendable, "PIPE_BYTES", 7)
    for pid in (2, 3):
        agent.cmdlines.ask(proc.process(pid, b"abcdefghij\0%d" % pid))
    assert agent.until(2) == [b"abcdefghij\0002", b"abcdefghij\0003"]
