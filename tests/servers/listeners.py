"""server.properties of a broker with a listener for each way in: https://kafka.apache.org/43/configuration/broker-configs/."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.servers.authority import Authority

PLAIN_USER, PLAIN_PASSWORD = "plain", "plain-secret"
"""Who may come by SASL PLAIN, which knows no users at run time."""
PROTOCOLS = {"": "PLAINTEXT", "scram": "SASL_PLAINTEXT", "scram_tls": "SASL_SSL", "mtls": "SSL"}
"""Listeners by name; the nameless one is for the super user."""
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
# Outside of the range from which the kernel takes ports for whoever connects: a stopped broker's stay free.
_PORTS = range(10_000, 32_000)
LOG = """rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m%n
"""
"""log4j2.properties: everything to standard output."""


def properties(folder: Path, data: Path, listeners: dict[str, str], authority: Authority) -> dict[str, str]:
    """What is in the file, for a broker whose listeners are at these addresses; writes the keystore that it needs."""
    shown = {name or "plaintext": name for name in PROTOCOLS}
    addresses = ",".join(f"{name.upper()}://{listeners[port]}" for name, port in shown.items())
    protocols = ",".join(f"{name.upper()}:{PROTOCOLS[port]}" for name, port in shown.items())
    certificate, key = authority.sign("broker")
    keystore = folder / "keystore.pem"
    keystore.write_text(key.read_text() + certificate.read_text())
    security = "org.apache.kafka.common.security"
    told = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{listeners['controller']}",
        "listeners": f"{addresses},CONTROLLER://{listeners['controller']}",
        "advertised.listeners": addresses,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": ",".join(_MECHANISMS),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "listener.name.mtls.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        # A killed broker is let in again when its last life has timed out.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
    }
    for kind in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        told |= {f"{kind}.replication.factor": "1", f"{kind}.num.partitions": "1"}
    told |= {"transaction.state.log.min.isr": "1", "share.coordinator.state.topic.min.isr": "1"}
    for name in ("scram", "scram_tls"):
        logins = {
            "scram-sha-256": f"{security}.scram.ScramLoginModule required;",
            "scram-sha-512": f"{security}.scram.ScramLoginModule required;",
            "plain": f'{security}.plain.PlainLoginModule required user_{PLAIN_USER}="{PLAIN_PASSWORD}";',
            "oauthbearer": f"{security}.oauthbearer.OAuthBearerLoginModule required"
            ' unsecuredLoginStringClaim_sub="broker";',
        }
        told |= {f"listener.name.{name}.{kind}.sasl.jaas.config": login for kind, login in logins.items()}
    return told


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            taken = held.enter_context(socket.socket())
            port = secrets.choice(_PORTS)
            with suppress(OSError):
                taken.bind(("127.0.0.1", port))
                found.append(port)
        return found
