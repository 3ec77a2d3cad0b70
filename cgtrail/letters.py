"""Where the dead letters of a configuration are: beside the spool, one database a sink; or in a topic, all together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from cgtrail.brokers import broker
from cgtrail.config import Config
from enrich.letters import DeadLetters, KeptLetters, LettersError
from enrich.statefile import DAMAGED, own_file


@contextmanager
def reading(config: Config, sink: str) -> Iterator[KeptLetters | None]:
    """The dead letters there are, to be read; None where there can't be any yet. Raises LettersError."""
    if config.reads_kafka:
        with changing(config, sink) as topic:
            yield topic
        return
    path = own_file(config.folder, "deadletters.db", sink)
    letters = DeadLetters.reading(path)
    try:
        yield letters
    except DAMAGED as error:
        message = f"{path}: the dead letters can't be read ({error}): move it away if it is damaged"
        raise LettersError(message) from error
    finally:
        if letters is not None:
            letters.close()


@contextmanager
def changing(config: Config, sink: str) -> Iterator[KeptLetters]:
    """The dead letters, to add and to remove some."""
    with closing(_opened(config, sink)) as letters:
        yield letters


def _opened(config: Config, sink: str) -> KeptLetters:
    if not config.reads_kafka:
        return DeadLetters(own_file(config.folder, "deadletters.db", sink))
    from enrich.kafka.letters import KafkaLetters  # not everybody has Kafka, and its client takes time to load

    return KafkaLetters(broker(config))
