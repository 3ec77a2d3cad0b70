"""Plays the scripts of some programs, or of all; prints what is wrong, and figures: python -m tests.fidelity zsh."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.fidelity.conftest import load
from tests.fidelity.performance import perform
from tests.fidelity.person import SCRIPTS
from tests.fidelity.report import table, wrong


def main() -> None:
    """Play, and print."""
    asked = argparse.ArgumentParser(prog="python -m tests.fidelity", description=__doc__)
    asked.add_argument("programs", nargs="*", help="names of programs; all where there are none")
    asked.add_argument("--title", default="", help="only scripts whose title holds this")
    asked.add_argument("--blind", action="store_true", help="also those that are not looked at while the step is tuned")
    asked.add_argument("--folder", type=Path, help="an empty folder, where cgtrail's data and the homes are kept")
    asked.add_argument("--figures", action="store_true", help="the figures alone, as the documentation has them")
    given = asked.parse_args()
    load()
    chosen = [
        each
        for each in SCRIPTS
        if (not given.programs or each.program in given.programs)
        and given.title in each.title
        and (given.blind or not each.blind)
    ]
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fidelity-"))
    results = perform(chosen, folder).values()
    if not given.figures:
        print(wrong(results))
        print(f"cgtrail's data is in {folder / 'data'}")
    print(table(results))


if __name__ == "__main__":
    main()
