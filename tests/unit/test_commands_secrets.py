"""No secret is in a document about a typed line."""

from __future__ import annotations

import json

from bpf.enums import Change
from tests.unit.at_shell import EDITING, Lab
from tests.unit.at_terminal import SILENT

KEY = [
    b"-----BEGIN RSA PRIVATE KEY-----",
    *[b"MIIEowIBAAKCAQEAyYxjqq0123456789abcdefghijklmnopqrstuvwxyzABCDEF"] * 3,
    b"-----END RSA PRIVATE KEY-----",
]


def told(lab: Lab) -> str:
    """All that was told of lines."""
    return json.dumps(lab.of("command_started") + lab.of("command_ended"))


def test_a_secret_in_a_line() -> None:
    """It is masked in both documents, which say so."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"mysql -phunter2 -u root"), *shell.prompt())
    assert "hunter2" not in told(lab)
    assert lab.started() == ["mysql -p[password:7] -u root"]
    for document in lab.of("command_started") + lab.of("command_ended"):
        assert document["cgtrail"]["command"]["masked"]


def test_a_key_over_several_lines() -> None:
    """A private key that is pasted line by line is masked in each of them; what comes behind it is not."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"cat > key <<E"))
    for line in KEY:
        lab.feed(*shell.prompt(b"> "), *shell.line(line))
    lab.feed(*shell.prompt(b"> "), *shell.line(b"E"), *shell.prompt(), *shell.line(b"ls -l key"))
    assert b"MIIE".decode() not in told(lab)
    assert lab.started()[0] == "cat > key <<E"
    assert lab.started()[-2:] == ["E", "ls -l key"]


def test_a_prompt_that_asks_for_it() -> None:
    """What is typed in the open at a prompt for a secret is masked, too."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"login"))
    program = {"tgid": 30, "start": 30_000_000}
    lab.run(shell.pid, b"/bin/login", pid=30)
    lab.feed(shell.terminal.write(b"Password: ", lflag=10, **program), shell.terminal.input(b"hunter2\n", **program))
    assert "hunter2" not in told(lab)


def test_passwords_are_no_lines() -> None:
    """What is read without echo is in no document and in no state, in lines and key by key."""
    lab = Lab()
    shell = lab.shell()
    lab.feed(*shell.line(b"sudo id"))
    sudo = {"tgid": 30, "start": 30_000_000}
    lab.run(shell.pid, b"/usr/bin/sudo", pid=30)
    lab.feed(shell.terminal.input(b"hunter2\n", SILENT, **sudo))
    lab.feed(
        shell.terminal.change(Change.TERMIOS, **sudo | EDITING), shell.terminal.write(b"Password: ", **sudo | EDITING)
    )
    for key in b"swordfish":
        lab.feed(shell.terminal.input(bytes([key]), **sudo | EDITING), shell.terminal.write(b"*", **sudo | EDITING))
    lab.feed(shell.terminal.input(b"\r", **sudo | EDITING))
    lab.done(30, shell.pid)
    lab.feed(*shell.prompt())
    assert lab.started() == ["sudo id"]
    assert "hunter2" not in told(lab) + repr(lab.stream.steps)
    assert "swordfish" not in told(lab)


def test_full_of_secrets() -> None:
    """A container that types what is dear to look at has its lines masked as a whole, until it has paid."""
    lab = Lab()
    shell = lab.shell()
    line = b"password=x; " * 500
    cat = {"tgid": 30, "start": 30_000_000}
    lab.run(shell.pid, b"/bin/cat", pid=30)
    for _ in range(60):
        lab.feed(shell.terminal.input(line + b"\n", **cat))
    assert lab.started()[-1] == f"[secret:{len(line)}]"
