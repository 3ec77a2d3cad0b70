"""Clocks that are set, and a host that slept: what the worker makes of a stream in which time leaps."""

from __future__ import annotations

from bpf.events import Header
from enrich import losses
from enrich.item import Item
from enrich.losses import Trouble
from enrich.steps.host import Host
from shipper.wire.records import AgentStart, Clock, End, Tick
from tests.unit.stream import SECOND, UNIX, Stream, container, end, exec_, fork

HOUR = 3600 * SECOND


def test_sleep() -> None:
    """A host that slept an hour: nothing is lost or told twice, and the container and its processes are the same."""
    stream = Stream()
    stream.feed(*container(), fork(7, 1), exec_(7, 1, b"/bin/a"), Tick())
    assert stream.wait(HOUR) == []
    (program,) = stream.feed(exec_(8, 1, b"/bin/b"))
    assert program["cgtrail"]["attribution"] == "exact"
    assert [d["event"]["action"] for d in stream.documents] == ["exec", "exec"]
    stream.feed(Clock())
    (ended,) = stream.feed(end(7, 1))
    assert ended["process"]["entity_id"] == stream.documents[0]["process"]["entity_id"]


def test_blind_across_a_clock_that_was_set_back() -> None:
    """A time without an agent that seems to end before it began has no beginning: it is not known."""
    host, item = Host(offset=UNIX), Item(Header(), "", 0, 0, time=UNIX)
    later = losses.blind(host, Item(AgentStart(end=End.KILLED, blind_since=UNIX + HOUR), "", 0, 0, time=UNIX))
    assert later is not None
    assert "start" not in later["event"]
    assert later["cgtrail"]["loss"]["cause"] == Trouble.AGENT_KILLED
    before = losses.document(host, "id", item.time, 0, Trouble.AGENT_KILLED, UNIX - HOUR)
    assert before["event"]["start"] < before["event"]["end"]
