"""Every field a document can have, with its type and meaning: what may be searched, mapped and used in rules.

Fields that records carry are declared there (`bpf/events.py`, `shipper/wire/records.py`) and derived here; those
that a step adds are declared below. Types are Elasticsearch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import shipper.wire.records  # noqa: F401  declares its records
from bpf.schema import RECORDS
from enrich.losses import causes

FieldType = Literal["keyword", "wildcard", "long", "date", "date_nanos", "boolean", "ip", "flattened"]

_BY_KIND: dict[str, FieldType] = {
    "long": "long",
    "id": "keyword",
    "namespace": "long",
    "boot_ns": "date_nanos",
    "capabilities": "keyword",
    "name": "keyword",
    "text": "keyword",
    "args": "keyword",
}


@dataclass(frozen=True, slots=True)
class DocumentField:
    """A field's type in Elasticsearch, and one line on what it holds."""

    type: FieldType
    meaning: str


_STEPS: dict[str, DocumentField] = {
    "ecs.version": DocumentField("keyword", "version of the Elastic Common Schema"),
    "event.id": DocumentField("keyword", "the document's id, derived from (stream, frame, index)"),
    "event.kind": DocumentField("keyword", "always event"),
    "event.category": DocumentField(
        "keyword",
        "process; of the journal of containers and tenants configuration, host or session; of sessions session",
    ),
    "event.type": DocumentField("keyword", "start, end or info; of the journal also creation, change or deletion"),
    "event.action": DocumentField(
        "keyword",
        "exec, fork, attach, end or loss; of a container created, renamed, removed, started, entered (from"
        " outside) or died; of a tenant created, changed, removed, attached or detached; of a session session_opened,"
        " session_closed, echo_off, input_injected or output_escaped; of a terminal text_output or text_input; of a"
        " typed line command_started or command_ended",
    ),
    "event.outcome": DocumentField(
        "keyword", "success or failure of an exec, and of a typed line whose exit code is known"
    ),
    "event.module": DocumentField("keyword", "always cgtrail"),
    "event.dataset": DocumentField("keyword", "cgtrail.<kind>"),
    "event.sequence": DocumentField("long", "frame number << 20 | index: breaks ties of @timestamp"),
    "event.duration": DocumentField(
        "long", "how long the process lived, or the session or the typed line lasted, in ns"
    ),
    "event.start": DocumentField(
        "date_nanos",
        "start of the span a loss lies in, or of a session; of a container's creation and removal, its runtime's own"
        " time",
    ),
    "event.end": DocumentField("date_nanos", "end of the span a loss lies in, or of a session"),
    "related.hosts": DocumentField("keyword", "the host's name"),
    "related.ip": DocumentField("ip", "the same as process.entry_leader.entry_meta.source.ip"),
    "related.user": DocumentField("keyword", "its users: their names, ids of those whose names are not known"),
    "error.code": DocumentField("keyword", "errno of a failed exec, by name"),
    "host.os.type": DocumentField("keyword", "always linux"),
    "process.entity_id": DocumentField("keyword", "one life of one process: hash of boot id, pid and start"),
    "process.name": DocumentField("keyword", "last part of the path given to execve"),
    "process.args_count": DocumentField("long", "number of arguments that were recorded"),
    "process.command_line": DocumentField(
        "wildcard",
        "arguments in one line, quoted for a shell where needed; an end has 2,048 bytes of them as JSON, then …",
    ),
    "process.env_vars": DocumentField(
        "keyword",
        "in documents of the program that an SSH login began with: SSH_CONNECTION, where it holds two addresses"
        " and ports (cgtrail.entry_claimed)",
    ),
    "process.end": DocumentField("date_nanos", "when the process ended"),
    "process.exit_code": DocumentField(
        "long", "exit code, or 128 + signal; of a typed line that of its last program, where that decides it"
    ),
    "process.interactive": DocumentField("boolean", "it has a controlling terminal"),
    "process.user.id": DocumentField("keyword", "the same as user.id"),
    "user.name": DocumentField("keyword", "the container's own name of the user, where it is known"),
    "process.user.name": DocumentField("keyword", "the same as user.name"),
    "process.group.name": DocumentField("keyword", "the container's own name of the group, where it is known"),
    "process.real_user.name": DocumentField("keyword", "the container's own name of the real user"),
    "process.saved_user.name": DocumentField("keyword", "the container's own name of the saved user"),
    "process.entry_leader.entry_meta.type": DocumentField(
        "keyword", "container, sshd, cron, terminal (a login on the host) or init (a service of the host)"
    ),
    "process.entry_leader.entry_meta.source.ip": DocumentField(
        "ip", "where an SSH client is said to have come from (cgtrail.entry_claimed)"
    ),
    "process.tty.char_device.major": DocumentField("long", "controlling terminal"),
    "process.tty.char_device.minor": DocumentField("long", "controlling terminal; 0 is a real terminal"),
    "process.tty.rows": DocumentField("long", "height of the terminal's window"),
    "process.tty.columns": DocumentField("long", "width of the terminal's window"),
    "process.io.type": DocumentField("keyword", "always tty"),
    "process.io.text": DocumentField(
        "wildcard", "what the terminal showed, or what a program consumed of it; secrets are masked"
    ),
    "process.io.total_bytes_captured": DocumentField(
        "long", "bytes that were shown and are in this document; of a session's end, in the session's documents"
    ),
    "process.io.total_bytes_skipped": DocumentField("long", "bytes that were shown and that no record holds"),
    "process.io.bytes_skipped.offset": DocumentField("long", "bytes of the document's text before those skipped"),
    "process.io.bytes_skipped.length": DocumentField("long", "how many bytes were skipped there"),
    "container.image.tag": DocumentField("keyword", "the image's tag"),
    "container.security_context.privileged": DocumentField(
        "boolean", "it is privileged; in documents about containers"
    ),
    "orchestrator.type": DocumentField("keyword", "kubernetes"),
    "orchestrator.resource.type": DocumentField("keyword", "pod"),
    "cgtrail.container.created": DocumentField("date_nanos", "when its runtime says that it was created"),
    "cgtrail.container.runtime_socket": DocumentField("boolean", "a container runtime's socket is mounted in it"),
    "cgtrail.container.oom": DocumentField(
        "boolean", "a process of it was killed for want of memory since it started; when it died"
    ),
    "cgtrail.entry": DocumentField(
        "keyword",
        "how the process's tree was entered: init (a container's first process; a service of the host), exec (put in"
        " from outside, as by docker exec), sshd, cron, or login (on the host); of a session also nested: its terminal"
        " was opened by a program at work there",
    ),
    "cgtrail.session.id": DocumentField("keyword", "the session: one life of the process's controlling terminal"),
    "cgtrail.session.tty": DocumentField("keyword", "the terminal's name in its container, as pts/0"),
    "cgtrail.session.parent": DocumentField("keyword", "the session in which a nested one was opened"),
    "cgtrail.session.opener": DocumentField("keyword", "name of the program that opened a nested session's terminal"),
    "cgtrail.session.reason": DocumentField(
        "keyword",
        "why a session ended: hangup, leader_exited, reused (the terminal), not_found (by a keyframe), container_died"
        " or forgotten (too many were open)",
    ),
    "cgtrail.session.shown": DocumentField("long", "bytes that the terminal showed, recorded or not"),
    "cgtrail.session.skipped": DocumentField("long", "bytes among them that no record holds"),
    "cgtrail.session.consumed": DocumentField("long", "bytes that programs read from the terminal"),
    "cgtrail.session.missed": DocumentField("long", "bytes among them that no record holds, secrets apart"),
    "cgtrail.session.typed": DocumentField("long", "bytes that were typed, pasted or sent"),
    "cgtrail.session.unwritten": DocumentField(
        "long", "writes of programs that edit lines that were too many to record"
    ),
    "cgtrail.session.masked": DocumentField("long", "inputs that were secret"),
    "cgtrail.session.injected": DocumentField("long", "bytes that a program pushed into the input (TIOCSTI)"),
    "cgtrail.session.uring": DocumentField("long", "how often io_uring was asked to act on the terminal"),
    "cgtrail.session.escaped": DocumentField("long", "bytes that were shown past the recording, as far as it is known"),
    "cgtrail.session.lines": DocumentField("long", "lines that were typed to programs, where they are recorded"),
    "cgtrail.command.id": DocumentField(
        "keyword",
        "the typed line: its session and the place of its Return in the stream; also in documents of what it started",
    ),
    "cgtrail.command.line": DocumentField("wildcard", "what was typed, without its Return; it may have several lines"),
    "cgtrail.command.number": DocumentField("long", "position among the lines of the session: 1, 2, 3 and so on"),
    "cgtrail.command.prompt": DocumentField("keyword", "what stood before it on the screen"),
    "cgtrail.command.role": DocumentField(
        "keyword", "command (to a shell, a REPL, a client) or input (data for a program)"
    ),
    "cgtrail.command.continues": DocumentField(
        "keyword", "id of the first line of what it is a further line of (PS2, a here-document)"
    ),
    "cgtrail.command.class": DocumentField("keyword", "what rules say of it; unrelated where none does"),
    "cgtrail.command.confidence": DocumentField(
        "keyword", "high, medium or low: how sure it is that the line reads as it was typed"
    ),
    "cgtrail.command.reasons": DocumentField(
        "keyword",
        "why: read (by a program in lines), edited (a line editor painted it), keys (as they were typed), in_band,"
        " remote, gap, cut, started (a program that it names)",
    ),
    "cgtrail.command.masked": DocumentField("boolean", "something secret in the line or its output was masked"),
    "cgtrail.command.ended": DocumentField(
        "keyword", "why it is over: prompt (the next one), exited (who took the line), session (its end), replaced"
    ),
    "cgtrail.command.execs": DocumentField("keyword", "event.id of the first 256 programs that it started"),
    "cgtrail.command.execs_count": DocumentField("long", "how many programs it started until it was over"),
    "cgtrail.command.output.text": DocumentField(
        "wildcard", "what was shown while it ran, without control sequences, as far as [documents] output keeps it"
    ),
    "cgtrail.command.output.bytes": DocumentField("long", "bytes that the terminal showed while it ran"),
    "cgtrail.command.output.skipped": DocumentField("long", "bytes among them that are not in the text"),
    "cgtrail.terminal.number": DocumentField("long", "position in the session's recording: 1, 2, 3 and so on"),
    "cgtrail.terminal.offset": DocumentField(
        "long", "bytes that the terminal had shown in this session before: where in the recording it stands"
    ),
    "cgtrail.terminal.timing": DocumentField(
        "keyword",
        "when the text was shown, from @timestamp on, in tlog's notation: +ms passed, >n characters, =columns x rows of"
        " the window (=80x24)",
    ),
    "cgtrail.terminal.writers": DocumentField("long", "process ids of who wrote it, where there is more than one"),
    "cgtrail.terminal.masked.kind": DocumentField("keyword", "what kind of secret a program read: password"),
    "cgtrail.terminal.masked.length": DocumentField("keyword", "how long it was: 0, 1-8, 9-16, 17-32 or 33+ bytes"),
    "cgtrail.entry_claimed": DocumentField(
        "boolean",
        "the entry's source address is what the process's environment said (SSH_CONNECTION): whoever runs the SSH"
        " server chooses it",
    ),
    "cgtrail.entry_port": DocumentField("long", "port that the SSH client is said to have come from"),
    "cgtrail.oom": DocumentField("boolean", "the process was killed because memory ran out"),
    "cgtrail.tenant.asked": DocumentField(
        "keyword", "those of the container's tenants whose policy asked for such a record"
    ),
    "cgtrail.tenant.policy": DocumentField("keyword", "what the tenant asks for: exec, terminal, output"),
    "cgtrail.attribution": DocumentField(
        "keyword", "exact, late, stale or unknown: how sure it is that the container is the right one"
    ),
    "cgtrail.partial": DocumentField(
        "boolean",
        "the process, its parent or a leader was running before recording began, or was not seen; the session was open"
        " before; what stands before the piece of a recording was not seen",
    ),
    "cgtrail.loss.frames": DocumentField("long", "how many frames of the stream could not be read"),
    "cgtrail.epoch": DocumentField("keyword", "one life of a cgroup: boot and cgroup id"),
    "cgtrail.args.truncated": DocumentField("boolean", "some of the arguments are missing"),
    "cgtrail.exec.memfd": DocumentField("boolean", "the executable is in memory only"),
    "cgtrail.exec.deleted": DocumentField("boolean", "the executable had been unlinked when it was started"),
    "cgtrail.cwd.incomplete": DocumentField("boolean", "the working directory is deeper than what was recorded"),
    "cgtrail.cwd.outside": DocumentField("boolean", "the working directory lies outside the process's root"),
    "cgtrail.cwd.deleted": DocumentField("boolean", "the working directory had been removed"),
    "cgtrail.return_code": DocumentField("long", "what execve returned: 0 or a negative errno"),
    "cgtrail.signal": DocumentField("keyword", "the signal that ended the process, by name"),
    "cgtrail.loss.record": DocumentField("keyword", "the kind of record that was lost (docs/events.md)"),
    "cgtrail.secrets": DocumentField("keyword", "kinds of secrets that were masked in the document"),
    "cgtrail.cut": DocumentField(
        "keyword", "fields that had to be cut or left out, because the store does not take the document otherwise"
    ),
    "cgtrail.raw": DocumentField("flattened", "field name: base64 of bytes that were not UTF-8"),
}

