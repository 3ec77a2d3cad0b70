"""Lines of line editors, each with its own order of reading, painting and setting the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from bpf.enums import Change
from bpf.events import Terminal, TtySignal
from enrich.lines.typed import Confidence, Moment, Prompt, Reason, Role, Told, Typed, Who
from enrich.lines.typing import Typing
from tests.unit.at_terminal import ECHOED, RAW, At

EDITING, COOKED, NO_ONLCR = 1 | 4, 1 | 4, 1
"""c_oflag: OPOST and ONLCR; without ONLCR."""


class Desk:
    """Programs at a terminal, and what is told of them."""

    def __init__(self, name: str = "bash", **fields: Any) -> None:
        self.at, self.typing, self.told = At(), Typing(), list[Told]()
        self.name, self.fields, self.count = name, {"oflag": EDITING, "tgid": 20, "start": 1, "time": 0} | fields, 0

    def take(self, record: Terminal, *, secret: bool = False, passes: bool = False) -> None:
        """A record."""
        moment = Moment(f"r{self.count}", self.count, self.count, self.count)
        self.count += 1
        who = Who(record.tgid, record.start, self.name, passes)
        self.told += self.typing.take(record, moment, who, secret=secret)

    def raw(self, **fields: Any) -> None:
        """The program begins to edit."""
        self.take(self.at.change(Change.TERMIOS, lflag=RAW, **self.fields | fields))

    def cooked(self, **fields: Any) -> None:
        """It has the terminal as it was."""
        self.take(self.at.change(Change.TERMIOS, lflag=ECHOED, **self.fields | fields))

    def paint(self, *texts: str | bytes, **fields: Any) -> None:
        """It writes."""
        for text in texts:
            content = text.encode() if isinstance(text, str) else text
            self.take(self.at.write(content, **self.fields | fields))

    def keys(self, *texts: str, secret: bool = False) -> None:
        """It reads each at once."""
        for text in texts:
            self.take(self.at.input(text.encode(), RAW, **self.fields), secret=secret)

    def echo(self, text: str) -> None:
        """It reads and paints key by key."""
        for key in text:
            self.keys(key)
            self.paint(key)

    def interrupt(self) -> None:
        """Ctrl-c."""
        self.take(self.at.any(TtySignal, signal=2, lflag=RAW, **self.fields))

    def returned(self) -> None:
        """Return, as readline has it."""
        self.keys("\r")
        self.paint("\n", "\x1b[?2004l\r")
        self.cooked()

    def ask(self, prompt: str = "$ ") -> None:
        """A prompt, as readline has it."""
        self.raw()
        self.paint("\x1b[?2004h", prompt)

    def line(self, text: str, prompt: str = "$ ") -> None:
        """A whole line."""
        self.ask(prompt)
        self.echo(text)
        self.returned()

    @property
    def typed(self) -> list[Typed]:
        """The lines."""
        return [each for each in self.told if isinstance(each, Typed)]

    @property
    def lines(self) -> list[str]:
        """Their texts."""
        return [each.line for each in self.typed]


def test_readline() -> None:
    """A prompt, then a line at the record of its Return, then the next prompt."""
    desk = Desk()
    desk.line("ls -l", "root@box:~# ")
    desk.ask()
    first, line, second = desk.told
    assert isinstance(first, Prompt)
    assert isinstance(second, Prompt)
    assert isinstance(line, Typed)
    assert (line.line, line.prompt, line.role, line.continues) == ("ls -l", "root@box:~# ", Role.COMMAND, False)
    assert (line.confidence, line.reasons) == (Confidence.HIGH, (Reason.EDITED,))
    assert line.at.id == "r13"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("$ ls -l\r\n\x1b[1;31m> rm -rf /\x1b[0m ", "echo one"),
        ("\x1b]0;title\x07\x1b[32m漢字 λ \x1b[0m", "echo two"),
        ("\x1b7\x1b[60Cright\x1b8$ ", "three four"),
        ("only a row above\r\n", "five"),
        ("", "six"),
        ("x" * 90 + "$ ", "seven"),
        ("$ ", "y" * 200),
        ("$ ", "y" * 78),
        ("$ ", "y" * 77 + " z"),
        ("$ ", "blank behind "),
    ],
)
def test_prompts(prompt: str, text: str) -> None:
    """Prompts of several rows, in colours, with text in them, with something at the right, wide, long, empty."""
    desk = Desk()
    desk.line(text, prompt)
    desk.line(text + "!", prompt)
    assert desk.lines == [text, text + "!"]


def test_editing() -> None:
    """What was painted over, taken back or moved is as it was seen last."""
    desk = Desk()
    desk.ask()
    desk.echo("echo ab")
    desk.paint("\b\x1b[K", "\b\x1b[1@X", "\x1b[C", "\r$ echo \x1b[2P", "\x1b[Kdone")
    desk.returned()
    assert desk.lines == ["echo done"]


def test_a_list_of_completions() -> None:
    """Completions are listed below, and the prompt is painted again."""
    desk = Desk()
    desk.ask()
    desk.echo("ls /u")
    desk.keys("\t", "\t")
    desk.paint("\r\n", "usr/  use/\r\n", "$ ls /u")
    desk.echo("sr")
    desk.returned()
    assert desk.lines == ["ls /usr"]


def test_somebody_else_writes() -> None:
    """What another process writes in mid-line is not the editor's."""
    desk = Desk()
    desk.ask()
    desk.echo("echo ha")
    desk.paint("a job is done\r\n$ rm -rf /\r\n", tgid=99, start=9)
    desk.echo("lf")
    desk.returned()
    assert desk.lines == ["echo half"]


