"""What is consumed from a terminal: echoed lines are told, secrets only as such, and single keys never."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bpf.enums import Change
from enrich.terminals.passwords import asks, last_line, length_class
from tests.unit.at_terminal import ECHOED, RAW, SHELL, SILENT, TTY, At, actions, begun, of
from tests.unit.stream import SECOND, Stream, exec_, undeclared

SECRET = b"Qz7xWpL9vKj2mTqY8nRb"


def masked(documents: list[dict[str, Any]]) -> list[str]:
    """Length classes of the secrets that were told."""
    told = [d["cgtrail"]["terminal"] for d in of(documents, "text_input")]
    told = [each["masked"] for each in told if "masked" in each]
    assert {each["kind"] for each in told} <= {"password"}
    return [each["length"] for each in told]


def lines(documents: list[dict[str, Any]]) -> list[str]:
    """Texts that were told."""
    return [d["process"]["io"]["text"] for d in of(documents, "text_input") if "text" in d["process"]["io"]]


def nothing_of(secret: bytes, documents: list[dict[str, Any]]) -> bool:
    """Whether no piece of four bytes of a secret stands in any document."""
    body = json.dumps(documents).encode()
    return not any(secret[at : at + 4] in body for at in range(len(secret) - 3))


def typing(stream: Stream, terminal: At, keys: bytes, echo: bytes | None = None, **fields: Any) -> None:
    """Key by key in raw mode; `echo` is shown for each, None for none, and b"" what was typed."""
    for at in range(len(keys)):
        key = keys[at : at + 1]
        stream.feed(terminal.input(key, RAW, **fields))
        if echo is not None and key not in b"\r\n\x03\x04":
            shown = echo or key
            stream.feed(terminal.write(shown, **fields), terminal.output(shown, lflag=RAW))


def asked(prompt: str = "Password: ", lflag: int = RAW) -> tuple[Stream, At]:
    """A program in raw mode that has asked for something."""
    stream, terminal = begun()
    stream.feed(exec_(30, SHELL, b"/usr/bin/sudo", tty=TTY, sid=SHELL))
    stream.feed(terminal.write(prompt.encode(), lflag=lflag, tgid=30), terminal.output(prompt.encode(), lflag=lflag))
    return stream, terminal


def test_lines() -> None:
    """A line that was echoed is told with who read it; one that comes byte by byte is one line."""
    stream, terminal = begun()
    stream.feed(exec_(30, SHELL, b"/usr/bin/cat", tty=TTY, sid=SHELL))
    (told,) = of(stream.feed(terminal.input("schön\n".encode(), tgid=30, uid=1000)), "text_input")
    assert (told["process"]["io"], told["process"]["name"]) == ({"type": "tty", "text": "schön\n"}, "cat")
    assert told["user"] == {"id": "1000"}
    assert undeclared(told) == set()
    assert stream.feed(*(terminal.input(bytes([byte])) for byte in b"abc")) == []
    assert lines(stream.feed(terminal.input(b"\n"))) == ["abc\n"]
    stream.feed(terminal.input(b"half"))
    assert lines(stream.wait(2 * SECOND)) == ["half"]


def test_canonical_secrets() -> None:
    """What the kernel kept is told as a password of some length, also where it is read byte by byte."""
    stream, terminal = begun()
    stream.feed(terminal.input(SECRET + b"\n", SILENT))
    assert masked(stream.documents) == ["17-32"]
    stream.feed(*(terminal.input(bytes([byte]), SILENT) for byte in b"1234\n"))
    stream.feed(terminal.change(Change.TERMIOS))
    assert masked(stream.documents) == ["17-32", "1-8"]
    stream.feed(terminal.input(b"\n", SILENT), terminal.input(b"ls\n"))
    assert masked(stream.documents) == ["17-32", "1-8", "0"]
    assert lines(stream.documents) == ["ls\n"]
    (closed,) = of(stream.feed(terminal.change(Change.HANGUP)), "session_closed")
    assert closed["cgtrail"]["session"]["masked"] == 3


def test_raw_keys_are_never_told() -> None:
    """What a line editor reads key by key is in no document, but as what it shows."""
    stream, terminal = begun()
    stream.feed(terminal.write(b"$ "), terminal.output(b"$ ", lflag=RAW))
    for key in (SECRET[at : at + 1] for at in range(len(SECRET))):
        stream.feed(terminal.input(key, RAW), terminal.write(b"*"), terminal.output(b"*", lflag=RAW))
    stream.feed(terminal.input(b"\r", RAW), terminal.change(Change.TERMIOS))
    stream.wait(SECOND)
    stream.feed(terminal.change(Change.HANGUP))
    assert nothing_of(SECRET, stream.documents + stream.journal)
    assert not of(stream.documents, "text_input")


@pytest.mark.parametrize("echo", [None, b"*", "●".encode(), b"\x1b[1D\x1b[K*"])
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\x03", b"\x04"])
def test_raw_passwords(echo: bytes | None, end: bytes) -> None:
    """A program that asks for a password and does not show what is typed got one: sudo with pwfeedback, ssh, fish."""
    stream, terminal = asked("[sudo] password for user: ")
    typing(stream, terminal, SECRET + end, echo, tgid=30)
    (told,) = of(stream.documents, "text_input")
    assert told["process"]["name"] == "sudo"
    assert masked([told]) == ["17-32"]
    assert "text" not in told["process"]["io"]
    typing(stream, terminal, SECRET + b"\r", b"", tgid=SHELL)
    assert len(masked(stream.documents)) == 1


def test_pasted_and_typed_ahead() -> None:
    """A password that comes at once is one, also where its prompt is shown behind."""
    stream, terminal = begun()
    stream.feed(terminal.write(b"Enter passphrase for key '/root/.ssh/id_rsa': ", tgid=30))
    stream.feed(terminal.input(SECRET + b"\r", RAW, tgid=30))
    stream.feed(terminal.output(b"Enter passphrase for key '/root/.ssh/id_rsa': ", lflag=RAW))
    stream.wait(SECOND)
    assert masked(stream.documents) == ["17-32"]
    assert nothing_of(SECRET, stream.documents)


def test_taken_back() -> None:
    """Backspaces of a program with asterisks are no echo; a job's line in between is none either."""
    stream, terminal = asked()
    typing(stream, terminal, b"ab", b"*", tgid=30)
    stream.feed(terminal.input(b"\x7f", RAW, tgid=30), terminal.write(b"\b \b", tgid=30))
    stream.feed(terminal.write(b"[1]+ Done\r\n", tgid=99))
    typing(stream, terminal, b"c\r", b"*", tgid=30)
    assert masked(stream.documents) == ["1-8"]


