"""A cluster, asked and changed: the only place of the command line that speaks to Kafka's administration."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from cgtrail.kafka.acls import Acl, Granted
from cgtrail.kafka.topics import Found
from shipper.wire.broker import Broker
from shipper.wire.refused import Words, telling, words

REACH_SECONDS = 8.0
"""Until a cluster that does not answer counts as away."""
_SURE_SECONDS = 1.5
"""From the first error that tells a reason: of several brokers another may do."""
_REQUEST_SECONDS = 20.0
_SETTLE_SECONDS = 10.0
_COORDINATOR_SECONDS = 4.0
_AROUND = re.compile(r"^\S+?(/bootstrap|/\d+)?: |\s*\(after \d+ms in state \w+\)|error:[0-9A-F]{8}:(?=\S)")
"""What librdkafka puts around a reason: who, when, and OpenSSL's number."""
_CERTIFICATE_WANTED = re.compile(r"alert (bad certificate|certificate required|handshake failure)")
"""How a broker's TLS says that it wants a client's certificate (RFC 8446, section 6.2)."""
_OWN = {
    "_INVALID_ARG": Words("a client can't be made of [kafka]", "correct it"),
    "SECURITY_DISABLED": Words("brokers let everybody do everything", "set authorizer.class.name on all of them"),
    "INVALID_REPLICATION_FACTOR": Words("there are fewer brokers than replicas are wanted", "--replication-factor"),
}
"""Words for what only administration meets."""
_SILENT = logging.getLogger("cgtrail.kafka.admin")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class AdminError(RuntimeError):
    """The cluster can't be reached or refuses; the message says why and what to do."""

    def __init__(self, name: str, detail: str = "", advice: str = "") -> None:
        self.name = name
        """As Kafka's protocol or librdkafka names it."""
        told = _OWN.get(name) or words(name)
        self.sentence = f"{told.sentence} ({detail})" if detail else told.sentence
        self.advice = advice or told.advice
        super().__init__(f"{self.sentence}: {self.advice}")


