"""From [kafka] to what a client needs: secrets are read from their files here, and named nowhere."""

from __future__ import annotations

from pathlib import Path

from cgtrail import settings_kafka
from cgtrail.config import Config, ConfigError
from cgtrail.secret_file import held
from shipper.wire.broker import Broker, Topics

_FILE = "file:"


def broker(config: Config) -> Broker:
    """The cluster that is configured. Raises ConfigError: there is none, a file can't be read, keys disagree."""
    kafka = config.kafka
    if not kafka.servers:
        raise ConfigError("kafka.servers is empty: name host:port of a broker (CGTRAIL_KAFKA_SERVERS)")
    if wrong := settings_kafka.disagreement(kafka):
        raise ConfigError(wrong)
    for key in ("ssl_ca_file", "ssl_certificate_file", "ssl_key_file"):
        if not Path(getattr(kafka, key)).is_dir():  # as certificates of signers may be
            held(f"kafka.{key}", getattr(kafka, key))  # librdkafka's words for it would be OpenSSL's
    told = {
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": held("kafka.sasl_password_file", kafka.sasl_password_file) or kafka.sasl_password,
        "ssl.ca.location": kafka.ssl_ca_file,
        "ssl.certificate.location": kafka.ssl_certificate_file,
        "ssl.key.location": kafka.ssl_key_file,
        "ssl.key.password": held("kafka.ssl_key_password_file", kafka.ssl_key_password_file),
    }
    for given in kafka.client:
        name, _, value = given.partition("=")
        path = value.removeprefix(_FILE)
        told[name] = held(f"kafka.client: {name}", path) if path != value else value
    topics = Topics(kafka.topic, kafka.state_topic, kafka.deadletter_topic)
    return Broker(tuple(kafka.servers), topics, kafka.group, {name: value for name, value in told.items() if value})
