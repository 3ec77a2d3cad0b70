"""Recordings as text: the lines that a session left behind, as somebody would have read them.

A line is taken when it leaves the screen: at the top, when the screen is cleared, or at the end. Of what was written
over, as in a progress bar or an edited command, the last is left. What a full-screen program showed on the alternate
screen is left out, and marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cgtrail.recordings.events import Event, Gap, Mark, Shown, Window
from cgtrail.recordings.find import Session
from cgtrail.recordings.grid import Row
from cgtrail.recordings.paint import whole
from cgtrail.recordings.screen import Screen

FULL_SCREEN = "[… a full-screen program …]"


def lines(session: Session, events: Iterable[Event]) -> Iterator[bytes]:
    """The lines with their ends, in UTF-8: no control characters but these."""
    made = _Lines(session)
    for event in events:
        made.take(event)
        yield from made.ready()
    made.finish()
    yield from made.ready()


class _Lines:
    def __init__(self, session: Session) -> None:
        self._lines: list[str] = []
        self._told = 0
        """Rows at the top of the main screen that are lines already."""
        self._screen = Screen(*session.size, left=self._left, cleared=self.finish, switched=self._switched)

    def take(self, event: Event) -> None:
        """Something happens."""
        match event:
            case Shown():
                self._screen.feed(event.text)
            case Window():
                self._screen.resize(event.columns, event.rows)
            case Gap():
                self._note(event.words)
            case Mark():
                self._note(f"[{event.words}]")

    def ready(self) -> Iterator[bytes]:
        """The lines that are finished since this was asked last."""
        made, self._lines = self._lines, []
        for line in made:
            yield f"{line}\n".encode(errors="replace")

    def finish(self) -> None:
        """All that is on the main screen becomes lines."""
        cells = self._screen.other if self._screen.alternate else self._screen.cells
        texts = [_text(row) for row in cells[self._told :]]
        while texts and not texts[-1]:
            texts.pop()
        self._lines += texts
        self._told = 0

    def _left(self, row: Row) -> None:
        if self._told:
            self._told -= 1
        else:
            self._lines.append(_text(row))

    def _switched(self, alternate: bool) -> None:
        if not alternate:
            return
        above = max(self._screen.y, self._told)
        self._lines += [_text(row) for row in self._screen.cells[self._told : above]]
        self._told = above
        self._lines.append(FULL_SCREEN)

    def _note(self, words: str) -> None:
        if self._screen.alternate:
            self._lines.append(words)
        else:
            self._screen.note(words)


def _text(row: Row) -> str:
    first = row[0]
    if first[0] == " " and row.count(first) == len(row):  # much faster, and most are empty where a window is large
        return ""
    return "".join(char for char, _ in whole(row)).rstrip()
