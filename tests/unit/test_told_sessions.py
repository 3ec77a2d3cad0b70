"""Sessions and recordings as lines for people, in tables and the journal."""

from __future__ import annotations

import re
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cgtrail import journal_form, table
from cgtrail.cli import cli
from enrich.document import Document
from enrich.sinks import OK
from enrich.sinks.sqlite import SqliteSink

STYLE = re.compile("\x1b\\[[0-9;]*m")
NOON = 1_795_348_800_123_456_789
ID = "0123456789abcdef"
ANY = st.text(st.characters(codec="utf-8"), max_size=300)


def document(action: str, session: dict[str, Any] | None = None, **groups: Any) -> bytes:
    """A document as the store gives it."""
    kind = "terminal" if action.startswith("text_") else "session"
    own = {"session": {"id": ID, "tty": "pts/0"} | (session or {}), "entry": "exec"} | groups.pop("cgtrail", {})
    return orjson.dumps(
        {
            "@timestamp": "2026-11-22T10:00:00.123456789Z",
            "event": {"dataset": f"cgtrail.{kind}", "action": action} | groups.pop("event", {}),
            "container": {"id": ID * 4, "name": "web"},
            "user": {"id": "0", "name": "root"},
            "process": {"name": "bash", "pid": 42} | groups.pop("process", {}),
            "cgtrail": own,
        }
        | groups
    )


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (document("session_opened"), "session opened on pts/0: exec by root(0), bash"),
        (
            document("session_opened", {"opener": "tmux"}, cgtrail={"partial": True}),
            "session opened on pts/0: nested in tmux by root(0), bash; it was open before",
        ),
        (
            document("session_closed", {"shown": 1278, "skipped": 0, "masked": 2}, event={"duration": 4_900_000_000}),
            "session closed on pts/0 after 4.9 s: 1,278 bytes shown, 0 skipped, 2 masked",
        ),
        (document("echo_off", {"masked": 3}), "ECHO OFF over several lines on pts/0 by bash 42: 3 inputs masked"),
        (document("input_injected", {"injected": 9}), "INPUT INJECTED on pts/0 by bash 42: 9 bytes"),
        (document("output_escaped", {"escaped": 9}), "OUTPUT ESCAPED the recording on pts/0 by bash 42: 9 bytes"),
        (
            document("output_escaped", {"uring": 2}),
            "OUTPUT ESCAPED the recording on pts/0 by bash 42: nobody knows how much, 2 calls of io_uring",
        ),
        (document("text_output", process={"io": {"text": "a\x1b[2Jb"}}), "pts/0: bash showed a\\x1b[2Jb"),
        (document("text_input", process={"io": {"text": "ls\n"}}), "pts/0: bash read ls\\x0a"),
        (
            document("text_input", cgtrail={"terminal": {"masked": {"kind": "password", "length": "9-16"}}}),
            "pts/0: bash read a password of 9-16 bytes",
        ),
    ],
)
def test_words(made: bytes, words: str) -> None:
    """Tables and the journal tell it in the same words."""
    for line in (table.row(made), journal_form.Form().row(made)):
        assert STYLE.sub("", line).endswith(f"  {words} [{ID}]")


@given(
    ANY, ANY, ANY, st.sampled_from(["session_opened", "session_closed", "echo_off", "text_output", "text_input", "x"])
)
def test_any_text_is_one_printable_line(one: str, two: str, three: str, action: str) -> None:
    """Whatever a container shows, calls its programs and its terminals, is a line that moves nothing."""
    made = document(action, {"tty": two, "opener": three, "id": one}, process={"name": one, "io": {"text": two}})
    for line in (table.row(made), journal_form.Form().row(made)):
        assert not {unicodedata.category(char) for char in STYLE.sub("", line)} & {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
        assert len(line) < 1000


def test_a_journal_is_no_recording(tmp_path: Path) -> None:
    """What terminals showed is replayed; a journal tells of sessions, and of recordings only where asked for those."""
    actions = ["session_opened", "text_output", "text_input", "session_closed"]
    with closing(SqliteSink(tmp_path / "store", 36_500)) as sink:
        for number, action in enumerate(actions):
            source = orjson.loads(document(action, event={"id": f"{number}", "sequence": number}))
            assert sink.write([Document(f"{number}", NOON + number, source["event"]["dataset"][8:], source)]) == [OK]
    shown = CliRunner().invoke(cli, ["journal", "--container", "web", "--data", str(tmp_path)]).output
    assert ["session" in line for line in shown.splitlines()] == [False, True, True]
    shown = (
        CliRunner().invoke(cli, ["journal", "--container", "web", "--kind", "terminal", "--data", str(tmp_path)]).output
    )
    assert len(shown.splitlines()) == 3