class Admin:
    """A connection that stands. Made by `reach`."""

    def __init__(self, client: AdminClient, brokers: int) -> None:
        self._client = client
        self.brokers = brokers
        """How many brokers there are."""

    def find(self, topics: Iterable[str]) -> dict[str, Found | AdminError]:
        """Topics as they are; an error for each that may not be seen or is not there."""
        names = list(topics)
        described = self._client.describe_topics(
            TopicCollection(names), include_authorized_operations=True, request_timeout=_REQUEST_SECONDS
        )
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        configs = self._client.describe_configs(resources, request_timeout=_REQUEST_SECONDS)
        found: dict[str, Found | AdminError] = {}
        for resource, name in zip(resources, names, strict=True):
            try:
                topic = _result(described[name])
            except AdminError as error:
                found[name] = error
                continue
            try:
                told = _result(configs[resource])
                config = {key: entry.value for key, entry in told.items() if entry.value is not None}
            except AdminError:
                config = None
            found[name] = Found(
                tuple(bool(each.leader and each.leader.id >= 0) for each in topic.partitions),
                tuple(len(each.replicas) for each in topic.partitions),
                tuple(len(each.isr) for each in topic.partitions),
                _names(topic.authorized_operations),
                config,
            )
        return found

    def may(self, group: str) -> frozenset[str]:
        """What we may do with a consumer group, as in READ. Raises AdminError where it may not even be seen."""
        until = time.monotonic() + _COORDINATOR_SECONDS
        while True:
            asked = self._client.describe_consumer_groups(
                [group], include_authorized_operations=True, request_timeout=_COORDINATOR_SECONDS
            )
            try:
                return _names(_result(asked[group]).authorized_operations)
            except AdminError as error:
                # A cluster that never had a group makes the topic for them when it is first asked.
                if error.name == "GROUP_AUTHORIZATION_FAILED" or time.monotonic() >= until:
                    raise
                time.sleep(0.2)

    def make(self, topic: str, partitions: int, replication: int, config: Mapping[str, str], *, dry: bool) -> None:
        """Create a topic; `dry` only asks whether it would be. Raises AdminError.

        Returns when brokers know it too, and not only their controller: who asks for it next should find it.
        """
        new = NewTopic(topic, partitions, replication, config=dict(config))
        made = self._client.create_topics([new], request_timeout=_REQUEST_SECONDS, validate_only=dry)
        _result(made[topic])
        until = time.monotonic() + _SETTLE_SECONDS
        while not dry and time.monotonic() < until:
            found = self.find([topic])[topic]
            if isinstance(found, Found) and all(found.led) and found.partitions == partitions:
                return
            time.sleep(0.05)

    def change(self, topic: str, config: Mapping[str, str], *, dry: bool) -> None:
        """Set some of a topic's configuration, and leave the rest. Raises AdminError."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
        changed = self._client.incremental_alter_configs(
            [resource], validate_only=dry, request_timeout=_REQUEST_SECONDS
        )
        _result(changed[resource])

    def grow(self, topic: str, partitions: int, *, dry: bool) -> None:
        """Give a topic so many partitions in all. Raises AdminError."""
        grown = self._client.create_partitions(
            [NewPartitions(topic, partitions)],
            operation_timeout=10,
            request_timeout=_REQUEST_SECONDS,
            validate_only=dry,
        )
        _result(grown[topic])

    def granted(self, principal: str) -> list[Granted]:
        """All that a principal is granted or denied by its name. Raises AdminError."""
        every: Any = None  # which the client's types forget
        wanted = AclBindingFilter(
            ResourceType.ANY,
            every,
            ResourcePatternType.ANY,
            principal,
            every,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        bindings = _result(self._client.describe_acls(wanted, request_timeout=_REQUEST_SECONDS))
        return [
            Granted(
                Acl(
                    each.restype.name.lower(),
                    each.name,
                    each.operation.name,
                    each.principal,
                    prefixed=each.resource_pattern_type is ResourcePatternType.PREFIXED,
                ),
                allowed=each.permission_type is AclPermissionType.ALLOW,
                host=each.host,
            )
            for each in bindings
        ]

    def allow(self, acls: Iterable[Acl]) -> None:
        """Grant, from every host; what is granted stays so. Raises AdminError."""
        bindings = [
            AclBinding(
                ResourceType[each.kind.upper()],
                each.name,
                ResourcePatternType.PREFIXED if each.prefixed else ResourcePatternType.LITERAL,
                each.principal,
                "*",
                AclOperation[each.operation],
                AclPermissionType.ALLOW,
            )
            for each in acls
        ]
        for done in self._client.create_acls(bindings, request_timeout=_REQUEST_SECONDS).values():
            _result(done)


def reach(broker: Broker, seconds: float = REACH_SECONDS) -> Admin:
    """A connection to a cluster. Raises AdminError: with the error that tells most of why there is none."""
    told: list[KafkaError] = []
    own: dict[str, Any] = {"error_cb": told.append, "socket.connection.setup.timeout.ms": 5000}
    try:
        client = AdminClient({**broker.properties(), **own}, logger=_SILENT)
    except KafkaException as error:
        raise AdminError("_INVALID_ARG", _AROUND.sub("", error.args[0].str()), "correct [kafka]") from error
    until = time.monotonic() + seconds
    while True:
        try:
            return Admin(client, len(client.describe_cluster(request_timeout=1).result(2).nodes))
        except KafkaException as error:
            client.poll(0)
            # Later ones tell more: the first may be of a moment before.
            why = max(reversed(told), key=lambda each: telling(each.name()), default=error.args[0])
            if telling(why.name()) > 1:
                until = min(until, time.monotonic() + _SURE_SECONDS)
            if time.monotonic() >= until:
                raise _error(why) from error


def _error(error: KafkaError) -> AdminError:
    name, text = error.name(), error.str()
    detail = "" if name == "_ALL_BROKERS_DOWN" else _AROUND.sub("", text).removesuffix(".")
    if _CERTIFICATE_WANTED.search(text):
        advice = "set kafka.ssl_certificate_file and kafka.ssl_key_file: a certificate that brokers trust"
        return AdminError("_SSL", detail, advice)
    return AdminError(name, detail)


def _result(done: Future[Any]) -> Any:
    try:
        return done.result(_REQUEST_SECONDS + 10)
    except KafkaException as error:
        raise _error(error.args[0]) from error


def _names(operations: Iterable[AclOperation] | None) -> frozenset[str]:
    return frozenset(each.name for each in operations or ())
