"""What cgtrail told of a script, held against what is true of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from tests.fidelity.person import Line
from tests.fidelity.programs import PROGRAMS
from tests.fidelity.stage import Played

Document = dict[str, Any]
STARTED = "command_started"


@dataclass
class Score:
    """How well a script was told. Known misses are in `missed` alone."""

    typed: int = 0
    lines: int = 0
    cwd: int = 0
    user: int = 0
    commands: int = 0
    """Lines that are commands of their own, no further lines: it is these that start programs."""
    execs: int = 0
    """Commands whose programs are all told, and no others."""
    invented: int = 0
    missed: list[str] = field(default_factory=list)
    """Lines that are known not to be told right, with the reason."""
    wrong: list[str] = field(default_factory=list)
    """What is wrong, in words."""


@dataclass
class Story:
    """The documents of one script."""

    told: list[Document]
    """Starts of commands, in order."""
    programs: dict[str, Counter[str]]
    """cgtrail.command.id → the programs that it started."""
    ended: dict[str, Document]
    mirrored: list[str]
    """Lines that clients showed which arrived at another program, in order; of mirrored scripts only."""


def story(played: Played, documents: list[Document]) -> Story:
    """What was told of one script: of its first program's terminal, and of those that were made from there."""
    own = [each for each in documents if _of(each, "container", "id") == played.box]
    begun = next((each for each in own if _begins(each, played.cwd)), None)
    if begun is not None and not played.alone:
        entity = _of(begun, "process", "entity_id")
        own = [each for each in own if _of(each, "process", "entry_leader", "entity_id") == entity]
    own.sort(key=lambda each: each["event"]["sequence"])
    programs: dict[str, Counter[str]] = {}
    for each in own:
        number = _of(each, "cgtrail", "command", "id")
        if number and _of(each, "event", "action") == "exec" and _of(each, "event", "outcome") == "success":
            programs.setdefault(number, Counter())[_of(each, "process", "name")] += 1
    ended = {_id(each): each for each in own if _of(each, "event", "action") == "command_ended"}
    told = [each for each in own if _of(each, "event", "action") == STARTED]
    typed = PROGRAMS[played.script.program].own or "$^"
    told = [each for each in told if not re.match(typed, _text(each))]
    mirrored = [each for each in told if played.script.mirrored and "remote" in each["cgtrail"]["command"]["reasons"]]
    return Story([each for each in told if each not in mirrored], programs, ended, [_text(each) for each in mirrored])


def _begins(document: Document, cwd: str) -> bool:
    return (_of(document, "event", "action"), _of(document, "process", "working_directory")) == ("exec", cwd)


def _of(document: Document, *path: str) -> Any:
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _id(document: Document) -> str:
    return str(_of(document, "cgtrail", "command", "id"))


def hold(played: Played, told: Story) -> Score:
    """Compare line by line."""
    score = Score(typed=len([line for line in played.truth if not line.miss]))
    first: Document | None = None
    group: list[tuple[Line, Document | None]] = []
    for line, document in _pairs(played.truth, told.told):
        if line is None:
            score.invented += 1
            score.wrong.append(f"invented: {_text(document)!r}")
            continue
        if not line.continues:
            _started(score, group, told)
            first, group = document, []
        group.append((line, document))
        _line(score, line, document, first)
    _started(score, group, told)
    if played.script.mirrored:
        through = [line.text for line, depth in zip(played.truth, played.depths, strict=True) if depth]
        if told.mirrored != through:
            score.wrong.append(f"the client tells {told.mirrored}, not {through}")
    for document in told.told:
        if _id(document) not in told.ended:
            score.wrong.append(f"no end of {_text(document)!r}")
    return score


def _pairs(truth: list[Line], told: list[Document]) -> Iterator[tuple[Line | None, Document | None]]:
    texts = [_text(each) for each in told]
    matcher = SequenceMatcher(None, [line.text.rstrip() for line in truth], texts, autojunk=False)
    for _, a, b, c, d in matcher.get_opcodes():
        both = min(b - a, d - c)
        yield from zip(truth[a : a + both], told[c : c + both], strict=True)
        yield from ((line, None) for line in truth[a + both : b])
        yield from ((None, each) for each in told[c + both : d])


def _text(document: Document | None) -> str:
    """Blanks and empty rows at the end are not compared: a screen does not show them."""
    return str(_of(document or {}, "cgtrail", "command", "line")).rstrip()


def _line(score: Score, line: Line, document: Document | None, first: Document | None) -> None:
    faults = list(_faults(line, document, first))
    cwd, user = _of(document or {}, "process", "working_directory"), _of(document or {}, "user", "name")
    if line.miss:
        score.missed.append(f"{line.text!r}: {line.miss}")
        if not faults and cwd == line.cwd and user == line.user:
            score.wrong.append(f"{line.text!r} is told right, and should be missed: {line.miss}")
        return
    score.lines += not faults
    score.cwd += document is not None and cwd == line.cwd
    score.user += document is not None and user == line.user
    score.wrong += faults
    if document is not None and cwd != line.cwd:
        score.wrong.append(f"{line.text!r}: in {cwd!r}, not in {line.cwd!r}")
    if document is not None and user != line.user:
        score.wrong.append(f"{line.text!r}: by {user!r}, not by {line.user!r}")


def _faults(line: Line, document: Document | None, first: Document | None) -> Iterator[str]:
    """What is wrong with the line itself."""
    if document is None:
        yield f"missing: {line.text!r}"
        return
    command = document["cgtrail"]["command"]
    if _text(document) != line.text.rstrip():
        yield f"{line.text!r} is told as {command['line']!r}"
    if command["role"] != line.role:
        yield f"{line.text!r}: {command['role']}, not {line.role}"
    continues = command.get("continues")
    if line.continues and (first is None or continues != _id(first)):
        yield f"{line.text!r} continues {continues!r}, not the line before"
    if not line.continues and continues:
        yield f"{line.text!r} continues nothing"


def _started(score: Score, group: list[tuple[Line, Document | None]], told: Story) -> None:
    """The programs of a command and of its further lines, which belong to it."""
    if not group or any(line.miss for line, _ in group):
        return
    score.commands += 1
    wanted = Counter(name for line, _ in group for name in line.execs)
    found: Counter[str] = Counter()
    for _, document in group:
        if document is not None:
            found += told.programs.get(_id(document), Counter())
    if wanted == found:
        score.execs += 1
        return
    score.wrong.append(f"{group[0][0].text!r} started {_names(found)}, not {_names(wanted)}")


def _names(names: Counter[str]) -> str:
    return " ".join(sorted(names.elements())) or "nothing"
