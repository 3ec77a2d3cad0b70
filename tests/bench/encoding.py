"""`cgtrail` whose documents are encoded and forgotten; what the worker cost is written to a file when it has ended.

python -m tests.bench.encoding --data DIR enrich, with the file in BENCH_REPORT; BENCH_STORES: they go to the real sink.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgtrail import halves
from cgtrail.__main__ import main
from enrich import worker
from enrich.document import Document
from enrich.sinks import Outcome
from tests.bench.worker import Encoded

REPORT = Path(os.environ.pop("BENCH_REPORT", os.devnull))
STORES = bool(os.environ.pop("BENCH_STORES", ""))
_run = worker.Worker.run
_arrivals: list[tuple[str, int]] = []
"""Id of a document and when it came, in ns since 1970."""


class Timed(Encoded):
    """Also remembers when each document came."""

    def write(self, batch: Sequence[Document]) -> list[Outcome]:
        """Everything is taken."""
        found = super().write(batch)
        now = time.time_ns()
        _arrivals.extend((document.id, now) for document in batch)
        return found


def _measured(self: worker.Worker, **options: Any) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    _run(self, **options)
    told = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "counts": dict(self.counts)}
    facts = {name: self.facts()[name] for name in ("waited_seconds", "write_seconds", "sink")}
    REPORT.write_text(json.dumps(told | facts | {"arrivals": _arrivals}))


if __name__ == "__main__":
    if not STORES:
        halves.open_sink = lambda *_, **__: Timed()
    worker.Worker.run = _measured  # type: ignore[method-assign]
    main()
