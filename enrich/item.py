"""What travels through the steps: one record and what the steps before have found out about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bpf.schema import Record

if TYPE_CHECKING:
    from enrich.document import Document
    from enrich.processes import Process
    from enrich.registry import Epoch


@dataclass(slots=True)
class Item:
    """One record on its way. `stream`, `frame`, `index` name it for ever; `time` is its wall-clock time in ns."""

    record: Record
    stream: str
    frame: int
    index: int
    time: int = 0
    epoch: Epoch | None = None
    process: Process | None = None
    parent: Process | None = None
    documents: list[Document] = field(default_factory=list)
    """What is released at this record, of this and of earlier ones."""

    @property
    def id(self) -> str:
        """The id of the document that this record is the source of."""
        return f"{self.stream}-{self.frame}-{self.index}"

    @property
    def sequence(self) -> int:
        """Position in the stream as one integer: a frame holds fewer than 2^20 records."""
        return self.frame << 20 | self.index


Step = Callable[[Item], None]
"""A step looks at an item, keeps its own state, and adds what it found. Steps never ask the host or the clock."""
