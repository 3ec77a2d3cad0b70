"""/metrics, /live and /ready answer what is so, at a real endpoint, whoever else asks and however slowly."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from contextlib import ExitStack
from typing import Any
from urllib.error import HTTPError

import pytest

from cgtrail import serving as module
from cgtrail.metrics import AGENT, PUBLISHER, WORKER, Half
from cgtrail.serving import CLIENTS, START_SECONDS, THREADS, TURN_SECONDS, ServingError, application, hangs, serving

ANY = "127.0.0.1:0"


def ask(port: int | None, path: str) -> tuple[int, Any]:
    """The status, and what was answered."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def asked(half: Half, facts: dict[str, Any], path: str) -> tuple[int, str | None]:
    """The status, and why."""
    statuses: list[str] = []
    (body,) = application(half, lambda: facts)({"PATH_INFO": path}, lambda status, _: statuses.append(status))
    status, told = int(statuses[0].split()[0]), json.loads(body)
    assert told[path[1:]] == (status == 200)
    return status, told["why"]


def turning(**facts: Any) -> dict[str, Any]:
    """Facts of a process whose loop turns now."""
    return {"turned": time.monotonic()} | facts


def test_a_loop_that_turns_is_alive() -> None:
    """Whether its work is done or not."""
    assert asked(AGENT, turning(spool_error="no space"), "/live") == (200, None)


def test_a_loop_that_hangs_is_not_alive() -> None:
    """It is neither alive nor ready once it has stood still for too long, and the answer says since when."""
    since = time.monotonic() - TURN_SECONDS - 40
    for path in ("/live", "/ready"):
        status, why = asked(WORKER, {"turned": since}, path)
        assert status == 503
        assert str(why).startswith("it has done nothing for 10")


def test_a_start_takes_its_time() -> None:
    """A process that starts is alive, and not ready; one that never comes to work is not alive."""
    assert asked(AGENT, {}, "/live") == (200, None)
    assert asked(AGENT, {}, "/ready") == (503, "it is starting")
    now = time.monotonic()
    assert hangs({}, now - START_SECONDS + 60) is None
    assert hangs({}, now - START_SECONDS - 1) == f"it has not begun to work for {START_SECONDS + 1:.0f} s"


def test_answers_come_over_http() -> None:
    """Status and reason reach who asks over a connection."""
    with serving(ANY, AGENT, lambda: turning(spool_error="no space")) as port:
        assert ask(port, "/live") == (200, {"live": True, "why": None})
        assert ask(port, "/ready") == (503, {"ready": False, "why": "the spool can't be written: no space"})


READY: list[tuple[Half, dict[str, Any]]] = [
    (AGENT, {"spool_error": None, "admission": 0.85}),
    (PUBLISHER, {"error": None, "in_flight": 0, "in_flight_age_seconds": 0}),
    (PUBLISHER, {"error": None, "in_flight": 40, "in_flight_age_seconds": 2.0}),
    (WORKER, {"backlog_frames": 9}),
    (WORKER, {"connected": True, "assigned": ["raw-0"], "rebalances": 1, "error": None}),
    (WORKER, {"connected": True, "assigned": [], "rebalances": 2}),
]


@pytest.mark.parametrize(("half", "facts"), READY)
def test_who_works_is_ready(half: Half, facts: dict[str, Any]) -> None:
    """A worker for which its group has no partition left is ready too: it takes over when another one goes."""
    assert asked(half, turning(**facts), "/ready") == (200, None)


