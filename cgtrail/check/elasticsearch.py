"""Elasticsearch, where it is configured: which nodes are reached, who we are, what we may do, if it is prepared."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from cgtrail import clusters
from cgtrail.check.finding import Finding, Level
from cgtrail.config import Config, ConfigError
from cgtrail.elasticsearch import indices, setup, templates
from cgtrail.elasticsearch.pieces import INDEX, VERSION
from cgtrail.elasticsearch.roles import CREATE, READ
from enrich.documents import KINDS
from enrich.elasticsearch.client import Client, ElasticsearchError, place
from enrich.elasticsearch.cluster import Cluster
from enrich.elasticsearch.streams import pattern, stream, streams

_SECONDS = 6.0
"""For a node to answer: the whole look must not take longer than `cgtrail check` waits for one."""
_ME = ("GET", "_security/_authenticate")
_NO_SUCH = {400, 405}
"""What a cluster without security answers to questions about it."""
_SETUP = "run `cgtrail setup elasticsearch`"


def look(config: Config) -> Iterator[Finding]:
    """Nothing where no cluster is named; else the way there, and once there is one, our rights and the templates."""
    own = config.elasticsearch
    if not own.hosts and not own.cloud_id:
        return
    try:
        cluster = replace(clusters.cluster(config), timeout_seconds=_SECONDS)
        client = Client(cluster)
    except ConfigError as error:
        yield Finding("elasticsearch", Level.BAD, str(error), "correct [elasticsearch]")
        return
    except ElasticsearchError as error:
        yield _bad(error)
        return
    try:
        yield from _way(cluster)
        yield from _nodes(cluster)
        yield from _asked(client, cluster)
    except ElasticsearchError as error:
        yield _bad(error)
    finally:
        client.close()


def _way(cluster: Cluster) -> Iterator[Finding]:
    """Who could listen in."""
    far = [host for host in cluster.hosts if urlsplit(host).scheme == "http" and not _is_here(host)]
    if far:
        shown = place(replace(cluster, hosts=tuple(far)))
        found = f"what goes to {shown} can be read on the way, our key and what people type included"
        yield Finding(
            "elasticsearch", Level.NOTE, found, "have it speak TLS, and write https:// in elasticsearch.hosts"
        )


def _nodes(cluster: Cluster) -> Iterator[Finding]:
    """Nodes that do not answer, where others do: the client goes on with those."""
    if len(cluster.hosts) < 2:
        return
    with ThreadPoolExecutor(len(cluster.hosts)) as threads:
        errors = list(threads.map(_unreached, [replace(cluster, hosts=(host,)) for host in cluster.hosts]))
    if all(errors):
        return
    for error in errors:
        if error is not None:
            found = f"{error.place}: {error.words.sentence}; the others are used"
            yield Finding("elasticsearch", Level.NOTE, found, error.words.advice)


def _unreached(cluster: Cluster) -> ElasticsearchError | None:
    try:
        client = Client(cluster)
    except ElasticsearchError as error:
        return error
    try:
        client.ask(*_ME)
    except ElasticsearchError as error:
        return error if error.status is None else None
    finally:
        client.close()
    return None


def _asked(client: Client, cluster: Cluster) -> Iterator[Finding]:
    try:
        me: Mapping[str, Any] | None = client.ask(*_ME)
    except ElasticsearchError as error:
        if error.status not in _NO_SUCH or error.type == "media_type_header_exception":
            raise
        me = None
    version = client.version()
    told = f"Elasticsearch {'.'.join(str(part) for part in version)}" if version else "which version is not shown to us"
    yield Finding("elasticsearch", Level.OK, f"{place(cluster)}: reached by {_how(cluster)}; {told}")
    if me is None:
        found = "security is off: whoever reaches the cluster reads and changes what is recorded"
        yield Finding("elasticsearch", Level.NOTE, found, "turn it on: xpack.security.enabled")
    else:
        yield from _rights(client, cluster, me)
    yield from _templates(client, cluster.namespace)
    try:
        for name, what in indices.in_the_way(client, cluster.namespace):
            yield setup.in_the_way(name, what)
    except ElasticsearchError as error:
        if error.status not in {403, 404}:  # 403: a worker's key need not see what there is
            raise


def _rights(client: Client, cluster: Cluster, me: Mapping[str, Any]) -> Iterator[Finding]:
    """What we may do: enough for a worker, for who reads, for both."""
    key = me.get("api_key")
    who = f"API key {key.get('name') or key['id']}" if key else f"user {me['username']}"
    on = pattern(cluster.namespace)
    asked = {"index": [{"names": [on], "privileges": [*CREATE, *READ]}], "cluster": ["all"]}
    has = client.ask("POST", "_security/user/_has_privileges", asked)
    may = has["index"][on]
    writes, reads = all(may[each] for each in CREATE), all(may[each] for each in READ)
    if has["cluster"]["all"]:
        found = f"{who} may do everything there, deleting included"
        advice = (
            "`cgtrail setup elasticsearch` makes roles with what is needed and nothing else: have a key made of one"
        )
        yield Finding("elasticsearch rights", Level.NOTE, found, advice)
    elif writes:
        also = ", and who reads" if reads else "; not to read, so that a repeat after a rollover is not noticed"
        yield Finding("elasticsearch rights", Level.OK, f"{who}: all that a worker needs{also}")
    elif reads:
        yield Finding("elasticsearch rights", Level.OK, f"{who}: to read only; a worker may not write with it")
    else:
        lacking = ", ".join(each for each in (*CREATE, *READ) if not may[each])
        found = f"{who} may neither write nor read {on}: it lacks {lacking}"
        advice = "have it granted: `cgtrail setup elasticsearch` makes roles for a writer and for a reader"
        yield Finding("elasticsearch rights", Level.BAD, found, advice)


def _templates(client: Client, namespace: str) -> Iterator[Finding]:
    """Whether data streams will be made as they must be."""
    names = [templates.name(kind) for kind in KINDS]
    try:
        found = client.ask("GET", INDEX.path)["index_templates"]
    except ElasticsearchError as error:
        if error.status == 403:
            told = "templates are not shown to us; `cgtrail setup elasticsearch --dry-run` looks, as somebody who may"
            yield Finding("elasticsearch", Level.OK, told)
            return
        if error.status != 404:
            raise
        found = []
    wanted = {piece.name: piece for piece in templates.indices()}
    there = {
        each["name"]: wanted[each["name"]].found({"index_templates": [each]})
        for each in found
        if each["name"] in wanted
    }
    if lacking := [name for name in names if name not in there]:
        told = f"no index template {', '.join(lacking)}: nothing of these kinds is written"
        yield Finding("elasticsearch", Level.BAD, told, _SETUP)
    for name in names:
        if (piece := there.get(name)) is None or (piece.holds(wanted[name]) and not piece.newer):
            continue
        if piece.edited:
            told = "index template: edited, or made by somebody else"
            yield Finding(name, Level.NOTE, told, "`cgtrail setup elasticsearch --dry-run` shows how it differs")
        elif piece.seal is not None and piece.seal.version != VERSION:
            advice = f"use that cgtrail here, {VERSION} is older" if piece.newer else _SETUP
            yield Finding(name, Level.NOTE, f"index template: of cgtrail {piece.seal.version}", advice)
    winners = {kind: _winner(found, name) for kind, name in streams(namespace).items()}
    bad = [kind for kind, winner in winners.items() if winner not in {None, templates.name(kind)}]
    yield from (setup.overruled(stream(kind, namespace)) for kind in bad)
    if not lacking and not bad:
        yield Finding("elasticsearch", Level.OK, f"index templates for {', '.join(KINDS)}")


def _winner(found: Iterable[Mapping[str, Any]], name: str) -> str | None:
    """The template that makes an index of this name: of those with a pattern for it the one of the highest priority."""
    fit = [
        (each["index_template"].get("priority", 0), each["name"])
        for each in found
        if any(fnmatchcase(name, pattern) for pattern in each["index_template"]["index_patterns"])
    ]
    return max(fit)[1] if fit else None


def _how(cluster: Cluster) -> str:
    tls = not cluster.hosts or all(urlsplit(host).scheme == "https" for host in cluster.hosts)
    mutual = ", mutual TLS" if cluster.certificate_file else ""
    return ("https" if tls else "http") + mutual + (", through a proxy" if cluster.proxy else "")


def _is_here(host: str) -> bool:
    name = urlsplit(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _bad(error: ElasticsearchError) -> Finding:
    where = f"{error.place}: " if error.place else ""
    return Finding("elasticsearch", Level.BAD, f"{where}{error.words.sentence}", error.words.advice)
