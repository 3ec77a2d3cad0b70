"""Plays a recording: what is shown when, and what keys do. It knows no terminal: that is `cgtrail.recordings.tty`."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from cgtrail.recordings.events import Command, Event, Gap, Mark, Recording, Shown, Window
from cgtrail.recordings.screen import Screen

SECOND = 1_000_000_000
STEP = 5 * SECOND
SLOWEST, FASTEST = 0.125, 64.0
_TICK = 0.5
"""Seconds at most between two looks at the window's size, and between two states of the clock."""
_GRACE = SECOND
"""While it plays, so soon behind a command the one before is meant."""
_BUSY = 0.1
"""Seconds of showing what is due until keys are asked for again."""


class Key(Enum):
    """What somebody can ask for."""

    PAUSE = "pause"
    BACK = "back"
    ON = "on"
    START = "start"
    END = "end"
    NEXT = "next"
    FASTER = "faster"
    SLOWER = "slower"
    NEXT_COMMAND = "next command"
    PREVIOUS_COMMAND = "previous command"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where it is played: `paint` shows a screen and a status, `wait` gives a key or None after so many seconds."""

    paint: Callable[[Screen, str], object]
    wait: Callable[[float], Key | None]
    clock: Callable[[], float]
    keys: bool = True
    """Whether anybody could ever press one; if not, playing ends with the recording."""


class Player:
    """One recording. `position` and `length` are nanoseconds since its start."""

    def __init__(
        self, recording: Recording, desk: Desk, name: str, *, speed: float = 1.0, longest: float = 3.0
    ) -> None:
        """`name` is shown in the status, safe for a terminal; `longest` is the longest pause, in seconds."""
        self._recording, self._desk, self._name = recording, desk, name
        self.speed, self._longest = speed, longest
        self.length = recording.length()
        self.paused = self._quit = False
        self.position = 0
        self.screen: Screen
        self._events: Iterator[Event]
        self._next: Event | None
        self._due = 0.0
        self._message = self._command = ""
        self._commands: array[int] | None = None
        """When lines were typed, once somebody asked; 8 bytes each."""
        self._rewind()

    def run(self, start: int = 0) -> None:
        """Play from a position on until the end, or until somebody has enough. Raises StoreError."""
        self.seek(start)
        while not self._quit:
            now = self._desk.clock()
            if self._next is not None and not self.paused and now >= self._due:
                self._advance(now)
            self._desk.paint(self.screen, self._status())
            if self._next is None and not self._desk.keys:
                return
            key = self._desk.wait(self._patience())
            if self._next is not None and not self.paused:
                moved = int((self._desk.clock() - now) * self.speed * SECOND)
                self.position = min(self.position + moved, self._next.at)
            if key:
                self._pressed(key)

    def seek(self, position: int) -> None:
        """Show what was there at a position, without waiting for it."""
        position = max(position, 0)
        if position < self.position:
            self._rewind()
        began = self._desk.clock()
        while self._next is not None and self._next.at <= position:
            self._apply()
            if self._desk.clock() - began > _TICK:
                began = self._desk.clock()
                self._desk.paint(self.screen, self._status("seeking"))
                if self._desk.wait(0) is Key.QUIT:
                    self._quit = True
                    return
        self.position = max(self.position, min(position, self.length))
        self._wait_for_next()

    def _rewind(self) -> None:
        self.screen = Screen(*self._recording.session.size)
        self.position = 0
        self._message = self._command = ""
        self._events = self._recording.events()
        self._next = next(self._events, None)
        self._due = 0.0

    def _wait_for_next(self) -> None:
        """From now on: as long as it took then, but for pauses that are too long."""
        if self._next is not None:
            away = max(self._next.at - self.position, 0) / SECOND / self.speed
            self._due = self._desk.clock() + min(away, self._longest)

    def _patience(self) -> float:
        if self.paused or self._next is None:
            return _TICK
        return min(max(self._due - self._desk.clock(), 0.0), _TICK)

    def _advance(self, now: float) -> None:
        """Show what is due; the time of what comes next counts from when this was due, so nothing adds up."""
        while self._next is not None and self._due <= now:
            before, due = self._next.at, self._due
            self._apply()
            if self._next is not None:
                self._due = due + min((self._next.at - before) / SECOND / self.speed, self._longest)
            if self._desk.clock() - now > _BUSY:
                self._due = max(self._due, now)
                return
        if self._next is None:
            self.position = max(self.position, self.length)

    def _apply(self) -> None:
        """The next event happens."""
        event = self._next
        assert event is not None
        self._next = next(self._events, None)
        self.position = max(self.position, event.at)
        match event:
            case Shown():
                self.screen.feed(event.text)
            case Window():
                self.screen.resize(event.columns, event.rows)
            case Gap():
                self.screen.note(event.words)
            case Mark():
                self._message = event.words
            case Command():
                self._command = f"[{event.number}] {event.words}"

    def _pressed(self, key: Key) -> None:
        match key:
            case Key.PAUSE:
                self.paused = not self.paused
            case Key.BACK | Key.ON:
                self.seek(self.position + (STEP if key is Key.ON else -STEP))
            case Key.START:
                self.seek(0)
            case Key.END:
                self.seek(self.length)
                self._finish()
            case Key.NEXT:
                self._one_more()
            case Key.FASTER:
                self.speed = min(self.speed * 2, FASTEST)
            case Key.SLOWER:
                self.speed = max(self.speed / 2, SLOWEST)
            case Key.NEXT_COMMAND | Key.PREVIOUS_COMMAND:
                self._jump(key)
            case Key.QUIT:
                self._quit = True
        self._wait_for_next()

    def _jump(self, key: Key) -> None:
        """Show what was there when the next line was typed or the one before, its Return still to come."""
        if self._commands is None:
            self._commands = array("q", (command.at for command in self._recording.again().commands()))
        if key is Key.NEXT_COMMAND:
            index = bisect_right(self._commands, self.position)
        else:
            index = bisect_left(self._commands, self.position - (0 if self.paused else _GRACE)) - 1
        if 0 <= index < len(self._commands):
            self.seek(self._commands[index])
        else:
            self._message = "no command there" if self._commands else "no command is known of this session"

    def _finish(self) -> None:
        while self._next is not None:
            self._apply()

    def _one_more(self) -> None:
        """Up to the next text that was shown, and all that came at that moment; then stand still."""
        self.paused = True
        while self._next is not None:
            at, shown = self._next.at, isinstance(self._next, Shown | Gap)
            self._apply()
            if shown and (self._next is None or self._next.at > at):
                return

    def _status(self, doing: str = "") -> str:
        state = doing or ("end, q quits" if self._next is None else "paused" if self.paused else "")
        parts = [
            f" {clock(self.position)}/{clock(self.length)}",
            f"x{self.speed:g}",
            state,
            self._message,
            self._command,
            self._name,
            f"{self.screen.columns}x{self.screen.rows}",
        ]
        return "  ".join(filter(None, parts))


def clock(position: int) -> str:
    """A position as minutes and seconds, with hours where there are any."""
    minutes, seconds = divmod(position // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
