"""Documents as lines for people."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgtrail import lives, table
from enrich import printable

HOSTILE = "\x1b[2J\x1b]0;x\x07\r\n\t\x00\x7f\x9b31m\u202e\u200b\u2028\ufeff\U000e0041"
ID = "0123456789ab" + "c" * 52
STYLE = re.compile("\x1b\\[[0-9;]*m")
ANY = st.text(st.characters(codec="utf-8"), max_size=40)


def document(action: str = "exec", **fields: Any) -> dict[str, Any]:
    """A process document as the store gives it."""
    made = {
        "@timestamp": "2026-11-22T10:00:00.123456789Z",
        "event": {"dataset": "cgtrail.process", "action": action, "outcome": "success"},
        "container": {"id": ID, "name": "web"},
        "user": {"id": "1000"},
        "process": {
            "name": "cat",
            "pid": 4242,
            "parent": {"pid": 4241},
            "command_line": "cat /etc/passwd",
        },
        "cgtrail": {"return_code": 0},
    }
    return made | fields


def row(shown: dict[str, Any]) -> str:
    """Its line."""
    return table.row(json.dumps(shown).encode())


def columns(text: str) -> int:
    """How many columns of a terminal a text takes, as far as characters are always shown as wide as they say."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


ARGS_AT = columns(STYLE.sub("", table.header()).partition("ARGS")[0])
"""The column in which arguments begin."""


def test_a_line_has_everything() -> None:
    """Time, container, user, event, name, pids, result and arguments stand in this order."""
    cells = row(document()).split()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", cells[0])
    assert cells[1:] == ["web", "1000", "exec", "cat", "4242", "4241", "0", "cat", "/etc/passwd"]


def test_values_stand_below_their_names() -> None:
    """Every cell begins where the header's word begins."""
    header, line = STYLE.sub("", table.header()), row(document())
    for name, value in [("CONTAINER", "web"), ("UID", "1000"), ("EVENT", "exec"), ("PPID", "4241"), ("RET", "0")]:
        assert line[header.index(name) :].startswith(value)
    assert line[ARGS_AT:] == "cat /etc/passwd"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"container": {"id": ID, "name": "web"}}, "web"),
        ({"container": {"id": ID}}, ID[:12]),
        ({"container": {}}, "?"),
    ],
)
def test_a_container_has_a_name_or_an_id(fields: dict[str, Any], shown: str) -> None:
    """Without a name the beginning of the id is shown, as Docker does."""
    assert row(document(**fields)).split()[1] == shown


@pytest.mark.parametrize(("attribution", "shown"), [("exact", "-"), ("unknown", "?")])
def test_a_host_process_is_told_from_an_unknown_one(attribution: str, shown: str) -> None:
    """The host's own process has no container; of an unknown one it is not said."""
    made = document(cgtrail={"attribution": attribution})
    del made["container"]
    assert row(made).split()[1] == shown


def test_an_end_shows_its_exit_code() -> None:
    """The end of a process shows how it ended."""
    made = document("end")
    made["process"] |= {"exit_code": 137}
    assert STYLE.sub("", row(made)).split()[7] == "137"


@pytest.mark.parametrize(
    ("identity", "name", "shown"),
    [
        ("1000", "alice", "alice"),
        ("1000", "administrator", "admin…"),
        ("0", "root", "root"),
        ("1000", "root", "1000"),
        ("0", "alice", "0"),
        ("1000", "0", "1000"),
        ("1000", "r\u043e\u043et", "1000"),
        ("1000", "root ", "1000"),
        ("1000", HOSTILE, "1000"),
        ("1000", "", "1000"),
        ("1000", None, "1000"),
    ],
)
def test_a_user_has_a_name_that_is_no_one_elses(identity: str, name: str | None, shown: str) -> None:
    """The container's name for a user is shown; where it could pass for another user, the number is."""
    assert row(document(user={"id": identity, "name": name})).split()[2] == shown


def life(dataset: str, action: str, **fields: Any) -> str:
    """The line of something in the life of a container or tenant, without time and colours."""
    made = document(event={"dataset": f"cgtrail.{dataset}", "action": action}, cgtrail={}, user={}, process={}) | fields
    return re.sub(r"^\S+ +", "", STYLE.sub("", row(made)))


