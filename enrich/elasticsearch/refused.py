"""Why Elasticsearch does not do what it is asked, and what to do about it, in words."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from enrich.printable import message as printable

_MAX_REASON = 1000
_NEW_KEY = "make a new API key, put it into the file of elasticsearch.api_key_file, and start what uses it again"


class Words(NamedTuple):
    """What happened, and what to do."""

    sentence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.sentence}: {self.advice}" if self.advice else self.sentence


class _Case(NamedTuple):
    """Words for answers like this: `{name}` in them is a group of the pattern."""

    kind: str
    """error.type, or "" for any."""
    pattern: str
    """What the reason looks like."""
    sentence: str
    advice: str


# Types and reasons as Elasticsearch 8.19 and 9.5 answer them. The first that fits is taken.
_CASES = [
    _Case("media_type_header_exception", "", "the server does not understand the Python client that is installed", ""),
    # Who we are
    _Case(
        "security_exception",
        r"unable to authenticate user \[(?P<user>.*?)\]",
        "it knows no user {user} with this password",
        "correct elasticsearch.username, and the file of elasticsearch.password_file",
    ),
    _Case("security_exception", "api key is expired", "the API key has expired", _NEW_KEY),
    _Case("security_exception", "has been invalidated", "the API key has been invalidated", _NEW_KEY),
    _Case(
        "security_exception",
        r"unable to authenticate with provided credentials.*?(?:\(API key: (?P<why>.*)\))?$",
        "it does not take the API key, {why}",
        f"it may be another cluster's, or not what is given out under `encoded` (base64 of id:key); else {_NEW_KEY}",
    ),
    _Case(
        "security_exception",
        "missing authentication credentials",
        "it lets in nobody without a key or a password, and we have none",
        "set elasticsearch.api_key_file, or elasticsearch.username and elasticsearch.password_file",
    ),
    # What we may do
    _Case(
        "security_exception",
        r"is unauthorized for (?P<who>.*?)(?: with .*?)?(?: on indices (?P<where>\[.*?\]))?"
        r", this action is granted by the (?P<level>index|cluster) privileges \[(?P<first>[^\],]*)",
        "{who} may not do this{where}: it lacks the {level} privilege {first}",
        "have it granted: `cgtrail setup elasticsearch` shows the roles of a writer and of a reader",
    ),
    _Case(
        "security_exception",
        r"current license is non-compliant for \[(?P<what>.*?)\]",
        "the cluster's licence does not include {what}",
        "do without, or ask who runs it for another licence",
    ),
    # What is not there
    _Case(
        "",
        r"\[require_data_stream\] request flag is \[true\] and \[(?P<name>.*?)\] is not a data stream",
        "{name} is there and is no data stream",
        "look what it is, move its documents elsewhere and delete it; then run `cgtrail setup elasticsearch`",
    ),
    _Case(
        "index_not_found_exception",
        r"no such index \[(?P<name>.*?)\] and the index creation request requires a data stream",
        "there is no template for the data stream {name}",
        "run `cgtrail setup elasticsearch`",
    ),
    _Case(
        "index_not_found_exception",
        r"no such index \[(?P<name>.*?)\]",
        "there is no {name}",
        "if nothing was written yet, run `cgtrail setup elasticsearch`; otherwise compare elasticsearch.namespace",
    ),
    _Case(
        "index_closed_exception",
        r"^index (?P<name>\S+) is closed$",
        "the index {name} is closed",
        "open it: POST /{name}/_open; or delete it, where its documents are no longer wanted",
    ),
    _Case("index_closed_exception", "", "the index is closed", "open it: POST /INDEX/_open"),
    _Case(
        "illegal_argument_exception",
        r"Fielddata is disabled on \[(?P<field>.*?)\] in \[(?P<name>.*?)\]",
        "{name} was not made by cgtrail's templates: it has {field} as text",
        "run `cgtrail setup elasticsearch`, so that a new one is begun; while this one is there, searches end so:"
        " delete it when its documents may go, and make them again (`cgtrail enrich --from`)",
    ),
    # What may not be written
    _Case(
        "cluster_block_exception",
        "flood-stage watermark|read-only-allow-delete|read-only / allow delete",
        "the disks of its nodes are too full (flood-stage watermark), so that it only lets delete",
        "give it more disk, or shorten the retention (`cgtrail setup elasticsearch --retention`); it opens by itself",
    ),
    _Case(
        "cluster_block_exception",
        r"index \[(?P<name>.*?)\] blocked by: \[.*?/(?P<what>[^/\]]*(?: \(api\))?)\]",
        "somebody blocked {name}: {what}",
        "take the block away when it may be: PUT /{name}/_settings with its index.blocks.* set to null",
    ),
    _Case(
        "cluster_block_exception",
        r"FORBIDDEN/6/",
        "somebody made the whole cluster read-only",
        "take cluster.blocks.read_only away when it may be",
    ),
    _Case(
        "cluster_block_exception",
        "",
        "the cluster is not ready yet, or has no master",
        "wait; look at GET /_cat/health",
    ),
    # What it can't do now
    _Case(
        "es_rejected_execution_exception|circuit_breaking_exception",
        "",
        "it has too much to do: its queues or its memory are full",
        "it is tried again, with less at a time; if it stays so, the cluster needs more nodes or memory",
    ),
    _Case(
        "master_not_discovered_exception|no_master_exception|node_closed_exception",
        "",
        "the cluster has no master",
        "it is tried again; look at GET /_cat/nodes, and at the logs of the nodes that are missing",
    ),
    _Case(
        "unavailable_shards_exception|no_shard_available_action_exception|search_phase_execution_exception"
        "|process_cluster_event_timeout_exception|timeout_exception",
        "",
        "a node that holds some of the documents does not answer",
        "it is tried again; look at GET /_cat/shards and GET /_cluster/allocation/explain",
    ),
]
# Of an answer whose type is none of these, and of what is not Elasticsearch's at all.
_ELSEWHERE = Words(
    "it sends us elsewhere, as what asks people to log in does, or what wants https://",
    "name the address of Elasticsearch itself in elasticsearch.hosts",
)
_STATUS = {
    **dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE),
    401: Words("who we are was not accepted", "correct elasticsearch.api_key_file, or username and password_file"),
    403: Words("it is forbidden, by Elasticsearch or by what stands before it", "ask who runs it"),
    404: Words("this is not there", "compare the path in elasticsearch.hosts with the one that the proxy serves"),
    405: Words("it does not serve this", "compare elasticsearch.hosts with where Elasticsearch listens"),
    407: Words("the proxy asks who we are", "put user:password@ into elasticsearch.proxy"),
    413: Words(
        "a request was larger than is let through",
        "lower elasticsearch.bulk_bytes, or raise http.max_content_length and the limit of proxies on the way",
    ),
    429: Words("it has too much to do", "it is tried again, with less at a time"),
    502: Words("what stands before Elasticsearch does not reach it", "it is tried again; look whether the nodes run"),
    503: Words("it is not ready", "it is tried again; look at GET /_cat/health"),
    504: Words("what stands before Elasticsearch has waited too long for it", "it is tried again"),
}


def error(answer: Any, data: bytes) -> tuple[str, str]:
    """Type and reason of an answer that is an error; of one that is not Elasticsearch's, what can be seen of it."""
    found = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(found, dict):
        found = _root(found)
        if found.get("reason") == "closed" and isinstance(found.get("index"), str):
            found = found | {"reason": f"index {found['index']} is closed"}
        more = found.get("additional_unsuccessful_credentials")
        said = f"{found.get('reason', '')}{f' ({more})' if more else ''}"
        return str(found.get("type", "")), _short(said)
    return "", _short(found if isinstance(found, str) else _page(data))


