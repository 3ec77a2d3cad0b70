"""`cgtrail replay`: a recording in time, what its keys do, and a terminal that is as before when it is left."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest

from cgtrail.recordings.player import Desk, Key, Player
from cgtrail.recordings.screen import Screen
from tests.unit.ran import Run
from tests.unit.taped import ID, MILLISECOND, SECOND, Tape

SHELL = {**os.environ, "PS1": "$ ", "LC_ALL": "C", "TERM": "xterm"}
LETTERS = "abcdefghijklmnopqrst"
SECONDS = 20
"""How long to wait for what must come."""


@dataclass
class Watched:
    """Somebody at a desk, whose clock goes on only while the player waits. `keys`: at which second which is pressed."""

    keys: list[tuple[float, Key]] = field(default_factory=list)
    now: float = 1000.0
    seen: list[tuple[float, str, str]] = field(default_factory=list)
    """Seconds since the beginning, the first line that is shown, and the status: each time one of the two changes."""

    def desk(self, *, keys: bool = True) -> Desk:
        """For a player."""
        return Desk(self._paint, self._wait, lambda: self.now, keys=keys)

    def lines(self) -> list[tuple[float, str]]:
        """When the first line changed, and to what."""
        found: list[tuple[float, str]] = []
        for at, line, _ in self.seen:
            if not found or found[-1][1] != line:
                found.append((round(at, 3), line))
        return found

    def _paint(self, screen: Screen, status: str) -> None:
        line = "".join(char for char, _ in screen.cells[0]).rstrip()
        if not self.seen or self.seen[-1][1:] != (line, status):
            self.seen.append((self.now - 1000, line, status))

    def _wait(self, seconds: float) -> Key | None:
        if self.keys and self.keys[0][0] <= self.now - 1000 + seconds:
            at, key = self.keys.pop(0)
            self.now = max(self.now, 1000 + at)
            return key
        assert self.keys or seconds < 100, "nobody ends it"
        self.now += max(seconds, 1e-6)
        assert self.now < 100_000, "it never ends"
        return None


Play = Callable[..., Watched]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Plays a tape to its end, or until q is pressed."""

    def played(tape: Tape, *keys: tuple[float, Key], start: int = 0, **options: float) -> Watched:
        watched = Watched(list(keys))
        Player(tape.recording(tmp_path), watched.desk(keys=bool(keys)), "web", **options).run(start)
        return watched

    return played


def counting(seconds: int = 20) -> Tape:
    """A session that shows a letter each second: a at 0, b at 1, …; then it is closed."""
    return letters(seconds).closed(seconds * SECOND)


def letters(seconds: int) -> Tape:
    """The same, still open."""
    tape = Tape().opened()
    for number in range(seconds):
        tape.shown(chr(ord("a") + number), number * SECOND)
    return tape


def test_in_time(play: Play) -> None:
    """Each piece is shown when it was, by the timing within documents too."""
    tape = Tape().opened().shown("abcd", 0, ">1+500>1+250>2").shown("e", 2 * SECOND).closed(2 * SECOND)
    assert play(tape).lines() == [(0, "a"), (0.5, "ab"), (0.75, "abcd"), (2, "abcde")]


@pytest.mark.parametrize(("speed", "last"), [(2.0, 1.0), (0.5, 4.0)])
def test_speed(play: Play, speed: float, last: float) -> None:
    """Twice as fast takes half the time."""
    tape = Tape().opened().shown("a").shown("b", 2 * SECOND).closed(2 * SECOND)
    assert play(tape, speed=speed, longest=9.0).lines()[-1] == (last, "ab")


def test_long_pauses(play: Play) -> None:
    """A pause of an hour takes as long as is allowed; the position is that of the recording."""
    tape = Tape().opened().shown("a").shown("b", 3600 * SECOND).shown("c", 3601 * SECOND).closed(3601 * SECOND)
    watched = play(tape, longest=2.0)
    assert watched.lines() == [(0, "a"), (2, "ab"), (3, "abc")]
    assert "1:00:01/1:00:01" in watched.seen[-1][2]


