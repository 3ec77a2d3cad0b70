"""`cgtrail publish`: the spool to Kafka."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from cgtrail.brokers import broker
from cgtrail.config import Config, ConfigError
from cgtrail.metrics import PUBLISHER
from cgtrail.reporting import reporting
from cgtrail.serving import serving
from cgtrail.signals import stop_on_signal
from shipper.lock import only
from shipper.publish import LOCK, STATUS
from shipper.publish.publisher import Publisher
from shipper.wire.broker import Broker


def run(config: Config, *, once: bool, beside: bool) -> int:
    """Publish until SIGTERM or SIGINT, or with `once` until all is acknowledged; returns 0, or 1 if `once` was not all.

    `beside`: until standard input ends, whatever signals say: an agent that is being stopped still writes.
    """
    stop = _stop_on_end() if beside else stop_on_signal()
    config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only(config.folder / LOCK, "publisher"):
        known = broker(config)
        publisher = Publisher(known, config.spool_folder, stop, _renewed(config, known))
        with (
            reporting(config.folder / STATUS, publisher.facts),
            serving(config.metrics.publisher, PUBLISHER, publisher.facts),
        ):
            return 0 if publisher.run(follow=not once) or not once else 1


def _renewed(config: Config, known: Broker) -> Callable[[], Broker]:
    """Gives the cluster with what secrets' files hold now, or held before one can't be read: it is being replaced."""
    last = known

    def renewed() -> Broker:
        nonlocal last
        with suppress(ConfigError):  # Kafka's refusal has been told
            last = broker(config)
        return last

    return renewed


def _stop_on_end() -> threading.Event:
    """An event that the end of standard input sets: whoever holds its other end has asked for it, or is gone."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    stop = threading.Event()

    def wait() -> None:
        with suppress(OSError):
            while os.read(sys.stdin.fileno(), 1):
                pass
        stop.set()

    threading.Thread(target=wait, name="end", daemon=True).start()
    return stop
