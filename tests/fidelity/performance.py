"""All scripts through the whole of cgtrail: typed by several people at once, told by one `cgtrail up`, and compared."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fidelity import servers
from tests.fidelity.elsewhere import elsewhere
from tests.fidelity.held import Score, hold, story
from tests.fidelity.history import differs
from tests.fidelity.person import Script
from tests.fidelity.stage import Played, build, play_all, prepare, stage
from tests.kernel.dockerd import Container, Dockerd, dockerd
from tests.kernel.spine import Spine, spine

Document = dict[str, Any]
BOXES = 4
"""Containers of one script each at the same time."""


@dataclass
class Result:
    """What became of one script."""

    played: Played
    score: Score
    history: str
    """What the program's history says otherwise."""
    leaks: list[str] = field(default_factory=list)
    """Where a secret of it was found."""

    @property
    def faults(self) -> list[str]:
        """All that is wrong, in words; empty where the script was told as it was."""
        said = [f"it was not typed to its end:\n{self.played.failure}"] if self.played.failure else []
        doubts = [*([self.history] if self.history else []), *self.played.doubts]
        return [*said, *doubts, *self.score.wrong, *self.leaks]


def perform(scripts: Sequence[Script], folder: Path) -> dict[Script, Result]:
    """Type every script, and read what was told of it."""
    shared, data = folder / "home", folder / "data"
    _homes(shared)
    every = [prepare(script, f"{number:03}", shared) for number, script in enumerate(scripts)]
    with ExitStack() as opened:
        daemon = opened.enter_context(dockerd())
        keys = folder / "keys"
        keys.mkdir()
        build(daemon, keys)
        opened.enter_context(elsewhere(shared, keys))
        running = opened.enter_context(spine(daemon, data))
        _type(daemon, shared, every, running)
        running.settle()
        documents = running.search("*")
    results = [_result(played, documents) for played in every]
    _search(results, data, documents)
    return {result.played.script: result for result in results}


def _homes(shared: Path) -> None:
    (shared / "alice").mkdir(parents=True)
    shared.chmod(0o755)
    for name, text in ((".bashrc", "PS1='\\u:\\w\\$ '\nHISTFILE=\n"), (".bash_profile", ". ~/.bashrc\n")):
        (shared / "alice" / name).write_text(text)
    for path in [shared / "alice", *(shared / "alice").iterdir()]:
        os.chown(path, 1000, 1000)


def _type(daemon: Dockerd, shared: Path, every: list[Played], running: Spine) -> None:
    with stage(daemon, shared, "together") as box:
        _seen(running, box)
        servers.start(box, shared, {played.script.program for played in every})
        waiting = [played for played in every if played.script.program in servers.SERVERS]
        play_all(daemon, box, [played for played in every if not played.alone and played not in waiting] + waiting)
        running.settle()

    def alone(played: Played) -> None:
        with stage(daemon, shared, f"alone-{played.number}") as box:
            _seen(running, box)
            play_all(daemon, box, [played])

    with ThreadPoolExecutor(BOXES) as people:
        list(people.map(alone, [played for played in every if played.alone]))


def _seen(running: Spine, box: Container) -> None:
    running.until(f"event.action:started AND container.id:{box.id}", 1)


def _result(played: Played, documents: list[Document]) -> Result:
    return Result(played, hold(played, story(played, documents)), differs(played))


def _search(results: list[Result], data: Path, documents: list[Document]) -> None:
    """Look for every secret in every file and document; in the spool only for those that must not be there."""
    files = {path.relative_to(data): path.read_bytes() for path in data.rglob("*") if path.is_file()}
    files[Path("documents")] = json.dumps(documents, ensure_ascii=False).encode()
    for result in results:
        for secret, raw in result.played.secrets:
            for path, content in files.items():
                if secret in content and not (raw and path.parts[0] == "spool"):
                    result.leaks.append(f"{path} has a secret")
