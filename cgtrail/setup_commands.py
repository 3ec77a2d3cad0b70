"""The commands of `cgtrail setup`: options and help."""

from __future__ import annotations

import sys
from typing import Any

import click

from cgtrail import options
from cgtrail.command import command, config, shared


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
