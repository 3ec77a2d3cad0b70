"""What documents' fields have in Elasticsearch beside what `enrich.fields` declares."""

from __future__ import annotations

from enrich.fields import OTHERS, DocumentField

DATA_STREAM: dict[str, DocumentField] = {
    "data_stream.type": DocumentField("keyword", "always logs"),
    "data_stream.dataset": DocumentField("keyword", "the same as event.dataset"),
    "data_stream.namespace": DocumentField("keyword", "the installation's namespace"),
}
"""What Elasticsearch's data streams have beside a document: it is no part of it, and no other store has it."""

_WITH_TEXT = ("executable", "command_line", "working_directory")
_NAMED = ("process", "user", "real_user", "saved_user", *OTHERS)


def has_text(name: str) -> bool:
    """Whether ECS gives a field a `.text` beside it, in which words are found."""
    path = name.split(".")
    if name == "host.os.full":
        return True
    if path[0] not in ("process", "user"):
        return False
    return path[-1] in _WITH_TEXT or (path[-1] == "name" and path[-2] in _NAMED)
