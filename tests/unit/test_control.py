"""The control socket: who may ask, what is answered, and what clients of all kinds can't do."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from shipper import control
from shipper.control import MAX_CLIENTS, MAX_REQUEST, SOCKET, Control, ControlError
from shipper.control_client import AgentError, ask

SECONDS = 30
"""How long to wait for what must come."""
NOBODY = 65534
_AF_UNIX_PATH = 107


def echo(request: dict[str, Any], uid: int) -> dict[str, Any]:
    """Answers with what was asked, or as it is told."""
    match request.get("request"):
        case "refuse":
            raise ValueError("this may not be")
        case "full":
            raise OSError(28, "No space left on device", "/data/x")
        case "bug":
            raise KeyError("oops")
        case "large":
            return {"text": "x" * request["size"]}
        case "odd":
            return {"text": "\udcff"}
    return {"asked": request, "uid": uid}


class Agent:
    """A control socket whose requests are handled each millisecond, as the agent's loop does."""

    def __init__(self, folder: Path, handler: control.Handler = echo) -> None:
        self.folder = folder
        self.control = Control(folder)
        self.control.start()
        self._stop = threading.Event()
        self.pause = threading.Event()
        self._thread = threading.Thread(target=self._loop, args=(handler,))
        self._thread.start()

    def _loop(self, handler: control.Handler) -> None:
        while not self._stop.wait(0.001):
            if not self.pause.is_set():
                self.control.handle(handler)

    def connect(self) -> socket.socket:
        """A client of any kind."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.folder / SOCKET))
        client.settimeout(SECONDS)
        return client

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()
        self.control.stop()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """One that runs."""
    with closing(Agent(tmp_path)) as running:
        yield running


def read_all(client: socket.socket) -> bytes:
    """What comes until the other end closes."""
    received = b""
    with suppress(ConnectionResetError):
        while chunk := client.recv(1 << 20):
            received += chunk
    return received


def error_of(client: socket.socket) -> str:
    """The error that a connection ends with."""
    (line,) = read_all(client).splitlines()
    answer = json.loads(line)
    assert answer.keys() == {"error"}
    return str(answer["error"])


def still_answers(agent: Agent) -> None:
    """Others are served."""
    assert ask(agent.folder, {"request": "still"}) == {"asked": {"request": "still"}, "uid": os.getuid()}


# As it should be


def test_a_request_and_its_answer(agent: Agent) -> None:
    """The handler gets the object and whose it is."""
    asked = {"request": "x", "text": "ä\n\0", "list": [1, {"a": None}]}
    assert ask(agent.folder, asked) == {"asked": asked, "uid": os.getuid()}


def test_several_requests_of_a_connection(agent: Agent) -> None:
    """They are answered in order, also when they come in pieces or all at once."""
    with agent.connect() as client:
        client.sendall(b'{"n": 1}\n{"n": 2}\n{"n"')
        client.sendall(b": 3}\n")
        lines = client.makefile("rb")
        assert [json.loads(lines.readline())["asked"]["n"] for _ in range(3)] == [1, 2, 3]


def test_a_large_answer(agent: Agent) -> None:
    """It comes whole, however little the socket takes at a time."""
    assert len(ask(agent.folder, {"request": "large", "size": 20_000_000})["text"]) == 20_000_000


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("refuse", "this may not be"),
        ("full", "[Errno 28] No space left on device: '/data/x'"),
        ("bug", "the agent failed: KeyError('oops'); its log has more"),
        ("odd", "the answer can't be told: "),
    ],
)
def test_what_the_handler_can_not_do(agent: Agent, request_: str, message: str) -> None:
    """It is told to whoever asked; a mistake of ours is logged, and ends nobody."""
    with capture_logs() as logs, pytest.raises(AgentError) as refused:
        ask(agent.folder, {"request": request_})
    assert str(refused.value).startswith(message)
    assert bool(logs) == (request_ == "bug")
    still_answers(agent)


def test_many_at_once(agent: Agent) -> None:
    """Each gets its own answer."""
    wrong = []

    def client(number: int) -> None:
        for at in range(20):
            asked = {"n": number, "at": at}
            if ask(agent.folder, asked)["asked"] != asked:
                wrong.append(asked)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(MAX_CLIENTS // 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_busy_client_holds_no_round_up(tmp_path: Path) -> None:
    """What is asked while others are answered waits for the next round."""
    with closing(Agent(tmp_path)) as agent:
        agent.pause.set()
        with agent.connect() as client:
            client.sendall(b"{}\n" * 50)
            rounds = []

            def endless(request: dict[str, Any], uid: int) -> dict[str, Any]:
                rounds.append(request)
                time.sleep(0.05)  # the next one is there by then
                return {}

            until = time.monotonic() + SECONDS
            while not rounds and time.monotonic() < until:
                agent.control.handle(endless)
            assert len(rounds) == 1


# The socket


def test_only_its_owner_can_connect(tmp_path: Path) -> None:
    """Whatever the umask is, from its first moment."""
    before = os.umask(0)
    try:
        with closing(Agent(tmp_path)):
            assert stat.S_IMODE(os.stat(tmp_path / SOCKET).st_mode) == 0o600
    finally:
        os.umask(before)
    assert not (tmp_path / SOCKET).exists()


def test_a_folder_with_a_long_name(tmp_path: Path) -> None:
    """A path longer than a socket's may be."""
    folder = tmp_path.joinpath(*["x" * 200] * 5)
    folder.mkdir(parents=True)
    with closing(Agent(folder)) as agent:
        assert len(str(folder)) > _AF_UNIX_PATH
        still_answers(agent)
    assert list(folder.iterdir()) == []


