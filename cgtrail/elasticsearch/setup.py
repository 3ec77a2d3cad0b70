"""`cgtrail setup elasticsearch`: makes templates, lifecycles, roles and aliases, and brings ours up to date.

What somebody edited stays as it is unless that is asked for, and so does all that a user added (@custom). Nothing is
kept between two runs but in the cluster, so that any two of them agree, also at the same time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from cgtrail import clusters
from cgtrail.check.finding import Finding, Level, line
from cgtrail.config import Config
from cgtrail.elasticsearch import indices, lifecycle, roles, templates, tenants
from cgtrail.elasticsearch.existing import Existing
from cgtrail.elasticsearch.features import features
from cgtrail.elasticsearch.pieces import COMPONENT, INDEX, POLICY, Piece
from cgtrail.elasticsearch.settle import AGAIN, Manner, look, refusal, settle
from enrich.documents import KINDS
from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.mappings import Features, Lifecycle
from enrich.elasticsearch.streams import stream

_TRIES = 5
_EVERY = "logs-cgtrail.*"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants; what is not said stays as it is, or is what we think is right."""

    manner: Manner
    retention: Mapping[str, int] = field(default_factory=dict)
    """Kind → days."""
    writer_reads: bool | None = None
    """Whether workers may look up what is stored."""
    tenants: tuple[str, ...] = ()
    """Ids of those that get an alias, beside those that have one."""


class Setup:
    """What is done to a cluster. Every step may raise ElasticsearchError: it is not reached any more."""

    def __init__(self, client: Client, namespace: str, asked: Asked) -> None:
        """Raises TenantError."""
        self._client = client
        self._namespace = namespace
        self._asked = asked
        self._manner = asked.manner
        self._aliases = tenants.aliases(asked.tenants, namespace)

    def run(self) -> Iterator[Finding]:
        """Do it all, one thing after the other; each is told when it is done."""
        try:
            able = features(self._client)
            days = {kind: self._days(kind, able) for kind in KINDS}
            there = self._aliases_there()
        except ElasticsearchError as error:
            yield refusal(self._namespace, "templates", error, "manage_index_templates (and read_ilm)")
            return
        yield from _told(able, days)
        yield from self._unlike(there)
        aliases = self._merged(there)
        ours: dict[str, Any] = {}
        for piece in templates.pieces(able, days, aliases):
            settled = yield from settle(self._client, piece, self._manner, merged=piece.name == templates.TENANTS)
            if settled:
                ours[piece.path] = piece.body.get("template", {}).get("mappings", {})
        if self._aliases:
            yield from self._kept_apart(written=f"{COMPONENT.path}/{templates.TENANTS}" in ours)
        yield from self._streams(able, days, ours, aliases)
        yield from self._roles()

    def _days(self, kind: str, able: Features) -> int:
        """How long a kind is kept: as asked, as it is, or as we think is right."""
        if kind in self._asked.retention:
            return self._asked.retention[kind]
        has = None
        if able.lifecycle is Lifecycle.ILM:
            found = look(self._client, Piece(POLICY, templates.name(kind), {}))
            has = lifecycle.of_policy(found.body) if found else None
        elif able.lifecycle is Lifecycle.STREAM:
            found = look(self._client, Piece(COMPONENT, f"{templates.name(kind)}@package", {}))
            has = lifecycle.of_template(found.body) if found else None
        return has or lifecycle.default(kind)

    def _aliases_there(self) -> dict[str, Any]:
        found = look(self._client, Piece(COMPONENT, templates.TENANTS, {}))
        return dict(found.body.get("template", {}).get("aliases", {})) if found else {}

    def _merged(self, there: Mapping[str, Any]) -> dict[str, Any]:
        """Aliases of a template: those that are there stay, also where somebody changed one."""
        first, last = (there, self._aliases) if self._manner.apply else (self._aliases, there)
        return {**first, **last}

    def _unlike(self, there: Mapping[str, Any]) -> Iterator[Finding]:
        """Aliases under a tenant's name that show something else."""
        for name, told in self._aliases.items():
            if name in there and there[name] != told and not self._manner.apply:
                yield Finding(name, Level.BAD, "alias: edited, it shows something else", "--apply overwrites it")

    def _kept_apart(self, *, written: bool) -> Iterator[Finding]:
        """Two who add tenants at once would each write what they knew: look again, and add what is lost."""
        for _ in range(_TRIES if written and not self._manner.dry else 0):
            there = self._aliases_there()
            if not set(self._aliases) - set(there):
                break
            piece = Piece(COMPONENT, templates.TENANTS, {"template": {"aliases": self._merged(there)}})
            if not (yield from settle(self._client, piece, self._manner, merged=True)):
                break
        told = "no wall: who may read the data streams sees every tenant's documents, by whatever name"
        yield Finding(
            "aliases", Level.NOTE, f"filters of aliases are {told}", "give tenants the role, where there is one"
        )

    def _streams(
        self, able: Features, days: Mapping[str, int], ours: Mapping[str, Any], aliases: Mapping[str, Any]
    ) -> Iterator[Finding]:
        existing = Existing(self._client, self._manner)
        hidden = False
        try:
            hidden = yield from self._hidden()
            found = indices.streams(self._client)
            yield from self._foreseen()
        except ElasticsearchError as error:
            if not (hidden and error.status == 403):
                yield refusal("data streams", "looked for", error, "view_index_metadata on logs-cgtrail.*")
            return
        shared = f"{COMPONENT.path}/{templates.MAPPINGS}"
        for each in found:
            name = templates.name(each.kind)
            needed = (shared, f"{COMPONENT.path}/{name}@package", f"{INDEX.path}/{name}")
            if all(path in ours for path in needed):
                yield from existing.mapped(each, indices.overlaid(ours[needed[0]], ours[needed[1]]))
        if able.lifecycle is Lifecycle.STREAM:
            yield from existing.kept(found, days, self._asked.retention)
        if able.failure_store:
            yield from existing.refusing(found)
        own = [each for each in found if each.name == stream(each.kind, self._namespace)]
        begin = f"{tenants.prefix(self._namespace)}-"
        yield from existing.aliased(own, {name: told for name, told in aliases.items() if name.startswith(begin)})

    def _foreseen(self) -> Iterator[Finding]:
        """Say what becomes of data streams that are not as they should be though the templates are there."""
        for name, what in indices.in_the_way(self._client, self._namespace):
            yield in_the_way(name, what)
        for kind in KINDS:
            name = stream(kind, self._namespace)
            template = indices.simulated(self._client, kind, name)
            if template is None:
                yield overruled(name)
            elif (count := indices.shards(template)) != "1":
                told = f"data stream: begun with {count} primary shards, so that `tail` and `--follow` can't follow it"
                own = f"{templates.CUSTOM} or {templates.name(kind)}@custom"
                advice = f"take number_of_shards out of {own}; then POST {name}/_rollover, where there is one"
                yield Finding(name, Level.NOTE, told, advice)

    def _hidden(self) -> Generator[Finding, None, bool]:
        """Whether data streams may be there that are not shown to us: a server leaves them out without a word."""
        wanted = {"names": [_EVERY], "privileges": ["view_index_metadata"]}
        try:
            has = self._client.ask("POST", "_security/user/_has_privileges", {"index": [wanted]})
        except ElasticsearchError as error:
            if error.status in {400, 404, 405}:  # no security
                return False
            raise
        if has["index"][_EVERY]["view_index_metadata"]:
            return False
        told = "those that are not shown to us stay as they are: we lack view_index_metadata"
        yield Finding("data streams", Level.BAD, told, f"do it as somebody with the privilege manage on {_EVERY}")
        return True

    def _roles(self) -> Iterator[Finding]:
        try:
            reads = self._asked.writer_reads
            if reads is None:
                found = look(self._client, roles.writer(self._namespace, reads=False))
                reads = found is not None and roles.reads(found.body)
        except ElasticsearchError as error:
            yield _no_roles(error)
            return
        for role in (roles.writer(self._namespace, reads=reads), roles.reader(self._namespace)):
            yield from settle(self._client, role, self._manner, level=Level.NOTE)
        if self._asked.tenants:
            yield from self._walls()

    def _walls(self) -> Iterator[Finding]:
        """A role for each tenant, where the licence has document-level security."""
        try:
            licence = self._client.ask("GET", "_license").get("license", {}).get("type", "")
        except ElasticsearchError as error:
            yield refusal("tenants", "licence", error, "monitor", Level.NOTE)
            return
        if licence in {"basic", "standard", "gold"}:
            told = f"the licence ({licence}) has no document-level security: no roles for tenants"
            advice = "let tenants see only what something shows them that asks their alias, or have a Platinum licence"
            yield Finding("tenants", Level.NOTE, told, advice)
            return
        for name in self._asked.tenants:
            role = roles.tenant(name, self._namespace)
            yield from settle(self._client, role, self._manner, level=Level.NOTE)