@pytest.mark.parametrize(
    ("action", "fields", "words"),
    [
        ("created", {"container": {"name": "web", "image": {"name": "nginx"}}}, "created (nginx)"),
        ("started", {}, "started"),
        ("entered", {"process": {"parent": {"pid": 5}, "command_line": "sh"}}, "entered from outside by 5: sh"),
        ("entered", {"user": {"id": "7", "name": "bob"}}, "entered from outside as bob"),
        ("died", {"process": {"exit_code": 0}}, "died with exit code 0"),
        ("removed", {}, "removed"),
        ("renamed", {}, "renamed to web"),
    ],
)
def test_a_containers_life(action: str, fields: dict[str, Any], words: str) -> None:
    """Each thing that happens to a container is told in words, with as much as is known."""
    assert life("container", action, **fields) == f"web               container {words}"


@pytest.mark.parametrize(
    ("capabilities", "told"),
    [
        (["CAP_CHOWN", "CAP_SETFCAP"], ""),
        (["CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_BPF"], ", CAP_SYS_ADMIN, CAP_BPF"),
        ([f"CAP_{n}" for n in range(41)], ", 41 MORE CAPABILITIES THAN USUAL"),
    ],
)
def test_unusual_capabilities_are_told(capabilities: list[str], told: str) -> None:
    """What a container may do beyond the usual is told where it starts, in red."""
    process = {"thread": {"capabilities": {"effective": capabilities}}}
    assert life("container", "started", process=process).endswith(f"started{told}")
    made = document(event={"dataset": "cgtrail.container", "action": "started"}, process=process, cgtrail={})
    assert row(made).startswith("\x1b[31m") == bool(told)


@pytest.mark.parametrize(
    ("action", "tenant", "words"),
    [
        ("created", {"id": ["t1"], "name": "Red", "policy": ["exec"]}, "tenant t1 (Red) created; it asks for exec"),
        ("changed", {"id": ["t1"], "name": "t1", "policy": []}, "tenant t1 changed; it asks for nothing"),
        ("removed", {"id": ["t1"], "policy": ["exec"], "source": "t.yaml:3"}, "tenant t1 removed; by t.yaml:3"),
        ("attached", {"id": ["t1"], "source": "label"}, "attached to tenant t1; by label"),
        ("detached", {"id": "t1"}, "detached from tenant t1"),
    ],
)
def test_a_tenants_life(action: str, tenant: dict[str, Any], words: str) -> None:
    """Changes of tenants and of their containers are told in words."""
    assert life("tenant", action, cgtrail={"tenant": tenant}) == f"web               {words}"


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0 ms"),
        (999_999_999, "999 ms"),
        (3_400_000_000, "3.4 s"),
        (303 * 10**9, "5 min 3 s"),
        (7_500 * 10**9, "2 h 5 min"),
        (3_599 * 10**9, "59 min 59 s"),
        (100 * 3_600 * 10**9, "4 d 4 h"),
        (1 << 62, "53375 d 23 h"),
    ],
)
def test_how_long(nanoseconds: int, shown: str) -> None:
    """A life is told in two units at most."""
    assert lives.duration(nanoseconds) == shown


@given(ANY, ANY, ANY, st.sampled_from(["created", "started", "entered", "died", "renamed", "attached", "changed"]))
def test_any_life_is_one_printable_line(name: str, image: str, line: str, action: str) -> None:
    """Whatever names a container or a label's author chose, what is told is one line without control characters."""
    made = document(container={"name": name or "x", "image": {"name": image, "tag": [image]}})
    made["process"] |= {"parent": {"name": line, "pid": 1}, "command_line": line * 100}
    made["cgtrail"]["tenant"] = {"id": [name], "name": image, "policy": [line], "source": line}
    for dataset in lives.DATASETS:
        shown = row(made | {"event": {"dataset": dataset, "action": action}})
        assert not [
            char for char in STYLE.sub("", shown) if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        ]


def test_a_life_fits_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a container's line is cut as others are."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((100, 50)))
    made = document(event={"dataset": "cgtrail.container", "action": "entered"})
    made["process"] |= {"command_line": "x" * 500}
    assert columns(STYLE.sub("", row(made))) == 100


