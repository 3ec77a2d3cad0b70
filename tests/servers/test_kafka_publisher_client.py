"""Kafka's client as the publisher uses it, and a real Kafka."""

from __future__ import annotations

import gc
import os
import time
import weakref
from dataclasses import replace

import pytest

from shipper.publish.client import Client, RefusedError
from shipper.wire.frame import Frame
from shipper.wire.message import Message, encode
from tests.faults.processes import PATIENCE
from tests.servers.kafka import Kafka, topics
from tests.servers.published import reached
from tests.servers.test_kafka_publisher import configure


def test_tries_that_are_refused_leave_nothing_behind(broker: Kafka) -> None:
    """A client dies of what is too large with a full queue; what it raises for that is never freed by its library."""
    told = topics(broker)
    configure(broker, told["CGTRAIL_KAFKA_TOPIC"], max_message_bytes="300")
    frame = Frame(b"s" * 16, b"h" * 16, b"b" * 16, 0, 0, b"")
    large = encode(frame.host, frame.stream, 1, replace(frame, payload=os.urandom(2000)))
    arrived = Arrived()
    alive = weakref.ref(arrived)
    client = Client(reached(told))
    with pytest.raises(RefusedError, match="MSG_SIZE_TOO_LARGE"):
        fill(client, large, arrived)
    client.close()
    del arrived
    gc.collect()
    assert alive() is None


class Arrived:
    """Is called when a message has arrived."""

    def __call__(self) -> None:
        """It has."""


def fill(client: Client, message: Message, arrived: Arrived) -> None:
    """Send until it is refused."""
    client.partitions(20)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        client.send(message, 0, arrived)
