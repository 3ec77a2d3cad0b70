"""The `cgtrail` command: options and help. What a command does is in the module of its name, imported when it runs.

Exit codes: 0 done; 1 it could not be done, the message says why; 2 the command line or configuration is wrong;
3 `check` found something that is not recorded here.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import partial, wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import structlog

from cgtrail import config as configuration
from cgtrail import options
from cgtrail.options import Command


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Options that every command has count wherever they stand: before the command's name or behind it."""
    shared = context.ensure_object(dict)
    if value:
        shared[option.name] = value
    _log_to_stderr(shared.get("verbose", False))


def _everywhere(*names: str, **settings: Any) -> Command:
    return click.option(*names, expose_value=False, callback=_remember, **settings)


_shared = options.together(
    _everywhere("--data", metavar="DIR", help="Folder of the spool and the local store. [default: /var/lib/cgtrail]"),
    _everywhere("--config", metavar="FILE", type=click.Path(path_type=Path), envvar="CGTRAIL_CONFIG",
                help="Configuration in TOML. [default: /etc/cgtrail.toml, if it exists]"),
    _everywhere("-v", "--verbose", is_flag=True, help="Log more, on standard error."),
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("cgtrail"), prog_name="cgtrail")
@_shared
def cli() -> None:
    """Record, from the host, what people do inside containers, and search it.

    Settings come from the configuration file, then from the environment (CGTRAIL_DATA, CGTRAIL_CAPTURE_HOST, …), then
    from options; the later wins.
    """


def _command(function: Command, group: click.Group = cli) -> click.Command:
    """Make a function a command with the options that all share. A reader that goes away, as `| head` does, ends it."""

    @wraps(function)
    def run(**given: Any) -> None:
        try:
            function(**given)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return group.command()(_shared(run))


def _config(**flags: Any) -> configuration.Config:
    """The configuration, this command's flags included. Call it with dotted keys, dots written as two underscores."""
    shared = click.get_current_context().obj
    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    return configuration.load(shared.get("config"), os.environ, {"data": shared.get("data"), **dotted})


@_command
@options.host
@options.as_json
@click.option("--quiet", is_flag=True, help="Print no events; only record them.")
@click.option("--demo", type=click.Choice(["never", "auto", "always"]), default="never", show_default=True,
              help="Play a demonstration beside it; auto: if no container is running.")  # fmt: skip
def up(host: bool | None, as_json: bool, quiet: bool, demo: str) -> None:
    """Record this host, keep everything locally, and show what happens.

    Agent and worker run as two processes until Ctrl-C. `cgtrail search` and `tail` work meanwhile, and afterwards.
    """
    from cgtrail import up as command

    command.run(_config(capture__host=host), as_json=as_json, quiet=quiet, demo=demo)


@_command
@options.host
def ship(host: bool | None) -> None:
    """Run the agent only: record this host into the spool."""
    from cgtrail import halves

    halves.ship(_config(capture__host=host))


@_command
@click.option("--once", is_flag=True, help="Stop when everything that is in the spool has been stored.")
@click.option("--sink", type=click.Choice(configuration.SINKS), default="sqlite", show_default=True,
              help="Where documents go: the local store, or standard output as JSON lines.")  # fmt: skip
def enrich(once: bool, sink: str) -> None:
    """Run the worker only: turn the spool into documents.

    Each sink has its own position in the spool, so several workers may read it side by side.
    """
    from cgtrail import halves

    halves.enrich(_config(), sink, once=once)


@_command
@options.as_json
def check(as_json: bool) -> None:
    """Say what can be recorded on this host, and what to do about what can't."""
    from cgtrail import check as command

    sys.exit(command.run(_config(), as_json=as_json))


@_command
@options.as_json
def demo(as_json: bool) -> None:
    """Play a short session in a throwaway container, and show what was recorded of it.

    The container is made of namespaces and one cgroup: no runtime is needed, and nothing of it stays. If an agent runs
    on the data folder it records the demonstration; otherwise one is started for it, with a folder of its own.
    """
    from cgtrail import demo as command

    command.run(_config(), as_json=as_json)


