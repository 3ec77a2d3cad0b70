"""One real Kafka broker (KRaft) on this machine, for a test: started, stopped, killed, stalled, emptied."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.servers.authority import Authority
from tests.servers.jars import archive, jars
from tests.servers.listeners import LOG, PROTOCOLS, free_ports, properties

READY_SECONDS = 180
STOP_SECONDS = 60
_JAVA = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Xlog:cds=off",
    "-Xlog:cds+dynamic=off",
    "-Djava.net.preferIPv4Stack=true",
)
_QUIET = {"log_level": 0}
"""Clients of a test's own say nothing on standard error when a broker goes."""


class Kafka:
    """A broker with four listeners; its files are in one folder. Made by `kafka`, which also ends it.

    Over PLAINTEXT everybody is super user; over the others nobody may do what no ACL allows.
    """

    def __init__(self, folder: Path, own: dict[str, str]) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._archive: Path | None = None
        """Where this life writes its classes when it ends in order: nobody has done so yet."""
        self._authority = Authority(folder / "tls")
        self._ports = dict(zip([*PROTOCOLS, "controller"], free_ports(len(PROTOCOLS) + 1), strict=True))
        (folder / "log4j2.properties").write_text(LOG)
        addresses = {name: self.listener(name) for name in self._ports}
        told = properties(folder, self._data, addresses, self._authority)
        self._properties = folder / "server.properties"
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in (told | own).items()))

    # Where it is

    @property
    def servers(self) -> str:
        """host:port of the PLAINTEXT listener."""
        return self.listener("")

    def listener(self, name: str) -> str:
        """host:port of "scram" (SASL_PLAINTEXT), "scram_tls" (SASL_SSL), "mtls" (SSL with a client's certificate)."""
        return f"127.0.0.1:{self._ports[name]}"

    @property
    def ca(self) -> Path:
        """Who signs the broker's certificate."""
        return self._authority.certificate

    @property
    def log(self) -> Path:
        """What it says."""
        return self._folder / "kafka.log"

    @property
    def data(self) -> Path:
        """Its disk."""
        return self._data

    def certificate(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of `CN=name`, signed by `ca`: over "mtls" the principal is `User:CN=name`."""
        return self._authority.sign(name)

    def settings(
        self,
        listener: str = "",
        user: str | None = None,
        password: str | None = None,
        certificate: str | None = None,
        mechanism: str = "SCRAM-SHA-512",
    ) -> dict[str, str]:
        """The environment in which cgtrail comes by a listener. `certificate`: the name to have it for."""
        told = {"SERVERS": self.listener(listener), "SECURITY_PROTOCOL": PROTOCOLS[listener].lower()}
        if "SASL" in PROTOCOLS[listener]:
            told |= {"SASL_MECHANISM": mechanism}
            told |= {"SASL_USERNAME": user, "SASL_PASSWORD": password or ""} if user is not None else {}
        if "SSL" in PROTOCOLS[listener]:
            told["SSL_CA_FILE"] = str(self.ca)
        if certificate is not None:
            signed, key = self.certificate(certificate)
            told |= {"SSL_CERTIFICATE_FILE": str(signed), "SSL_KEY_FILE": str(key)}
        return {f"CGTRAIL_KAFKA_{key}": value for key, value in told.items()}

    # What is in it

    def admin(self) -> AdminClient:
        """A client of the super user's."""
        return AdminClient({"bootstrap.servers": self.servers, **_QUIET})

    def add_user(self, name: str, password: str) -> None:
        """A user for both kinds of SCRAM; one that is there gets the password."""
        kinds = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        told = [
            UserScramCredentialUpsertion(name, ScramCredentialInfo(kind, 4096), password.encode()) for kind in kinds
        ]
        admin = self.admin()
        for each in told:
            for done in admin.alter_user_scram_credentials([each]).values():
                done.result(30)
        # The controller knows it a moment before the broker does.
        until = time.monotonic() + 30
        while len(self._known(admin, name)) < len(kinds):
            assert time.monotonic() < until, f"{name} does not become a user"
            time.sleep(0.05)

    @staticmethod
    def _known(admin: AdminClient, name: str) -> list[ScramCredentialInfo]:
        asked: Any = admin.describe_user_scram_credentials([name])
        try:
            found = asked[name].result(30)
        except KafkaException:
            return []
        return list(found.scram_credential_infos)

    def create(self, topic: str, partitions: int = 1, **config: str | int) -> None:
        """A topic; its configuration has underscores for dots. Returns when it can be written."""
        admin = self.admin()
        told = {name.replace("_", "."): str(value) for name, value in config.items()}
        admin.create_topics([NewTopic(topic, partitions, 1, config=told)], operation_timeout=30)[topic].result(60)
        until = time.monotonic() + 60
        while True:
            with suppress(KeyError):
                found = admin.list_topics(topic, timeout=30).topics[topic].partitions.values()
                if len(found) == partitions and all(each.leader >= 0 for each in found):
                    return
            assert time.monotonic() < until, f"{topic} has no leaders"
            time.sleep(0.05)

    def messages(self, topic: str) -> list[Message]:
        """All that there is in a topic, partition by partition."""
        own = {"group.id": f"test-{uuid4()}", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer({"bootstrap.servers": self.servers, **own, **_QUIET})
        found: list[Message] = []
        try:
            open_ = set(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in open_])
            until = time.monotonic() + 120
            while open_:
                assert time.monotonic() < until, f"{topic} could not be read: {len(found)} so far"
                for message in consumer.consume(10_000, 0.5):
                    error = message.error()
                    if error is None:
                        found.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        open_.discard(message.partition())
        finally:
            consumer.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))

    # What happens to it

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with its last words."""
        assert self._process is None, "it runs"
        if not (self._data / "meta.properties").exists():
            self._format()
        kept = archive()
        self._archive = None if kept.exists() else kept.with_name(f"{kept.name}.{os.getpid()}")
        classes = f"-XX:ArchiveClassesAtExit={self._archive}" if self._archive else f"-XX:SharedArchiveFile={kept}"
        options = (
            "-Xms128m",
            "-Xmx256m",
            *_JAVA,
            classes,
            f"-Dlog4j2.configurationFile=file:{self._folder}/log4j2.properties",
        )
        # It dies with the thread that starts it: no broker is left behind, however a test run ends.
        argv = ["setpriv", "--pdeathsig", "KILL", "java", *options, "-cp", _classes(), "kafka.Kafka"]
        with self.log.open("ab") as log:
            at = log.tell()
            self._process = subprocess.Popen(
                [*argv, self._properties], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )
        until = time.monotonic() + READY_SECONDS
        while b"Kafka Server started" not in self._said(at):
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                message = f"Kafka did not start:\n{self._said(at)[-3000:].decode(errors='replace')}"
                raise RuntimeError(message)
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in order (SIGTERM); it can be started again, on the same ports."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def end(self) -> None:
        """It is not needed any more: at once, or where its classes are wanted for the next ones, in order."""
        self._end(signal.SIGTERM if self._archive else signal.SIGKILL)

    def pause(self) -> None:
        """It stands still, and its connections stay (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Its disk is empty; it must not run. Users and ACLs are gone too."""
        assert self._process is None, "it runs"
        shutil.rmtree(self._data, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._archive is not None and self._archive.exists():
            whole = self._process.returncode >= 0  # Java ended by itself
            self._archive.replace(archive()) if whole else self._archive.unlink()
        self._process = None

    def _said(self, since: int) -> bytes:
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read()

    def _format(self) -> None:
        cluster = "C" + secrets.token_urlsafe(16)[1:]  # one that begins with "-" is taken for an option
        argv = ["java", "-Xmx128m", *_JAVA, "-cp", _classes(), "kafka.tools.StorageTool", "format", "-t", cluster]
        done = subprocess.run(
            [*argv, "-c", self._properties], capture_output=True, text=True, check=False, timeout=READY_SECONDS
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)


@contextmanager
def kafka(folder: Path, **server_properties: str | int) -> Iterator[Kafka]:
    """A broker that runs, its data in this folder; properties have underscores for dots. It is killed at the end.

    Call it in the main thread: a broker dies with the thread that started it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    broker = Kafka(folder, {name.replace("_", "."): str(value) for name, value in server_properties.items()})
    try:
        broker.start()
        yield broker
    finally:
        broker.end()


def topics(broker: Kafka, partitions: int = 1, prefix: str = "cgtrail") -> dict[str, str]:
    """Topics and a group that no other test has; the environment in which cgtrail uses them, with their servers."""
    name = f"{prefix}.{uuid4().hex[:8]}"
    broker.create(f"{name}.raw", partitions, message_timestamp_type="LogAppendTime", max_message_bytes=1 << 20)
    broker.create(f"{name}.state", partitions, cleanup_policy="compact", max_message_bytes=1 << 20)
    broker.create(f"{name}.deadletter", 1, cleanup_policy="compact,delete", max_message_bytes=1 << 20)
    told = {"TOPIC": f"{name}.raw", "STATE_TOPIC": f"{name}.state", "DEADLETTER_TOPIC": f"{name}.deadletter"}
    return (
        {f"CGTRAIL_KAFKA_{key}": value for key, value in told.items()}
        | broker.settings()
        | {"CGTRAIL_KAFKA_GROUP": name}
    )


def _classes() -> str:
    return f"{jars()}/*"
