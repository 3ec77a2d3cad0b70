"""The figures of a run: a row for each program, and what is known to be missed."""

from __future__ import annotations

from collections.abc import Iterable

from tests.fidelity.performance import Result

HEAD = ("program", "lines", "invented", "cwd", "user", "execs", "secrets", "missed", "scripts")


def table(results: Iterable[Result]) -> str:
    """As Markdown: right of all that was typed."""
    programs: dict[str, list[Result]] = {}
    for result in results:
        programs.setdefault(result.played.script.program, []).append(result)
    every = [result for of in programs.values() for result in of]
    rows = [HEAD, tuple("---" for _ in HEAD), *(_row(*each) for each in sorted(programs.items())), _row("all", every)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    missed = [
        f"- {result.played.script.program}, {result.played.script.title}: {miss}"
        for result in every
        for miss in result.score.missed
    ]
    return "\n".join([*lines, "", *missed])


def _row(program: str, results: list[Result]) -> tuple[str, ...]:
    scores = [result.score for result in results]
    typed = sum(score.typed for score in scores)
    secrets = sum(len(result.played.secrets) for result in results)
    kept = sum(not result.leaks for result in results for _ in result.played.secrets)
    return (
        program,
        f"{sum(score.lines for score in scores)}/{typed}",
        str(sum(score.invented for score in scores)),
        f"{sum(score.cwd for score in scores)}/{typed}",
        f"{sum(score.user for score in scores)}/{typed}",
        f"{sum(score.execs for score in scores)}/{sum(score.commands for score in scores)}",
        f"{kept}/{secrets}" if secrets else "-",
        str(sum(len(score.missed) for score in scores)),
        f"{sum(not result.faults for result in results)}/{len(results)}",
    )


def wrong(results: Iterable[Result]) -> str:
    """What is wrong with each script of which something is."""
    parts = [
        f"{result.played.script.program}: {result.played.script.title}\n    "
        + "\n".join(result.faults).replace("\n", "\n    ")
        for result in results
        if result.faults
    ]
    return "\n".join(parts)
