"""What a server can do that not every server can: it is asked, since versions and licences do not tell all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.mappings import TYPES, Features, Lifecycle

NO_FAILURE_STORE = {"failure_store": {"enabled": False}}
"""What can't be taken is refused, so that it becomes a dead letter with its reason, and nobody thinks it is stored."""
NOT_OURS = "media_type_header_exception"
"""What a server of another major version than the Python client has against each request."""
_LIFECYCLES = {
    Lifecycle.ILM: "_ilm/policy/logs-cgtrail.process",
    Lifecycle.STREAM: "_data_stream/logs-cgtrail.*/_lifecycle",
}


def features(client: Client) -> Features:
    """What this server has. Raises ElasticsearchError: it is not reached, or we may not ask."""
    known = frozenset(TYPES) if _knows(client, TYPES) else frozenset(each for each in TYPES if _knows(client, [each]))
    if not known and not _knows(client, ["keyword"]):
        message = "it refuses to simulate any index template: look at its log"
        raise ElasticsearchError(message, status=400, reason=message)
    lifecycle = next((each for each, path in _LIFECYCLES.items() if _answers(client, path)), Lifecycle.NONE)
    return Features(known, lifecycle, _simulates(client, {"data_stream_options": NO_FAILURE_STORE}))


def _knows(client: Client, types: Iterable[str]) -> bool:
    """Whether an index template with such fields could be made."""
    return _simulates(client, {"mappings": {"properties": {name: {"type": name} for name in types}}})


def _simulates(client: Client, template: Mapping[str, Any]) -> bool:
    body = {"index_patterns": ["cgtrail-asks-*"], "data_stream": {}, "template": template}
    try:
        client.ask("POST", "_index_template/_simulate", body)
    except ElasticsearchError as error:
        if error.status == 400 and error.type != NOT_OURS:
            return False
        raise
    return True


def _answers(client: Client, path: str) -> bool:
    """Whether a request is one that the server knows."""
    try:
        client.ask("GET", path)
    except ElasticsearchError as error:
        if error.status in {400, 405, 410}:  # no handler; 410: not in Elastic's serverless
            return False
        if error.status in {403, 404}:  # there, and not for us, or holds nothing yet
            return True
        raise
    return True
