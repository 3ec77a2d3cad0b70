"""The commands that read the store, `search`, `tail` and `journal`: options and help."""

from __future__ import annotations

from typing import Any

import click

from cgtrail import options
from cgtrail.command import command, config


def add_to(cli: click.Group) -> None:
    """Make them commands of the command line."""
    for each in (_search, _tail, _journal):
        each(cli)


def _search(cli: click.Group) -> None:
    @command(cli)
    @options.filters
    @options.times("--since", "--until")
    @options.part
    @options.store
    def search(query: tuple[str, ...], as_json: bool, sort: str, **chosen: Any) -> None:
        """Search what is stored.

        QUERY is a subset of Lucene's syntax: field:value, field:val*, field:"two words", field:[1 TO 9], field:>5, AND,
        OR, NOT and parentheses. A bare word is looked for in typed lines and in programs' command lines. docs/fields.md
        lists the fields. A table has typed lines first, then everything else; with --json all is in order of time.

        \b
            cgtrail search 'process.name:curl AND NOT user.id:0' --since 1h
            cgtrail search --container web 'process.command_line:*/etc/shadow*'
            cgtrail search --tenant red-team event.outcome:failure
            cgtrail search --kind command passwd --since 2d
        """
        from cgtrail import search

        wanted = search.Chosen(**chosen, ascending=sort == "asc")
        search.search(config(), " ".join(query), wanted, as_json=as_json)


def _tail(cli: click.Group) -> None:
    @command(cli)
    @options.filters
    @options.store
    def tail(query: tuple[str, ...], as_json: bool, **chosen: Any) -> None:
        """Show documents as they are stored, until Ctrl-C. QUERY is as for search."""
        from cgtrail import search

        search.tail(config(), " ".join(query), search.Chosen(**chosen), as_json=as_json)


def _journal(cli: click.Group) -> None:
    @command(cli)
    @options.chosen
    @click.option(
        "--session",
        metavar="ID",
        shell_complete=options.known_sessions,
        help="Only this session, and those nested in it: the id, or its beginning.",
    )
    @options.times("--since", "--until")
    @click.option(
        "--format",
        type=click.Choice(["text", "csv", "json"]),
        default="text",
        show_default=True,
        help="Typed lines as EDURange's table or as CRCZP's rows in JSON, instead of text.",
    )
    @click.option(
        "--input",
        is_flag=True,
        help="Show also what was typed for programs to read, as for cat, and all lines of long here-documents.",
    )
    @click.option("--processes", is_flag=True, help="Show also the programs that typed lines started, as a tree.")
    @click.option("--ends", is_flag=True, help="Show also how each process ended.")
    @click.option("--follow", is_flag=True, help="Go on with what is stored from now on, until Ctrl-C.")
    @options.store
    def journal(as_json: bool, follow: bool, **chosen: Any) -> None:
        """Tell what was typed and what else happened for a tenant, in a container or in a session, the oldest first.

        A typed line is one row: when, in which container, by whom, at which terminal, its exit code where that is
        known, the directory, and the line behind what ends its prompt ($, #, >>>); ?$ says that nobody is sure of it.
        With --session it has its number, which `cgtrail replay --command` takes. Further lines of it stand below,
        those of a here-document too, for that may be a script. What was typed for a program to read, as for cat, is
        noise most times: --input shows it, behind <. Programs that no line started, as services, cron and docker exec
        without a terminal, have rows of their own; those that a line started are shown with --processes.

        With --follow a line is shown once it is typed, and once more if it fails. An address behind sshd is what the
        session claims. A loss that may be anybody's is in every journal. Of a renamed container, give the id.

        \b
            cgtrail journal --tenant red-team --since 2h --follow
            cgtrail journal --session 3f2a --processes
            cgtrail journal --container web --format csv > web-history.csv
        """
        from cgtrail import journal

        settings = config()
        journal.run(settings, journal.Chosen(**chosen), as_json=as_json, follow=follow)
