"""A program that starts in a container is recorded once, with what the program itself sees."""

from __future__ import annotations

import pytest

from bpf.events import Exec, ImageFlag
from .capture import Capture, Seen
from .dockerd import Container
from .oracle import arguments, image_of, image_told, plain, task_of, task_told

pytestmark = pytest.mark.kernel
ARGS_MAX = 65_535


def target(seen: Seen) -> Exec:
    """The record of the program that the trigger started: the last of two in one process, or its child's."""
    first, *rest = seen.of(Exec)
    assert first.filename == b"/triggers/trigger"
    (record,) = rest
    return record


def test_static(capture: Capture, container: Container) -> None:
    """Every field of the record is what the started program reports of itself."""
    seen = capture.trigger(container, "exec-args", *(text.encode().hex() for text in ("shown", "one", "two words")))
    record = target(seen)
    assert image_of(record) == image_told(seen.report)
    assert record.filename == b"/triggers/report"
    assert record.args == b"shown\0one\0two words\0"
    assert record.cgroup_id == container.cgroup_id
    assert record.host_uid == record.uid == 0