def test_a_loss_is_a_line_of_its_own() -> None:
    """A loss says how many records of which kind are missing, why, and whose."""
    made = document(event={"dataset": "cgtrail.loss", "action": "loss"})
    made["cgtrail"] = {"loss": {"count": 17, "record": "exec", "cause": "ring_full"}}
    line = STYLE.sub("", row(made))
    assert "web" in line
    assert line.endswith("LOST 17 exec records: ring_full")


def test_a_document_may_lack_almost_everything() -> None:
    """What is missing is left empty."""
    bare = {"@timestamp": "2026-11-22T10:00:00Z", "event": {"dataset": "cgtrail.process", "action": "exec"}}
    assert row(bare).split()[1:] == ["-", "-", "exec", "?"]


@pytest.mark.parametrize("action", ["exec", "end"])
def test_hostile_names_are_never_sent_raw(action: str) -> None:
    """Escape sequences, line breaks, bidi and invisible characters of a container are shown, not sent."""
    made = document(action, container={"id": ID, "name": HOSTILE})
    made["process"] |= {"name": HOSTILE, "command_line": HOSTILE}
    line = STYLE.sub("", row(made))
    assert not set(HOSTILE) & set(line) - set("[2J]0;x31m")
    assert r"\x1b[2J\x1b]0;x\x07\r\n".replace(r"\r\n", r"\x0d\x0a") in line


@given(ANY, ANY, ANY)
def test_any_names_give_one_printable_line(container: str, name: str, command_line: str) -> None:
    """Whatever a container chooses is one line without control characters, and the columns stay aligned."""
    made = document(container={"name": container or "x"})
    made["process"] |= {"name": name, "command_line": f"\u00a7{command_line}"}
    line = row(made)
    assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert ARGS_AT in [columns(line[:at]) for at, char in enumerate(line) if char == "\u00a7"]


@pytest.mark.parametrize(
    "name",
    [
        "漢字漢字漢字漢字漢字",
        "a漢字漢字漢字漢字漢字",
        "e\u0301" * 40,
        "\u0e01\u0e34" * 40,
        "\u0301" * 99,
        "\uff57\uff49\uff44\uff45" * 9,
    ],
)
def test_wide_and_combining_characters_align(name: str) -> None:
    """A cell that is cut is as wide as any other, whatever its characters are as wide as."""
    made = document(container={"name": name})
    made["process"] |= {"name": name, "command_line": "\u00a7"}
    line = row(made)
    assert columns(line[: line.index("\u00a7")]) == ARGS_AT


def test_a_cell_that_is_cut_says_so() -> None:
    """A name that is too long ends in an ellipsis; one that just fits does not."""
    for length, shown in [(16, "n" * 16), (17, "n" * 15 + "…")]:
        assert row(document(container={"name": "n" * length})).split()[1] == shown


def test_a_line_fits_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal arguments are cut so that a document is one line; elsewhere they are kept."""
    made = document()
    made["process"] |= {"command_line": "漢x" * 100}
    assert row(made).endswith("漢x" * 100)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for wide in (120, 121, 200):
        monkeypatch.setattr(shutil, "get_terminal_size", lambda wide=wide: os.terminal_size((wide, 50)))
        line = row(made)
        assert wide - 1 <= columns(line) <= wide
        assert line.endswith("…")
    made["process"] |= {"command_line": "short"}
    assert row(made).endswith("  short")


@pytest.mark.parametrize("unit", ["'", "\x1b", "漢", "e\u0301\u0301\u0301\u0301", "\u0301"])
def test_only_what_can_be_seen_is_escaped(monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    """A long command line makes a row no dearer, and the row no other."""
    line = unit * (65_535 // len(unit))
    wanted = table.fit(printable.text(line), table._MAX_ARGS)
    escaped = 0

    def counted(value: str) -> str:
        nonlocal escaped
        escaped += len(value)
        return printable.text(value)

    monkeypatch.setattr(table, "text", counted)
    made = document()
    made["process"] |= {"command_line": line}
    assert row(made)[ARGS_AT:] == wanted.rstrip()
    assert escaped <= 6 * table._MAX_ARGS
