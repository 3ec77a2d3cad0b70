"""What lines that are being edited take of memory, all together: a few bytes can paint a large picture."""

from __future__ import annotations

from dataclasses import dataclass, field

from enrich.terminals.session import Session

MOST = 64 << 20
"""Bytes of pictures and keys; beyond, the session that was written to least recently loses its own."""
LARGE = 16384
"""Bytes of one program's from which on they count."""


@dataclass(slots=True, eq=False)
class Room:
    """The account of all sessions in which much is painted: a part of a worker's state."""

    sizes: dict[str, int] = field(default_factory=dict)
    """Session → bytes when it was last looked at; the least recently used first."""
    sessions: dict[str, Session] = field(default_factory=dict)
    total: int = 0

    def note(self, session: Session) -> None:
        """A program at this session's terminal paints or is typed to, and has much already."""
        assert session.typist is not None
        self.leave(session.id)
        self.sizes[session.id] = size = session.typist.typing.size()
        self.total += size
        self.sessions[session.id] = session
        while self.total > MOST and len(self.sizes) > 1:
            oldest = next(iter(self.sizes))
            other = self.sessions.get(oldest)
            if other is not None and other.typist is not None:
                other.typist.typing.forget()
            self.leave(oldest)

    def leave(self, session: str) -> None:
        """It is over, or has nothing any more."""
        self.total -= self.sizes.pop(session, 0)
        self.sessions.pop(session, None)
