"""What goes to standard error. A line that can't be written there, as on a full disk, ends nobody."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO, cast

import click


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
