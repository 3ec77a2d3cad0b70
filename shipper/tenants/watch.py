"""Looks at the tenants files in a thread of its own: a slow disk or a large file never holds up the agent."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from shipper.tenants.declare import TenantsError
from shipper.tenants.files import FileSet, UnreadableError, read, settled, stamps

SECONDS = 0.5
"""Between two looks."""


class Watch:
    """Reads files again when they were changed. The thread begins with the first question."""

    def __init__(self, files: Sequence[Path], found: FileSet) -> None:
        """`found`: what they said when they were read last."""
        self._files = files
        self._stamps, self._settled = found.stamps, found.settled
        self._found: queue.SimpleQueue[FileSet | TenantsError] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def news(self) -> Iterator[FileSet | TenantsError]:
        """What was read since, oldest first, or why it could not be."""
        if self._thread is None and self._files:
            self._thread = threading.Thread(target=self._run, name="tenants files", daemon=True)
            self._thread.start()
        while not self._found.empty():
            yield self._found.get()

    def stop(self) -> None:
        """Look no more; a look that is under way ends with the process at the latest."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(SECONDS):
            now, time_ns = stamps(self._files), time.time_ns()
            if now != self._stamps or not self._settled:
                self._stamps, self._settled = now, settled(now, time_ns)
                self._found.put(self._read())

    def _read(self) -> FileSet | TenantsError:
        try:
            found = read(self._files)
        except UnreadableError as error:
            self._settled = False
            return error
        except TenantsError as error:
            return error
        except Exception as error:  # noqa: BLE001  whatever a file does to a parser: the old set stays
            return TenantsError(f"{', '.join(map(str, self._files))}: can't be read: {error!r}")
        self._stamps, self._settled = found.stamps, found.settled
        return found
