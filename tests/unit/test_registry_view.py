"""Documents name the container that an event's cgroup was at that moment, and say how sure that is."""

from __future__ import annotations

import pytest

from enrich.containers import MAX_LABEL
from enrich.steps.registry import MEMORY_NS, RegistryView
from shipper.wire.records import Clock, HostInfo, KeyframeBegin, KeyframeEnd, State, Tick
from tests.unit.stream import BOX, SECOND, Stream, container, end, exec_, host_cgroup, removed


def test_exact() -> None:
    """An event behind its registry record in the stream is attributed exactly."""
    document = Stream().feed(*container(labels=b'{"a.b": "c"}'), exec_(2, 1, b"/bin/ls"))[0]
    assert document["cgtrail"]["attribution"] == "exact"
    assert document["container"] == {
        "id": "c" * 64,
        "name": "lab",
        "runtime": "docker",
        "image": {"name": "debian", "tag": ["12"]},
        "labels": {"a.b": "c"},
    }


@pytest.mark.parametrize("labels", [b"{", b"[1]", b'{"a": 1}', b'{"a": "\\ud800"}', b"\xff", b"[" * 100_000])
def test_labels_that_are_none(labels: bytes) -> None:
    """Labels that can't be read show as they came, as far as an index takes them; the container is named."""
    shown = Stream().feed(*container(labels=labels), exec_(2, 1, b"/bin/ls"))[0]["container"]
    assert shown["name"] == "lab"
    told = labels.decode(errors="backslashreplace")
    assert shown["labels"] == {"unreadable": told if len(told) <= MAX_LABEL else f"{told[: MAX_LABEL // 2]}…"}


@pytest.mark.parametrize("step", [3600 * SECOND, -3600 * SECOND], ids=["ahead", "back"])
def test_a_clock_that_is_set(step: int) -> None:
    """Neither who waits nor whose a record is hangs on the wall clock: boot time alone decides."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING))
    assert stream.feed(exec_(2, 1, b"/bin/ls")) == []
    stream.unix += step
    assert stream.feed(Clock(), Tick()) == []
    (late,) = stream.feed(*container())
    assert (late["cgtrail"]["attribution"], late["container"]["name"]) == ("late", "lab")
    exact = stream.one(exec_(3, 1, b"/bin/ls"))
    assert exact["cgtrail"]["attribution"] == "exact"
    assert (exact["@timestamp"] > late["@timestamp"]) == (step > 0)
    stream.feed(removed())
    stream.unix -= step
    assert stream.one(Clock(), exec_(4, 1, b"/bin/ls"))["cgtrail"]["attribution"] == "stale"


def test_late() -> None:
    """A document waits for the metadata that is on its way, and says that it came late."""
    stream = Stream()
    assert stream.feed(*container(state=State.PENDING), exec_(2, 1, b"/bin/ls")) == []
    document = stream.one(*container())
    assert (document["cgtrail"]["attribution"], document["container"]["name"]) == ("late", "lab")
    assert document["event"]["id"].endswith("-4")


def test_unknown() -> None:
    """After one second of stream time a document leaves with what is known, and nothing is guessed."""
    stream = Stream()
    assert stream.feed(*container(state=State.PENDING), exec_(2, 1, b"/bin/ls")) == []
    assert stream.wait(SECOND // 2) == []
    (document,) = stream.wait(SECOND)
    assert document["cgtrail"]["attribution"] == "unknown"
    assert document["container"] == {"id": "c" * 64, "runtime": "docker"}


def test_patience_is_once() -> None:
    """Once a container's second has passed, its later documents do not wait again."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING))
    stream.wait(2 * SECOND)
    document = stream.one(exec_(2, 1, b"/bin/ls"))
    assert document["cgtrail"]["attribution"] == "unknown"


def test_never_told() -> None:
    """An event of a cgroup that nobody told of is stored without a container."""
    stream = Stream()
    assert stream.feed(exec_(2, 1, b"/bin/ls")) == []
    (document,) = stream.wait(2 * SECOND)
    assert document["cgtrail"]["attribution"] == "unknown"
    assert "container" not in document


def test_others_do_not_wait() -> None:
    """One container's missing metadata holds nobody else's documents."""
    stream = Stream()
    held = stream.feed(*container(5, state=State.PENDING), exec_(2, 1, b"/bin/a", cgroup_id=5))
    free = stream.feed(*container(6, name=b"six"), exec_(3, 1, b"/bin/b", cgroup_id=6))
    assert (held, [d["container"]["name"] for d in free]) == ([], ["six"])


def test_stale() -> None:
    """An event behind its cgroup's removal still names the container, as stale."""
    stream = Stream()
    stream.feed(*container(), exec_(2, 1, b"/bin/ls"), removed())
    document = stream.one(end(2, 1))
    assert (document["cgtrail"]["attribution"], document["container"]["name"]) == ("stale", "lab")


