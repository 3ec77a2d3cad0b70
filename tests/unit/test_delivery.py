"""Documents on their way: what is committed is stored, and what an earlier owner may have stored is sent as such."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich import delivery
from enrich.delivery import Delivery
from enrich.document import Document
from enrich.history import ReplayError
from enrich.partition import Partition
from enrich.replay import send
from enrich.sinks import DUPLICATE, LEFT_OUT, OK, Outcome, Status
from enrich.sinks.memory import MemorySink
from tests.unit import logged

ROOM = 10
"""Documents in one write, here."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BATCH", ROOM)


def documents(numbers: range) -> list[Document]:
    """Made anew, as whoever begins does."""
    return [Document(f"d{number}", number, "process", {}) for number in numbers]


class Unsure(MemorySink):
    """A store that takes some documents only, and notes what was said to it of each that it had."""

    def __init__(self, seed: int = 0, refuses: float = 0.0) -> None:
        super().__init__()
        self._chance, self.refuses = random.Random(seed), refuses  # noqa: S311  no secret
        self.unheard: list[str] = []
        """Sent as new, and stored before."""
        self.sure: list[str] = []
        """Sent as new."""

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """As often as it is told, one is to come again."""
        assert len(batch) <= ROOM
        self.sure += [each.id for each in batch if not each.again]
        self.unheard += [each.id for each in batch if not each.again and each.id in self.documents]
        return [
            Outcome(Status.RETRY, "full")
            if self._chance.random() < self.refuses
            else super(Unsure, self).write([each])[0]
            for each in batch
        ]


def partition(made: Delivery) -> Partition:
    """One that has just come."""
    own = logged.partition()
    made.begin(own)
    return own


def land(made: Delivery, *partitions: Partition) -> bool:
    """One write and its answer; False when there was nothing to write."""
    if not made.start(partitions):
        return False
    assert made.arrives(60)
    return True


def test_doubtful_until_more_than_a_write_was_new() -> None:
    """One more than a write holds has to be new; what follows is sent as new, until one turns out to be none."""
    sink = Unsure()
    made = Delivery(sink, Counter())
    own = partition(made)
    own.made.documents += documents(range(35))
    while land(made, own):
        pass
    assert sink.sure == [f"d{number}" for number in range(20, 35)]
    sink.sure.clear()
    sink.documents["d35"] = documents(range(35, 36))[0]  # somebody else's
    for first in (35, 36, 46, 56):
        own.made.documents += documents(range(first, first + (1 if first == 35 else ROOM)))
        assert land(made, own)
    assert sink.sure == ["d35", *(f"d{number}" for number in range(56, 66))]


def test_what_is_left_out_is_no_news() -> None:
    """A document that the sink does not store says nothing of those that it does."""

    class Some(Unsure):
        """Stores every other one."""

        def write(self, batch: Sequence[Document]) -> list[Outcome]:
            """The others have their end nevertheless."""
            return [LEFT_OUT if each.time % 2 else super(Some, self).write([each])[0] for each in batch]

    sink = Some()
    made = Delivery(sink, Counter())
    own = partition(made)
    own.made.documents += documents(range(70))
    while land(made, own):
        pass
    assert sink.sure == [f"d{number}" for number in range(30, 70, 2)]


@pytest.mark.parametrize("comes", ["anew", "cut"])
def test_doubt_begins_again(comes: str) -> None:
    """With a partition that comes back, and with a log that lost its end."""
    sink = Unsure()
    made = Delivery(sink, Counter())
    own = partition(made)
    own.made.documents += documents(range(30))
    while land(made, own):
        pass
    if comes == "anew":
        made.forget(own)
        own = partition(made)
    else:
        own.rewind(0, 0)
        made.begin(own)
    own.made.documents += documents(range(30, 60))
    sink.sure.clear()
    while land(made, own):
        pass
    assert sink.sure == [f"d{number}" for number in range(50, 60)]


