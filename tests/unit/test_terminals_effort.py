"""Who shows what looks like secrets all the time has an allowance: it costs its own recording, and nobody's time."""

from __future__ import annotations

import re

import pytest

from enrich.secrets.scrub import MOST_ARGUMENTS, Scrubber
from enrich.terminals import effort
from tests.unit.at_terminal import begun, of
from tests.unit.stream import SECOND


def test_output_full_of_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it, what is shown is skipped and counted, and nothing of it is told; later there is room again."""
    monkeypatch.setattr(effort, "BURST", 100)
    monkeypatch.setattr(effort, "RATE", 10)
    stream, terminal = begun()
    line = b"TOKEN=hunter2hunter2\r\n"
    pieces = [line * 10] * 30
    told = [document for piece in pieces for document in stream.feed(terminal.output(piece))]
    told += stream.wait(SECOND)
    shown = "".join(document["process"]["io"]["text"] for document in of(told, "text_output"))
    assert "hunter" not in shown
    assert 100 <= shown.count("TOKEN=[secret:14]") <= 200
    stream.wait(30 * SECOND)
    stream.feed(terminal.output(b"and now?\r\n"))
    (last,) = stream.wait(SECOND)
    io = last["process"]["io"]
    assert io["text"].endswith("and now?\r\n")
    captured = sum(document["process"]["io"]["total_bytes_captured"] for document in of(told, "text_output"))
    assert captured + io["total_bytes_captured"] + io["total_bytes_skipped"] == len(line) * 300 + len("and now?\r\n")


def test_arguments_full_of_secrets() -> None:
    """Of what has more of them than anybody has, all that comes behind is masked; the arguments stay as many."""
    given = ["sh", "-c", " ".join(["TOKEN=hunter2hunter2"] * (MOST_ARGUMENTS + 50)), "hunter3", ""]
    shown = Scrubber().arguments(given)
    assert len(shown) == len(given)
    assert shown[:2] == ["sh", "-c"]
    assert shown[2].startswith("TOKEN=[secret:14] TOKEN=[secret:14] ")
    assert "hunter" not in " ".join(shown)
    assert shown[3:] == ["[secret:7]", ""]
    assert re.search(r"\[secret:\d{3,}\]$", shown[2])
