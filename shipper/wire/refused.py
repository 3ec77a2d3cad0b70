"""Why Kafka takes or gives nothing, in words: by the names that errors have in its protocol and in librdkafka.

Names without an underscore in front are the brokers' (https://kafka.apache.org/43/design/protocol/#error-codes, as
librdkafka writes them), the others the client's own (rdkafka.h, rd_kafka_resp_err_t).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Words(NamedTuple):
    """An error for people."""

    sentence: str
    advice: str
    """What to do about it."""


SILENT = "_TIMED_OUT"
"""The name for brokers that take a connection and say nothing."""
THROTTLED = "THROTTLING_QUOTA_EXCEEDED"

_AWAY = (
    "see that brokers run and that kafka.servers names them: host and port, and the port is that of this protocol"
    " (kafka.security_protocol)"
)
_RIGHTS = "grant it: `cgtrail setup kafka --writer USER` does for a host, `--reader USER` for workers"
_SIZE = "raise the topic's max.message.bytes to 1048576 or more: `cgtrail setup kafka --apply` does"
_TOPIC = "create it with `cgtrail setup kafka`, or set kafka.topic to the one that there is"
_WAIT = "nothing, if it passes; else look into the brokers' logs"
_LOGIN = (
    "check kafka.sasl_mechanism, kafka.sasl_username and the password (one in a file is read again, one in the"
    " environment at the next start); and that the brokers know this user"
)
_TLS = (
    "check kafka.ssl_ca_file, that brokers' certificates name their hosts, that they know who signed ours, and that"
    " the port is one for TLS"
)
_AGAIN = "nothing: it is begun anew from the first piece that is not acknowledged"

_WORDS = {
    "_TRANSPORT": Words("no broker can be reached", _AWAY),
    "_ALL_BROKERS_DOWN": Words("no broker can be reached", _AWAY),
    "_RESOLVE": Words("a broker's host name is not known", "check kafka.servers, and this host's name service"),
    SILENT: Words("brokers do not answer", "see that they are not stopped or overloaded, and that no firewall drops"),
    "_MSG_TIMED_OUT": Words("brokers do not answer in time", "see that they are not stopped or overloaded"),
    "_TIMED_OUT_QUEUE": Words("brokers do not answer in time", "see that they are not stopped or overloaded"),
    "_AUTHENTICATION": Words("brokers refuse the login", _LOGIN),
    "SASL_AUTHENTICATION_FAILED": Words("brokers refuse the login", _LOGIN),
    "UNSUPPORTED_SASL_MECHANISM": Words("brokers do not know this login mechanism", _LOGIN),
    "ILLEGAL_SASL_STATE": Words("brokers expect another kind of login", _LOGIN),
    "_SSL": Words("no TLS connection can be made", _TLS),
    "TOPIC_AUTHORIZATION_FAILED": Words("brokers do not allow this user the topic", _RIGHTS),
    "GROUP_AUTHORIZATION_FAILED": Words("brokers do not allow this user the consumer group", _RIGHTS),
    "CLUSTER_AUTHORIZATION_FAILED": Words("brokers do not allow this user to write", _RIGHTS),
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": Words("brokers do not allow this user to write", _RIGHTS),
    "UNKNOWN_TOPIC_OR_PART": Words("the topic does not exist", _TOPIC),
    "UNKNOWN_TOPIC_ID": Words("the topic was removed or made anew", _TOPIC),
    "_UNKNOWN_TOPIC": Words("the topic does not exist", _TOPIC),
    "_UNKNOWN_PARTITION": Words("the topic has fewer partitions than it had", _AGAIN),
    "TOPIC_EXCEPTION": Words("the topic's name is not valid", "correct kafka.topic"),
    "MSG_SIZE_TOO_LARGE": Words("a message is larger than the topic allows", _SIZE),
    "RECORD_LIST_TOO_LARGE": Words("messages are larger than a broker's segments", "raise the topic's segment.bytes"),
    "NOT_ENOUGH_REPLICAS": Words(
        "too few replicas are in sync", "start the brokers that are down, or lower the topic's min.insync.replicas"
    ),
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": Words(
        "too few replicas are in sync", "start the brokers that are down, or lower the topic's min.insync.replicas"
    ),
    "LEADER_NOT_AVAILABLE": Words("a partition has no leader", "start the brokers that hold it"),
    "NOT_LEADER_FOR_PARTITION": Words("a partition moves from broker to broker", _WAIT),
    "REPLICA_NOT_AVAILABLE": Words("a partition's replica is away", "start the brokers that hold it"),
    "KAFKA_STORAGE_ERROR": Words(
        "a broker's disk is full or broken", "make room there (shorter retention, a larger disk), and start the broker"
    ),
    "LOG_DIR_NOT_FOUND": Words("a broker's disk is missing or broken", "mend it, and start the broker"),
    THROTTLED: Words("a quota of the brokers holds us back", "raise producer_byte_rate with kafka-configs.sh"),
    "POLICY_VIOLATION": Words("a policy of the brokers forbids it", "ask who runs them which one"),
    "INVALID_RECORD": Words("brokers refuse the records", "take message.timestamp and validation settings back"),
    "INVALID_TIMESTAMP": Words(
        "brokers find a message's time too far from theirs", "set the topic's message.timestamp.type to LogAppendTime"
    ),
    "UNSUPPORTED_COMPRESSION_TYPE": Words(
        "brokers do not know this compression", "take compression.type out of kafka.client"
    ),
    "UNSUPPORTED_VERSION": Words("brokers are too old for this client", "renew them: 2.1 or later is needed"),
    "_UNSUPPORTED_FEATURE": Words("brokers are too old for this client", "renew them: 2.1 or later is needed"),
    "OUT_OF_ORDER_SEQUENCE_NUMBER": Words("brokers have forgotten what they took of us", _AGAIN),
    "UNKNOWN_PRODUCER_ID": Words("brokers have forgotten what they took of us", _AGAIN),
    "INVALID_PRODUCER_EPOCH": Words("brokers have forgotten what they took of us", _AGAIN),
    "_FENCED": Words("brokers have forgotten what they took of us", _AGAIN),
    "REQUEST_TIMED_OUT": Words("replicas are slow", "see what keeps the brokers' disks or network busy"),
    "COORDINATOR_LOAD_IN_PROGRESS": Words("brokers are starting", _WAIT),
    "COORDINATOR_NOT_AVAILABLE": Words("brokers are starting, or their own topics have no leader", _WAIT),
    "INVALID_SESSION_TIMEOUT": Words(
        "brokers do not allow a session so short or so long",
        "take session.timeout.ms out of kafka.client, or keep to their group.min and group.max.session.timeout.ms",
    ),
    "GROUP_MAX_SIZE_REACHED": Words(
        "the consumer group has as many members as brokers allow", "raise their group.max.size, or run fewer workers"
    ),
    "INCONSISTENT_GROUP_PROTOCOL": Words(
        "others use the consumer group in another way", "give the workers a kafka.group that nobody else has"
    ),
    "UNKNOWN_GROUP": Words("the consumer group is not known", _WAIT),
    "_INVALID_ARG": Words("the client does not take its settings", "correct what they name: a file that was replaced?"),
    "_BAD_MSG": Words("what answers there is no Kafka broker, or one that wants TLS", _AWAY),
}
_UNINFORMATIVE = ("_ALL_BROKERS_DOWN", "_FATAL", "_GAPLESS_GUARANTEE", "_PURGE_QUEUE", "_PURGE_INFLIGHT", "_DESTROY")
_VAGUE = (*_UNINFORMATIVE, SILENT, "_MSG_TIMED_OUT", "_TIMED_OUT_QUEUE", "_TRANSPORT")


_TLS_SAID = re.compile(r"\bSSL (handshake|routines|alert)|ssl_transport|certificate", re.IGNORECASE)
_REFUSES_US = ("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL")


def named(name: str, text: str) -> str:
    """An error's name by what the client says of it: the one for lost connections hides what TLS was refused for."""
    return "_SSL" if name == "_TRANSPORT" and _TLS_SAID.search(text) else name


def who_we_are(name: str) -> bool:
    """Whether another password or certificate may end it: a client has read them when it was made."""
    return name in _REFUSES_US


def words(name: str) -> Words:
    """What an error means and what to do; also for names that are not known here."""
    told = f"Kafka says {name}" if name else "Kafka gives no reason"
    return _WORDS.get(name, Words(told, "look the name up in Kafka's protocol, and into the brokers' logs"))


def telling(name: str) -> int:
    """How much an error's name tells of the cause: 0 a consequence of another, 1 that nobody answers, 2 a reason."""
    if name in _UNINFORMATIVE:
        return 0
    return 1 if name in _VAGUE else 2