def test_nothing_is_given() -> None:
    """Empty lines, ctrl-c and ctrl-d are no lines; behind an empty one there is a prompt again."""
    desk = Desk()
    desk.ask()
    desk.returned()
    desk.ask()
    desk.echo("dropped")
    desk.interrupt()
    desk.paint("^C", "\x1b[?2004l\r")
    desk.cooked()
    desk.raw()
    desk.cooked()
    desk.paint("\n")
    desk.ask()
    desk.keys("\x04")
    desk.paint("\x1b[?2004l\r")
    desk.cooked()
    assert desk.lines == []
    assert len(desk.told) == 2


def test_further_lines() -> None:
    """PS2 and here-documents go on with the line before, with empty lines; ctrl-c ends that."""
    desk = Desk()
    for text in ("cat <<E", "one", "", "E"):
        desk.line(text, "> " if desk.told else "$ ")
    desk.line("if true", "$ ")
    desk.ask("> ")
    desk.interrupt()
    desk.paint("^C\r\n")
    desk.cooked()
    desk.line("ls")
    told = [(each.line, each.continues) for each in desk.typed]
    lines = [("cat <<E", False), ("one", True), ("", True), ("E", True), ("if true", False), ("ls", False)]
    assert told == lines
    assert [type(each) for each in desk.told].count(Prompt) == 3


def test_a_prompt_that_becomes_another() -> None:
    """A prompt that looks like PS2 is none where it was set."""
    desk = Desk()
    desk.line("PS1='> '")
    desk.line("echo 'a", "> ")
    desk.line("b'", "> ")
    desk.line("ls", "> ")
    assert [each.continues for each in desk.typed] == [False, False, True, False]


def test_read_e() -> None:
    """A line that a command asks for is no command, and no prompt."""
    desk = Desk()
    desk.line("read -e -p 'name? ' x")
    desk.line("bob", "name? ")
    desk.line("ls")
    assert [each.role for each in desk.typed] == [Role.COMMAND, Role.INPUT, Role.COMMAND]
    assert [type(each) for each in desk.told].count(Prompt) == 2


def test_fish() -> None:
    """Fish accepts by setting raw mode again, repaints without its suggestion, and indents what goes on."""
    desk = Desk("fish")
    desk.raw()
    desk.paint("f> ")
    desk.echo("ec")
    desk.paint("\x1b[38;5;240mho old\x1b[m\r\x1b[5C")
    desk.keys("\r")
    desk.paint("\x1b[K", "\n")
    desk.raw()
    desk.paint("\x1b]0;ec\x07")
    desk.cooked()
    desk.raw()
    desk.paint("f> ", "if true")
    desk.keys("i", "\r")
    desk.paint("\n\x1b[K\x1b[A\n\x1b[7C", "echo")
    desk.keys("\r")
    desk.paint("\n")
    desk.raw()
    assert desk.lines == ["ec", "if true\necho"]
    assert [type(each) for each in desk.told].count(Prompt) == 2


