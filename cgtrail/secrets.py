"""`cgtrail secrets`: the rules for secrets, their cases, and what a text becomes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgtrail import options
from cgtrail.command import command, config, shared
from cgtrail.config import Config

if TYPE_CHECKING:
    from enrich.secrets.rules import Rules

_COLUMNS = ("ID", "KIND", "CASES", "DESCRIPTION")


def rules(settings: Config) -> Rules:
    """The rules that the configuration asks for. Raises RulesError."""
    from enrich.secrets.rules import load

    return load(settings.secrets.files, settings.secrets.disable)


@click.group()
@shared
def secrets() -> None:
    """Show, test and try the rules by which secrets are masked in documents: docs/secrets.md."""


@command(secrets, "list")
@options.as_json
def list_rules(as_json: bool) -> None:
    """List the rules in the order in which they are tried."""
    import orjson

    from cgtrail.listing import table
    from enrich.printable import json_line, text
    from enrich.secrets.rules import described

    told = described(rules(config()).rules)
    if as_json:
        for rule in told:
            click.echo(json_line(orjson.dumps(rule)))
    else:
        rows = [(rule["id"], rule["kind"], str(rule["cases"]), text(rule["description"])) for rule in told]
        table(_COLUMNS, rows, places=True)


@command(secrets)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
def test(files: tuple[Path, ...]) -> None:
    """Run the cases that rules carry: those in use, or those of FILE beside them. Exit code 1 when one fails."""
    from enrich.printable import text
    from enrich.secrets.cases import failures
    from enrich.secrets.rules import load, read

    settings = config()
    used = load([*files, *(f for f in settings.secrets.files if Path(f) not in files)], settings.secrets.disable)
    chosen = [rule for file in files for rule in read(file)] if files else used.rules
    failed = [failure for rule in chosen for failure in failures(used, rule)]
    for failure in failed:
        click.echo(f"{failure.rule.id}: a case fails, given as {failure.how}")
        given, wanted = failure.case.args or failure.case.text, failure.case.expected
        for name, value in (("given", given), ("expected", wanted), ("got", failure.got)):
            click.echo(f"  {name:<9}{text(repr(value)) if isinstance(value, tuple) else text(value)}")
    cases = sum(len(rule.cases) for rule in chosen)
    click.echo(f"{cases} cases of {len(chosen)} rules: {len(failed) or 'none'} failed")
    sys.exit(bool(failed))


@command(secrets, "try")
@click.argument("given", metavar="[TEXT|-]", default="-")
def try_text(given: str) -> None:
    """Show what a text becomes, and which rules found a secret in it. Without TEXT, it is read from standard input."""
    from enrich.printable import message
    from enrich.secrets.scrub import Scrubber

    if given == "-":
        given = sys.stdin.buffer.read().decode(errors="replace")
    scrubber = Scrubber(rules=rules(config()))
    for line in scrubber.text(given).splitlines():
        click.echo(message(line))
    for name, count in sorted(scrubber.found.items()):
        click.echo(f"rule {name}: {count}", err=True)