def test_another_life() -> None:
    """A cgroup id that comes again is another epoch: nothing of the old container sticks to it."""
    stream = Stream()
    old = stream.feed(*container(), exec_(2, 1, b"/bin/ls"))[0]
    new = stream.feed(removed(), *container(container_id=b"d" * 64, name=b"new", image=b""), exec_(3, 1, b"/bin/ls"))[0]
    assert (old["container"]["name"], new["container"]) == (
        "lab",
        {"id": "d" * 64, "name": "new", "runtime": "docker"},
    )


def test_the_same_number_in_another_boot() -> None:
    """After a reboot a cgroup id is another container's: neither documents nor epochs of the two are one's."""
    shown = []
    for boot, name in (
        (b"f2dd6bbf-8c30-46ce-a8dc-b398c7317e6e", b"old"),
        (b"0d3c5a31-5a2f-4c6e-9be0-6a8e19f0c1d2", b"new"),
    ):
        stream = Stream()
        stream.feed(HostInfo(host_name=b"node", boot_id=boot))
        document = stream.feed(*container(name=name), exec_(2, 1, b"/bin/ls"))[0]
        shown.append((document["container"]["name"], document["cgtrail"]["epoch"], document["process"]["entity_id"]))
    (_, old_epoch, old_process), (name, new_epoch, new_process) = shown
    assert (name, old_epoch.endswith(f":{BOX}"), new_epoch.endswith(f":{BOX}")) == ("new", True, True)
    assert old_epoch != new_epoch
    assert old_process != new_process


def test_held_across_removal() -> None:
    """A document that waited when its cgroup went and the id came again is not given the newcomer's name."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING), exec_(2, 1, b"/bin/ls"), removed())
    assert stream.feed(*container(container_id=b"d" * 64, name=b"new")) == []
    (document,) = stream.wait(2 * SECOND)
    assert document["container"] == {"id": "c" * 64, "runtime": "docker"}


def test_told_after_removal() -> None:
    """A document that waited when its cgroup went gets the name that is told of this same life of it."""
    stream = Stream()
    stream.feed(*container(state=State.PENDING, started=5), exec_(2, 1, b"/bin/ls"), removed())
    (document,) = stream.feed(*container(name=b"short", started=5))
    assert (document["container"]["name"], document["cgtrail"]["attribution"]) == ("short", "late")
    assert stream.one(end(2, 1))["cgtrail"]["attribution"] == "stale"


def test_removed_is_forgotten() -> None:
    """Of a cgroup that was removed nothing is left after ten seconds, also where it was told of afterwards."""
    stream = Stream()
    (view,) = (step for step in stream.steps if isinstance(step, RegistryView))
    stream.feed(*container(started=5), removed(), *container(started=5))
    assert view.known(BOX) is not None
    stream.wait(MEMORY_NS)
    assert view.known(BOX) is None


def test_host_is_dropped() -> None:
    """What was recorded of a cgroup before its name was looked at is dropped when it turns out to be the host's."""
    stream = Stream()
    assert stream.feed(exec_(2, 1, b"/bin/ls"), host_cgroup()) == []
    assert stream.wait(2 * SECOND) == []
    assert stream.feed(exec_(3, 1, b"/bin/ls")) == []


def test_host_is_kept() -> None:
    """With the host recorded too, its documents are exact and name no container."""
    document = Stream(capture_host=True).one(host_cgroup(), exec_(2, 1, b"/bin/ls"))
    assert document["cgtrail"]["attribution"] == "exact"
    assert "container" not in document


def test_keyframe_ends_absent() -> None:
    """A cgroup that a keyframe does not name has ended."""
    stream = Stream()
    stream.feed(
        *container(), *container(78, name=b"other"), KeyframeBegin(), *container(78, name=b"other"), KeyframeEnd()
    )
    assert stream.one(exec_(2, 1, b"/bin/a", cgroup_id=78))["container"]["name"] == "other"
    assert stream.feed(exec_(3, 1, b"/bin/b", cgroup_id=BOX)) == []
    assert "container" not in stream.wait(2 * SECOND)[0]


def test_renamed() -> None:
    """A new name counts from its place in the stream on."""
    stream = Stream()
    first = stream.feed(*container(), exec_(2, 1, b"/bin/ls"))[0]
    second = stream.feed(*container(name=b"renamed"), exec_(3, 1, b"/bin/ls"))[0]
    assert (first["container"]["name"], second["container"]["name"]) == ("lab", "renamed")


def test_a_time_ahead_holds_nothing_back() -> None:
    """An end that claims a time to come is forgotten at once, and what ended behind it in its time."""
    stream = Stream()
    stream.feed(*container(70), *container(71))
    before, stream.now = stream.now, 2**64 - SECOND
    stream.feed(removed(70))
    stream.now = before
    stream.feed(removed(71))
    stream.wait(11 * SECOND)
    (view,) = (step for step in stream.steps if isinstance(step, RegistryView))
    assert [view.known(70), view.known(71)] == [None, None]