def test_the_worst_death() -> None:
    """Of its last write the store had only the last document: however the next owner's are cut, it knows better."""
    for each in range(1, ROOM):
        sink = Unsure()
        sink.documents[f"d{ROOM - 1}"] = documents(range(ROOM))[-1]
        made = Delivery(sink, Counter())
        own = partition(made)
        told = documents(range(3 * ROOM))
        while told or own.made.documents:
            own.made.documents += told[:each]
            del told[:each]
            land(made, own)
        assert not sink.unheard
        assert sink.sure


@given(st.data())
def test_nothing_stored_is_sent_as_new(data: st.DataObject) -> None:
    """However often owners die, and whatever the store had not taken then: none of the next ones is wrong."""
    sink = Unsure(data.draw(st.integers(0, 1 << 32), "seed"))
    for _ in range(data.draw(st.integers(1, 4), "owners")):
        sink.refuses = data.draw(st.sampled_from([0.0, 0.3, 0.9]), "refuses")
        made = Delivery(sink, Counter())
        several = {partition(made): documents(range(number, number + 80)) for number in (0, 1000)}
        for _ in range(data.draw(st.integers(0, 20), "writes")):
            for own in data.draw(st.permutations(list(several)), "order"):
                came = data.draw(st.integers(0, 7), "made")
                own.made.documents += several[own][:came]
                del several[own][:came]
            land(made, *several)
    assert not sink.unheard


def test_what_is_refused_goes_before_all_else() -> None:
    """A write is tried again until it is all stored; so no more than one is ever sent and not stored."""
    sink = Unsure(refuses=1.0)
    made = Delivery(sink, Counter())
    own = partition(made)
    own.made.documents += documents(range(25))
    for _ in range(3):
        land(made, own)
        assert (made.refused, made.waiting, len(own.made.documents)) == ("full", 25, 15)
    sink.refuses = 0.0
    land(made, own)
    assert (made.refused, made.waiting, [*sink.documents]) == ("", 15, [f"d{number}" for number in range(10)])


def test_only_what_is_stored_is_told(tmp_path: Path) -> None:
    """The place before which all is stored lies before the first piece whose documents are not."""
    log = logged.merged(logged.Agent(tmp_path, b"1" * 16).programs(2, 40).taken())
    sink = Unsure(seed=1, refuses=0.4)
    made = Delivery(sink, Counter())
    own, alone, needs = partition(made), logged.partition(), []
    for piece in log:
        made.mark(own)
        own.take(piece)
        needs.append([each.id for each in logged.take(alone, [piece]).made.documents])
        alone.made.documents.clear()
        land(made, own)
        place = made.stored(own)
        assert all(name in sink.documents for names in needs[:place] for name in names)
    sink.refuses = 0.0
    while land(made, own):
        pass
    assert made.stored(own) == len(log)
    assert len(sink.documents) >= 40


def test_a_partition_that_went_holds_up_nothing() -> None:
    """What the store had not taken of it is dropped: its next owner makes it again. Others' documents go on."""
    sink = Unsure(refuses=1.0)
    made = Delivery(sink, Counter())
    gone, stays = partition(made), partition(made)
    gone.made.documents += documents(range(4))
    stays.made.documents += documents(range(4, 8))
    land(made, gone, stays)
    made.forget(gone)
    sink.refuses = 0.0
    land(made, stays)
    assert [*sink.documents] == ["d4", "d5", "d6", "d7"]
    assert made.clear(stays)


def test_what_is_sent_once_more_is_sent_as_such() -> None:
    """Replays and dead letters tried again may be stored already, however long ago."""
    sink = Unsure(seed=3, refuses=0.5)
    known, new = documents(range(2))
    sink.documents[known.id] = known
    told = documents(range(2))

    class Now(threading.Event):
        """Does not wait."""

        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  no test waits for a clock
            """No time passes."""
            return False

    assert send(sink, told, Now()) == [DUPLICATE, OK]
    assert (sink.unheard, sink.sure) == ([], [])
    sink.refuses = 1.0
    with pytest.raises(ReplayError):
        send(sink, documents(range(2, 4)), Now())
    assert not sink.sure
    assert new.id in sink.documents
