"""A worker that is killed in mid-line, in memory at any record and as a process: the same commands, the same ids."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from bpf.events import Terminal
from enrich.enricher import Enricher
from shipper.wire.frame import Frame, wrap
from tests.faults.conftest import Effort
from tests.faults.kept import Documents, assert_documents, assert_same, kept
from tests.faults.processes import CGTRAIL, EAGER, processes
from tests.faults.test_kill import kill_somewhere
from tests.faults.typed import HIDDEN, Typed, in_mid_line, recording, records
from tests.kernel.dockerd import Dockerd

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

COMMITS, SNAPSHOTS, CRASHES = 0.3, 0.1, 0.15
"""So often behind a frame."""
BATCH = "3"
"""Documents after which the eager worker stores them, commits and keeps a snapshot."""


@pytest.fixture(scope="module")
def typed(docker_daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typed]:
    """A session, recorded once."""
    folder = tmp_path_factory.mktemp("typed")
    yield recording(docker_daemon, folder)
    shutil.rmtree(folder, ignore_errors=True)


def again(enricher: Enricher, body: bytes) -> Enricher:
    """Another worker's, from what one knew."""
    fresh = Enricher(bytes.fromhex(enricher.stream))
    fresh.restore(body)
    return fresh


def undisturbed(frames: Sequence[Frame]) -> Documents:
    """What comes of frames."""
    enricher = Enricher(frames[0].stream)
    return {each.id: each.encode().decode() for frame in frames for each in enricher.take(frame).documents}


def at_every_end(frames: Sequence[Frame]) -> Documents:
    """The same, of a worker that is saved and restored behind each of them."""
    enricher, found = Enricher(frames[0].stream), dict[str, str]()
    for frame in frames:
        found |= {each.id: each.encode().decode() for each in enricher.take(frame).documents}
        enricher = again(enricher, enricher.save())
    return found


def cut(frames: Sequence[Frame], rng: random.Random, share: float) -> Iterator[Frame]:
    """The same records in other frames, that end behind a share of what happened at terminals."""
    number, kept = frames[0].number, list[bytes]()
    for frame in frames:
        told = list(records(frame))
        for at, (record, found) in enumerate(told, 1):
            kept.append(wrap(record))
            if at == len(told) or (isinstance(found, Terminal) and rng.random() < share):
                yield replace(frame, number=number, count=len(kept), payload=b"".join(kept), digest=b"")
                number, kept = number + 1, []


def killed(frames: Sequence[Frame], rng: random.Random) -> tuple[Documents, list[tuple[int, int, int]]]:
    """What workers make that are killed now and then, and where: snapshot, committed and reached."""
    enricher, found, pending = Enricher(frames[0].stream), dict[str, str](), dict[str, str]()
    snapshot, kept, committed, at, crashes = enricher.save(), 0, 0, 0, []
    while at < len(frames):
        told = enricher.take(frames[at], quiet=at < committed)
        at += 1
        if at > committed:
            pending |= {each.id: each.encode().decode() for each in told.documents}
            if rng.random() < COMMITS:
                found, pending, committed = found | pending, {}, at
                if rng.random() < SNAPSHOTS:
                    snapshot, kept = enricher.save(), at
        if rng.random() < CRASHES * (1 - SNAPSHOTS) ** (at - kept):  # else it never comes to the end
            crashes.append((kept, committed, at))
            enricher, pending, at = again(enricher, snapshot), {}, kept
    return found | pending, crashes


def test_recorded(typed: Typed) -> None:
    """What the other tests compare is what was typed, and none of it the password."""
    found = [json.loads(body) for body in typed.wanted.documents.values()]
    commands = [each for each in found if each["event"]["dataset"] == "cgtrail.command"]
    started = [each["cgtrail"]["command"] for each in commands if each["event"]["type"] == ["start"]]
    ended = {each["cgtrail"]["command"]["id"] for each in commands if each["event"]["type"] == ["end"]}
    assert Counter(each["line"] for each in started) == Counter(typed.lines)
    assert {each["id"] for each in started if "continues" not in each} <= ended
    assert HIDDEN not in "".join(typed.wanted.documents.values())
    assert typed.wanted.letters == {}
    assert len(in_mid_line(typed.frames())) > len(typed.lines)


def test_saved_at_every_frame(typed: Typed) -> None:
    """A worker that goes on from a snapshot behind each frame makes the same documents."""
    frames = typed.frames()
    assert_documents(at_every_end(frames), undisturbed(frames), "behind each frame")


def test_saved_between_records(typed: Typed, effort: Effort, rng: random.Random) -> None:
    """The same where a snapshot comes between any two keys."""
    frames = list(cut(typed.frames(), rng, 1.0 if effort.long else 0.2))
    assert_documents(at_every_end(frames), undisturbed(frames), f"{len(frames)} frames")


def test_killed_anywhere(typed: Typed, effort: Effort, rng: random.Random) -> None:
    """Workers that die anywhere behind what they have committed, which is anywhere behind their snapshot."""
    frames = list(cut(typed.frames(), rng, 0.1))
    wanted = undisturbed(frames)
    for _ in range(effort.moments):
        found, crashes = killed(frames, rng)
        assert crashes
        assert_documents(found, wanted, f"snapshot, committed, reached: {crashes}")


@pytest.mark.parametrize("module", [EAGER, CGTRAIL])
def test_killed_in_mid_line(
    typed: Typed, effort: Effort, rng: random.Random, tmp_path_factory: pytest.TempPathFactory, module: str
) -> None:
    """The worker's process is killed in the middle of lines, and started again."""
    places = sorted(rng.choices(in_mid_line(typed.frames()), k=effort.moments))
    with processes(typed.copy(tmp_path_factory.mktemp("killed")), module) as running:
        kills = [kill_somewhere(running, running.worker(FAULTS_BATCH=BATCH), place, rng) for place in places]
        running.finish()
        assert_same(kept(running.data), typed.wanted, f"killed at {kills}")