def test_a_number_of_keys_without_return() -> None:
    """`read -s -n 4`: where the terminal is set to another mode, the secret has ended."""
    stream, terminal = asked("PIN: ")
    typing(stream, terminal, b"9876", None, tgid=30)
    assert not masked(stream.documents)
    stream.feed(terminal.change(Change.TERMIOS, tgid=30))
    assert masked(stream.documents) == ["1-8"]


@pytest.mark.parametrize("prompt", ["$ ", "mysql> ", "name: ", "password", "Type: passwords ", "opinion: "])
def test_other_prompts(prompt: str) -> None:
    """Without a word for a secret, and a sign that something is awaited, nothing is taken for one."""
    stream, terminal = asked(prompt)
    typing(stream, terminal, SECRET + b"\r", None, tgid=30)
    assert not of(stream.documents, "text_input")


def test_what_is_echoed_is_no_password() -> None:
    """A line editor with a prompt that looks like one shows what is typed."""
    stream, terminal = asked("token> ")
    typing(stream, terminal, b"help\r", b"", tgid=30)
    assert not of(stream.documents, "text_input")


def test_expected_misses() -> None:
    """Limits: prompts in words we do not know, and passwords that a program shows, are not recognised."""
    stream, terminal = asked("Magic word, please: ")
    typing(stream, terminal, SECRET + b"\r", None, tgid=30)
    assert not masked(stream.documents)
    stream, terminal = asked("Password: ")
    typing(stream, terminal, SECRET + b"\r", b"", tgid=30)
    stream.wait(SECOND)
    assert not masked(stream.documents)


