"""/metrics, /live and /ready of one process, over HTTP: for Prometheus, Kubernetes, and people with curl.

Everybody who can reach the address may ask. At most CLIENTS are served at a time; for one more the longest one
connected is let go, so that clients that are slow, or do nothing, keep nobody else from an answer.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

import orjson
import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from cgtrail.metrics.declare import Facts, Half

_log = structlog.get_logger()

CLIENTS, THREADS = 16, 64
"""The second bounds those too whose clients were let go and which have not noticed: telling facts may take long."""
READ_SECONDS = 5.0
"""How long a client may say nothing in the middle of its request."""
TURN_SECONDS = 60.0
"""A main loop that has not turned for so long hangs. A disk can hold one for half a minute and let go of it."""
_MAX_PORT = 65535
START_SECONDS = 300.0
"""How long a start may take: kernel programs are verified, state is restored."""


class ServingError(RuntimeError):
    """An address can't be listened on; the message names it and says what to do."""


@contextmanager
def serving(address: str, half: Half, facts: Callable[[], Facts], number: int = 0) -> Iterator[int | None]:
    """Serve while the block runs, at host:port + number, and give the port; an empty address serves nothing.

    `facts` is asked in another thread at each request; it gives nothing until there is something to tell, and then in
    "turned" when the main loop turned last, by time.monotonic(). Raises ServingError.
    """
    if not address:
        yield None
        return
    host, _, port = address.rpartition(":")
    own = int(port) and int(port) + number  # 0 is any
    try:
        server = _listening(host.strip("[]") or "127.0.0.1", own, application(half, facts))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"metrics can't be served at {host}:{own}: {reason}; choose another address, or an empty one"
        raise ServingError(message) from error
    thread = threading.Thread(target=server.serve_forever, name="serving", daemon=True)
    thread.start()
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def application(half: Half, facts: Callable[[], Facts]) -> Callable[..., Iterable[bytes]]:
    """What answers, by the path that is asked for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(half, facts))
    metrics = make_wsgi_app(registry)
    began = time.monotonic()

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environment["PATH_INFO"]:
            case "/metrics":
                return metrics(environment, start)  # type: ignore[no-any-return]
            case "/live":
                wrong = hangs(facts(), began)
                return _told(start, "live", wrong)
            case "/ready":
                known = facts()
                wrong = "it is starting" if not known else hangs(known, began) or half.unready(known)
                return _told(start, "ready", wrong)
        body = b"/metrics, /live and /ready are served here\n"
        start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def hangs(facts: Facts, began: float) -> str | None:
    """Why a process is not alive: its main loop stands still. `began`: by time.monotonic(), where none has turned."""
    turned = facts.get("turned")
    still = time.monotonic() - (began if turned is None else turned)
    if still <= (START_SECONDS if turned is None else TURN_SECONDS):
        return None
    return f"it has not begun to work for {still:.0f} s" if turned is None else f"it has done nothing for {still:.0f} s"


def _told(start: StartResponse, what: str, wrong: str | None) -> Iterable[bytes]:
    status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
    body = orjson.dumps({what: wrong is None, "why": wrong}) + b"\n"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start(f"{status.value} {status.phrase}", headers)
    return [body]


class _Collector(Collector):
    def __init__(self, half: Half, facts: Callable[[], Facts]) -> None:
        self._half, self._facts = half, facts

    def collect(self) -> Iterator[Family]:
        yield from self._half.families(self._facts())


class _Handler(WSGIRequestHandler):
    timeout = READ_SECONDS

    def log_message(self, *_: object) -> None:
        """Nothing: a scrape each few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    """A client that hangs does not keep the process from ending."""
    request_queue_size = THREADS

    def __init__(self, *args: Any) -> None:
        self._clients: OrderedDict[int, socket.socket] = OrderedDict()
        self._lock = threading.Lock()
        self._running = 0
        super().__init__(*args)

    def server_bind(self) -> None:
        """As HTTPServer's, without asking a name server for our name: that may hang."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """One more client; when there are too many, the oldest is let go, and its thread ends."""
        with self._lock:
            if len(self._clients) >= CLIENTS:
                _, oldest = self._clients.popitem(last=False)
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            self._clients[id(request)] = request
            self._running += 1
            full = self._running > THREADS
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A client was served, or went."""
        with self._lock:
            self._clients.pop(id(request), None)
            self._running -= 1
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  its name is the library's
        """A client that goes away is no news; anything else is a bug of ours."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("a request could not be answered", error=repr(error), client=client_address[0])


def _listening(host: str, port: int, answer: Callable[..., Iterable[bytes]]) -> _Server:
    if port > _MAX_PORT:
        raise OverflowError(f"there is no port {port}")
    family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]

    class Own(_Server):
        address_family = family

    server = Own(place[:2], _Handler)
    server.set_app(answer)
    return server
