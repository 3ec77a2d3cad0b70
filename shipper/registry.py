"""The host's registry: which cgroup is which container, and whose that is, as far as anybody has told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from bpf.enums import Watch
from bpf.schema import Record
from shipper import tell
from shipper.containers import Cgroup, Container
from shipper.memberships import Memberships
from shipper.runtimes.news import Lived, Metadata
from shipper.tenants.model import Membership, Subject, Tenants
from shipper.whereabouts import Whereabouts
from shipper.wire.records import CgroupInfo, ContainerEvent, Kind, Life, RuntimeInfo

PATIENCE_NS = 1_000_000_000
"""So long a runtime may still tell of a container whose cgroup is gone: documents wait as long."""
UNDECIDED_NS = 500_000_000
"""So long a runtime may tell that a cgroup is a container's although its path does not say so."""


class Registry:
    """Turns what sources say into records. `expects` tells whether a runtime, or any (""), may still tell of one."""

    def __init__(self, tenants: Tenants, expects: Callable[[str], bool]) -> None:
        self._memberships = Memberships(tenants)
        self._expects = expects
        self._where = Whereabouts()
        self._cgroups: dict[int, Cgroup] = {}
        self._containers: dict[str, Container] = {}
        self._undecided: OrderedDict[int, Cgroup] = OrderedDict()
        self._gone: OrderedDict[int, tuple[int, Cgroup]] = OrderedDict()
        """Cgroups that were removed before a runtime told of them, and when, oldest first."""
        self._heard: dict[str, bool] = {}
        self.ended: set[int] = set()
        """Cgroups that were removed; whoever walks the hierarchy empties it before."""

    @property
    def containers(self) -> dict[str, Container]:
        """The containers that have a cgroup now, by key."""
        return {key: container for key, container in self._containers.items() if container.cgroups}

    @property
    def running(self) -> list[Container]:
        """Those of them that have a process, as far as was seen."""
        found = self.containers.values()
        return [each for each in found if not all(cgroup.empty for cgroup in each.cgroups.values())]

    @property
    def cgroups(self) -> set[int]:
        """Ids of the cgroups that live, as far as was told."""
        return set(self._cgroups)

    def cgroup(self, cgroup_id: int) -> Cgroup | None:
        """A cgroup that lives."""
        return self._cgroups.get(cgroup_id)

    def container(self, key: str) -> Container | None:
        """The container of a key, if the stream was told of it and it is not forgotten."""
        return self._containers.get(key)

    def found(
        self, cgroup_id: int, path: str, started: int, watch: Watch = Watch.CONTAINER, *, empty: bool = False
    ) -> list[Record]:
        """A cgroup was made (`started`: boot-time ns) or found (0); `watch`: what the kernel made of it."""
        before = self._cgroups.get(cgroup_id)
        cgroup = Cgroup(cgroup_id, path, started, before.told if before else tell.boot_ns(), watch, empty=empty)
        self._cgroups[cgroup_id] = cgroup
        records = self._put(cgroup)
        if cgroup.kind == Kind.HOST and started and watch == Watch.PROVISIONAL and self._expects(""):
            cgroup.kind = Kind.UNDECIDED
            self._undecided[cgroup_id] = cgroup
        return [*records, self._info(cgroup)]

    def settle(self) -> list[Record]:
        """Cgroups that no runtime has claimed in time are the host's."""
        records: list[Record] = []
        now = tell.boot_ns()
        while self._undecided and now - next(iter(self._undecided.values())).told > UNDECIDED_NS:
            _, cgroup = self._undecided.popitem(last=False)
            cgroup.kind = Kind.HOST
            records.append(self._info(cgroup))
        return records

    def gone(self, cgroup_id: int) -> Container | None:
        """A cgroup was removed. Returns its container if that was its last; it may start again, with another cgroup."""
        self._expire()
        self.ended.add(cgroup_id)
        self._undecided.pop(cgroup_id, None)
        cgroup = self._cgroups.pop(cgroup_id, None)
        container = self._leave(cgroup) if cgroup else None
        # One that was found running can't be told from a later life with the same number.
        if cgroup and container and container.pending and cgroup.started:
            self._gone[cgroup_id] = tell.boot_ns(), cgroup
        return container if container and not container.cgroups else None

    def told(self, metadata: Metadata) -> list[Record]:
        """A runtime told of a container: what is new of it, and its cgroups that live or were removed just now."""
        known = self._where.known(metadata.key)
        claimed = [] if known and known.cgroup == metadata.cgroup else self._claimed(metadata)
        self._where.told(metadata)
        records: list[Record] = []
        for cgroup in claimed:
            self._leave(cgroup)
            self._undecided.pop(cgroup.id, None)
            records += [*self._put(cgroup), self._info(cgroup)]
        container = self._containers.get(metadata.key)
        if container is not None:
            records += self._tell(container)
        return records + self._late(metadata)

    def lived(self, news: Lived) -> list[Record]:
        """Something happened to a container: what is known of it, then that."""
        known = self._where.known(news.key)
        if known is None:
            return []
        container = self._containers.get(news.key) or Container(news.key, known)
        if news.life == Life.CREATED:
            container.created = True
            self._containers[news.key] = container
        records = self._tell(container, always=True)
        event = ContainerEvent(time=tell.boot_ns(), realtime=news.realtime, life=news.life, **tell.texts(key=news.key))
        return [*records, event]

    def forget(self, key: str) -> None:
        """A runtime removed a container."""
        self._where.forget(key)
        container = self._containers.get(key)
        if container and not container.cgroups:
            del self._containers[key]

    def heard(self, runtime: str, *, connected: bool) -> list[Record]:
        """A runtime can be heard from now on, or not any more."""
        if self._heard.get(runtime) == connected:
            return []
        self._heard[runtime] = connected
        return [self._runtime(runtime)]

    def regroup(self, tenants: Tenants) -> list[Record]:
        """Tenants or who may tell have changed: what became of them, then each container of which that is news."""
        records = list(self._memberships.replace(tenants))
        for container in list(self._containers.values()):
            if container.membership is not None:
                records += self._tell(container)
        return records

    def all(self, *, host: bool = True) -> Iterator[Record]:
        """Everything that is so now. `host`: also which cgroups are the host's."""
        yield from map(self._runtime, self._heard)
        yield from self._memberships.all()
        for container in self.containers.values():
            yield from self._tell(container, always=True)
            yield from map(self._info, container.cgroups.values())
        rest = (cgroup for cgroup in self._cgroups.values() if not cgroup.key)
        yield from (self._info(cgroup) for cgroup in rest if host or cgroup.kind != Kind.HOST)

    def _put(self, cgroup: Cgroup) -> list[Record]:
        """Where a cgroup belongs, and what is known of its container if the stream was not told of it."""
        cgroup.place = place = self._where.of(cgroup.path)
        cgroup.kind = Kind.CONTAINER if place else Kind.HOST
        if place is None:
            return []
        container = self._containers.get(place.key)
        if container is None:
            container = self._containers[place.key] = Container(place.key, place.metadata)
        first = not container.cgroups
        container.cgroups[cgroup.id] = cgroup
        return self._tell(container, always=first)

    def _tell(self, container: Container, *, always: bool = False) -> list[Record]:
        """ContainerInfo, if anything is new or `always`; before it the tenants it names, behind it what changed."""
        known = self._where.known(container.key)
        container.described |= known is not None
        pending = not container.described and self._expects(container.known.runtime)
        settled = None if container.pending else container.membership
        new = (known is not None and known != container.known) or pending != container.pending
        container.known, container.pending = known or container.known, pending
        before, now = container.membership, self._member(container)
        if not always and not new and now == before:
            return []
        container.membership = now
        records = list(self._memberships.named(now.tenants))
        records.append(tell.container(container.known, container.key, now, pending=pending))
        born = container.created or any(cgroup.started for cgroup in container.cgroups.values())
        if settled is not None or (born and not pending):
            records += self._memberships.moved(container.key, settled or Membership({}, now.policy), now)
        return records

    def _member(self, container: Container) -> Membership:
        known = container.known
        subject = Subject(
            container.key,
            known.container_id,
            known.name,
            known.image,
            known.labels,
            known.namespace,
            frozenset(container.cgroups),
        )
        member = self._memberships.tenants.of(subject)
        if not container.pending:
            return member
        # Its labels may yet say whose it is. Those who are known add up; whoever comes to them adds to it.
        at_first = self._memberships.tenants.at_first
        return Membership(member.tenants, at_first | member.policy if member.tenants else at_first)

    def _claimed(self, metadata: Metadata) -> list[Cgroup]:
        """Living cgroups that were found before their runtime told whose they are."""
        found = [self._containers.get(key) for key in self._where.unresolved(metadata)]
        mine = {cgroup.id: cgroup for container in found if container for cgroup in container.cgroups.values()}
        if metadata.cgroup:
            within = f"{metadata.cgroup}/"
            mine |= {
                number: cgroup
                for number, cgroup in self._cgroups.items()
                if cgroup.path == metadata.cgroup or cgroup.path.startswith(within)
            }
        return list(mine.values())

    def _late(self, metadata: Metadata) -> list[Record]:
        """The records of those of its cgroups that were removed before it was told."""
        self._expire()
        records: list[Record] = []
        for number, (_, cgroup) in list(self._gone.items()):
            place = self._where.of(cgroup.path)
            if place and place.key == metadata.key:
                cgroup.place = place
                records += self._tell(Container(place.key, metadata, {number: cgroup}), always=True)
                records.append(self._info(cgroup))
                del self._gone[number]
        return records

    def _leave(self, cgroup: Cgroup) -> Container | None:
        """Take a cgroup out of its container; one without cgroups is kept as long as its runtime knows it."""
        container = self._containers.get(cgroup.key)
        if container is None:
            return None
        container.cgroups.pop(cgroup.id, None)
        if not container.cgroups and self._where.known(container.key) is None:
            del self._containers[container.key]
        return container

    def _info(self, cgroup: Cgroup) -> CgroupInfo:
        return CgroupInfo(
            time=tell.boot_ns(),
            cgroup_id=cgroup.id,
            started=cgroup.started,
            told=cgroup.told,
            kind=cgroup.kind,
            **tell.texts(path=cgroup.path, key=cgroup.key),
        )

    def _runtime(self, runtime: str) -> RuntimeInfo:
        return RuntimeInfo(time=tell.boot_ns(), connected=int(self._heard[runtime]), **tell.texts(runtime=runtime))

    def _expire(self) -> None:
        now = tell.boot_ns()
        while self._gone and now - next(iter(self._gone.values()))[0] > PATIENCE_NS:
            self._gone.popitem(last=False)