def test_pause(play: Play) -> None:
    """The space bar holds it, and lets it go on where it was."""
    watched = play(counting(4), (1.5, Key.PAUSE), (11.5, Key.PAUSE), (30.0, Key.QUIT))
    assert watched.lines() == [(0, "a"), (1, "ab"), (12, "abc"), (13, "abcd")]
    assert any("paused" in status for _, _, status in watched.seen)


def test_keys_for_speed(play: Play) -> None:
    """Plus doubles, minus halves."""
    watched = play(counting(6), (0.0, Key.FASTER), (1.0, Key.SLOWER), (1.0, Key.SLOWER), (60.0, Key.QUIT))
    assert watched.lines() == [(0, "a"), (0.5, "ab"), (1, "abc"), (3, "abcd"), (5, "abcde"), (7, "abcdef")]


def test_seeking(play: Play) -> None:
    """Arrows go five seconds; backwards the screen is made again from the beginning; home and end go there."""
    keys = [(0.0, Key.PAUSE), *((at, Key.ON) for at in (1.0, 2.0, 3.0)), (4.0, Key.BACK), (5.0, Key.START)]
    watched = play(counting(), *keys, (6.0, Key.END), (7.0, Key.QUIT))
    assert watched.lines() == [
        (0, "a"),
        (1, LETTERS[:6]),
        (2, LETTERS[:11]),
        (3, LETTERS[:16]),
        (4, LETTERS[:11]),
        (5, "a"),
        (6, LETTERS),
    ]
    assert "end, q quits" in watched.seen[-1][2]


def test_from(play: Play) -> None:
    """It can begin anywhere, and goes on from there in time."""
    assert play(counting(5), start=2 * SECOND + 500 * MILLISECOND).lines() == [
        (0, "abc"),
        (0.5, "abcd"),
        (1.5, "abcde"),
    ]


def test_one_after_another(play: Play) -> None:
    """The dot shows the next output and stands still."""
    watched = play(counting(5), (0.25, Key.NEXT), (9.0, Key.NEXT), (20.0, Key.QUIT))
    assert watched.lines() == [(0, "a"), (0.25, "ab"), (9, "abc")]


def typing() -> Tape:
    """The letters, and at 3.5, 7.5 and 11.5 seconds lines were typed; a further line and a program's input, too."""
    tape = letters(15)
    first = tape.command("cat <<EOF", 3 * SECOND + 500 * MILLISECOND)
    tape.command("text", 5 * SECOND, continues=first, prompt="> ")
    tape.command("y", 6 * SECOND, role="input", prompt="")
    tape.command("echo \x1b[2J", 7 * SECOND + 500 * MILLISECOND, prompt="$ ")
    tape.command("ls", 11 * SECOND + 500 * MILLISECOND)
    return tape.closed(15 * SECOND)


def test_from_command_to_command(play: Play) -> None:
    """n shows what was there when the next line was typed, p goes back; beyond the last nothing moves."""
    keys = [(at, Key.NEXT_COMMAND) for at in (1.0, 2.0, 3.0, 4.0)] + [(5.0, Key.PREVIOUS_COMMAND)]
    watched = play(typing(), (0.0, Key.PAUSE), *keys, (6.0, Key.START), (7.0, Key.PREVIOUS_COMMAND), (8.0, Key.QUIT))
    assert watched.lines() == [
        (0, "a"),
        (1, LETTERS[:4]),
        (2, LETTERS[:8]),
        (3, LETTERS[:12]),
        (5, LETTERS[:8]),
        (6, "a"),
    ]
    seen = [status for _, _, status in watched.seen]
    assert [
        part for part in ("[1] # cat <<EOF", "[4] $ echo \\x1b[2J", "[5] # ls") if any(part in s for s in seen)
    ] == [
        "[1] # cat <<EOF",
        "[4] $ echo \\x1b[2J",
        "[5] # ls",
    ]
    assert "no command there" in seen[-1]
    assert "[" not in seen[-1]


def test_back_while_it_plays(play: Play) -> None:
    """Pressed twice while it plays, p goes to the command before, although some of the first was shown again."""
    keys = [(9.0, Key.PREVIOUS_COMMAND), (9.2, Key.PREVIOUS_COMMAND), (9.3, Key.QUIT)]
    assert [len(line) for _, line in play(typing(), *keys).lines()][-2:] == [8, 4]