def _root(found: dict[str, Any]) -> dict[str, Any]:
    """Why a search failed: the error itself says only that shards did, which is all there is where none answered."""
    roots = found.get("root_cause")
    if found.get("type") != "search_phase_execution_exception" or not isinstance(roots, list):
        return found
    return next((each for each in roots if isinstance(each, dict) and each.get("type")), found)


def known(kind: str, reason: str) -> Words | None:
    """For an error's type and reason; None where we have no words of our own for it."""
    for case in _CASES:
        if case.kind and kind not in case.kind.split("|"):
            continue
        found = re.search(case.pattern, reason)
        if found is not None:
            groups = {name: value or "" for name, value in found.groupdict().items()}
            if groups.get("where"):
                groups["where"] = f" in {groups['where'].strip('[]')}"
            groups |= {"why": groups.get("why") or "without saying why"}
            return Words(case.sentence.format(**groups), case.advice.format(**groups))
    return None


def words(kind: str, reason: str, status: int | None = None) -> Words:
    """For an error's type and reason, of a whole answer; `status` of HTTP."""
    if found := known(kind, reason):
        return found
    said = ": ".join(part for part in (kind, reason) if part)
    usual = _STATUS.get(status or 0)
    if usual is not None:
        return Words(f"{usual.sentence} ({f'{status}, ' if status else ''}{said or 'no more is said'})", usual.advice)
    return Words(f"{f'{status} ' if status else ''}{said or 'no more is said'}", "")


def older(client: int) -> Words:
    """The server is of another major version than what the client speaks."""
    return Words(
        f"the server does not understand the Python client {client} that is installed: it is older",
        f"install the client of the server's version, for 8.19: pip install 'elasticsearch<{client}'",
    )


def stranger(status: int, data: bytes) -> Words:
    """Something answered well that is not Elasticsearch."""
    return Words(
        f"what answers is not Elasticsearch ({status}, {_short(_page(data)) or 'nothing more'})",
        "compare elasticsearch.hosts with where Elasticsearch listens: OpenSearch, Kibana and proxies that take the"
        " header X-Elastic-Product away don't do",
    )


def _page(data: bytes) -> str:
    """What a page says: its title, or its text."""
    page = data[:20_000].decode(errors="replace")
    title = re.search(r"<title>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    return " ".join((title[1] if title else re.sub(r"<[^>]*>", " ", page)).split())


def _short(said: str) -> str:
    shown = printable(said)
    return shown if len(shown) <= _MAX_REASON else f"{shown[:_MAX_REASON]}…"
