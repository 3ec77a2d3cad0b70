"""What is done to data streams that are there already: their mappings, their lifecycle, their tenants' aliases.

A template says only how what comes next is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cgtrail.check.finding import Finding, Level
from cgtrail.elasticsearch import indices, templates
from cgtrail.elasticsearch.features import NO_FAILURE_STORE
from cgtrail.elasticsearch.indices import Change, Stream
from cgtrail.elasticsearch.settle import Manner, refusal
from enrich.elasticsearch.client import Client, ElasticsearchError

_RIGHT = "manage on logs-cgtrail.*"


@dataclass(frozen=True, slots=True)
class Existing:
    """The data streams of a cluster that are ours."""

    client: Client
    manner: Manner

    def mapped(self, stream: Stream, ours: Mapping[str, Any]) -> Iterator[Finding]:
        """Bring its newest backing index up to date, or begin another. `ours`: what templates say once written."""
        try:
            template = indices.simulated(self.client, stream.kind, stream.name)
            if template is None:
                return  # that is told of all kinds
            wanted: Mapping[str, Any] = template.get("mappings", {})
            if self.manner.dry:
                own = indices.custom(self.client, (templates.CUSTOM, f"{templates.name(stream.kind)}@custom"))
                wanted = indices.overlaid(indices.overlaid(wanted, ours), own)
            change = indices.change(indices.mapping(self.client, stream.newest), wanted)
            if change is None:
                yield Finding(stream.name, Level.OK, "data stream: mapped as it should be")
                return
            yield self._changed(stream, change, wanted)
            for each in change.differences:
                level = Level.NOTE if self.manner.dry else Level.OK
                yield Finding(stream.name, level, each.told(self.manner.becomes))
        except ElasticsearchError as error:
            yield refusal(stream.name, "data stream", error, _RIGHT)

    def kept(self, streams: Sequence[Stream], days: Mapping[str, int], asked: Mapping[str, int]) -> Iterator[Finding]:
        """Hold the lifecycles that data streams carry themselves against what templates give new ones."""
        for stream in streams:
            path, wanted = f"_data_stream/{stream.name}/_lifecycle", f"{days[stream.kind]}d"
            try:
                found = self.client.ask("GET", path)["data_streams"][0].get("lifecycle")
                was = found.get("data_retention", "for ever") if found else "by nobody's rule"
                if was == wanted and found.get("enabled", True):
                    yield Finding(stream.name, Level.OK, f"data stream: kept {wanted}")
                elif found and not self.manner.apply and stream.kind not in asked:
                    advice = f"--apply makes it {wanted}, --retention {stream.kind}=DAYS what you want"
                    yield Finding(stream.name, Level.BAD, f"data stream: kept {was}, new ones {wanted}", advice)
                else:
                    if not self.manner.dry:
                        self.client.ask("PUT", path, {"data_retention": wanted, "enabled": True})
                    yield self.manner.done(
                        stream.name, f"data stream: was kept {was} → {self.manner.becomes} kept {wanted}"
                    )
            except ElasticsearchError as error:
                yield refusal(stream.name, "lifecycle", error, _RIGHT)

    def refusing(self, streams: Sequence[Stream]) -> Iterator[Finding]:
        """See that they refuse what they can't take; a cluster may give logs-*-* a failure store by itself."""
        for stream in streams:
            path = f"_data_stream/{stream.name}/_options"
            try:
                found = self.client.ask("GET", path)["data_streams"][0].get("options", {}).get("failure_store")
                if found is None:
                    if not self.manner.dry:
                        self.client.ask("PUT", path, NO_FAILURE_STORE)
                    yield self.manner.done(stream.name, f"data stream: {self.manner.be}without a failure store")
                elif found.get("enabled"):
                    told = "data stream: what it can't take goes into its failure store, and is no dead letter"
                    yield Finding(stream.name, Level.NOTE, told, f"PUT {path} turns it off")
            except ElasticsearchError as error:
                if error.status in {400, 405, 410}:  # a server without such options for what is there
                    return
                yield refusal(stream.name, "failure store", error, _RIGHT)

    def aliased(self, streams: Sequence[Stream], wanted: Mapping[str, Any]) -> Iterator[Finding]:
        """Give them the aliases of tenants that they lack."""
        if not streams or not wanted:
            return
        names = ",".join(each.name for each in streams)
        try:
            found = self.client.ask("GET", f"{names}/_alias")
            for alias, told in wanted.items():
                yield from self._alias(alias, told["filter"], [each.name for each in streams], found)
        except ElasticsearchError as error:
            yield refusal(names, "aliases", error, _RIGHT)

    def _alias(self, alias: str, wanted: Any, names: Sequence[str], found: Any) -> Iterator[Finding]:
        has = {name: found.get(name, {}).get("aliases", {}).get(alias) for name in names}
        edited = sorted(name for name, told in has.items() if told is not None and told.get("filter") != wanted)
        lacking = sorted(name for name, told in has.items() if told is None)
        if edited and not self.manner.apply:
            told = f"alias: another filter than the tenant's on {', '.join(edited)}"
            yield Finding(alias, Level.BAD, told, "--apply overwrites it")
        todo = lacking + (edited if self.manner.apply else [])
        if todo:
            actions = [{"add": {"index": name, "alias": alias, "filter": wanted}} for name in todo]
            if not self.manner.dry:
                self.client.ask("POST", "_aliases", {"actions": actions})
            yield self.manner.done(alias, f"alias: {self.manner.be}put on {', '.join(todo)}")
        elif not edited:
            yield Finding(alias, Level.OK, "alias: there, and as it should be")

    def _changed(self, stream: Stream, change: Change, wanted: Mapping[str, Any]) -> Finding:
        """Add to the mapping; where that can't be, roll over."""
        rolled = change.rollover
        if not rolled and not self.manner.dry:
            try:
                indices.extend(self.client, stream.name, wanted)
            except ElasticsearchError as error:
                if error.status != 400:
                    raise
                rolled = True
        if not rolled:
            return self.manner.done(stream.name, f"data stream: {self.manner.be}mapped anew in {stream.newest}")
        if not self.manner.dry and not indices.roll(self.client, stream):
            return Finding(stream.name, Level.NOTE, "data stream: somebody else rolled it over now", "run this again")
        return self.manner.done(
            stream.name, f"data stream: {self.manner.be}rolled over: what changed can't be changed in {stream.newest}"
        )
