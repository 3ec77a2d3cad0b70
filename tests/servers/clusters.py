"""A cluster's topics as one test has them, and `cgtrail` run against them."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from subprocess import CompletedProcess, run

from cgtrail import config
from cgtrail.brokers import broker as reached_by
from cgtrail.kafka.admin import Admin, reach
from cgtrail.kafka.topics import Found
from shipper.wire.broker import Broker
from tests.servers.kafka import Kafka


@dataclass
class Ran:
    """How a command ended."""

    code: int
    found: list[dict[str, str]]
    err: str

    def about(self, what: str, level: str = "") -> str:
        """What it said of one thing, with advice; `what` is how the thing's name ends."""
        return "\n".join(
            f"{each['found']} → {each['advice']}"
            for each in self.found
            if each["what"].endswith(what) and each["level"].startswith(level)
        )


@dataclass
class Cluster:
    """A broker, and names of topics that nobody else has."""

    kafka: Kafka
    name: str

    @property
    def named(self) -> dict[str, str]:
        """Settings of the names."""
        told = {"TOPIC": "raw", "STATE_TOPIC": "state", "DEADLETTER_TOPIC": "deadletter"}
        group = {"CGTRAIL_KAFKA_GROUP": self.name}
        return group | {f"CGTRAIL_KAFKA_{key}": f"{self.name}.{value}" for key, value in told.items()}

    def run(self, *arguments: str, **settings: str) -> CompletedProcess[str]:
        """A command of cgtrail, as the super user or as settings say."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CGTRAIL_")}
        argv = [sys.executable, "-m", "cgtrail", *arguments]
        env = environment | self.named | (settings or self.kafka.settings()) | {"TERM": "dumb"}
        return run(argv, capture_output=True, text=True, check=False, env=env, timeout=120)

    def setup(self, *arguments: str, **settings: str) -> Ran:
        """`cgtrail setup kafka --json`."""
        done = self.run("setup", "kafka", *arguments, "--json", **settings)
        return Ran(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)

    def broker(self, **settings: str) -> Broker:
        """How to reach it, as the super user or as settings say."""
        return reached_by(config.load(None, self.named | (settings or self.kafka.settings()), {}))

    @property
    def admin(self) -> Admin:
        """The super user's connection."""
        return reach(self.broker())

    def found(self, kind: str) -> Found:
        """A topic as it is."""
        found = self.admin.find([f"{self.name}.{kind}"])[f"{self.name}.{kind}"]
        assert isinstance(found, Found)
        return found

    def has(self, kind: str) -> dict[str, str]:
        """Its configuration."""
        found = self.found(kind).config
        assert found is not None
        return dict(found)
