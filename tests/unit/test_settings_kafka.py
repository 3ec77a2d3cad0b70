"""[kafka]: what is refused before anything connects, in words that hold no password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cgtrail.brokers import broker
from cgtrail.config import ConfigError, load
from cgtrail.settings import Config, Kafka

HIDDEN = "hunter2"
LOGIN = {"security_protocol": "sasl_ssl", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "u"}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("servers", ["kafka-1"], "has 'kafka-1'; a server is host:port"),
        ("servers", ["a:1", ":9092"], "has ':9092'; a server is host:port"),
        ("servers", ["a:0"], "host:port"),
        ("servers", ["a:65536"], "host:port"),
        ("servers", ["SSL://a:1"], "host:port"),
        ("topic", "a b", "a topic's name has"),
        ("state_topic", "..", "a topic's name has"),
        ("deadletter_topic", "x" * 250, "a topic's name has"),
        ("group", "", "printable"),
        ("instance", "a\nb", "printable"),
        ("security_protocol", "SASL_SSL", "one of plaintext, ssl, sasl_plaintext, sasl_ssl"),
        ("sasl_mechanism", "GSSAPI", "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
        ("sasl_password", f"{HIDDEN}\0", "a byte of 0"),
        ("client", [f"{HIDDEN}"], "the 1. one"),
        ("client", ["a=b", f"{HIDDEN} =x"], "the 2. one"),
        ("client", [f"sasl.password={HIDDEN}"], "use kafka.sasl_password_file"),
        ("client", ["group.id=x"], "use kafka.group"),
        ("client", ["enable.idempotence=false"], "nothing is lost"),
        ("client", ["acks=1"], "nothing is lost"),
        ("client", ["enable.auto.commit=true"], "nothing is lost"),
        ("client", [f"sasl.oauthbearer.config={HIDDEN},b"], "sasl.oauthbearer.config=file:/path"),
        ("client", ["linger.ms="], "no value"),
    ],
)
def test_what_can_not_be_meant_is_refused(key: str, value: Any, words: str) -> None:
    """With the key, what would be right, and no secret."""
    with pytest.raises(ConfigError) as refused:
        load(None, {}, {f"kafka.{key}": value})
    message = str(refused.value)
    assert message.startswith(f"--{key}: kafka.{key} ")
    assert words in message
    assert HIDDEN not in message


@pytest.mark.parametrize("text", ["sasl_password = 12345678", "client = 12345678", "client = [12345678]"])
def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path, text: str) -> None:
    """A number that was meant as a password is refused, and not repeated."""
    file = tmp_path / "x.toml"
    file.write_text(f"[kafka]\n{text}\n")
    with pytest.raises(ConfigError, match="what is not shown") as refused:
        load(file, {}, {})
    assert "12345678" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"topic": "a", "state_topic": "a"}, "three topics"),
        ({"sasl_username": "u"}, "kafka.sasl_username is set, and kafka.security_protocol plaintext logs in nowhere"),
        ({"ssl_ca_file": "/dev/null"}, "kafka.ssl_ca_file is set, and kafka.security_protocol plaintext has no TLS"),
        ({"security_protocol": "ssl", "sasl_mechanism": "PLAIN"}, "logs in nowhere"),
        ({"security_protocol": "sasl_ssl"}, "sasl_mechanism is not set"),
        (LOGIN, "sasl_password_file are needed"),
        (LOGIN | {"sasl_password": HIDDEN, "sasl_password_file": "/dev/null"}, "both set"),
        ({"security_protocol": "ssl", "ssl_key_file": "/dev/null"}, "belong together"),
        (
            {"security_protocol": "ssl", "ssl_ca_file": "/no/ca.pem"},
            "kafka.ssl_ca_file: /no/ca.pem can't be read (No such",
        ),
        (LOGIN | {"sasl_password_file": "/no/pw"}, "kafka.sasl_password_file: /no/pw can't be read (No such"),
        ({"client": ["sasl.oauthbearer.client.secret=file:/no/s"]}, "client.secret: /no/s can't be read (No such"),
    ],
)
def test_what_does_not_go_together_is_refused(keys: dict[str, Any], words: str) -> None:
    """Nobody believes a connection to be safer than it is, and a missing file is named."""
    with pytest.raises(ConfigError) as refused:
        broker(Config(kafka=Kafka(**({"servers": ["a:1"]} | keys))))
    assert words in str(refused.value)
    assert HIDDEN not in str(refused.value)


def test_secrets_come_from_files_and_show_nowhere(tmp_path: Path) -> None:
    """A password's file may end with a newline; neither the cluster's text nor the command line has it."""
    file = tmp_path / "password"
    file.write_text(f"{HIDDEN}\n")
    kafka = Kafka(
        ["a:1", "b:2"], **LOGIN, sasl_password_file=str(file), client=[f"ssl.key.pem=file:{file}", "linger.ms=7"]
    )
    found = broker(Config(kafka=kafka))
    assert found.properties()["sasl.password"] == found.properties()["ssl.key.pem"] == HIDDEN
    assert (found.properties()["bootstrap.servers"], found.properties()["linger.ms"]) == ("a:1,b:2", "7")
    assert HIDDEN not in repr(found)
    own = found.properties(linger_ms=5)
    assert own["linger.ms"] == 5