def test_typed_ahead_in_one_read() -> None:
    """Several lines that were read at once are told apart by their part."""
    desk = Desk("fish")
    desk.raw()
    desk.paint("f> ")
    desk.keys("one\rtwo\r")
    desk.paint("one", "\n")
    desk.cooked()
    desk.raw()
    desk.paint("f> two", "\n")
    desk.cooked()
    assert [(each.line, each.at.id, each.part) for each in desk.typed] == [("one", "r2", 0), ("two", "r2", 1)]


def test_node() -> None:
    """A preview sets the mode in mid-line; an error sets none."""
    desk = Desk("node")
    desk.raw()
    desk.paint("> ")
    desk.echo("va")
    desk.cooked()
    desk.raw()
    desk.echo("r 1")
    desk.keys("\r")
    desk.paint("\r\n", "Uncaught SyntaxError\r\n", "> ")
    desk.echo("2")
    desk.keys("\r")
    desk.paint("\r\n")
    desk.cooked()
    assert desk.lines == ["var 1", "2"]
    assert desk.typed[0].reasons == (Reason.IN_BAND,)
    assert desk.typed[0].confidence == Confidence.MEDIUM


def test_busybox() -> None:
    """What it has no glyph for is taken from the keys; its column from the terminal's answer."""
    desk = Desk("busybox")
    desk.raw()
    desk.paint("$ \x1b[6n")
    for key in "\x1b[1;3R":
        desk.keys(key)
    for key in "echo 漢字":
        desk.keys(key)
        desk.paint(key if key.isascii() else "?")
    desk.keys("\n")
    desk.paint("\n")
    desk.cooked()
    assert desk.lines == ["echo 漢字"]
    assert desk.typed[0].reasons == (Reason.KEYS,)


def test_libedit() -> None:
    """The prompt comes before raw mode."""
    desk = Desk("sftp")
    desk.paint("sftp> ", lflag=ECHOED)
    desk.raw()
    desk.echo("pwd")
    desk.returned()
    assert (desk.typed[0].line, desk.typed[0].prompt) == ("pwd", "sftp> ")


def test_zsh() -> None:
    """A right prompt, what fills a row, and what it can't paint are no part of the line."""
    desk = Desk("zsh")
    desk.raw()
    desk.paint("\r\x1b[J% \x1b[K\x1b[70C[right]\x1b[77D")
    desk.keys("x")
    desk.paint("echo " + "x" * 72 + "\x1b[7m \x1b[27m漢\x1b[K")
    desk.keys("\x01")
    desk.paint(" e", "\x1b[7m<0301>\x1b[27m")
    desk.keys("\n")
    desk.paint("\r\r\n")
    desk.cooked()
    assert desk.lines == ["echo " + "x" * 72 + "漢 e\u0301"]


def test_without_onlcr() -> None:
    """Where the terminal makes no column 0 of a newline, the editor does."""
    desk = Desk("python3", oflag=NO_ONLCR)
    desk.raw()
    desk.paint(">>> ")
    desk.echo("ab")
    desk.keys("\x1b\n")
    desk.paint("\n\r... cd")
    desk.keys("\n")
    desk.paint("\n\r")
    desk.cooked()
    assert desk.lines == ["ab\ncd"]


def test_ssh() -> None:
    """What goes on elsewhere is seen in what is painted, with low confidence; the last line at its end."""
    desk = Desk("ssh", oflag=0)
    desk.raw()
    desk.paint("Welcome\r\nbob@far:~$ ")
    desk.echo("cd /x")
    desk.keys("\r")
    desk.paint("\r\n", "bob@far:/x$ ")
    desk.echo("exit")
    desk.keys("\r")
    desk.paint("\r\nlogout\r\n")
    desk.told += desk.typing.exit(20, 1)
    assert [(each.line, each.confidence) for each in desk.typed] == [("cd /x", "low"), ("exit", "low")]
    assert all(Reason.REMOTE in each.reasons for each in desk.typed)


def test_full_screen() -> None:
    """An editor of files has no lines, whatever it reads."""
    desk = Desk("vim")
    desk.raw()
    desk.paint("\x1b[?1049h\x1b[Hhello")
    desk.keys(":", "w", "q", "\r")
    desk.paint("\x1b[?1049l\r\n")
    desk.cooked()
    assert desk.lines == []


