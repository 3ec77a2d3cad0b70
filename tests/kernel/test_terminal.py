"""What a terminal in a container shows and what is typed there, as `docker exec -it` has it."""

from __future__ import annotations

from bpf.enums import Change
from bpf.events import TtyChange
from tests.kernel.capture import Capture, of
from tests.kernel.dockerd import Container, Dockerd
from tests.kernel.terminals import at_terminal, consumed, lives, record_all, screen


def test_shell(docker_daemon: Dockerd, capture: Capture, container: Container) -> None:
    """The screen is byte for byte what the client's terminal got, and what was consumed is what was typed."""
    record_all(capture, container)
    begin = len(capture.records)
    with at_terminal(docker_daemon, "exec", "-it", container.id, "sh") as client:
        client.type(b"", rb"# ")
        client.type(b"echo one two\r", rb"two\r\n.*# ")
        client.type(b"exit\r")
        received = client.end()

    def hung_up() -> bool:
        return any(r.change == Change.HANGUP for r in of(capture.records[begin:], TtyChange))

    capture.until(hung_up, "the hang-up")
    records = capture.records[begin:]
    (terminal,) = lives(records, container.cgroup_id)
    assert screen(records, terminal).content == received
    assert screen(records, terminal).skipped == 0
    assert consumed(records, terminal) == b"echo one two\nexit\n"
