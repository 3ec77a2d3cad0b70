"""A worker that is killed in mid-line, in memory at any record and as a process: the same commands, the same ids."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpf.events import Terminal
from enrich.enricher import Enricher
from shipper.spool import Spool
from shipper.wire.frame import KEYFRAME, Frame, wrap
from shipper.wire.reader import Gap, GapCause
from tests.faults.conftest import Effort
from tests.faults.kept import Documents, assert_documents, assert_same, kept
from tests.faults.processes import CGTRAIL, EAGER, processes
from tests.faults.storm import Told
from tests.faults.test_kill import kill_somewhere
from tests.faults.typed import HIDDEN, NAME, Typed, recording, records
from tests.faults.writer import append
from tests.kernel.dockerd import Dockerd

pytestmark = [pytest.mark.kernel, pytest.mark.faults]

COMMITS, SNAPSHOTS, CRASHES = 0.3, 0.1, 0.15
"""So often behind a frame."""
IN_PROGRESS = 4
"""Lines at most: each person's in a shell, and in what that has started."""
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


def undisturbed(frames: Sequence[Frame], missing: int = -1) -> Documents:
    """What comes of frames; one of them can be missing."""
    enricher = Enricher(frames[0].stream)
    pieces = [f if f.number != missing else Gap(missing, missing + 1, GapCause.FRAME_DAMAGED) for f in frames]
    return {each.id: each.encode().decode() for piece in pieces for each in enricher.take(piece).documents}


def commands(found: Documents, kind: str) -> list[dict[str, Any]]:
    """What documents say of the starts or the ends of lines in the container."""
    told = (json.loads(body) for body in found.values())
    told = (each for each in told if each["event"]["dataset"] == "cgtrail.command" and kind in each["event"]["type"])
    return [each["cgtrail"]["command"] for each in told if each["container"].get("name") == NAME]


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


def write(spool: Spool, frames: Sequence[Frame]) -> None:
    """Frames as they were, in another spool."""
    for frame in frames:
        append(spool, Told(bool(frame.flags & KEYFRAME), frame.time, tuple(record for record, _ in records(frame))))


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
    found = typed.wanted.documents
    started, ended = commands(found, "start"), {each["id"] for each in commands(found, "end")}
    assert Counter(each["line"] for each in started) == Counter(typed.lines)
    assert {each["id"] for each in started if "continues" not in each} <= ended
    assert HIDDEN not in "".join(found.values())
    assert typed.wanted.letters == {}
    assert len(typed.in_mid_line()) > len(typed.lines)


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


def test_gap(typed: Typed, effort: Effort, rng: random.Random) -> None:
    """Where a frame is missing, lines that were being typed are marked, and those that follow are right."""
    frames = typed.frames()
    for missing in rng.sample(typed.in_mid_line(), effort.moments):
        told = commands(undisturbed(frames, missing), "start")
        sure = Counter(each["line"] for each in told if "gap" not in each["reasons"])
        returns = sum(bool(key.cwd) for key in typed.keys(frames[missing]))
        assert sure <= Counter(typed.lines), f"frame {missing} is missing"
        assert sure.total() >= len(typed.lines) - returns - IN_PROGRESS, f"frame {missing} is missing: {sure}"


@pytest.mark.parametrize("module", [EAGER, CGTRAIL])
def test_killed_in_mid_line(typed: Typed, effort: Effort, rng: random.Random, tmp_path: Path, module: str) -> None:
    """The worker's process is killed when it has taken what there is, a part of a line last, and started again."""
    data, frames, kills = tmp_path / "data", typed.frames(), []
    with Spool(data / "spool", frames[0].host, frames[0].boot) as spool, processes(data, module) as running:
        for place in sorted(rng.sample(typed.in_mid_line(), effort.moments)):
            write(spool, frames[spool.number : place + 1])
            kills.append(kill_somewhere(running, running.worker(FAULTS_BATCH=BATCH), place, rng))
        write(spool, frames[spool.number :])
        running.finish()
        assert_same(kept(running.data), typed.wanted, f"killed at {kills}")