UNREADY: list[tuple[Half, dict[str, Any], str]] = [
    (AGENT, {"spool_error": "[Errno 28] No space left on device"}, "No space left"),
    (AGENT, {"admission": 0.94, "unread_by": ["kafka"]}, "unread by kafka"),
    (PUBLISHER, {"error": "no broker answers at a:9092"}, "a:9092"),
    (PUBLISHER, {"in_flight": 1, "in_flight_age_seconds": 61.2}, "acknowledged nothing for 61 s"),
    (WORKER, {"error": "may not read cgtrail.raw"}, "may not read"),
    (WORKER, {"connected": False, "assigned": ["raw-0"]}, "no broker answers"),
    (WORKER, {"connected": True, "assigned": [], "rebalances": 0}, "no partitions yet"),
    (WORKER, {"store_error": "the disk is full"}, "the disk is full"),
]


@pytest.mark.parametrize(("half", "facts", "why"), UNREADY)
def test_who_can_not_work_says_why(half: Half, facts: dict[str, Any], why: str) -> None:
    """Not ready, in words, and still alive: a restart would not help."""
    status, told = asked(half, turning(**facts), "/ready")
    assert status == 503
    assert why in str(told)
    assert asked(half, turning(**facts), "/live") == (200, None)


def test_slow_clients_block_nobody() -> None:
    """However many clients connect and say nothing, or half of something, an answer comes to who asks."""
    with serving(ANY, AGENT, turning) as port, ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", int(port or 0)))) for _ in range(3 * CLIENTS)
        ]
        for client in slow[-CLIENTS // 2 :]:
            client.sendall(b"GET /metrics HTTP/1.0\r\nX-Slow: ")
        assert ask(port, "/live")[0] == 200
        assert slow[0].recv(1) == b""  # the first one was let go
        assert sum(thread.name.startswith("Thread-") for thread in threading.enumerate()) <= THREADS


def test_a_client_that_does_not_read_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing is let go after a while, without a word in the log."""
    monkeypatch.setattr(module._Handler, "timeout", 0.05)
    with serving(ANY, AGENT, turning) as port:
        with socket.create_connection(("127.0.0.1", int(port or 0))) as client:
            assert client.recv(1) == b""
        assert ask(port, "/live")[0] == 200


def test_facts_that_hang_cost_a_bounded_number_of_threads() -> None:
    """Where telling how it goes takes for ever, no more than THREADS wait for it; and the end is not kept."""
    asking, go = threading.Event(), threading.Event()

    def never() -> dict[str, Any]:
        asking.set()
        go.wait(60)
        return {}

    with ExitStack() as stack:
        with serving(ANY, AGENT, never) as port:
            for _ in range(2 * THREADS):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", int(port or 0))))
                client.sendall(b"GET /live HTTP/1.0\r\n\r\n")
            assert asking.wait(20)
            assert client.recv(1) == b""  # the last one is refused
            assert sum("process_request" in thread.name for thread in threading.enumerate()) <= THREADS
        go.set()


def test_other_paths_are_told() -> None:
    """Who asks for something else learns what there is."""
    with serving(ANY, AGENT, turning) as port, pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20)
    with caught.value as answer:
        assert (answer.code, b"/ready" in answer.read()) == (404, True)


def test_workers_have_ports_of_their_own() -> None:
    """The second worker serves at the next port."""
    with serving(ANY, WORKER, turning) as port:
        assert port
    with serving(f"127.0.0.1:{port - 1}", WORKER, turning, number=1) as following:
        assert following == port
        assert ask(following, "/live")[0] == 200


def test_an_address_that_is_taken_is_named() -> None:
    """Whoever runs two agents learns which address is taken."""
    with serving(ANY, AGENT, dict) as port:
        again = serving(f"127.0.0.1:{port}", AGENT, dict)
        with pytest.raises(ServingError, match=f"127.0.0.1:{port}"):
            again.__enter__()


def test_a_port_that_is_none_is_named() -> None:
    """There may be more workers than ports."""
    with pytest.raises(ServingError, match=r"127\.0\.0\.1:65536"), serving("127.0.0.1:65535", WORKER, dict, number=1):
        pass


def test_no_address_serves_nothing() -> None:
    """Metrics are off unless an address is set."""
    with serving("", AGENT, dict) as port:
        assert port is None
