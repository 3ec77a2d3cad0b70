"""Kafka, where it is configured: whether brokers are reached, what they let us do, and whether topics are right."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from cgtrail import brokers
from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config, ConfigError
from cgtrail.kafka import topics
from cgtrail.kafka.admin import Admin, AdminError, reach
from cgtrail.kafka.topics import Asked, Found, count
from shipper.wire.broker import Broker

_GRANT = "have it granted: `cgtrail setup kafka --writer` for hosts, --reader for workers"
_DENIED = {"TOPIC_AUTHORIZATION_FAILED"}
_UNVERIFIED = {"enable.ssl.certificate.verification": "false", "ssl.endpoint.identification.algorithm": "none"}


def look(config: Config) -> Iterator[Finding]:
    """Nothing where no broker is named; else the way there, and once there is one, rights and topics."""
    if not config.kafka.servers:
        return
    try:
        broker = brokers.broker(config)
    except ConfigError as error:
        yield Finding("kafka", Level.BAD, str(error), "correct [kafka]")
        return
    yield from _way(broker)
    try:
        admin = reach(broker)
    except AdminError as error:
        yield Finding("kafka", Level.BAD, f"{', '.join(broker.servers)}: {error.sentence}", error.advice)
        return
    yield Finding(
        "kafka",
        Level.OK,
        f"{', '.join(broker.servers)}: {count(admin.brokers, 'broker')} reached by {_how(broker.security)}",
    )
    yield from _topics(admin, broker, config)


def _way(broker: Broker) -> Iterator[Finding]:
    """Who could listen in, or pretend to be a broker."""
    protocol = broker.security.get("security.protocol", "plaintext")
    far = [server for server in broker.servers if not _is_here(server)]
    if far and not protocol.endswith("ssl"):
        found = f"what goes to {', '.join(far)} can be read on the way, what people type included"
        yield Finding(
            "kafka", Level.NOTE, found, "set kafka.security_protocol to sasl_ssl, or to ssl with a certificate"
        )
    for key, value in _UNVERIFIED.items():
        if broker.security.get(key, "").lower() == value:
            found = f"kafka.client has {key}={value}: whoever answers is taken for a broker"
            yield Finding(
                "kafka", Level.NOTE, found, "take it out, and name who signs brokers' certificates in ssl_ca_file"
            )


def _topics(admin: Admin, broker: Broker, config: Config) -> Iterator[Finding]:
    names = topics.names(broker.topics)
    found = admin.find(names.values())
    yield from _rights(admin, broker, found)
    asked = Asked(needed_hours=config.spool.max_hours)
    for kind, name in names.items():
        topic = found[name]
        if isinstance(topic, AdminError):
            # Who may not even see a topic has been told so, as far as it needs it.
            if topic.name not in _DENIED:
                yield Finding(name, Level.BAD, topic.sentence, topic.advice)
            continue
        differences = list(topics.differences(kind, topic, asked, admin.brokers))
        yield from (Finding(name, each.level, each.found, each.advice) for each in differences)
        if topic.config is None:
            found_ = f"{topic.shape}; its configuration may not be seen by us"
            yield Finding(name, Level.NOTE, found_, "look at it with `cgtrail setup kafka`, as somebody who may")
        elif not differences:
            yield Finding(name, Level.OK, topic.shape)


def _rights(admin: Admin, broker: Broker, found: Mapping[str, Found | AdminError]) -> Iterator[Finding]:
    """What we may do: enough for an agent's host, for a worker, for both."""
    has = {name: topic.may for name, topic in found.items() if isinstance(topic, Found)}
    if any(isinstance(topic, AdminError) and topic.name not in _DENIED for topic in found.values()):
        return  # what may be done with a topic that is not there is not told
    try:
        group = admin.may(broker.group)
    except AdminError as error:
        if error.name != "GROUP_AUTHORIZATION_FAILED":
            yield Finding("kafka rights", Level.NOTE, f"of group {broker.group}: {error.sentence}", error.advice)
            return
        group = frozenset()
    raw, state, letters = (has.get(name, frozenset()) for name in topics.names(broker.topics).values())
    needs = {
        f"read topic {broker.topics.raw}": "READ" in raw,
        f"read group {broker.group}": "READ" in group,
        f"read and write topic {broker.topics.state}": {"READ", "WRITE"} <= state,
        f"read and write topic {broker.topics.deadletter}": {"READ", "WRITE"} <= letters,
    }
    lacking = ", ".join(what for what, is_so in needs.items() if not is_so)
    if not lacking:
        also = ", and an agent's" if "WRITE" in raw else "; not an agent's"
        yield Finding("kafka rights", Level.OK, f"all that a worker needs{also}")
    elif "READ" in raw:
        yield Finding("kafka rights", Level.BAD, f"a worker here may not {lacking}", _GRANT)
    elif "WRITE" in raw:
        yield Finding("kafka rights", Level.OK, f"to write only, as an agent's host should; a worker may not {lacking}")
    else:
        found_ = f"we may neither write nor read topic {broker.topics.raw}, if there is one"
        yield Finding("kafka rights", Level.BAD, found_, _GRANT)


def _how(security: Mapping[str, str]) -> str:
    protocol = security.get("security.protocol", "plaintext")
    mechanism = security.get("sasl.mechanism", "") if protocol.startswith("sasl") else ""
    mutual = ", mutual TLS" if security.get("ssl.certificate.location") else ""
    return " ".join([protocol, *([mechanism] if mechanism else [])]) + mutual


def _is_here(server: str) -> bool:
    host = server.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
