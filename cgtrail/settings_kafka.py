"""What types can't say of [kafka]: names, addresses, properties that are ours, and what must be set together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cgtrail.settings import Kafka

PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_SERVER = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""https://kafka.apache.org/43/javadoc/org/apache/kafka/common/internals/Topic.html."""
_PROPERTY = re.compile(r"[a-z0-9_.]+")
_MAX_PORT = 65535
_MAX_NAME = 200
_OWN_KEYS = {
    "bootstrap.servers": "kafka.servers",
    "metadata.broker.list": "kafka.servers",
    "security.protocol": "kafka.security_protocol",
    "sasl.mechanism": "kafka.sasl_mechanism",
    "sasl.mechanisms": "kafka.sasl_mechanism",
    "sasl.username": "kafka.sasl_username",
    "sasl.password": "kafka.sasl_password_file",
    "ssl.ca.location": "kafka.ssl_ca_file",
    "ssl.certificate.location": "kafka.ssl_certificate_file",
    "ssl.key.location": "kafka.ssl_key_file",
    "ssl.key.password": "kafka.ssl_key_password_file",
    "group.id": "kafka.group",
    "group.instance.id": "kafka.instance",
}
"""Properties with a key of their own."""
_OURS = {
    "acks", "request.required.acks", "enable.idempotence", "enable.gapless.guarantee", "max.in.flight",
    "max.in.flight.requests.per.connection", "retries", "message.send.max.retries", "message.timeout.ms",
    "delivery.timeout.ms", "transactional.id", "partitioner", "message.max.bytes", "group.protocol",
    "partition.assignment.strategy", "enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store",
    "auto.offset.reset", "enable.partition.eof", "isolation.level", "check.crcs", "allow.auto.create.topics",
}  # fmt: skip
"""Properties on which it depends that nothing is lost and nothing twice."""


def wrong(kafka: Kafka) -> Iterator[tuple[str, str]]:
    """Keys that can't be meant as they are, and why. No password is in it."""
    for server in kafka.servers:
        match = _SERVER.fullmatch(server)
        if not match or not 0 < int(match[2]) <= _MAX_PORT:
            yield "servers", f"has {server!r}; a server is host:port, as in kafka-1.example.org:9092"
    yield from _wrong_names(kafka)
    if kafka.security_protocol not in PROTOCOLS:
        yield "security_protocol", f"is {kafka.security_protocol!r}; it must be one of {', '.join(PROTOCOLS)}"
    if kafka.sasl_mechanism and kafka.sasl_mechanism not in MECHANISMS:
        yield "sasl_mechanism", f"is {kafka.sasl_mechanism!r}; it must be one of {', '.join(MECHANISMS)}"
    if "\0" in kafka.sasl_username + kafka.sasl_password:
        yield "sasl_password", "or sasl_username has a byte of 0, which no broker takes"
    for place, given in enumerate(kafka.client, 1):
        yield from (("client", said) for said in _wrong_property(place, given))


def _wrong_names(kafka: Kafka) -> Iterator[tuple[str, str]]:
    for name in ("topic", "state_topic", "deadletter_topic"):
        topic = getattr(kafka, name)
        if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
            yield name, f"is {topic!r}; a topic's name has up to 249 letters, digits, '.', '_' and '-'"
    for name, least in (("group", 1), ("instance", 0)):
        text = getattr(kafka, name)
        if not least <= len(text) <= _MAX_NAME or not text.isprintable():
            yield name, f"is {text!r}; it must be up to {_MAX_NAME} printable characters"


def disagreement(kafka: Kafka) -> str:
    """What does not go together, empty where all does: so that nobody believes a connection to be what it is not."""
    topics = (kafka.topic, kafka.state_topic, kafka.deadletter_topic)
    if len(set(topics)) < len(topics):
        return "kafka.topic, state_topic and deadletter_topic must be three topics"
    login, secured = kafka.security_protocol.startswith("sasl"), kafka.security_protocol.endswith("ssl")
    for is_set, fits, needs, protocols in (
        (_named(kafka, "sasl_"), login, "logs in nowhere", "sasl_ssl or sasl_plaintext"),
        (_named(kafka, "ssl_"), secured, "has no TLS", "ssl or sasl_ssl"),
    ):
        if is_set and not fits:
            return f"{is_set} is set, and kafka.security_protocol {kafka.security_protocol} {needs}: use {protocols}"
    if login and not kafka.sasl_mechanism:
        return (
            f"kafka.sasl_mechanism is not set: with {kafka.security_protocol} one of {', '.join(MECHANISMS)} is needed"
        )
    by_password = login and kafka.sasl_mechanism != "OAUTHBEARER"
    if by_password and not (kafka.sasl_username and (kafka.sasl_password or kafka.sasl_password_file)):
        return f"kafka.sasl_username and sasl_password_file are needed with {kafka.sasl_mechanism}"
    if kafka.sasl_password and kafka.sasl_password_file:
        return "kafka.sasl_password and sasl_password_file are both set: leave one out"
    if bool(kafka.ssl_certificate_file) != bool(kafka.ssl_key_file):
        return "kafka.ssl_certificate_file and ssl_key_file belong together: one is not set"
    return ""


def _named(kafka: Kafka, prefix: str) -> str:
    """The first key that begins so and is set."""
    names = (name for name in kafka.__struct_fields__ if name.startswith(prefix))
    return next((f"kafka.{name}" for name in names if getattr(kafka, name)), "")


def _wrong_property(place: int, given: str) -> Iterator[str]:
    """Why it is no property to pass through. What is not surely a name may be part of a secret, and is not told."""
    name, sign, value = given.partition("=")
    if not sign or not _PROPERTY.fullmatch(name):
        yield f"has an entry that is not name=value: the {place}. one"
    elif name in _OWN_KEYS:
        yield f"has {name}; use {_OWN_KEYS[name]}"
    elif name in _OURS:
        yield f"has {name}; that is not to be set: that nothing is lost depends on it"
    elif not value or value != value.strip() or "," in value or "\0" in value:
        yield f"has {name} with no value, a comma or a space around it; put the value into a file: {name}=file:/path"
