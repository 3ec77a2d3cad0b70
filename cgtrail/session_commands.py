"""The commands of recorded terminals, `sessions`, `replay` and `export`: options and help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from cgtrail import options
from cgtrail.command import command, config

FORMATS = ("asciicast", "asciicast2", "tlog", "txt")
_OFFSET = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,7})(?:\.(\d{1,3}))?", re.ASCII)


class Offset(click.ParamType[int]):
    """Nanoseconds since a session's start, from `90`, `1:30` or `1:02:03`."""

    name = "OFFSET"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails with what was expected."""
        if isinstance(value, int):
            return value
        found = _OFFSET.fullmatch(value)
        if not found:
            self.fail(f"{value!r} is no offset: give seconds, mm:ss or hh:mm:ss, such as 90 or 1:30", param, ctx)
        hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
        thousandths = int((found[4] or "").ljust(3, "0"))
        return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000 + thousandths * 1_000_000


_session = click.argument("session", metavar="ID", shell_complete=options.known_sessions)


def add_to(cli: click.Group) -> None:
    """Make them commands of the command line."""
    for each in (_sessions, _replay, _export):
        each(cli)


def _sessions(cli: click.Group) -> None:
    @command(cli)
    @options.whose
    @click.option("--user", metavar="ID|NAME", help="Only of this user: the id, or the name in the container.")
    @options.times("--since", "--until")
    @click.option("--open", is_flag=True, help="Only sessions that have not ended.")
    @click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True,
                  help="At most so many, the newest.")  # fmt: skip
    @options.as_json
    @options.store
    def sessions(as_json: bool, **chosen: Any) -> None:
        """List terminal sessions that were recorded, the newest last.

        With --since and --until: those that were open at some time between. SHOWN is what programs wrote, in bytes;
        SKIPPED is what the recording lacks of it. An address behind sshd is what the session claims. With --json, each
        session's documents are printed: its start, and its end if it has one.
        """
        from cgtrail import sessions

        sessions.run(config(), sessions.Chosen(**chosen), as_json=as_json)


def _replay(cli: click.Group) -> None:
    @command(cli)
    @_session
    @click.option(
        "--speed", type=click.FloatRange(0.125, 64), default=1.0, show_default=True, help="So many times as fast."
    )
    @click.option("--max-pause", "longest", type=click.FloatRange(0), default=3.0, show_default=True, metavar="SECONDS",
                  help="Make longer pauses so long.")  # fmt: skip
    @click.option("--from", "start", type=Offset(), help="Begin there: seconds, mm:ss or hh:mm:ss.")
    @click.option("--command", metavar="NUMBER|ID", help="Begin where this line was typed.")
    @options.store
    def replay(session: str, speed: float, longest: float, start: int | None, command: str | None) -> None:
        """Play a session's recording in this terminal, as it was shown. ID may be the beginning of one.

        \b
        space       pause, and go on          left, right   5 seconds back, on
        .           the next output, pause    home, end     to the beginning, the end
        n, p        the next typed line, or the one before it
        + -         faster, slower            q             quit

        What the session's programs wrote only draws a screen: nothing of it reaches this terminal but text, colours
        and places. For a file or a pipe, see `cgtrail export`.
        """
        from cgtrail.recordings import replay

        replay.run(config(), session, speed=speed, longest=longest, start=start, command=command)


def _export(cli: click.Group) -> None:
    @command(cli)
    @_session
    @click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="asciicast",
        show_default=True,
        help="What to write: asciicast 3 or 2, tlog 2.3, or readable text.",
    )
    @click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write to this file, for its owner only, instead of standard output.",
    )
    @click.option("--force", is_flag=True, help="Replace the file if there is one.")  # fmt: skip
    @options.store
    def export(session: str, form: str, output: Path | None, force: bool) -> None:
        """Write a session's recording in a format that other programs read. ID may be the beginning of one.

        Asciicast and tlog hold what programs wrote, control sequences included: play them with players. Typed
        lines, gaps and alerts are markers in asciicast, to which players jump; gaps and alerts are lines in txt,
        and told on standard error.

        \b
            cgtrail export 3f2a --format asciicast2 -o session.cast && asciinema play session.cast
            cgtrail export 3f2a --format tlog -o session.json && tlog-play -r file --file-path=session.json
        """
        from cgtrail.recordings import export

        export.run(config(), session, form, output, force=force)
