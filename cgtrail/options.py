"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cgtrail import config as configuration
from cgtrail.settings import STORES
from cgtrail.times import Instant

Command = Callable[..., Any]


def together(*options: Command) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def known_tenants(*asked: Any) -> Any:
    """Completes tenants' ids in a shell."""
    from cgtrail import tenants

    return tenants.complete(*asked)


def known_sessions(*asked: Any) -> Any:
    """Completes sessions' ids in a shell."""
    from cgtrail import sessions

    return sessions.complete(*asked)


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on standard output.")


def _read(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value:
        context.ensure_object(dict)[option.name] = value


store = click.option(
    "--store",
    type=click.Choice(STORES),
    expose_value=False,
    callback=_read,
    help="Where to read, instead of what store.read of the configuration says.",
)
"""Where a command reads: what `cgtrail.command.config` gives says so."""
host = click.option("--host/--no-host", default=None, help="Record the host's own processes too, not only containers.")
content = click.option("--content", is_flag=True, help="Print also what terminals show and what is typed there.")
whose = together(
    click.option("--container", metavar="NAME|ID", help="Only this container: its name, or the beginning of its id."),
    click.option(
        "--tenant",
        metavar="ID",
        shell_complete=known_tenants,
        help="Only containers of this tenant, those it shares included.",
    ),
)
chosen = together(
    whose,
    click.option(
        "--kind",
        metavar="KIND",
        help="Only documents of this kind: process, container, tenant, session, terminal (the recordings),"
        " command (typed lines) or loss.",
    ),
    as_json,
)
filters = together(click.argument("query", nargs=-1), chosen)
part = together(
    click.option("--limit", type=click.IntRange(1, 1_000_000_000), default=100, show_default=True,
                 help="At most so many documents."),
    click.option("--sort", type=click.Choice(["desc", "asc"]), default="desc", show_default=True,
                 help="Newest or oldest first."),
)  # fmt: skip


def times(since: str, until: str) -> Callable[[Command], Command]:
    """Two options of these names, for the parameters `since` and `until`: nanoseconds since 1970."""
    forms = "2026-11-22, 2026-11-22T10:00, or an age such as 10m, 2h, 3d"
    return together(
        click.option(since, "since", type=Instant(), help=f"From this time: {forms}."),
        click.option(until, "until", type=Instant(), help="Up to this time, in the same forms."),
    )


def sink(meaning: str) -> Command:
    """The option that names a sink."""
    names = click.Choice(configuration.SINKS)
    return click.option("--sink", type=names, default="sqlite", show_default=True, help=meaning)
