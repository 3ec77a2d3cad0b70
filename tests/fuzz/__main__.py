"""Looks for new inputs with chance and coverage: `make fuzz`, or `python -m tests.fuzz --help`."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.quiet import no_logs

FOUND = Path(__file__).parent / "found"
"""Inputs that reached something new, by target, and those that broke a promise."""
_ONE = "--one"
_PACKAGES = ["bpf", "shipper", "enrich", "cgtrail"]
_LIMITS = ["-timeout=20", "-rss_limit_mb=1500", "-max_len=131072", "-print_final_stats=1"]
"""Of one input, in seconds and MiB and bytes: a hang is a finding too."""


def one(name: str, arguments: Sequence[str]) -> None:
    """Fuzz one target in this process with libFuzzer's arguments; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=_PACKAGES):
        from tests.fuzz.targets import everything
    atheris.Setup([sys.argv[0], *arguments], everything()[name])
    with no_logs():
        atheris.Fuzz()


def run(name: str, seconds: int) -> bool:
    """Fuzz one target for so long in a process of its own; False when it broke a promise."""
    from tests.fuzz.targets import CORPUS

    grown = FOUND / name
    grown.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz", _ONE, name, f"-max_total_time={seconds}", *_LIMITS]
    command += [f"-artifact_prefix={FOUND}/{name}-", str(grown), *map(str, filter(Path.exists, [CORPUS / name]))]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="backslashreplace")  # fmt: skip
    lines = done.stdout.splitlines()
    if done.returncode:
        print(f"\n{name}: broke a promise; {shlex.join(command)}", *lines[-60:], sep="\n")
    told = [line.split(":")[-1].strip() for line in lines if "number_of_executed_units" in line]
    print(f"{name:<16}{'ok' if not done.returncode else 'FAILED':<8}{''.join(told)} inputs", flush=True)
    return not done.returncode


def main() -> int:
    """Fuzz the named targets, or all, several at once; 1 when one broke a promise."""
    if sys.argv[1:2] == [_ONE]:  # before anything of ours is imported, so that coverage is seen
        one(sys.argv[2], sys.argv[3:])
    from tests.fuzz.targets import everything

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="target", help=f"{', '.join(everything())}; default: all")
    parser.add_argument("--seconds", type=int, default=600, help="for all together (default: 600)")
    parser.add_argument("--replay", type=Path, help="give this file to the one named target, and nothing else")
    chosen = parser.parse_args()
    names = chosen.names or list(everything())
    if chosen.replay:
        everything()[names[0]](chosen.replay.read_bytes())
        return 0
    at_once = os.cpu_count() or 1
    rounds = -(-len(names) // at_once)
    with ThreadPoolExecutor(at_once) as pool:
        kept = list(pool.map(lambda name: run(name, max(chosen.seconds // rounds, 1)), names))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