def test_a_prompt_that_switches_screens() -> None:
    """A shell stays one, whatever it prints."""
    desk = Desk()
    desk.line("ls", "\x1b[?1049h\x1b[?2004h" + "\x1b[1;1H" * 30 + "$ ")
    assert desk.lines == ["ls"]


def test_one_that_passes() -> None:
    """A program with a terminal of its own has its lines there."""
    desk = Desk("script")
    for record in (desk.at.change(Change.TERMIOS, lflag=RAW, tgid=20), desk.at.write(b"$ ", tgid=20)):
        desk.take(record, passes=True)
    desk.take(desk.at.input(b"ls\r", RAW, tgid=20), passes=True)
    assert desk.told == []
    assert desk.typing.programs == {}


@pytest.mark.parametrize(("name", "sure"), [("bash", Confidence.HIGH), ("python3", Confidence.LOW)])
def test_who_opens_a_terminal_hides_no_line(name: str, sure: Confidence) -> None:
    """What takes commands goes on to do so, whatever it opens; of what is no shell it may be somebody else's lines."""
    desk = Desk(name)
    desk.line("exec 5<>/dev/ptmx")
    for record in (
        desk.at.change(Change.TERMIOS, lflag=RAW, **desk.fields),
        desk.at.write(b"$ ", **desk.fields),
        *(r for key in b"ls" for r in (desk.at.input(bytes([key]), RAW), desk.at.write(bytes([key]), **desk.fields))),
        desk.at.input(b"\r", RAW, **desk.fields),
        desk.at.write(b"\r\n", **desk.fields),
        desk.at.change(Change.TERMIOS, lflag=ECHOED, **desk.fields),
    ):
        desk.take(record, passes=True)
    assert [(each.line, each.confidence) for each in desk.typed[1:]] == [("ls", sure)]


def test_secrets() -> None:
    """What is taken for a password is no line and is kept nowhere."""
    desk = Desk("mysql")
    desk.raw()
    desk.paint("Enter password: ")
    desk.keys(*"hunter2", secret=True)
    assert "hunter2" not in repr(desk.typing)
    desk.keys("\r", secret=True)
    desk.paint("\n")
    desk.cooked()
    assert desk.lines == []


def test_masked_keys() -> None:
    """A line of which only circles are shown is a password, too."""
    desk = Desk("fish")
    desk.ask("read> ")
    for key in "hunter2":
        desk.keys(key)
        desk.paint("●")
    desk.returned()
    assert desk.lines == []


def test_without_echo() -> None:
    """A shell that paints nothing (stty -echo) is told by the keys, at its usual prompt only."""
    desk = Desk()
    desk.line("stty -echo")
    desk.ask()
    desk.keys(*"ls", "\r")
    desk.paint("\n")
    desk.cooked()
    assert desk.lines == ["stty -echo", "ls"]
    assert desk.typed[1].reasons == (Reason.KEYS,)


def test_another_size() -> None:
    """The window gets narrower in mid-line, and the editor paints all again."""
    desk = Desk()
    desk.ask()
    desk.echo("echo " + "x" * 60)
    desk.fields |= {"columns": 40}
    desk.paint("\r\x1b[K$ echo " + "x" * 60)
    desk.echo("yz")
    desk.returned()
    assert desk.lines == ["echo " + "x" * 60 + "yz"]


def test_taller_than_the_window() -> None:
    """Of what is not shown whole the keys are taken."""
    desk = Desk()
    desk.ask()
    text = "\n".join(f"echo {i}" for i in range(100))
    for key in f"\x1b[200~{text}\x1b[201~".replace("\n", "\r"):
        desk.keys(key)
    desk.paint(*("echo\r\n" for _ in range(30)))
    desk.returned()
    assert desk.lines == [text]
    assert desk.typed[0].confidence == Confidence.MEDIUM


def test_cut() -> None:
    """A line of more than 64 KiB is cut and says so."""
    desk = Desk()
    desk.ask()
    desk.keys("x" * 70_000, "\r")
    desk.paint("x" * 3000, "\n")
    desk.cooked()
    assert desk.lines == ["x" * 65_536]
    assert desk.typed[0].reasons == (Reason.KEYS, Reason.CUT)
    assert desk.typed[0].confidence == Confidence.LOW


