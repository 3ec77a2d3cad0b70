"""`cgtrail` whose worker commits every few documents and keeps a snapshot each time: more moments to be killed in.

python -m tests.faults.eager --data DIR enrich
"""

from __future__ import annotations

import os
from typing import Any

from cgtrail.__main__ import main
from enrich import delivery, worker
from enrich.sources import spool

_run = worker.Worker.run


def _eager(self: worker.Worker, **options: Any) -> None:
    self.snapshot_seconds = 0.5 if self.ahead else 0  # a snapshot waits until all is stored
    _run(self, **options)


def begin() -> None:
    """Run `cgtrail` so."""
    delivery.BATCH = int(os.environ.get("FAULTS_BATCH", "150"))
    spool.READ_BYTES = delivery.BATCH * 100  # type: ignore[attr-defined]
    worker.IDLE_COMMIT_SECONDS = 0.05
    worker.Worker.run = _eager  # type: ignore[method-assign]
    main()


if __name__ == "__main__":
    begin()
