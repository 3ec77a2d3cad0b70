"""The `cgtrail` command's beginning: Ctrl-C ends it without a traceback from its first line on."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command."""
    try:
        from cgtrail.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
