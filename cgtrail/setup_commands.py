"""The commands of `cgtrail setup`: options and help."""

from __future__ import annotations

import sys
from typing import Any

import click

from cgtrail import options
from cgtrail.command import command, config, shared

_MAX_DAYS = 36_500


@click.group()
@shared
def setup() -> None:
    """Prepare what cgtrail writes to."""


@command(setup)
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Of the raw topic: up to so many workers share it. [default: 12, or what it has]",
)
@click.option(
    "--replication-factor",
    "replication",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Brokers that hold each message. [default: 3, or as many as there are]",
)
@click.option(
    "--retention-hours",
    type=click.IntRange(1, 87_600),
    metavar="H",
    help="How long raw messages stay. [default: 168, or what it has]",
)
@click.option(
    "--writer",
    "writers",
    multiple=True,
    metavar="PRINCIPAL",
    help="Grant a host what it needs: to write, not to read. Can be given several times.",
)
@click.option(
    "--reader",
    "readers",
    multiple=True,
    metavar="PRINCIPAL",
    help="Grant a worker what it needs. Can be given several times.",
)
@click.option("--apply", is_flag=True, help="Change topics that are there, too.")
@click.option("--dry-run", "dry", is_flag=True, help="Change nothing; say what would be done.")
@options.as_json
def kafka(writers: tuple[str, ...], readers: tuple[str, ...], apply: bool, dry: bool, as_json: bool,
          **asked: Any) -> None:  # fmt: skip
    """Make the topics that are missing, and say in what the others differ from what is needed.

    It connects as [kafka] says; who does it must be allowed to create topics, and for --writer and --reader to alter
    ACLs. PRINCIPAL is as in User:alice; for mutual TLS as in User:CN=host-1. Exit codes: 0 all is as it should be,
    3 something is not, or with --dry-run would be done.
    """
    from cgtrail.kafka import setup
    from cgtrail.kafka.topics import Asked

    configured = config()
    wanted = Asked(**asked, needed_hours=configured.spool.max_hours)
    sys.exit(setup.run(configured, wanted, writers, readers, apply=apply, dry=dry, as_json=as_json))


def _retention(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    """KIND=DAYS, several times → days by kind."""
    from enrich.documents import KINDS

    told: dict[str, int] = {}
    for each in given:
        kind, _, days = each.partition("=")
        if kind not in KINDS or not (days.isascii() and days.isdecimal() and 1 <= int(days) <= _MAX_DAYS):
            message = f"{each!r}: write KIND=DAYS, as process=30; kinds are {', '.join(KINDS)}; 1 to {_MAX_DAYS:,} days"
            raise click.BadParameter(message, context, option)
        told[kind] = int(days)
    return told


@command(setup)
@click.option(
    "--retention",
    multiple=True,
    metavar="KIND=DAYS",
    callback=_retention,
    help="How long documents of a kind stay, at least. Can be given several times. [default: what it is; at first"
    " process 30, terminal 7, the others 365]",
)
@click.option(
    "--writer-reads/--no-writer-reads",
    default=None,
    help="Let the writer's role also look up whether a document is there already. [default: what it has; at first no]",
)
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="ID",
    shell_complete=options.known_tenants,
    help="Make an alias that shows a tenant's documents only. Can be given several times.",
)
@click.option("--apply", is_flag=True, help="Overwrite what somebody edited, too.")
@click.option("--dry-run", "dry", is_flag=True, help="Change nothing; say what would be done, and how it differs.")
@options.as_json
def elasticsearch(apply: bool, dry: bool, as_json: bool, **asked: Any) -> None:
    """Make templates, lifecycles, roles and aliases, and bring those of an older cgtrail up to date.

    It connects as [elasticsearch] says; who does it needs the privileges manage_index_templates, manage_ilm and
    manage_security, and manage on logs-cgtrail.*. What belongs to you goes into component templates of your own:
    logs-cgtrail@custom for all kinds, logs-cgtrail.KIND@custom for one. Exit codes: 0 all is as it should be, 3
    something is not, or with --dry-run would be done.
    """
    from cgtrail.elasticsearch import setup
    from cgtrail.elasticsearch.settle import Manner
    from cgtrail.elasticsearch.tenants import TenantError

    try:
        code = setup.run(config(), setup.Asked(Manner(apply, dry), **asked), as_json=as_json)
    except TenantError as error:
        raise click.BadParameter(str(error), param_hint="--tenant") from error
    sys.exit(code)
