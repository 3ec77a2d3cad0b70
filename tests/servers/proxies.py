"""What stands between cgtrail and Elasticsearch at some sites: a proxy that forwards, and one that a path leads to."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = {"connection", "proxy-authorization", "proxy-connection", "transfer-encoding", "content-length", "host"}


class Proxy(ThreadingHTTPServer):
    """Forwards what is asked by absolute URI, and by CONNECT; or, with `prefix`, to one node by a path."""

    daemon_threads = True

    def __init__(self, *, user: str = "", node: str = "", prefix: str = "", drop: frozenset[str] = frozenset()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.user = user
        """user:password to be shown, "" for none."""
        self.node, self.prefix = node, prefix
        self.drop = drop
        """Headers of answers, in small letters, that do not get through."""
        self.asked: list[str] = []
        """Method and target of each request that came."""

    @property
    def url(self) -> str:
        """Where it is; without its prefix."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _admitted(self) -> bool:
        self.server.asked.append(f"{self.command} {self.path}")
        shown = f"Basic {b64encode(self.server.user.encode()).decode()}"
        if self.server.user and self.headers.get("proxy-authorization") != shown:
            self._answer(407, b"who are you?", {"Proxy-Authenticate": "Basic"})
            return False
        return True

    def do_CONNECT(self) -> None:
        """A tunnel, byte by byte."""
        if not self._admitted():
            return
        host, _, port = self.path.rpartition(":")
        try:
            far = socket.create_connection((host, int(port)), 10)
        except OSError as error:
            self._answer(502, str(error).encode(), {})
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        back = threading.Thread(target=_pump, args=(far, self.connection), daemon=True)
        back.start()
        _pump(self.connection, far)
        back.join(10)
        far.close()

    def _forward(self) -> None:
        if not self._admitted():
            return
        own = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if own.prefix and not self.path.startswith(f"{own.prefix}/"):
            self._answer(404, b"<html><head><title>No such page</title></head></html>", {})
            return
        to = urlsplit(own.node or self.path)
        target = self.path.removeprefix(own.prefix) if own.node else to._replace(scheme="", netloc="").geturl()
        passed = {key: value for key, value in self.headers.items() if key.lower() not in _HOP}
        connection = HTTPConnection(to.hostname or "", to.port, timeout=60)
        try:
            connection.request(self.command, target, body or None, passed)
            answer = connection.getresponse()
            data = answer.read()
        except OSError:
            self._answer(502, b"<html><head><title>502 Bad Gateway</title></head></html>", {})
            return
        finally:
            connection.close()
        shown = {key: value for key, value in answer.getheaders() if key.lower() not in _HOP | own.drop}
        self._answer(answer.status, data, shown)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _forward  # noqa: N815  named by http.server

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  named by http.server
        """Nothing."""


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """A proxy that serves until the end."""
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
