"""Every setting, its type, its default and its meaning."""

from __future__ import annotations

from pathlib import Path

import msgspec

POLICIES = ("exec", "terminal", "output")
"""What can be recorded of a container (`bpf.enums.Policy`)."""

OUTPUTS = ("none", "head", "all")
"""What can be kept of what commands show (`enrich.commands.output.KEPT`)."""


class Capture(msgspec.Struct, forbid_unknown_fields=True):
    """[capture]: what the agent records."""

    host: bool = False
    """record the host's own processes too, not only containers"""
    ring_bytes: int = 16 * 1024 * 1024
    """size of the kernel's ring buffer; a power of two of at least 65536"""
    max_cgroups: int = 65536
    """cgroups that the kernel can watch at a time"""


class Runtimes(msgspec.Struct, forbid_unknown_fields=True):
    """[runtimes]: where names, images and labels come from."""

    docker: list[str] = msgspec.field(default_factory=lambda: ["unix:///var/run/docker.sock"])
    """addresses of Docker daemons, as unix:///path or tcp://host:port; without them, DOCKER_HOST"""
    podman: list[str] = msgspec.field(default_factory=lambda: ["unix:///run/podman/podman.sock"])
    """addresses of Podman's service"""
    containerd: list[str] = msgspec.field(default_factory=lambda: ["/run/containerd/containerd.sock"])
    """sockets of containerd"""


class Tenants(msgspec.Struct, forbid_unknown_fields=True):
    """[tenants]: whose containers are."""

    files: list[str] = msgspec.field(default_factory=list)
    """files that say so, YAML or CSV"""
    label: str = "cgtrail.tenant"
    """a container's label that names its tenants, with commas between; empty: none does"""
    unassigned: list[str] = msgspec.field(default_factory=lambda: list(POLICIES))
    """what is recorded of containers without a tenant; an empty list: nothing"""


class Spool(msgspec.Struct, forbid_unknown_fields=True):
    """[spool]: what is kept between agent and workers."""

    max_bytes: int = 2 << 30
    """bytes at which the spool is full; at least 16777216"""
    max_hours: int = 24
    """hours that are kept for replays once they were read"""
    readers: list[str] = msgspec.field(default_factory=list)
    """who decides by their progress what may be removed: workers by the names of their sinks, the publisher as kafka;
    none named: kafka where kafka.servers is set, else sqlite"""
    keyframe_seconds: int = 300
    """seconds from one keyframe to the next"""


SOURCES = ("auto", "spool", "kafka")
"""Where a worker can read."""


class Kafka(msgspec.Struct, forbid_unknown_fields=True):
    """[kafka]: the log between many hosts and many workers."""

    servers: list[str] = msgspec.field(default_factory=list)
    """host:port of some brokers; empty: no Kafka, the spool alone"""
    topic: str = "cgtrail.raw"
    """where agents write"""
    state_topic: str = "cgtrail.state"
    """where workers keep their snapshots; compacted"""
    deadletter_topic: str = "cgtrail.deadletter"
    """where workers put what could not become a document"""
    group: str = "cgtrail"
    """the workers' consumer group"""
    instance: str = ""
    """this machine's name in the group; empty: the host's name"""
    security_protocol: str = "plaintext"
    """plaintext, ssl, sasl_plaintext or sasl_ssl"""
    sasl_mechanism: str = ""
    """PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"""
    sasl_username: str = ""
    """who we are"""
    sasl_password: str = ""
    """better by the environment, or by a file"""
    sasl_password_file: str = ""
    """a file that holds the password"""
    ssl_ca_file: str = ""
    """certificates of who signs the brokers'; empty: the system's"""
    ssl_certificate_file: str = ""
    """our certificate, for mutual TLS"""
    ssl_key_file: str = ""
    """its key"""
    ssl_key_password_file: str = ""
    """a file that holds the key's password"""
    client: list[str] = msgspec.field(default_factory=list)
    """further properties of librdkafka, as name=value; name=file:/path takes the value from a file"""


class Enrich(msgspec.Struct, forbid_unknown_fields=True):
    """[enrich]: the worker."""

    source: str = "auto"
    """spool, kafka, or auto: kafka where kafka.servers is set, else the spool"""

    snapshot_seconds: int = 60
    """seconds from one snapshot of the worker's state to the next"""


