"""The `cgtrail` command's beginning: Ctrl-C ends it without a traceback from its first line on."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command."""
    try:
        _open_standard_streams()
        from cgtrail.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


def _open_standard_streams() -> None:
    """Whoever starts us with a standard stream closed gets the null device: the next file would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number: this one
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115  stays open


if __name__ == "__main__":
    main()