def test_a_session_without_commands(play: Play) -> None:
    """Where nothing was typed that is known, the keys say so."""
    watched = play(counting(3), (0.5, Key.NEXT_COMMAND), (0.6, Key.QUIT))
    assert "no command is known" in watched.seen[-1][2]


def test_a_full_screen_program_and_a_resize(play: Play) -> None:
    """Going back out of a full-screen program and over a resize, the screen is what it was."""
    tape = Tape().opened().shown("shell").shown("\x1b[?1049h\x1b[Heditor", SECOND)
    tape.shown("\x1b[2Jbig", 2 * SECOND, "=100x50>7").shown("\x1b[?1049l", 3 * SECOND).closed(4 * SECOND)
    watched = play(tape, (3.5, Key.START), (3.6, Key.PAUSE), (4.0, Key.ON), (5.0, Key.QUIT))
    assert [line for _, line in watched.lines()] == ["shell", "editor", "      big", "shell"]
    assert any("100x50" in status for _, _, status in watched.seen)


def test_gaps_are_seen(tmp_path: Path) -> None:
    """Skipped bytes and missing documents stand where they would have been shown."""
    tape = Tape().opened().shown("ab", skipped=((1, 12345),))
    tape.lost(3, 999).shown("c", SECOND).closed(SECOND)
    recording: list[str] = []

    def paint(screen: Screen, _status: str) -> None:
        recording[:] = ["".join(char for char, _ in row).rstrip() for row in screen.cells]

    watched = Watched()
    desk = Desk(paint, watched._wait, lambda: watched.now, keys=False)
    Player(tape.recording(tmp_path), desk, "web").run()
    assert recording[:5] == [
        "a",
        "[… 12,345 bytes skipped …]",
        "b",
        "[… 3 documents missing, 999 bytes skipped …]",
        "c",
    ]


def test_alerts_are_in_the_status(play: Play) -> None:
    """What the session was warned of, and that a password was typed, is told below."""
    tape = Tape().opened().shown("a").masked("9-16", SECOND)
    tape.add("session", "input_injected", 2 * SECOND)
    statuses = [status for _, _, status in play(tape.closed(3 * SECOND)).seen]
    assert any("a password of 9-16 characters was typed" in status for status in statuses)
    assert "input was injected" in statuses[-1]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("ffff", "no session has an id that begins with ffff"),
        ("f" * 16, "no session has the id ffff"),
        ("../x", "is no session's id"),
        ("3", "2 sessions have ids that begin with 3: 3f2a3f2a3f2a3f2a, 3fffffffffffffff; give more digits"),
    ],
)
def test_no_single_session(run: Run, tmp_path: Path, asked: str, words: str) -> None:
    """An id that is none's or several's is an error that says what to do."""
    counting().store(tmp_path)
    Tape("3" + "f" * 15).opened().store(tmp_path)
    result = run("export", asked)
    assert (result.code, result.out) == (1, "")
    assert words in result.err


def test_no_terminal(run: Run, tmp_path: Path) -> None:
    """Into a pipe nothing is played: what does that is named."""
    counting().store(tmp_path)
    result = run("replay", ID)
    assert (result.code, result.out) == (2, "")
    assert "cgtrail export ID --format txt" in result.err


@pytest.mark.parametrize("offset", ["x", "1:2:3:4", "-5", ""])
def test_wrong_offset(run: Run, offset: str) -> None:
    """An offset that is none is told with what would be one."""
    result = run("replay", ID, f"--from={offset}")
    assert result.code == 2
    assert "mm:ss" in result.err


