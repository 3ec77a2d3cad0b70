"""A worker's knowledge of one stream as bytes, and back.

Steps name the attributes that hold what they know (`Step.state`); objects that several of them share stay shared. The
bytes are Python's pickle, read with an allow-list: only the state's own classes can come out of it, whatever is in it
(docs.python.org/3/library/pickle.html#restricting-globals). They are only read with the schema that wrote them.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from importlib.metadata import version
from typing import Any

from bpf.events import Running
from enrich.commands.belonging import Belonging
from enrich.commands.command import Command, Showing, Taker, Typist
from enrich.commands.room import Room
from enrich.containers import Container, Life, Names
from enrich.document import Part
from enrich.item import Entry, Epoch, Identity, Made, Parts, Process, Program, Step
from enrich.lines.grid import Grid
from enrich.lines.picture import Picture
from enrich.lines.program import Edit, Return
from enrich.lines.program import Program as LineProgram
from enrich.lines.syntax import Syntax
from enrich.lines.typed import Moment
from enrich.lines.typing import Typing
from enrich.secrets.scrub import Stream
from enrich.steps.ledger import Account
from enrich.terminals.lives import Lives
from enrich.terminals.passwords import Keys
from enrich.terminals.recording import Draft, Recording
from enrich.terminals.session import Alarm, Line, Session
from shipper.wire.records import CgroupInfo, ContainerInfo

_CLASSES = (
    Account, Alarm, Belonging, CgroupInfo, Command, Container, ContainerInfo, Draft, Edit, Entry, Epoch, Grid, Identity,
    Keys, Life, Line, Lives, Made, Names, Parts, Picture, Process, Program, LineProgram, Recording, Return, Room,
    Running, Session, Showing, Stream, Syntax, Taker, Typing, Typist
)  # fmt: skip
_ALLOWED = {(cls.__module__, cls.__qualname__): cls for cls in (*_CLASSES, Counter, Moment, Part, deque)}


class SnapshotError(ValueError):
    """Bytes that are no snapshot of this schema; the message says what is wrong."""


def schema(steps: Sequence[Step], **settings: Any) -> str:
    """A hash of all that a snapshot's meaning depends on: the version, the state's classes and the settings."""
    told = [_version(), repr(sorted(settings.items()))]
    told += [f"{type(step).__name__}: {step.state}" for step in steps]
    told += [f"{cls.__name__}: {[(f.name, str(f.type)) for f in fields(cls)]}" for cls in _CLASSES]
    return hashlib.blake2b("\n".join(told).encode(), digest_size=16).hexdigest()


@cache
def _version() -> str:
    return version("cgtrail")


def save(steps: Sequence[Step], **own: Any) -> bytes:
    """What the steps know, and some values beside it."""
    known = [{name: getattr(step, name) for name in step.state} for step in steps]
    return pickle.dumps((known, own), protocol=5)


def restore(data: bytes, steps: Sequence[Step]) -> dict[str, Any]:
    """Give the steps what `save` took from them; returns the values beside it. Raises SnapshotError."""
    try:
        known, own = _Unpickler(io.BytesIO(data)).load()
        for step, state in zip(steps, known, strict=True):
            if state.keys() != set(step.state):
                message = f"{type(step).__name__} keeps {step.state}, found {sorted(state)}"
                raise SnapshotError(message)
            for name, value in state.items():
                setattr(step, name, value)
    except Exception as error:  # damaged bytes can tell an unpickler to do anything: MemoryError, OverflowError, …
        message = f"no snapshot of this version: {error}"
        raise SnapshotError(message) from error
    return dict(own)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            message = f"{module}.{name} is no part of a worker's state"
            raise pickle.UnpicklingError(message) from None
