"""How the official client comes to a node: TLS as the configuration wants it, and a proxy where there is one.

Its own connections trust certifi's list of CAs beside what they are given, know no proxies, and take a fingerprint for
proven when a certificate that was not signed by it comes with it.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
import threading
from typing import Any
from urllib.parse import unquote

import urllib3
from elastic_transport import NodeConfig, Urllib3HttpNode
from urllib3.connection import HTTPSConnection
from urllib3.util import Url, make_headers, parse_url

from enrich.elasticsearch.cluster import Cluster
from enrich.elasticsearch.unreached import NO_FINGERPRINT

# What it says of nodes that fail is said by our errors; it would go to standard error.
_QUIET = logging.getLogger("elastic_transport")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_CONNECT_SECONDS = 10.0
"""How long a node may take to take a connection: others may be there."""


class Way:
    """To the nodes of a cluster, for all its connections. Raises OSError (ssl.SSLError too): files can't be used."""

    def __init__(self, cluster: Cluster, connections: int) -> None:
        self.fingerprint = cluster.fingerprint.replace(":", "").lower()
        self.connections = connections
        self.proxy: Url | None = parse_url(cluster.proxy) if cluster.proxy else None
        self._files = (cluster.ca_file, cluster.certificate_file, cluster.key_file)
        self.context()

    def context(self, authority: bytes | None = None) -> ssl.SSLContext:
        """A context as configured; with `authority`, a certificate (DER), this and no other is trusted."""
        ca, certificate, key = self._files
        made = ssl.create_default_context(cafile=ca or None)
        if authority is not None:
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            made.check_hostname = False  # the authority is the cluster's own
            made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            made.load_verify_locations(cadata=authority)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate:
            made.load_cert_chain(certificate, key or None)
        return made

    def proxy_headers(self) -> dict[str, str]:
        """What a proxy asks to be told."""
        auth = self.proxy.auth if self.proxy else None
        return dict(make_headers(proxy_basic_auth=unquote(auth))) if auth else {}


class Pool:
    """Connections to one node, with the one method of urllib3's pools that the official client uses."""

    def __init__(self, config: NodeConfig, way: Way) -> None:
        self._config = config
        self._way = way
        self._lock = threading.Lock()
        self._manager: urllib3.PoolManager | None = None
        host = f"[{config.host}]" if ":" in config.host else config.host
        self._base = f"{config.scheme}://{host}:{config.port}"

    def urlopen(self, method: str, target: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """As urllib3's: a request, answered. Raises its errors."""
        seconds = options.pop("timeout", self._config.request_timeout)
        if seconds is not None:
            options["timeout"] = urllib3.Timeout(connect=min(seconds, _CONNECT_SECONDS), read=seconds)
        if self._way.proxy is not None:
            # urllib3 adds an "Accept" of its own unless there is one that is spelled so.
            options["headers"] = {key.title(): value for key, value in options["headers"].items()}
        return self._connected().urlopen(method, self._base + target, redirect=False, **options)

    def close(self) -> None:
        """Connections that are not in use are closed."""
        with self._lock:
            if self._manager is not None:
                self._manager.clear()

    def _connected(self) -> urllib3.PoolManager:
        with self._lock:
            if self._manager is None:
                self._manager = self._manage()
            return self._manager

    def _manage(self) -> urllib3.PoolManager:
        way = self._way
        told: dict[str, Any] = {"maxsize": way.connections, "block": True}
        if self._config.scheme == "https":
            authority = self._pinned() if way.fingerprint else None
            told["ssl_context"] = way.context(authority)
            told |= {"assert_hostname": False} if authority else {}
        if way.proxy is None:
            return urllib3.PoolManager(**told)
        url = way.proxy._replace(auth=None).url
        return urllib3.ProxyManager(url, proxy_headers=way.proxy_headers(), **told)

    def _pinned(self) -> bytes:
        """The certificate with our fingerprint that the node shows. It is only found here, and trusted from then on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        host, port, proxy = self._config.host, self._config.port, self._way.proxy
        to = (proxy.host or "", proxy.port) if proxy else (host, port)
        with_ = {"ssl_context": context, "cert_reqs": "CERT_NONE", "assert_hostname": False}
        connection = HTTPSConnection(*to, timeout=_CONNECT_SECONDS, **with_)  # type: ignore[arg-type]
        if proxy is not None:
            connection.set_tunnel(host, port, headers=self._way.proxy_headers(), scheme=proxy.scheme or "http")
        try:
            connection.connect()
            # get_unverified_chain is public from Python 3.13 on.
            shown = connection.sock._sslobj.get_unverified_chain() or []  # type: ignore[union-attr]  # noqa: SLF001
            certificates = [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in shown]
        finally:
            connection.close()
        for each in certificates:
            if hashlib.sha256(each).hexdigest() == self._way.fingerprint:
                return each
        prints = ", ".join(hashlib.sha256(each).hexdigest() for each in certificates)
        raise urllib3.exceptions.SSLError(f"{NO_FINGERPRINT}, but {prints}")


def node(way: Way) -> type[Urllib3HttpNode]:
    """The class of nodes that are reached by this way."""

    class Node(Urllib3HttpNode):
        def __init__(self, config: NodeConfig) -> None:
            super(Urllib3HttpNode, self).__init__(config)
            self.pool = Pool(config, way)  # type: ignore[assignment]

        def _log_request(self, *_: Any, **__: Any) -> None:
            """Nothing: it would decode each body, for nobody."""

    return Node