@pytest.mark.parametrize("missing", ["gap", "unwritten", "consumed"])
def test_gaps(missing: str) -> None:
    """The line in progress is marked, the next one is right."""
    desk = Desk()
    desk.ask()
    desk.echo("ec")
    if missing == "gap":
        desk.typing.gap()
    elif missing == "consumed":
        desk.at.consumed += 2
    else:
        desk.fields |= {"unwritten": 1}
    desk.echo("x")
    desk.returned()
    desk.line("next")
    assert [Reason.GAP in each.reasons for each in desk.typed] == [True, False]
    assert desk.typed[0].confidence == Confidence.LOW
    assert desk.lines[1] == "next"


def test_a_return_that_is_missing() -> None:
    """A line whose Return was not recorded is told all the same, and marked."""
    desk = Desk()
    desk.ask()
    desk.echo("ls")
    desk.at.consumed += 1
    desk.paint("\n", "\x1b[?2004l\r")
    desk.cooked()
    desk.line("next")
    assert [(each.line, Reason.GAP in each.reasons) for each in desk.typed] == [("ls", True), ("next", False)]


def test_never_restored() -> None:
    """A program that leaves raw mode behind does no harm to the shell that edits next."""
    desk = Desk()
    desk.raw(tgid=30, start=3)
    desk.paint("$ fake", tgid=30, start=3)
    desk.line("ls")
    assert desk.lines == ["ls"]


@pytest.mark.parametrize("left", [RAW, 0o100])
@pytest.mark.parametrize("onlcr", [True, False])
def test_left_raw_and_silent(onlcr: bool, left: int) -> None:
    """After `stty raw -echo` readline changes no flag, or but ISIG: what it writes begins an edit, Return ends it."""
    desk = Desk()
    desk.line("stty raw -echo")
    desk.fields |= {"oflag": EDITING if onlcr else NO_ONLCR}
    for text in ("echo one", "stty sane"):
        desk.paint("\x1b[?2004h", "$ ")
        desk.keys(*text, "\r")
        desk.paint("\x1b[?2004l\r\n")
        desk.take(desk.at.change(Change.TERMIOS, lflag=left, **desk.fields))
        desk.paint("one\n")
        if left != RAW:
            desk.raw()
    assert desk.lines == ["stty raw -echo", "echo one", "stty sane"]
    assert [each.reasons for each in desk.typed[1:]] == [(Reason.KEYS,)] * 2


ANSWER = "\x1b[1;9R"


@pytest.mark.parametrize(
    ("reads", "later"), [(["\r", ANSWER], []), ([f"\r{ANSWER}"], []), ([f"{ANSWER}\r"], []), (["\r"], [ANSWER])]
)
def test_late_answers(reads: list[str], later: list[str]) -> None:
    """The terminal's answer to CSI 6n comes when Return was read already, or with it: that was read all the same."""
    desk = Desk("ipython3")
    for text in ("1 + 1", "import os"):
        desk.raw()
        desk.paint("\x1b[6n", "In [1]: ")
        desk.echo(text)
        desk.keys(*reads)
        desk.paint("\r\n\x1b[J")
        desk.keys(*later)
        desk.cooked()
    assert desk.lines == ["1 + 1", "import os"]
    assert {each.confidence for each in desk.typed} == {Confidence.HIGH}


@pytest.mark.parametrize("shown", ["\x1b]0;title", "\x1bP+q", "\x1b[?1049h"])
def test_a_prompt_behind_what_never_ends(shown: str) -> None:
    """A shell's prompt is one also within a string that a line has begun, and did not end."""
    desk = Desk("dash")
    for text in ("printf", "echo after"):
        desk.paint("# ", lflag=ECHOED)
        desk.take(desk.at.input(f"{text}\n".encode(), ECHOED, **desk.fields))
        desk.paint(shown, lflag=ECHOED)
    assert [(each.line, each.prompt, each.role) for each in desk.typed] == [
        ("printf", "# ", Role.COMMAND),
        ("echo after", "# ", Role.COMMAND),
    ]


def test_a_job_that_ends_with_return() -> None:
    """What zsh says of it below the line is no part of that."""
    desk = Desk("zsh")
    for text in ("echo same", "echo next"):
        desk.ask("% ")
        desk.echo(text)
        desk.keys("\r")
        desk.paint("\x1b[?2004l\r\r\n", "[1]  + done       sleep 0.4\r\n")
        desk.cooked()
    assert desk.lines == ["echo same", "echo next"]