class Metrics(msgspec.Struct, forbid_unknown_fields=True):
    """[metrics]: where Prometheus finds them."""

    agent: str = ""
    """host:port of the agent's; empty: none"""
    publisher: str = ""
    """host:port of the publisher's; empty: none"""
    worker: str = ""
    """host:port of the worker's, of several the first one's, the next ones follow; empty: none"""


class Store(msgspec.Struct, forbid_unknown_fields=True):
    """[store]: documents that are read back; the local ones."""

    retention_days: int = 30
    """days that documents are kept"""
    read: str = "sqlite"
    """where search, tail, sessions, journal, replay, export and status read: sqlite or elasticsearch"""


class Elasticsearch(msgspec.Struct, forbid_unknown_fields=True):
    """[elasticsearch]: documents for many, in data streams."""

    hosts: list[str] = msgspec.field(default_factory=list)
    """URLs of some nodes, as https://es-1.example.org:9200"""
    cloud_id: str = ""
    """of an Elastic Cloud deployment, instead of hosts"""
    api_key: str = ""
    """better by the environment, or by a file"""
    api_key_file: str = ""
    """a file that holds the API key, encoded as Elasticsearch gives it out"""
    username: str = ""
    """who we are, where there is no API key"""
    password: str = ""
    """better by the environment, or by a file"""
    password_file: str = ""
    """a file that holds the password"""
    ca_file: str = ""
    """certificates of who signs the nodes'; empty: the system's"""
    fingerprint: str = ""
    """SHA-256 of the CA's certificate, instead of ca_file"""
    certificate_file: str = ""
    """our certificate, for mutual TLS"""
    key_file: str = ""
    """its key"""
    proxy: str = ""
    """URL of an HTTP proxy on the way"""
    namespace: str = "default"
    """last part of the data streams' names, one an installation"""
    recordings: bool = True
    """also what terminals showed (documents of the kind terminal)"""
    bulk_bytes: int = 5 << 20
    """bytes of documents in one request at the most"""
    in_flight: int = 2
    """requests at a time at the most"""
    timeout_seconds: int = 30
    """seconds that a request may take"""


STORES = ("sqlite", "elasticsearch")
"""Where documents can be read back from (`cgtrail.store`)."""


class Documents(msgspec.Struct, forbid_unknown_fields=True):
    """[documents]: what becomes a document."""

    forks: bool = False
    """also processes that were only forked"""
    output: str = "none"
    """what a command showed, in its document: none, head (the first 4,096 bytes) or all (at most 1,048,576)"""


class Secrets(msgspec.Struct, forbid_unknown_fields=True):
    """[secrets]: what is masked in documents."""

    files: list[str] = msgspec.field(default_factory=list)
    """files with rules of your own, in TOML"""
    disable: list[str] = msgspec.field(default_factory=list)
    """ids of rules that are not to be used"""


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The whole configuration, with its defaults."""

    data: str = "/var/lib/cgtrail"
    """folder of the spool and the local store"""
    capture: Capture = msgspec.field(default_factory=Capture)
    runtimes: Runtimes = msgspec.field(default_factory=Runtimes)
    tenants: Tenants = msgspec.field(default_factory=Tenants)
    spool: Spool = msgspec.field(default_factory=Spool)
    kafka: Kafka = msgspec.field(default_factory=Kafka)
    enrich: Enrich = msgspec.field(default_factory=Enrich)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    store: Store = msgspec.field(default_factory=Store)
    elasticsearch: Elasticsearch = msgspec.field(default_factory=Elasticsearch)
    documents: Documents = msgspec.field(default_factory=Documents)
    secrets: Secrets = msgspec.field(default_factory=Secrets)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def store_folder(self) -> Path:
        """Where the local store's day files are."""
        return self.folder / "store"

    @property
    def spool_folder(self) -> Path:
        """Where the spool's streams are."""
        return self.folder / "spool"

    @property
    def readers(self) -> tuple[str, ...]:
        """The declared readers of the spool."""
        return tuple(self.spool.readers) or (("kafka",) if self.kafka.servers else ("sqlite",))

    @property
    def reads_kafka(self) -> bool:
        """Whether workers read Kafka instead of the spool."""
        return self.enrich.source == "kafka" or (self.enrich.source == "auto" and bool(self.kafka.servers))
