"""Documents of every shape."""

from __future__ import annotations

import random
from typing import Any

from enrich.document import Document
from enrich.stores.values import timestamp

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NOON = 1_795_305_600 * SECOND + DAY // 2
"""2026-11-22T12:00:00Z."""
PIECES = ["rm ", "-rf", "RM", "a", "A", "b", "*", "?", "[x]", "\0", "é", "É", "\u212a", "ß", '"', "'", "\n", "passwd"]
PIECES += ["😀", "Ⱥ", "\u0130", "%", "_", "\\", " "]
KEYS = ["com.docker.project", 'q"k', "a b"]
TENANTS = ["a", "t1", "t\0", "é"]
TEXT_FIELDS = ["process.name", "container.name", "event.action", "user.id", "process.args", "process.command_line"]
TEXT_FIELDS += [
    "process.parent.name",
    "cgtrail.tenant.id",
    "cgtrail.command.line",
    "event.id",
    *(f"container.labels.{key}" for key in KEYS),
    "container.labels",
]
NUMBERS = ["process.pid", "process.exit_code", "event.sequence"]
DATES = ["@timestamp", "process.start"]


def random_documents(count: int) -> list[Document]:
    """Documents over three days whose fields are missing, null, single or lists, with awkward text."""
    rng = random.Random(7)  # noqa: S311  the same documents each time

    def text() -> str:
        return "".join(rng.choices(PIECES, k=rng.randrange(6)))

    def body() -> Any:
        return rng.choice([None, [], text(), text(), [text(), text()], [text(), None]])

    made = []
    for n in range(count):
        time = NOON + rng.choice([0, rng.randrange(3 * DAY), rng.randrange(4)])
        source: dict[str, Any] = {
            "@timestamp": timestamp(time),
            "event": {"id": f"{n:x}{text()}", "action": rng.choice(["exec", "end", text()])},
            "process": {
                "args": body(),
                "command_line": rng.choice([text(), text() + text()]),
                "parent": {"name": body()},
            },
            "container": {"labels": {key: text() for key in KEYS if rng.random() < 0.6}},
            "user": {"id": rng.choice(["0", "1000"])},
        }
        optional: dict[str, dict[str, Any]] = {
            "event": {"sequence": rng.randrange(3)},
            "process": {
                "name": rng.choice(["ls", text()]),
                "pid": rng.choice([rng.randrange(4), None, [1, 2]]),
                "exit_code": rng.choice([rng.randrange(-2, 2), True, "1"]),
                "interactive": rng.choice([True, False]),
                "start": timestamp(NOON + rng.randrange(4)),
            },
            "container": {
                "name": rng.choice(["web", "cafe", text()]),
                "id": rng.choice(["cafe12" + "0" * 58, "ab" * 32]),
            },
        }
        for group, fields in optional.items():
            source[group] |= {name: value for name, value in fields.items() if rng.random() < 0.7}
        tenants = [name for name in TENANTS if rng.random() < 0.4]
        if tenants:
            source["cgtrail"] = {"tenant": {"id": tenants if rng.random() < 0.9 else tenants[0]}}
        if rng.random() < 0.3:
            source["cgtrail"] = source.get("cgtrail", {}) | {"command": {"line": body()}}
        if rng.random() < 0.1:
            source["process"]["parent"] = rng.choice(["text", None, 7])
        made.append(Document(source["event"]["id"], time, rng.choice(["process", "alert"]), source))
    return made


DOCUMENTS = random_documents(300)
