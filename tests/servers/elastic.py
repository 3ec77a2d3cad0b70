"""One real Elasticsearch on this machine, for a test: started, stopped, killed, stalled."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import urllib3

from cgtrail import clusters, config
from enrich.elasticsearch.cluster import Cluster
from tests.servers.authority import Authority
from tests.servers.distribution import AS_NOBODY, NEWEST, Distribution, distribution, environment
from tests.servers.listeners import free_ports

READY_SECONDS = 600
STOP_SECONDS = 60
_JAVA = "-Xms512m -Xmx512m -XX:-UseG1GC -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true"
_OPTIONS = ("-Xlog:disable", "-Xlog:all=warning:stderr:utctime,level,tags")


class RefusedError(Exception):
    """The server's answer was an error."""

    def __init__(self, status: int, answer: str) -> None:
        super().__init__(f"{status}: {answer[:2000]}")
        self.status = status
        self.answer = answer


class Elastic:
    """A node that is a cluster; its files are in one folder. Made by `elastic`, which also ends it."""

    def __init__(self, folder: Path, made: Distribution, tls: bool, own: dict[str, Any]) -> None:
        self._folder = folder
        self._made = made
        self._process: subprocess.Popen[bytes] | None = None
        self._first_key = ""
        self.port, transport = free_ports(2)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.password = made.password
        """Of the user elastic, who may everything."""
        self.authority = Authority(folder / "tls")
        self.ca = self.authority.certificate if tls else None
        """Who signs the node's certificate."""
        self.config = folder / "config"
        """elasticsearch.yml, and with TLS node.pem and node.key, which may be replaced."""
        shutil.copytree(made.home / "config", self.config)
        (folder / "tmp").mkdir()
        told: dict[str, Any] = {
            "cluster.name": "cgtrail-test",
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": self.port,
            "transport.port": transport,
            "path.data": str(folder / "data"),
            "path.logs": str(folder / "logs"),
            "cluster.routing.allocation.disk.threshold_enabled": False,
            # 512 MB of heap are half garbage before a serial collector looks: that is no pressure.
            "indices.breaker.total.use_real_memory": False,
            "xpack.security.enabled": True,
            "xpack.security.authc.api_key.enabled": True,
            "xpack.security.transport.ssl.enabled": False,
        }
        if tls:
            self.certify("node")
            shutil.copy(self.authority.certificate, self.config / "ca.pem")
            files = {"key": "node.key", "certificate": "node.pem"}
            told |= {"xpack.security.http.ssl.enabled": True}
            told |= {f"xpack.security.http.ssl.{key}": value for key, value in files.items()}
        told |= own
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in told.items()]
        (self.config / "elasticsearch.yml").write_text("".join(lines))
        (self.config / "jvm.options.d" / "test.options").write_text("".join(f"{line}\n" for line in _OPTIONS))

    # How it is reached

    def settings(self, **own: str) -> dict[str, str]:
        """The environment in which cgtrail comes: as elastic, unless told otherwise (`api_key`, `username`, …)."""
        told = {"hosts": self.url}
        if "api_key" not in own and "api_key_file" not in own:
            told |= {"username": "elastic", "password": self.password}
        if self.ca is not None and "fingerprint" not in own:
            told["ca_file"] = str(self.ca)
        return {f"CGTRAIL_ELASTICSEARCH_{key.upper()}": value for key, value in (told | own).items() if value}

    def cluster(self, namespace: str = "default", **own: str) -> Cluster:
        """The same, as the sink and the reader get it."""
        return clusters.cluster(config.load(None, self.settings(namespace=namespace, **own), {}))

    @staticmethod
    def namespace() -> str:
        """One that no other test has: what is in its data streams is a test's own."""
        return uuid4().hex[:12]

    @property
    def log(self) -> Path:
        """What it says."""
        return self._folder / "elasticsearch.log"

    @property
    def pid(self) -> int:
        """Of the server; its launcher is another process."""
        return int((self._folder / "pid").read_text())

    # What is in it

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """An answer, as it is for elastic. Bytes are sent as NDJSON, all else as JSON. Raises RefusedError."""
        return self._asked(urllib3.make_headers(basic_auth=f"elastic:{self.password}"), method, path, body, query)

    def _asked(self, headers: dict[str, str], method: str, path: str, body: Any, query: dict[str, str]) -> Any:
        data: bytes | None = None
        if body is not None:
            headers["content-type"] = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = f"?{'&'.join(f'{key}={value}' for key, value in query.items())}" if query else ""
        tls: dict[str, str] = {}
        if self.ca is not None:  # also for a node that asks for certificates
            certificate, key = self.authority.sign("test")
            tls = {"ca_certs": str(self.ca), "cert_file": str(certificate), "key_file": str(key)}
        with urllib3.PoolManager(retries=False, timeout=120, **tls) as pool:  # type: ignore[arg-type]
            answer = pool.request(method, f"{self.url}/{path.lstrip('/')}{given}", body=data, headers=headers)
            text = answer.data.decode()
        if answer.status >= 300:
            raise RefusedError(answer.status, text)
        is_json = "json" in answer.headers.get("content-type", "")
        return json.loads(text) if text and is_json else text

    def key(self, indices: Sequence[dict[str, Any]], cluster: Sequence[str] = (), **more: Any) -> str:
        """An API key that may do only this, encoded; `more` goes into the request, as expiration="1d"."""
        role = {"cluster": list(cluster), "indices": list(indices)}
        asked = {"name": f"test-{uuid4().hex[:8]}", "role_descriptors": {"own": role}, **more}
        return str(self.ask("POST", "_security/api_key", asked)["encoded"])

    def invalidate(self, key: str) -> None:
        """An API key is good no more."""
        self.ask("DELETE", "_security/api_key", {"ids": [base64.b64decode(key).decode().partition(":")[0]]})

    def certify(self, name: str) -> None:
        """From its next start, or a few seconds from now, it shows another certificate of `authority`'s."""
        certificate, key = self.authority.sign(name)
        for source, target in ((key, "node.key"), (certificate, "node.pem")):
            shutil.copy(source, self.config / target)

    # What happens to it

    def start(self) -> None:
        """Start it and wait until it answers, users and API keys included. Raises RuntimeError with its last words."""
        assert self._process is None, "it runs"
        told = environment(self._made.java, self.config, self._folder / "tmp") | {"ES_JAVA_OPTS": _JAVA}
        pid = self._folder / "pid"
        pid.unlink(missing_ok=True)
        # The launcher dies with the thread that starts it, and the server with its launcher: nothing is left behind.
        argv = [*AS_NOBODY, "setpriv", "--pdeathsig", "KILL", str(self._made.home / "bin" / "elasticsearch")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, "-p", str(pid)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, env=told
            )
        until = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                message = f"Elasticsearch did not start:\n{self.log.read_text(errors='replace')[-3000:]}"
                raise RuntimeError(message)
            time.sleep(0.2)

    def stop(self) -> None:
        """End it in order (SIGTERM); it can be started again, on the same ports."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It stands still, and its connections stay (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(RefusedError, urllib3.exceptions.HTTPError):
            self.ask("GET", "_cluster/health", wait_for_status="yellow", timeout="1s")
            if not self._first_key:  # makes the index of users and keys, which else comes a moment later
                self._first_key = self.key([{"names": ["nothing"], "privileges": ["read"]}])
            headers = {"authorization": f"ApiKey {self._first_key}"}
            self._asked(headers, "GET", "_security/_authenticate", None, {})
            return True
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(OSError, ValueError):  # no process with its id yet, or no more
            os.kill(self.pid, how)
            os.kill(self.pid, signal.SIGCONT)
        try:
            # The launcher goes when the server has gone; one that has started none yet is ended by itself.
            self._process.wait(STOP_SECONDS if (self._folder / "pid").exists() else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def elastic(folder: Path, *, tls: bool = False, version: str = NEWEST, **settings: Any) -> Iterator[Elastic]:
    """A node that runs, its data in this folder; settings go into elasticsearch.yml. It is killed at the end.

    Call it in the main thread: a node dies with the thread that started it. Raises RuntimeError where Java, Maven or
    the archive is missing.
    """
    made = distribution(version)
    folder.mkdir(parents=True, exist_ok=True)
    node = Elastic(folder, made, tls, settings)
    try:
        node.start()
        yield node
    finally:
        node.kill()
