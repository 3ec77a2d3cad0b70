"""Workers tell in the state topic how they do, so that one look shows all of them.

Each tells every few seconds, in a message of its own key, which replaces the one before. All are in the topic's first
partition: who looks reads the end of one partition, and a topic that grows leaves nothing behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from enrich.kafka import client
from enrich.kafka.client import Health, KafkaError, KafkaException, Message
from enrich.kafka.told import PARTITION, PREFIX, of_facts
from shipper.wire.broker import Broker

TELL_SECONDS = 5.0
LAST_SECONDS = 2.0
"""How long a worker that ends tries to say so."""


@contextmanager
def telling(broker: Broker, name: str, facts: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """Tell how a worker of this name does while the block runs, from a thread of its own, and its end.

    Nobody waits for it: while the log takes nothing, nothing is told. Raises SourceError for refused settings.
    """
    health = Health("telling other machines how this worker does")
    bounds: client.Settings = {
        "queue.buffering.max.messages": 100,
        "message.timeout.ms": 30_000,
        "compression.type": "lz4",
    }
    producer, key = client.producer(broker, health, bounds), f"{PREFIX}{broker.group}/{name}"
    done = threading.Event()

    def arrived(error: KafkaError | None, _: Message) -> None:
        if error is None:
            health.works()
        else:
            health.complain(error)

    def tell() -> None:
        nonlocal producer
        ended = False
        while not ended:
            ended = done.is_set()
            value = msgspec.json.encode(of_facts(facts(), ended=ended, group=broker.group))
            try:
                producer.produce(broker.topics.state, value, key, PARTITION, arrived)
                producer.poll(0)
            except KafkaException as error:  # it may be for ever: a client that met what it calls fatal takes no more
                health.met(error)
                producer.purge()
                producer = client.producer(broker, health, bounds)
            except BufferError:
                producer.poll(0)
            done.wait(TELL_SECONDS)
        client.flushed(producer, LAST_SECONDS)

    thread = threading.Thread(target=tell, name="telling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
