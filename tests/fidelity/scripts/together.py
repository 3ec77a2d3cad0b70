"""Five people in one container, who type the same at the same time."""

from __future__ import annotations

from contextlib import suppress
from threading import Barrier, BrokenBarrierError

from tests.fidelity.person import CTRL, RETURN, Person, script

PEOPLE = 5
TOGETHER = Barrier(PEOPLE)
PROMPT = "[#$%] "
"""Something in the background may write behind it."""
SHELLS = ("bash", "bash", "zsh", "dash", "bash")


def at_once() -> None:
    """Wait until everybody is here; not for somebody who was not chosen."""
    with suppress(BrokenBarrierError):
        TOGETHER.wait(3)


def work(person: Person) -> None:
    """Programs of the same names, in the background too, which end while somebody else types."""
    for at in range(4):
        at_once()
        person.line(f"sleep 0.{at + 2} &", execs=["sleep"])
        at_once()
        person.line("ls -d / | sort", execs=["ls", "sort"])
        at_once()
        person.keys("echo same", RETURN, line="echo same")
    at_once()
    person.line("(sleep 0.5; date; ls -d /) & true", execs=["sleep", "date", "ls"])
    person.line("cd /usr", until=PROMPT)
    person.cwd = "/usr"
    at_once()
    person.keys("echo dropped", CTRL["c"], line=None, until=PROMPT)
    person.line("wait")
    person.line("id -u", execs=["id"])


for _number, _shell in enumerate(SHELLS):
    script(_shell, f"five people: {_number + 1}", user=("root", "alice")[_number % 2])(work)
