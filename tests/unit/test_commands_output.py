"""What was shown while a line was carried out, as far as [documents] output keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from bpf.enums import Change, Policy
from bpf.events import TtyOutput
from tests.unit.at_shell import Lab, Shell
from tests.unit.at_terminal import SHELL

PROMPT = b"\x1b[?2004h$ "


def output(lab: Lab, line: str) -> dict[str, Any]:
    """cgtrail.command.output of a line."""
    found: dict[str, Any] = lab.command(line)["cgtrail"]["command"]["output"]
    return found


def shown(shell: Shell, *pieces: bytes) -> list[TtyOutput]:
    """The terminal showed it, piece by piece."""
    return [shell.terminal.output(piece) for piece in pieces]


def typed(lab: Lab, line: bytes) -> Shell:
    """Somebody typed a line, and all that was shown by then."""
    shell = lab.shell()
    lab.feed(*shown(shell, PROMPT), *shell.keys(line), *shown(shell, line), *shell.accept())
    return shell


@pytest.mark.parametrize("late", [0, 1, 2])
def test_the_text(late: int) -> None:
    """The text is what stands between the line and the next prompt, however late the terminal shows it."""
    lab = Lab(output="all")
    shell = lab.shell()
    lab.feed(*shown(shell, PROMPT), *shell.keys(b"ls"), *shown(shell, b"ls"))
    accepted = shell.accept()
    ready = shell.prompt() if late == 2 else []
    ran = shown(shell, b"\r\n\x1b[?2004l\r", b"a\r\n", b"\x1b[1mb\x1b[0m\r\n")
    if late == 0:
        lab.feed(*accepted[:3], ran[0], *accepted[3:], *ran[1:], *shell.prompt(), *shown(shell, PROMPT))
    elif late == 1:
        lab.feed(*accepted, *ran, *shell.prompt())
        assert not lab.of("command_ended")
        lab.feed(*shown(shell, PROMPT))
    else:
        lab.feed(*accepted, *ready, *ran, *shown(shell, PROMPT[:5], PROMPT[5:]))
    assert output(lab, "ls") == {"text": "a\nb\n", "bytes": 14, "skipped": 0}


@pytest.mark.parametrize(("setting", "kept"), [("none", 0), ("head", 4096), ("all", 1 << 20)])
def test_how_much_is_kept(setting: str, kept: int) -> None:
    """Nothing is told, the beginning is kept, or much; what is not is counted."""
    lab = Lab(output=setting)
    shell = typed(lab, b"yes")
    lab.feed(*shown(shell, b"\r\n\x1b[?2004l\r", *[b"y" * 16384] * 70), *shell.prompt(), *shown(shell, PROMPT))
    if not kept:
        assert "output" not in lab.command("yes")["cgtrail"]["command"]
        return
    told = output(lab, "yes")
    assert len(told["text"]) == kept
    assert (told["bytes"], told["skipped"]) == (70 * 16384, 70 * 16384 - kept)


def test_a_prompt_that_is_not_shown() -> None:
    """Where the prompt does not come, the end is told after a second, or when the next line is typed."""
    lab = Lab(output="all")
    shell = typed(lab, b"ls")
    lab.feed(*shown(shell, b"\r\n\x1b[?2004l\r", b"x\r\n"), *shell.prompt())
    assert not lab.of("command_ended")
    lab.wait()
    assert output(lab, "ls")["text"] == "x\n"
    lab.feed(*shell.line(b"id"), *shell.prompt())
    assert len(lab.of("command_ended")) == 1
    lab.feed(*shell.line(b"pwd"))
    assert len(lab.of("command_ended")) == 2


def test_the_end_of_the_session_ends_the_wait() -> None:
    """A session that ends while a line waits for its output has it told."""
    lab = Lab(output="all")
    shell = typed(lab, b"ls")
    lab.feed(*shown(shell, b"\r\n\x1b[?2004l\rx\r\n"), *shell.prompt(), shell.terminal.change(Change.HANGUP))
    told = lab.command("ls")["cgtrail"]["command"]
    assert (told["ended"], told["output"]["text"]) == ("prompt", "x\n")


def test_a_shell_in_a_shell() -> None:
    """What is shown once a line was typed to another program is that line's."""
    lab = Lab(output="all")
    shell = typed(lab, b"su")
    su = lab.run(SHELL, b"/bin/su")
    inner = Shell(shell.terminal, su, prompt=b"# ")
    lab.feed(*shown(shell, b"\r\n\x1b[?2004l\r", b"welcome\r\n"), *inner.prompt())
    lab.feed(*shown(shell, b"\x1b[?2004h# "), *inner.keys(b"id"), *shown(shell, b"id"), *inner.accept())
    lab.feed(*shown(shell, b"\r\n\x1b[?2004l\r", b"root\r\n"), *inner.prompt(), *shown(shell, b"\x1b[?2004h# "))
    lab.done(su, SHELL)
    lab.feed(*shell.prompt(), *shown(shell, PROMPT))
    assert output(lab, "id")["text"] == "root\n"
    assert output(lab, "su")["text"].startswith("welcome\n")
    assert "root" not in output(lab, "su")["text"]


def test_secrets() -> None:
    """Secrets in what is shown are masked, also where they come in pieces or the text is cut in them."""
    lab = Lab(output="head")
    shell = typed(lab, b"env")
    lab.feed(*shown(shell, b"\r\n\x1b[?2004l\r", b"x\r\nAPI_TOK", b"EN=abcdef0123", b"456789\r\n", b"-" * 4035))
    lab.feed(
        *shown(shell, b" API_TOKEN=ghp_abcdefghijklmnop", b"qrstuvwxyz\r\n"), *shell.prompt(), *shown(shell, PROMPT)
    )
    told = lab.command("env")["cgtrail"]["command"]
    assert told["masked"]
    assert "masked" not in lab.of("command_started")[0]["cgtrail"]["command"]
    assert told["output"]["text"].startswith("x\nAPI_TOKEN=[secret:16]\n")
    assert "abc" not in told["output"]["text"]
    assert "ghp" not in told["output"]["text"]


def test_a_full_screen_has_no_text() -> None:
    """Of a program that takes the whole screen, only how much was shown is told."""
    lab = Lab(output="all")
    shell = typed(lab, b"vim")
    lab.feed(*shown(shell, b"\r\n\x1b[?2004l\r", b"\x1b[?1049h\x1b[Hsome text", b"\x1b[?1049l"), *shell.prompt())
    lab.feed(*shown(shell, PROMPT))
    told = output(lab, "vim")
    assert "text" not in told
    assert told["bytes"] == told["skipped"] > 0


def test_nobody_asked() -> None:
    """Of a container whose output nobody asked for, none is kept, nor while that is not known."""
    for lab in (Lab(output="all", policy=Policy.EXEC | Policy.TERMINAL), Lab(output="all", known=False)):
        shell = typed(lab, b"ls")
        lab.feed(*shown(shell, b"\r\n\x1b[?2004l\r", b"a\r\n"), *shell.prompt(), *shown(shell, PROMPT))
        lab.wait()
        assert "text" not in output(lab, "ls")


def test_binary() -> None:
    """Whatever is shown becomes text without control characters."""
    lab = Lab(output="all")
    shell = typed(lab, b"cat x")
    lab.feed(*shown(shell, b"\r\n\x1b[?2004l\r", bytes(range(256)) * 4, b"\x1b]0;title"), *shell.prompt())
    lab.wait()
    text = output(lab, "cat x")["text"]
    assert not [char for char in text if char < " " and char not in "\t\n"]
