"""Metrics and readiness of agent, publisher and worker: what `cgtrail.serving` serves."""

from cgtrail.metrics.agent import AGENT
from cgtrail.metrics.declare import Half, Metric
from cgtrail.metrics.publisher import PUBLISHER
from cgtrail.metrics.worker import WORKER

__all__ = ["AGENT", "PUBLISHER", "WORKER", "Half", "Metric"]