def test_a_socket_that_was_left_over(tmp_path: Path) -> None:
    """An agent that was killed leaves its socket: the next one replaces it."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET))
    with pytest.raises(AgentError, match=r"^no agent runs on "):
        ask(tmp_path, {})
    with closing(Agent(tmp_path)) as agent:
        still_answers(agent)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("/etc/passwd"), os.mkfifo])
def test_something_else_in_its_place(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """It is not removed, but named."""
    make(tmp_path / SOCKET)
    with pytest.raises(ControlError) as refused:
        Control(tmp_path).start()
    assert str(refused.value) == f"{tmp_path / SOCKET}: something else than a socket is there: remove it"
    assert os.path.lexists(tmp_path / SOCKET)


def test_one_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    """As when an agent fails before it is ready."""
    Control(tmp_path).stop()


def test_stopping_ends_what_waits(tmp_path: Path) -> None:
    """A client that waits for its answer is told at once, and that nothing is known."""
    agent = Agent(tmp_path)
    agent.pause.set()
    failed: list[str] = []

    def client() -> None:
        with pytest.raises(AgentError) as refused:
            ask(tmp_path, {"request": "x"})
        failed.append(str(refused.value))

    thread = threading.Thread(target=client)
    thread.start()
    until = time.monotonic() + SECONDS
    while agent.control._asked.empty() and time.monotonic() < until:
        time.sleep(0.001)
    agent.close()
    thread.join()
    advice = "see its log, and ask again; whether the request was carried out is not known"
    assert failed == [f"the agent on {tmp_path} ended without an answer: {advice}"]


# Whoever may not


def test_another_user_is_refused(agent: Agent) -> None:
    """Even one who could open the socket: what counts is who the kernel says it is."""
    os.chmod(agent.folder / SOCKET, 0o666)  # noqa: S103  that is the point
    os.chmod(agent.folder, 0o755)  # noqa: S103
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # no way back into the test from here
        try:
            os.chdir(agent.folder)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(SECONDS)
                client.connect(SOCKET)
                os.write(writing, read_all(client))
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with open(reading, "rb") as told:
        answer = json.loads(told.read())
    assert answer == {"error": f"uid {NOBODY} may not command this agent: do it as root, or as uid {os.geteuid()}"}
    still_answers(agent)


# Abuse


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"rubbish\n", "the request is no JSON: "),
        (b"\n", "the request is no JSON: "),
        (b"\xff\xfe\n", "the request is no JSON: "),
        (b'{"a": "\\ud800"}\n', "the request is no JSON: "),
        (b"[" * 100_000 + b"\n", "the request is no JSON: "),
        (b"[]\n", "the request is no JSON object: send one in a line"),
        (b'"text"\n', "the request is no JSON object: send one in a line"),
        (b"null\n{}\n", "the request is no JSON object: send one in a line"),
        (b"x" * MAX_REQUEST, "the request is longer than 1,048,576 bytes"),
        (b'{"a": "' + b"x" * MAX_REQUEST + b'"}\n', "the request is longer than 1,048,576 bytes"),
    ],
)
def test_rubbish(agent: Agent, line: bytes, message: str) -> None:
    """It is refused in words, and the connection ends."""
    with agent.connect() as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(line)
        assert error_of(client).startswith(message)
    still_answers(agent)


def test_the_longest_request(agent: Agent) -> None:
    """One byte less than too much is taken, also byte by byte at its end."""
    line = b'{"a": "' + b"x" * (MAX_REQUEST - 10) + b'"}\n'
    assert len(line) == MAX_REQUEST
    with agent.connect() as client:
        client.sendall(line[:-3])
        for byte in line[-3:]:
            client.sendall(bytes([byte]))
        assert b'"asked"' in client.recv(100)


def test_half_a_request(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not finish in time is told so, and the connection ends; silence is the same."""
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.2)
    for sent in (b"", b'{"a": '):
        with agent.connect() as client:
            client.sendall(sent)
            assert error_of(client) == "no whole request within 0 s: the connection is closed"
    with agent.connect() as client:  # also behind an answer
        client.sendall(b"{}\n")
        assert len(read_all(client).splitlines()) == 2