def overruled(name: str) -> Finding:
    """A data stream that somebody else's template makes, though ours is there."""
    told = f"data stream: it would be made by another index template, whose priority is above {templates.PRIORITY}"
    advice = f"GET _index_template shows it: take {name} out of its patterns, or lower its priority"
    return Finding(name, Level.BAD, told, advice)


def in_the_way(name: str, what: str) -> Finding:
    """Something else stands where a data stream should."""
    told = f"there is {what} of this name, so that there can be no data stream: nothing of this kind is written"
    return Finding(
        name, Level.BAD, told, "move its documents elsewhere and delete it; an alias: remove it (POST _aliases)"
    )


def _told(able: Features, days: Mapping[str, int]) -> Iterator[Finding]:
    kept = ", ".join(f"{kind} {count}" for kind, count in days.items())
    if able.lifecycle is Lifecycle.NONE:
        told = "the server has neither ILM nor data stream lifecycles: documents stay until somebody deletes them"
        yield Finding("retention", Level.NOTE, told, "delete old backing indices, or use a server that does")
    else:
        yield Finding("retention", Level.OK, f"days, by {able.lifecycle.value}: {kept}")


def _no_roles(error: ElasticsearchError) -> Finding:
    if error.status in {400, 405}:
        told = "security is off: whoever reaches the cluster may do everything"
        return Finding("roles", Level.NOTE, told, "turn it on: xpack.security.enabled")
    return refusal("roles", "role", error, "manage_security", Level.NOTE)


def run(config: Config, asked: Asked, *, as_json: bool) -> int:
    """Set up, and print each finding; returns 0, or 3 where something is not as it should be.

    Raises ElasticsearchError, TenantError.
    """
    cluster = clusters.cluster(config)
    client = Client(cluster)
    bad = pending = 0
    try:
        for finding in Setup(client, cluster.namespace, asked).run():
            bad += finding.level is Level.BAD
            pending += finding.advice == AGAIN
            click.echo(line(finding, as_json=as_json))
    finally:
        client.close()
    if not as_json:
        click.echo(f"\n{_left(bad, 'to mend')}" if bad else _summed(pending))
    return 3 if bad or pending else 0


def _summed(pending: int) -> str:
    return f"\n{_left(pending, 'would be done')}" if pending else "\nElasticsearch is set up."


def _left(number: int, what: str) -> str:
    return f"{number} thing{'s' if number > 1 else ''} {what}."
