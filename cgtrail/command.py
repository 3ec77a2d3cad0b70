"""What every command has: the options that all share, and the configuration that comes of them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import structlog

from cgtrail import config as configuration
from cgtrail import logs, options
from cgtrail.options import Command


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Options that every command has count wherever they stand: before the command's name or behind it."""
    known = context.ensure_object(dict)
    if value:
        known[option.name] = value
    _log_to_stderr(known.get("verbose", False))


def _everywhere(*names: str, **settings: Any) -> Command:
    return click.option(*names, expose_value=False, callback=_remember, **settings)


shared = options.together(
    _everywhere("--data", metavar="DIR", help="Folder of the spool and the local store. [default: /var/lib/cgtrail]"),
    _everywhere("--config", metavar="FILE", type=click.Path(path_type=Path), envvar="CGTRAIL_CONFIG",
                help="Configuration in TOML. [default: /etc/cgtrail.toml, if it exists]"),
    _everywhere("-v", "--verbose", is_flag=True, help="Log more, on standard error."),
)  # fmt: skip


def command(group: click.Group, name: str | None = None) -> Callable[[Command], click.Command]:
    """Make a function a command with the options that all share. A reader that goes away, as `| head` does, ends it."""

    def make(function: Command) -> click.Command:
        @wraps(function)
        def run(**given: Any) -> None:
            try:
                function(**given)
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

        return group.command(name)(shared(run))

    return make


def coloured() -> bool | None:
    """False where nobody wants colours (no-color.org) or the terminal has none; None: whether it is a terminal says."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def config(**flags: Any) -> configuration.Config:
    """The configuration, this command's flags included. Call it with dotted keys, dots written as two underscores."""
    known = click.get_current_context().obj
    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    everywhere = {"data": known.get("data"), "store.read": known.get("store")}
    return configuration.load(known.get("config"), os.environ, everywhere | dotted)


def _log_to_stderr(verbose: bool) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            logs.printable,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and coloured() is None),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(logs.stderr()),
        cache_logger_on_first_use=True,
    )
