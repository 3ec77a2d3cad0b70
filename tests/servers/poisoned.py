"""`cgtrail` whose worker dies of one record, whenever it takes it: an exec of the process POISON.

python -m tests.servers.poisoned --data DIR enrich
"""

from __future__ import annotations

import os

from cgtrail.__main__ import main
from enrich.item import Item
from enrich.steps.processes import ProcessTree

POISON = 666
DEATH = 9
"""The exit code."""
_take = ProcessTree.__call__


def _die(self: ProcessTree, item: Item) -> None:
    if getattr(item.record, "tgid", 0) == POISON:
        os._exit(DEATH)
    _take(self, item)


if __name__ == "__main__":
    ProcessTree.__call__ = _die  # type: ignore[method-assign]
    main()
