"""What a worker's state keeps of what terminals showed: no line that has ended."""

from __future__ import annotations

import pytest

from enrich.secrets.scrub import Scrubber, Stream
from enrich.terminals.passwords import Keys

LINE = b"$ export TOKEN=hunter2\r\n"


@pytest.mark.parametrize("size", [1, 7, 2000])
def test_a_line_that_has_ended_is_kept_by_nobody(size: int) -> None:
    """Neither for prompts nor for rules: a secret in it is in no snapshot that is made later."""
    keys, scrubber, stream = Keys(), Scrubber(), Stream()
    for at in range(0, len(LINE), size):
        keys.show(LINE[at : at + size])
        keys.write(1, LINE[at : at + size])
        scrubber.feed(stream, LINE[at : at + size].decode())
    keys.show(b"$ ls")
    scrubber.feed(stream, "$ ls")
    assert (keys.shown, keys.written) == (b"$ ls", b"")
    assert "hunter2" not in stream.context + stream.held


def test_a_prompt_is_forgotten_when_something_else_is_shown() -> None:
    """What is typed is displayed: it was no prompt, and its line may have anything in it."""
    keys = Keys()
    keys.show(b"hunter2 password: ")
    assert keys.read(1, b"x") is None
    assert keys.prompt
    keys.write(1, b"x")
    assert not keys.prompt
