"""Documents about what is not known: "no alert" and "blind" must look different."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from bpf.enums import Cause
from bpf.schema import RECORDS
from enrich import render
from enrich.item import Item
from enrich.steps.host import Host
from shipper.wire.frame import Frame
from shipper.wire.reader import Gap, GapCause
from shipper.wire.records import AgentStart, End, Loss

ECS = {"version": "9.4.0"}
"""The Elastic Common Schema that documents follow."""


COUNTED = "loss."
"""What counts of documents about losses are named with, before the cause."""


class Trouble(StrEnum):
    """Why records that stand in the stream, or should, made no document; beside `Cause` and `GapCause`."""

    AGENT_STOPPED = "agent_stopped"
    """The agent had been stopped: nothing was recorded."""
    AGENT_KILLED = "agent_killed"
    """The agent or its host had been killed, or lost power: nothing was recorded, and the ring's content is gone."""
    NOT_UNDERSTOOD = "not_understood"
    """A record's bytes are not what its type declares; it is among the dead letters."""
    FAILED = "failed"
    """A step of the worker failed on the record; it is among the dead letters."""
    DEADLY = "deadly"
    """The worker died three times of the record; it is among the dead letters."""
    NOT_DELIVERED = "not_delivered"
    """The kernel had numbered the records, and they came neither with the stream nor as a counted loss."""
    FRAME_FORKED = "frame_forked"
    """A frame came whose number another frame of its stream has: two agents write one stream; it is a dead letter."""
    HOST_CLAIMED = "host_claimed"
    """Frames were refused, because another agent with the same host id speaks for the host."""


def causes() -> list[str]:
    """Every value that cgtrail.loss.cause can have."""
    return [*(cause.name.lower() for cause in Cause), *GapCause, *Trouble]


def counter(source: dict[str, Any]) -> str:
    """The name under which a document about a loss is counted."""
    return f"{COUNTED}{source['cgtrail']['loss']['cause']}"


def counted(host: Host, item: Item) -> dict[str, Any]:
    """Records that were counted where they were dropped, in the kernel or in the agent."""
    record = item.record
    assert isinstance(record, Loss)
    known = record.cause in Cause.__members__.values()
    cause = Cause(record.cause).name.lower() if known else str(record.cause)
    told: dict[str, Any] = {"record": _name(record.record_type)}
    if record.count:  # 0: how many is not known
        told["count"] = record.count
    source = document(host, item.id, item.time, item.sequence, cause, host.unix(record.since), **told)
    source["cgtrail"]["cgroup"] = {"id": record.cgroup_id}
    return source


def blind(host: Host, item: Item) -> dict[str, Any] | None:
    """The time before an agent began in which there was none; None when there was nothing before it."""
    record = item.record
    assert isinstance(record, AgentStart)
    if record.end == End.NONE:
        return None
    cause = Trouble.AGENT_STOPPED if record.end == End.STOPPED else Trouble.AGENT_KILLED
    return document(host, item.id, item.time, item.sequence, cause, record.blind_since)


def failed(host: Host, item: Item, trouble: Trouble, number: int) -> dict[str, Any]:
    """One record that stands in the stream and made no document; `number` is its type."""
    return document(
        host, f"{item.id}-lost", item.time, item.sequence, trouble, item.time, count=1, record=_name(number)
    )


def beyond(host: Host, stream: str, frame: Frame, trouble: Trouble, count: int) -> dict[str, Any]:
    """Further records of a frame in which many made no documents."""
    identity = f"{stream}-{frame.number}-{trouble}"
    return document(host, identity, frame.time, frame.number << 20, trouble, frame.time, count=count)


def missing(host: Host, stream: str, gap: Gap, since: int, until: int) -> dict[str, Any]:
    """Frames that can't be read; how many records they held shows when the kernel's next numbers come."""
    return document(
        host, f"{stream}-{gap.number}-gap", until, gap.number << 20, gap.cause, since, frames=gap.end - gap.number
    )


def forked(host: Host, frame: Frame) -> dict[str, Any]:
    """A frame whose number another frame of its stream has."""
    identity, time = f"{frame.stream.hex()}-{frame.number}-forked", frame.time
    return document(host, identity, time, frame.number << 20, Trouble.FRAME_FORKED, time, frames=1)


def claimed(host: Host, stream: str, number: int, since: int, until: int, frames: int) -> dict[str, Any]:
    """Frames of a stream, up to this number, that were refused: another one speaks for the host."""
    identity = f"{stream}-{number}-claimed"
    return document(host, identity, until, number << 20, Trouble.HOST_CLAIMED, since, frames=frames)


def document(
    host: Host, identity: str, time: int, sequence: int, cause: str, since: int, **told: Any
) -> dict[str, Any]:
    """A loss between two times in ns since 1970, the second being its own.

    `since` 0 is not known, and neither is one behind `time`: the clock was set back in between.
    """
    end = render.timestamp(time)
    event = {
        "id": identity,
        "kind": "event",
        "category": ["process"],
        "type": ["info"],
        "action": "loss",
        "module": "cgtrail",
        "dataset": "cgtrail.loss",
        "sequence": sequence,
        "end": end,
    }
    if 0 < since <= time:
        event["start"] = render.timestamp(since)
    return {
        "@timestamp": end,
        "ecs": ECS,
        "host": host.fields,
        "event": event,
        "cgtrail": {"loss": {"cause": str(cause)} | told},
    }


def _name(number: int) -> str:
    lost = RECORDS.get(number)
    return lost.__name__ if lost else str(number)
