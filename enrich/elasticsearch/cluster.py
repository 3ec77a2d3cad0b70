"""How to reach Elasticsearch, the same for whoever writes, reads and prepares it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, and who we are there. Secrets are never shown."""

    hosts: tuple[str, ...] = ()
    """URLs of some of its nodes, as https://es-1.example.org:9200, also with a path behind a proxy; or cloud_id."""
    cloud_id: str = ""
    api_key: str = field(default="", repr=False)
    """As Elasticsearch gives it out: `encoded`, base64 of id:key."""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    """PEM file of who signs the nodes' certificates; empty: the system's."""
    fingerprint: str = ""
    """SHA-256 of the CA's certificate in hexadecimal, instead of ca_file."""
    certificate_file: str = ""
    """Ours, for mutual TLS."""
    key_file: str = ""
    proxy: str = ""
    """URL of a proxy that forwards to the nodes, as http://proxy.example.org:3128."""
    namespace: str = "default"
    """Last part of the data streams' names: one an installation."""
    timeout_seconds: float = 30.0
    """How long one request may take."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return ", ".join(self.hosts) or self.cloud_id.partition(":")[0]
