"""What goes to standard error. A line that can't be written there, as on a full disk, ends nobody."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO, cast

import click
from structlog.typing import EventDict, WrappedLogger


class _Unfailing:
    """What a printing logger needs of a file."""

    @staticmethod
    def write(text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    @staticmethod
    def flush() -> None:
        with suppress(OSError):
            sys.stderr.flush()


def stderr() -> TextIO:
    """Standard error, whatever has become of it."""
    return cast("TextIO", _Unfailing())


def notice(text: str) -> None:
    """A line for people."""
    with suppress(OSError):
        click.echo(text, err=True)


def printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Makes values safe for a terminal; those of several lines the renderer quotes."""
    return {name: _shown(value) if isinstance(value, str) else value for name, value in event.items()}


def _shown(value: str) -> str:
    from enrich.printable import message  # here, for it is only loaded when something is logged

    return value if "\n" in value else message(value)