def test_a_request_bit_by_bit_is_no_excuse(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending now and then a byte does not put the end off."""
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.2)

    def drip(client: socket.socket) -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            client.send(b" ")
            time.sleep(0.01)

    with agent.connect() as client, pytest.raises(OSError, match=r"Broken pipe|reset"):
        drip(client)


def test_a_client_that_never_reads(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is dropped in time, and holds nobody up meanwhile."""
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.3)
    with agent.connect() as client:
        client.sendall(b'{"request": "large", "size": 50000000}\n')
        until = time.monotonic() + SECONDS
        while not agent.control._clients and time.monotonic() < until:
            time.sleep(0.001)
        still_answers(agent)
        while agent.control._clients and time.monotonic() < until:
            time.sleep(0.01)
        assert not agent.control._clients
        assert len(read_all(client)) < 50_000_000


def test_clients_that_go_away(agent: Agent) -> None:
    """Before their request is whole, and before they are answered: both are dropped."""
    for sent in (b"", b'{"a"', b"{}\n", b'{"request": "large", "size": 9000000}\n'):
        for _ in range(30):
            with agent.connect() as client, suppress(BrokenPipeError):  # those beyond the bound are refused
                client.sendall(sent)
        until = time.monotonic() + SECONDS
        while agent.control._clients and time.monotonic() < until:
            time.sleep(0.001)
    assert not agent.control._clients
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:  # some may not have been accepted yet, and count for a moment
        with suppress(AgentError):
            still_answers(agent)
            return
    still_answers(agent)


def test_too_many_clients(agent: Agent) -> None:
    """Those beyond are told to come again; the others are served."""
    clients = [agent.connect() for _ in range(MAX_CLIENTS)]
    try:
        until = time.monotonic() + SECONDS
        while len(agent.control._clients) < MAX_CLIENTS and time.monotonic() < until:
            time.sleep(0.001)
        for _ in range(50):
            with agent.connect() as more:
                assert error_of(more) == "16 clients are connected already: try again in a moment"
        for client in clients:
            client.sendall(b'{"n": 1}\n')
            assert json.loads(client.recv(1000))["asked"] == {"n": 1}
    finally:
        for client in clients:
            client.close()


def test_it_sleeps_while_nobody_asks(agent: Agent) -> None:
    """A client whose request waits, and is gone, does not keep its thread busy."""
    agent.pause.set()
    with agent.connect() as client:
        client.sendall(b"{}\n")
    until = time.monotonic() + SECONDS
    while agent.control._asked.empty() and time.monotonic() < until:
        time.sleep(0.001)
    assert agent.control._patience() is None
    agent.pause.clear()


# The client


def test_no_agent(tmp_path: Path) -> None:
    """A folder without a socket, no folder, no socket: how to start one is told."""
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(AgentError) as refused:
            ask(folder, {})
        assert str(refused.value) == (
            f"no agent runs on {folder}: start it with `cgtrail up --data {folder}` or `cgtrail ship`, or name its "
            "folder with --data"
        )


def test_an_agent_that_does_not_answer(agent: Agent) -> None:
    """The client gives up, and says that it may have been done all the same."""
    agent.pause.set()
    with pytest.raises(AgentError) as refused:
        ask(agent.folder, {}, 0.1)
    assert str(refused.value) == (
        f"the agent on {agent.folder} has not answered for 0 s: `cgtrail status` tells how it is; whether the request "
        "was carried out is not known"
    )


def test_a_name_that_is_no_text(agent: Agent) -> None:
    """What can't be written as JSON is refused before it is sent."""
    with pytest.raises(AgentError, match=r"write names in UTF-8$"):
        ask(agent.folder, {"id": "\udcff"})


def test_a_request_that_is_too_long(agent: Agent) -> None:
    """The refusal is read although the rest could not be sent."""
    with pytest.raises(AgentError, match=r"^the request is longer than 1,048,576 bytes$"):
        ask(agent.folder, {"a": "x" * (8 * MAX_REQUEST)})


@pytest.mark.parametrize("answer", [b"", b"x\n", b"[]\n", b'{"a": 1}'])
def test_an_answer_that_is_none(tmp_path: Path, answer: bytes) -> None:
    """What is no agent's answer is an error, whoever sent it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / SOCKET))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(AgentError, match=r"ended without an answer|is not understood"):
            ask(tmp_path, {})
        thread.join()
