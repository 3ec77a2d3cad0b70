"""What was shown while a line was carried out."""

from __future__ import annotations

KEPT = {"none": 0, "head": 4096, "all": 1 << 20}
"""[documents] output → bytes of what a command showed that are kept."""