PROMPTS = [
    "Password:", "user@host's password: ", "(current) UNIX password: ", "Enter PIN> ", "OTP? ", "Verification code: ",
    "Password for 'https://user@host': ", "Geben Sie das Passwort ein: ", "Kennwort: ", "Mot de passe : ",
    "Contraseña: ", "Parola d'ordine: ", "Senha: ", "Wachtwoord: ", "Пароль: ", "密码\uff1a", "パスワード: ",
    "\x1b[1mPassword:\x1b[0m ", "Sorry.\r\nPassword: ", "Client secret: ", "Access token: ",
]  # fmt: skip


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts(prompt: str) -> None:
    """Prompts for a secret, in many languages."""
    assert asks(last_line(prompt.encode()))


def test_last_lines() -> None:
    """Control sequences are no part of a line; a long one is cut."""
    assert last_line(b"a\r\n\x1b]0;title\x07\x1b[31mb\x1b[0m ") == "b "
    assert last_line(b"x" * 1000) == "x" * 256
    assert [length_class(n) for n in (0, 1, 8, 9, 16, 17, 32, 33)] == [
        "0", "1-8", "1-8", "9-16", "9-16", "17-32", "17-32", "33+",
    ]  # fmt: skip


def test_echo_off_over_many_lines() -> None:
    """Three lines in a row without echo are told once; passwords with echo set again between them are not."""
    stream, terminal = begun()
    for _ in range(5):
        stream.feed(terminal.input(b"whoami\n", SILENT))
    (told,) = of(stream.documents, "echo_off")
    assert (told["event"]["category"], told["process"]["name"]) == (["session"], "bash")
    assert undeclared(told) == set()
    stream, terminal = begun()
    for _ in range(5):
        stream.feed(terminal.input(b"secret\n", SILENT), terminal.change(Change.TERMIOS, lflag=ECHOED))
    assert "echo_off" not in actions(stream.documents)
    stream.feed(terminal.input(b"a\n", SILENT))
    stream.now += 31 * SECOND
    stream.feed(terminal.input(b"b\n", SILENT))
    assert actions(stream.documents).count("echo_off") == 1


def test_injected() -> None:
    """Bytes that a program pushes into the input are told, once a second at most, and all are counted."""
    stream, terminal = begun()
    stream.feed(*(terminal.change(Change.INJECTED) for _ in range(50)))
    assert [d["cgtrail"]["session"]["injected"] for d in of(stream.documents, "input_injected")] == [1]
    stream.wait(2 * SECOND)
    assert [d["cgtrail"]["session"]["injected"] for d in of(stream.documents, "input_injected")] == [1, 50]


def test_missed_input() -> None:
    """What was consumed and no record holds is counted at the end."""
    stream, terminal = begun()
    terminal.consumed += 100
    stream.feed(terminal.input(b"ls\n"))
    (closed,) = of(stream.feed(terminal.change(Change.HANGUP, typed=110)), "session_closed")
    told = closed["cgtrail"]["session"]
    assert (told["consumed"], told["missed"], told["typed"]) == (103, 100, 110)


def test_a_password_that_is_echoed() -> None:
    """What answers a prompt for a password is one, also where the program lets it be shown; the next line is none."""
    stream, terminal = begun()
    told = stream.feed(terminal.write(b"Password: ", ECHOED), terminal.input(b"hunter2\n"), terminal.input(b"more\n"))
    masked, line = of(told, "text_input")
    assert masked["cgtrail"]["terminal"]["masked"] == {"kind": "password", "length": "1-8"}
    assert "text" not in masked["process"]["io"]
    assert line["process"]["io"]["text"] == "more\n"