OTHERS = {
    "parent": "the parent",
    "group_leader": "the leader of the process group",
    "session_leader": "the session leader",
    "entry_leader": "the process that the tree was entered with",
}
"""Processes that documents tell of beside their own: as each was when its latest record was made, where it has any."""
_OF_OTHERS: dict[str, DocumentField] = {
    "entity_id": DocumentField("keyword", "its life"),
    "pid": DocumentField("long", "its process id"),
    "name": DocumentField("keyword", "its name"),
    "start": DocumentField("date_nanos", "when it was made"),
    "executable": DocumentField("keyword", "path of its executable"),
    "args": DocumentField("keyword", "its arguments, where they have at most 2,048 bytes as JSON"),
    "args_count": DocumentField("long", "how many arguments it has"),
    "command_line": DocumentField(
        "wildcard", "its arguments in one line; of more than 2,048 bytes as JSON the beginning and …"
    ),
    "working_directory": DocumentField("keyword", "its working directory when its program began"),
    "interactive": DocumentField("boolean", "it has a controlling terminal"),
    "tty.char_device.major": DocumentField("long", "its controlling terminal"),
    "tty.char_device.minor": DocumentField("long", "its controlling terminal"),
    **{
        f"{who}.{part}": DocumentField("keyword", f"its {who.replace('_', ' ')}{what}")
        for who in ("user", "group", "real_user", "saved_user")
        for part, what in (("id", ", by number"), ("name", " by the container's own name"))
    },
}


def _of_others() -> dict[str, DocumentField]:
    found = {
        f"process.{other}.{name}": DocumentField(each.type, f"{who}: {each.meaning}")
        for other, who in OTHERS.items()
        for name, each in _OF_OTHERS.items()
    }
    same = DocumentField("boolean", "the process is that one itself")
    return found | {f"process.{other}.same_as_process": same for other in OTHERS if other != "parent"}


def _declared() -> dict[str, DocumentField]:
    declared: dict[str, DocumentField] = {}
    for cls in RECORDS.values():
        for f in cls.layout.fields():
            if f.ecs and f.wire.kind in _BY_KIND:
                declared[f.ecs] = DocumentField(_BY_KIND[f.wire.kind], f.meaning)
    return declared | {
        "cgtrail.tenant.id": DocumentField(
            "keyword", "every tenant of the container, sorted; in a document about a tenant, that one"
        ),
        "container.labels": DocumentField("flattened", "labels of the container"),
        "cgtrail.loss.cause": DocumentField("keyword", "why something was lost: " + ", ".join(causes())),
    }


FIELDS: dict[str, DocumentField] = dict(sorted((_declared() | _of_others() | _STEPS).items()))
"""Field name → type and meaning."""
