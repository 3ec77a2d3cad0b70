"""Events, lists and answers of a runtime, in whatever order they come, become news that make sense."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.runtimes import answers, sockets
from shipper.runtimes.news import Lived, Metadata, News
from shipper.runtimes.told import Change, Told
from shipper.wire.records import Life

WEB = Metadata("docker", "web", name="web", image="nginx", labels={"a": "b"}, created=7)
WHOLE = replace(WEB, digest="sha256:1", privileged=True)


def news(told: Told) -> list[News]:
    """All that was told since."""
    said = []
    while not told.news.empty():
        said.append(told.news.get())
    return said


@pytest.fixture
def told() -> Told:
    """One container was made and described."""
    made = Told()
    made.event(Change(WEB, Life.CREATED, 7))
    assert made.asked() == WEB
    made.inspected(WHOLE)
    assert news(made) == [WEB, Lived(WEB.key, Life.CREATED, 7), WHOLE]
    return made


def test_a_list_that_is_older_than_an_event_changes_nothing(told: Told) -> None:
    """What events said while the list was awaited is newer than it."""
    other = replace(WEB, container_id="other")
    told.listing()
    told.event(Change(other, Life.CREATED, 8))
    told.event(Change(WEB, Life.REMOVED, 9))
    news(told)
    assert not told.listed({WEB.key: WEB}, whole=False)
    assert news(told) == []


def test_an_answer_that_is_older_than_an_event_changes_nothing(told: Told) -> None:
    """It was renamed after it was asked for: the next answer counts."""
    told.event(Change(replace(WEB, name="shop"), Life.RENAMED, 8))
    news(told)
    told.inspected(WHOLE)
    assert news(told) == []
    assert told.asked() == replace(WHOLE, name="shop")


def test_what_a_list_can_t_know_stays(told: Told) -> None:
    """It knows no digest, and of an image whose tag has moved only the id; names and labels it knows."""
    told.listing()
    listed = replace(WEB, name="shop", image="sha256:1", created=0, labels={})
    assert not told.listed({WEB.key: listed}, whole=False)
    assert news(told) == [replace(WHOLE, name="shop", labels={})]
    assert told.asked() is None


def test_a_whole_list_is_the_last_word(told: Told) -> None:
    """Where it has all there is."""
    told.listing()
    told.listed({WEB.key: WEB}, whole=True)
    assert news(told) == [WEB]


def test_the_newest_is_asked_for_first() -> None:
    """It will start soon; each once."""
    told = Told()
    listed = [replace(WEB, container_id=str(number)) for number in range(3)]
    told.listed({each.key: each for each in listed}, whole=False)
    for number in (7, 8, 7):
        told.event(Change(replace(WEB, container_id=str(number)), Life.CREATED, 0))
    asked = []
    while (each := told.asked()) is not None:
        asked.append(each.container_id)
    assert asked[:2] == ["7", "8"]


def test_an_event_of_what_was_never_told_tells_nothing() -> None:
    """Its removal, and that something about it changed; a new name says enough to tell of it."""
    told = Told()
    told.event(Change(WEB, Life.REMOVED, 1))
    told.event(Change(WEB))
    assert news(told) == []
    told.event(Change(WEB, Life.RENAMED, 1))
    assert news(told) == [WEB, Lived(WEB.key, Life.RENAMED, 1)]


METADATA = st.builds(Metadata, st.just("docker"), st.sampled_from("abc"), name=st.sampled_from("xyz"))
LISTS = st.lists(METADATA).map(lambda found: {each.key: each for each in found})
STEPS = st.lists(
    st.one_of(
        st.builds(Change, METADATA, st.sampled_from([*Life, None]), st.integers(1, 9)),
        st.just("listing"),
        st.just("ask"),
        LISTS,
        METADATA,
    )
)


@given(STEPS, st.booleans())
def test_news_make_sense(steps: list[Change | Metadata | dict[str, Metadata] | str], whole: bool) -> None:
    """Metadata stands before what a container lives, nothing is told twice, nothing after a removal but a new life."""
    told = Told()
    for step in steps:
        match step:
            case Change():
                told.event(step)
            case Metadata():
                told.inspected(step)
            case dict():
                told.listed(step, whole=whole)
            case "ask":
                told.asked()
            case _:
                told.listing()
    known: dict[str, Metadata] = {}
    for each in news(told):
        match each:
            case Metadata():
                assert known.get(each.key) != each
                known[each.key] = each
            case Lived(key, life):
                assert key in known
                if life is Life.REMOVED:
                    del known[key]
    assert known == told._known
    assert told._whole <= known.keys()
    assert told._open.keys() <= known.keys()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/var/run/docker.sock", True),
        ("/run/docker.sock", True),
        ("/run", True),
        ("/run/", True),
        ("/var/run/../../run/./podman", True),
        ("/", True),
        ("/srv/engine.sock", True),  # configured
        ("/run/user/1000/docker.sock", True),
        ("/run/dock", False),
        ("/home", False),
        ("", False),
        (None, False),
        ("\0\udcff", False),
    ],
)
def test_which_mounts_give_a_runtime_away(source: object, expected: bool) -> None:
    """Its socket, wherever it is, and every folder that holds one."""
    assert sockets.mounted([source], ["/srv/engine.sock", ""]) is expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("2026-11-22T16:00:00.123456789Z", 1795363200123456789),
        ("2026-11-22T16:00:00Z", 1795363200000000000),
        ("2026-11-22T18:00:00.5+02:00", 1795363200500000000),
        ("2026-11-22T16:00:00.1234567891234Z", 1795363200123456789),
        (1795363200, 1795363200000000000),
        ("0001-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59Z", 0),
        ("soon", 0),
        (-1, 0),
        (1e300, 0),
        (float("nan"), 0),
        (None, 0),
        ([], 0),
    ],
)
def test_times(told: object, expected: int) -> None:
    """As Docker and Podman write them; what is none, or fits no record, is not told."""
    assert answers.nanoseconds(told) == expected


@given(st.text() | st.floats() | st.integers())
def test_any_time_is_read(told: object) -> None:
    """Nothing raises."""
    assert 0 <= answers.nanoseconds(told) < 1 << 63
