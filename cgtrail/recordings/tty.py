"""The terminal that a recording is played on: keys come one by one, and it is as it was when it is left.

It is left whatever happens: an error, Ctrl-C, SIGTERM, SIGHUP; with Ctrl-Z for as long as the player is stopped.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from cgtrail.recordings.paint import Painter
from cgtrail.recordings.player import Desk, Key
from cgtrail.recordings.screen import Screen

KEYS = {
    b" ": Key.PAUSE,
    b"\x1b[D": Key.BACK,
    b"\x1bOD": Key.BACK,
    b"\x1b[C": Key.ON,
    b"\x1bOC": Key.ON,
    b"\x1b[H": Key.START,
    b"\x1bOH": Key.START,
    b"\x1b[1~": Key.START,
    b"\x1b[F": Key.END,
    b"\x1bOF": Key.END,
    b"\x1b[4~": Key.END,
    b".": Key.NEXT,
    b"+": Key.FASTER,
    b"=": Key.FASTER,
    b"-": Key.SLOWER,
    b"n": Key.NEXT_COMMAND,
    b"p": Key.PREVIOUS_COMMAND,
    b"q": Key.QUIT,
    b"\x04": Key.QUIT,
}
_ENTER = "\x1b[?1049h\x1b[2J"
_LEAVE = "\x1b[m\x1b[?25h\x1b[?1049l"
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminal:
    """Standard output, and the keys of standard input where that is a terminal too. A context manager."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._keys = os.isatty(self._in)
        self._typed = b""
        self._painter, self._stale = Painter(80, 24), True
        self._before: list[Any] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        handlers = dict.fromkeys(_ENDING, _end) | {signal.SIGTSTP: self._stop, signal.SIGWINCH: self._resized}
        self._handlers = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def desk(self) -> Desk:
        """What a player needs of it."""
        return Desk(self._paint, self._wait, time.monotonic, keys=self._keys)

    def _paint(self, screen: Screen, status: str) -> None:
        if self._stale:
            self._stale = False  # first, for the size may change meanwhile
            size = os.get_terminal_size(self._out)
            self._painter = Painter(size.columns or 80, size.lines or 24)
        if not self._painter.holds(screen):
            status += "  (larger than this window)"
        self._write(self._painter.frame(screen, status))

    def _wait(self, seconds: float) -> Key | None:
        if not self._keys:
            time.sleep(seconds)
            return None
        key = self._key()
        if key is None and select.select([self._in], [], [], seconds)[0]:
            try:
                read = os.read(self._in, 64)
            except OSError:
                read = b""  # the terminal is gone
            if not read:
                return Key.QUIT
            self._typed += read
            key = self._key()
        return key

    def _key(self) -> Key | None:
        """The next that was pressed; what is none is passed over."""
        while self._typed:
            for name, key in KEYS.items():
                if self._typed.startswith(name):
                    self._typed = self._typed[len(name) :]
                    return key
            if any(name.startswith(self._typed) for name in KEYS):
                return None
            self._typed = self._typed[1:]
        return None

    def _take(self) -> None:
        if self._keys:
            self._before = termios.tcgetattr(self._in)
            tty.setcbreak(self._in, termios.TCSADRAIN)
        self._stale = True
        self._write(_ENTER)

    def _give_back(self) -> None:
        with suppress(OSError):
            self._write(_LEAVE)
        if self._before:
            with suppress(termios.error):
                termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._out, data) :]

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._stop)
        self._take()

    def _resized(self, _number: int, _frame: FrameType | None) -> None:
        self._stale = True


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
