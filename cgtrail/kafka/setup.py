"""`cgtrail setup kafka`: makes the topics and rights that are missing, and says in what the others differ.

What is there stays as it is unless changes are asked for; partitions are added only when their number is given too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from cgtrail import brokers
from cgtrail.check.finding import Finding, Level, line
from cgtrail.config import Config
from cgtrail.kafka import acls, topics
from cgtrail.kafka.acls import Acl
from cgtrail.kafka.admin import Admin, AdminError, reach
from cgtrail.kafka.topics import Asked, Found, Kind, count
from shipper.wire.broker import Broker

GROWN = "streams that run stay in their partitions, new ones use all; partitions can't be taken back"
"""What it means to add partitions."""
_AGAIN = "run this without --dry-run"
_MAKE_RIGHTS = "do it as a user who may CREATE topics, or have them made: docs/kafka.md says how they must be"
_ACL_RIGHTS = "do it as a user who may ALTER the cluster"


@dataclass(frozen=True, slots=True)
class Setup:
    """What is done to a cluster."""

    admin: Admin
    broker: Broker
    asked: Asked
    apply: bool
    dry: bool
    """Nothing is changed, and said what would be."""

    def topics(self) -> Iterator[Finding]:
        """Make those that are missing; look at the others, and mend them where that is asked for."""
        names = topics.names(self.broker.topics)
        found = self.admin.find(names.values())
        for kind, name in names.items():
            match found[name]:
                case AdminError(name="UNKNOWN_TOPIC_OR_PART"):
                    yield from self._make(kind, name)
                case AdminError() as error:
                    yield Finding(name, Level.BAD, error.sentence, error.advice)
                case Found() as topic:
                    yield from self._look(kind, name, topic)

    def rights(self, writers: Sequence[str], readers: Sequence[str]) -> Iterator[Finding]:
        """Grant hosts and workers what they need, and say what they may beyond it."""
        wanted: dict[str, frozenset[Acl]] = {}
        for given in writers:
            who = acls.principal(given)
            wanted[who] = acls.writer(who, self.broker.topics)
        for given in readers:
            who = acls.principal(given)
            needs = acls.reader(who, self.broker.topics, self.broker.group)
            wanted[who] = wanted.get(who, frozenset()) | needs
        for who, needed in wanted.items():
            try:
                yield from self._grant(who, needed)
            except AdminError as error:
                denied = error.name == "CLUSTER_AUTHORIZATION_FAILED"
                yield Finding(who, Level.BAD, error.sentence, _ACL_RIGHTS if denied else error.advice)

    def _make(self, kind: Kind, name: str) -> Iterator[Finding]:
        replication = self.asked.replication or min(topics.REPLICATION, self.admin.brokers)
        partitions = topics.partitions(kind, self.asked)
        config = topics.config(kind, replication, self.asked)
        try:
            self.admin.make(name, partitions, replication, config, dry=self.dry)
        except AdminError as error:
            if error.name == "TOPIC_ALREADY_EXISTS":  # by somebody else, meanwhile
                yield Finding(name, Level.NOTE, "somebody else makes it now", "run this again to look at it")
                return
            denied = error.name in {"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"}
            yield Finding(
                name, Level.BAD, f"it can't be made: {error.sentence}", _MAKE_RIGHTS if denied else error.advice
            )
            return
        told = f"{count(partitions, 'partition')}, {count(replication, 'replica')}, "
        told += ", ".join(f"{key}={value}" for key, value in config.items())
        if self.dry:
            yield Finding(name, Level.NOTE, f"would be made: {told}", _AGAIN)
        else:
            yield Finding(name, Level.OK, f"made: {told}")
        if replication < topics.REPLICATION and not self.asked.replication:
            found = f"{count(replication, 'replica')}, since there are so many brokers: a lost disk loses what is on it"
            yield Finding(name, Level.NOTE, found, f"have {topics.REPLICATION} brokers where that must not be")

    def _look(self, kind: Kind, name: str, found: Found) -> Iterator[Finding]:
        differences = list(topics.differences(kind, found, self.asked, self.admin.brokers))
        changes = dict(each.change for each in differences if each.change)
        if self.apply and changes:
            try:
                self.admin.change(name, changes, dry=self.dry)
            except AdminError as error:
                yield Finding(name, Level.BAD, f"it can't be changed: {error.sentence}", error.advice)
            else:
                differences = [each for each in differences if not each.change]
                told = "; ".join(
                    f"{key} was {(found.config or {})[key]}, {self._now} {to}" for key, to in changes.items()
                )
                yield Finding(name, self._done, told, self._again)
        yield from (Finding(name, each.level, each.found, each.advice) for each in differences)
        sized = list(self._partitions(kind, name, found))
        yield from sized
        if found.config is None:
            yield Finding(
                name, Level.NOTE, "its configuration may not be seen", "grant DESCRIBE_CONFIGS, to look at it"
            )
        elif not differences and not sized and not changes:
            yield Finding(name, Level.OK, f"there, and as it should be: {found.shape}")

    def _partitions(self, kind: Kind, name: str, found: Found) -> Iterator[Finding]:
        wanted = self.asked.partitions
        if kind is not Kind.RAW or wanted is None or wanted == found.partitions:
            return
        told = f"{count(found.partitions, 'partition')}, and {wanted} are wanted"
        if wanted < found.partitions:
            yield Finding(name, Level.BAD, told, "partitions can't be taken back: make another topic, and name it")
        elif not self.apply:
            yield Finding(name, Level.BAD, told, f"--apply adds them: {GROWN}")
        else:
            try:
                self.admin.grow(name, wanted, dry=self.dry)
            except AdminError as error:
                yield Finding(name, Level.BAD, f"{told}, which can't be: {error.sentence}", error.advice)
                return
            told = f"had {count(found.partitions, 'partition')}, {self._now} {wanted}: {GROWN}"
            yield Finding(name, self._done, told, self._again)

    def _grant(self, who: str, needed: frozenset[Acl]) -> Iterator[Finding]:
        granted = self.admin.granted(who)
        missing = acls.missing(needed, granted)
        if missing and not self.dry:
            self.admin.allow(missing)
        may = f"may {acls.told(needed)}"
        if missing:
            told = "would be granted" if self.dry else "granted now"
            yield Finding(who, self._done, f"{may} ({len(missing)} {told})", self._again)
        else:
            yield Finding(who, Level.OK, f"{may} (as before)")
        everybody = self.admin.granted(acls.EVERYBODY)
        for each in acls.beyond(needed, granted + everybody, self.broker.topics, self.broker.group):
            if each.allowed:
                advice = "take it back with kafka-acls.sh --remove, unless it is meant so"
                yield Finding(who, Level.BAD, f"may also {each}", advice)
            else:
                advice = "a denial wins over what is granted: take it back with kafka-acls.sh --remove"
                yield Finding(who, Level.BAD, f"must not {each}", advice)

    @property
    def _now(self) -> str:
        return "would be" if self.dry else "is now"

    @property
    def _done(self) -> Level:
        return Level.NOTE if self.dry else Level.OK

    @property
    def _again(self) -> str:
        return _AGAIN if self.dry else ""


def run(
    config: Config,
    asked: Asked,
    writers: Sequence[str],
    readers: Sequence[str],
    *,
    apply: bool,
    dry: bool,
    as_json: bool,
) -> int:
    """Set up, and print each finding; returns 0, or 3 where something is not as it should be. Raises AdminError."""
    broker = brokers.broker(config)
    setup = Setup(reach(broker), broker, asked, apply, dry)
    bad = pending = 0
    for findings in (setup.topics(), setup.rights(writers, readers)):
        for finding in findings:
            bad += finding.level is Level.BAD
            pending += finding.advice == _AGAIN
            click.echo(line(finding, as_json=as_json))
    if not as_json:
        left = f"\n{count(bad, 'thing')} to mend." if bad else "\nKafka is set up."
        click.echo(f"\n{count(pending, 'thing')} would be done." if pending and not bad else left)
    return 3 if bad or pending else 0
