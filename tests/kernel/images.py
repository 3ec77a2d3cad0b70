"""Files of this machine, for images whose shell starts programs instead of running applets of its own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

Files = dict[str, tuple[bytes, int]]
_LIBRARY = re.compile(r"(/\S+) \(0x")


def of_host(programs: dict[str, str]) -> Files:
    """Path in the image → content and mode, for programs (path in the image → path here) and their libraries."""
    files: Files = {}
    for there, here in programs.items():
        files[there] = (Path(here).read_bytes(), 0o755)
        listed = subprocess.run(["ldd", here], capture_output=True, text=True, check=True).stdout
        for library in _LIBRARY.findall(listed):
            files[library.lstrip("/")] = (Path(library).read_bytes(), 0o755)
    return files
