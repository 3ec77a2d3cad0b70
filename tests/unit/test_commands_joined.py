"""Secrets that go over several lines, each with a document of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.at_shell import Lab
from tests.unit.at_terminal import ECHOED

SECRETS = ["s3cr3t", "VALUE99"]
LINES = [
    ["export TOKEN=s3cr3t\\", "VALUE99longer"],
    ["export TOKEN=\\", "s3cr3tVALUE99"],
    ["mysql -u root -p\\", "s3cr3tVALUE99 db"],
    ["curl \\", "-u admin:s3cr3tVALUE99 \\", "https://x"],
    ["curl -u \\", "admin:s3cr3tVALUE99 https://x"],
    ["export TOKEN='s3cr3t", "VALUE99longer'"],
    ['export PASSWORD="s3cr3t\\', 'VALUE99longer"'],
    ['export PASSWORD="s3cr3t', "middle", 'VALUE99longer"; ls'],
]


def said(lab: Lab) -> str:
    """All documents."""
    return json.dumps(lab.stream.documents)


def type_in(lab: Lab, lines: list[str]) -> None:
    """Lines are typed to a shell, all but the first at its other prompt; what it shows of them is shown."""
    mine = lab.shell()
    for at, line in enumerate(lines):
        lab.feed(*mine.prompt(b"> " if at else None), *mine.line(line.encode()))
    lab.feed(*mine.prompt())
    lab.wait()


@pytest.mark.parametrize("lines", LINES, ids=" / ".join)
def test_lines_that_go_on(lines: list[str]) -> None:
    """A secret that a backslash, or a newline in quotes, breaks in two is masked in both lines."""
    lab = Lab()
    type_in(lab, lines)
    assert not [secret for secret in SECRETS if secret in said(lab)]
    assert len(lab.started()) == len(lines)


@pytest.mark.parametrize("lines", LINES, ids=" / ".join)
def test_lines_of_several_rows(lines: list[str]) -> None:
    """The same in a line editor that takes them at once."""
    lab = Lab()
    mine = lab.shell()
    rows = "\n".join(lines).encode()
    lab.feed(
        mine.terminal.input(b"\x1b[200~" + rows + b"\x1b[201~", **mine.fields | {"lflag": 1}),
        mine.terminal.write(rows, **mine.fields | {"lflag": 1, "oflag": 5}),
        *mine.accept(),
        *mine.prompt(),
    )
    lab.wait()
    assert not [secret for secret in SECRETS if secret in said(lab)]
    assert len(lab.started()) == 1


@pytest.mark.parametrize(
    "lines",
    [["for i in 1 2; do", "echo $i", "done"], ["cat << E", "some text", "E"], ["echo 'a", "b' \\", "c"]],
    ids=" / ".join,
)
def test_lines_without_secrets(lines: list[str]) -> None:
    """Others that go on are told as they are."""
    lab = Lab()
    type_in(lab, lines)
    assert lab.started() == lines


def test_answers_to_what_asks_for_a_secret() -> None:
    """A program asks for a token and shows it: the prompt alone says what it is."""
    lab = Lab()
    mine = lab.shell()
    lab.feed(*mine.line(b"./login"))
    pid = lab.run(mine.pid, b"/usr/bin/login")
    fields: dict[str, Any] = {"tgid": pid, "start": pid * 1_000_000, "foreground": pid}
    for prompt, line in ((b"User: ", b"bob"), (b"Enter your token: ", b"s3cr3tVALUE99")):
        lab.feed(mine.terminal.write(prompt, ECHOED, **fields), mine.terminal.input(line + b"\n", ECHOED, **fields))
    lab.done(pid, mine.pid)
    lab.feed(*mine.prompt())
    assert lab.started() == ["./login", "bob", "[secret:13]"]
    (told,) = (d for d in lab.of("command_started") if d["cgtrail"]["command"]["line"] == "[secret:13]")
    assert told["cgtrail"]["command"]["masked"]