class AtTerminal:
    """The command at a terminal of its own."""

    def __init__(self, data: Path, *options: str, size: tuple[int, int] = (30, 100)) -> None:
        command = ["-m", "cgtrail", "--data", str(data), "replay", ID, *options]
        self.child = pexpect.spawn(sys.executable, command, timeout=SECONDS, dimensions=size, encoding="utf-8")
        self.before = termios.tcgetattr(self.child.child_fd)

    def ended(self) -> str:
        """What it wrote until it ended, after which the terminal must be as before."""
        self.child.expect(pexpect.EOF)
        out = str(self.child.before)
        self.child.wait()
        assert "\x1b[m\x1b[?25h\x1b[?1049l" in out
        return out


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    """A long session that tries to reach beyond the screen."""
    text = "hello\x1b]0;title\x07\x1b[6n\x1b[?1000h\x1b]52;c;aGk=\x07\x1b[31mred"
    return letters(20).shown(text, 30 * SECOND).shown("z", 9000 * SECOND).store(tmp_path)


def settings_of(child: pexpect.spawn[str]) -> list[object]:
    """The terminal's settings now."""
    return list(termios.tcgetattr(child.child_fd))


def test_at_a_terminal(tape: Tape, tmp_path: Path) -> None:
    """It is played on the other screen; keys work; q leaves it as it was."""
    at = AtTerminal(tmp_path, "--from", "0:29")
    at.child.expect("00:29")
    assert settings_of(at.child) != at.before
    at.child.send("\x1b[C")
    at.child.expect("hello")
    seen = str(at.child.before) + str(at.child.after)
    at.child.send("\x1b[F")
    at.child.expect("end, q quits")
    seen += str(at.child.before)
    at.child.send("q")
    seen += at.ended()
    assert at.child.exitstatus == 0
    assert "still open" in seen
    for outside in ("title", "\x1b[6n", "\x1b[?1000", "aGk="):
        assert outside not in seen
    assert tape.number


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
def test_ended_by_a_signal(tape: Tape, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Whoever ends it, the terminal is as before."""
    at = AtTerminal(tmp_path)
    at.child.expect("00:01")
    assert at.child.pid
    os.kill(at.child.pid, number)
    at.ended()
    assert at.child.exitstatus == code
    assert tape.number


def test_stopped_and_continued(tape: Tape, tmp_path: Path) -> None:
    """Ctrl-Z gives the terminal back to the shell for as long as it is stopped."""
    shell = pexpect.spawn(
        "bash", ["--norc", "--noprofile"], timeout=SECONDS, dimensions=(30, 100), env=SHELL, encoding="utf-8"
    )
    shell.sendline(f"{sys.executable} -m cgtrail --data {tmp_path} replay {ID}")
    shell.expect("00:00/")
    shell.send("\x1a")
    shell.expect(re.escape("\x1b[?1049l"))
    shell.expect("Stopped")
    shell.sendline("stty -a")
    shell.expect(" icanon.* echo ")
    shell.sendline("fg")
    shell.expect(re.escape("\x1b[?1049h"))
    shell.expect("/2:30:00")
    shell.send("q")
    shell.expect(re.escape("\x1b[?1049l"))
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    assert tape.number


def test_a_window_that_is_too_small(tape: Tape, tmp_path: Path) -> None:
    """It says so, and sees when the window has changed."""
    at = AtTerminal(tmp_path, size=(10, 79))
    at.child.expect("larger than this")
    fcntl.ioctl(at.child.child_fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    at.child.expect(re.escape("\x1b[40;1H"))
    at.child.send("q")
    at.ended()
    assert tape.number


@pytest.mark.parametrize(
    ("wanted", "words"),
    [(["--command", "9"], "has no command 9"), (["--command", "5", "--from", "1"], "leave one of them out")],
)
def test_no_such_command(tmp_path: Path, wanted: list[str], words: str) -> None:
    """A command that isn't there is an error that says where numbers are told; two places to begin at are one."""
    typing().store(tmp_path)
    child = AtTerminal(tmp_path, *wanted).child
    child.expect(pexpect.EOF)
    assert words in " ".join(str(child.before).split())


def test_beginning_at_a_command(tmp_path: Path) -> None:
    """By number or id: the status names it at once."""
    tape = typing()
    tape.store(tmp_path)
    for wanted in ("4", f"{ID}-9-4"):
        at = AtTerminal(tmp_path, "--command", wanted)
        at.child.expect_exact("[4] $ echo")
        at.child.send("q")
        at.ended()