@_command
@options.host
@options.as_json
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N records.")
def trace(host: bool | None, as_json: bool, count: int | None) -> None:  # noqa: ARG001  it always is
    """Print raw kernel records as they come, one JSON object a line: for debugging.

    It loads its own kernel programs and stores nothing; an agent that runs is not disturbed.
    """
    from cgtrail import trace as command

    command.run(_config(capture__host=host), count=count)


@_command
@options.filters
@options.times("--since", "--until")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000_000), default=100, show_default=True, help="At most so many documents."
)
@click.option(
    "--sort", type=click.Choice(["desc", "asc"]), default="desc", show_default=True, help="Newest or oldest first."
)
def search(query: tuple[str, ...], container: str | None, kind: str | None, as_json: bool, since: int | None,
           until: int | None, limit: int, sort: str) -> None:  # fmt: skip
    """Search the local store.

    QUERY is a subset of Lucene's syntax: field:value, field:val*, field:"two words", field:[1 TO 9], field:>5, AND, OR,
    NOT and parentheses. A bare word is looked for in command lines. docs/fields.md lists the fields.

    \b
        cgtrail search 'process.name:curl AND NOT user.id:0' --since 1h
        cgtrail search --container web 'process.command_line:*/etc/shadow*'
    """
    from cgtrail import search as command

    chosen = command.Chosen(container, kind, since, until, limit, ascending=sort == "asc")
    command.search(_config(), " ".join(query), chosen, as_json=as_json)


@_command
@options.filters
def tail(query: tuple[str, ...], container: str | None, kind: str | None, as_json: bool) -> None:
    """Show documents as they are stored, until Ctrl-C. QUERY is as for search."""
    from cgtrail import search as command

    command.tail(_config(), " ".join(query), command.Chosen(container, kind), as_json=as_json)


@_command
@options.as_json
def status(as_json: bool) -> None:
    """Say whether agent and worker run, how far they are, and what was lost."""
    from cgtrail import status as command

    sys.exit(command.run(_config(), as_json=as_json))


@cli.group()
@_shared
def spool() -> None:
    """Look into the spool, where the agent's records wait for workers."""


@partial(_command, group=spool)
@options.as_json
def ls(as_json: bool) -> None:
    """List what the spool holds, from keyframe to keyframe, and how far its readers are."""
    from cgtrail import spool as command

    command.ls(_config(), as_json=as_json)


@partial(_command, group=spool)
@options.times("--from", "--to")
@click.option("--stream", metavar="PREFIX", default="", help="Only the stream whose id begins so.")
@click.option("--frame", type=click.IntRange(min=0), metavar="N", help="Only the frame of this number.")
def cat(**chosen: Any) -> None:
    """Print records as they were recorded, by the time at which their frames were written; gaps are objects too."""
    from cgtrail import spool as command

    command.cat(_config(), command.Chosen(**chosen))


@partial(_command, group=spool)
def verify() -> None:
    """Check every frame of the spool, and say what is damaged or missing. Exit code 1 when anything is."""
    from cgtrail import spool_verify as command

    sys.exit(command.run(_config()))


@_command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, for its start-up file.

    \b
        cgtrail completion bash > /etc/bash_completion.d/cgtrail
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "cgtrail", "_CGTRAIL_COMPLETE").source())


def _log_to_stderr(verbose: bool) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def main() -> None:
    """Run the command; an expected error is one line on standard error, not a traceback."""
    from cgtrail.errors import expected

    try:
        cli.main(prog_name="cgtrail", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        code = expected(error)
        if code is None:
            raise
        # Our own errors say what to do; the operating system's are mostly about the data folder.
        ours = type(error).__module__ != "builtins"
        advice = "" if ours else "; can the data folder be written, and has it space? `cgtrail check` tells"
        click.echo(f"cgtrail: {error}{advice}", err=True)
        sys.exit(code)
