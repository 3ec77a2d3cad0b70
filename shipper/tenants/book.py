"""The tenants in force: what files, commands and labels say together, as it changes while the agent runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from bpf.enums import Policy
from shipper.tenants import saved as storage
from shipper.tenants.declare import TenantsError, nearest, tenant_id, tenant_name
from shipper.tenants.declared import MAX_RULES
from shipper.tenants.files import FileSet, read
from shipper.tenants.model import EVERYTHING, LABEL, Ignored, Tenants
from shipper.tenants.saved import Added, Attached, Saved
from shipper.tenants.selectors import Condition
from shipper.tenants.watch import Watch

_log = structlog.get_logger()


class TenantBook:
    """Used from one thread. Where files and a command declare the same tenant, its name and policy are the files'."""

    def __init__(
        self,
        files: Sequence[Path] = (),
        label: str = LABEL,
        unassigned: Policy = EVERYTHING,
        saved: Path = Path(storage.FILE),
    ) -> None:
        """Read everything. Raises TenantsError where it is wrong: recording under the wrong policy would be worse."""
        self.error: str | None = None
        """Why the files' newest content is not in force; None while it is."""
        self.ignored = Ignored()
        self._label, self._unassigned = label, unassigned
        self._path = saved
        self._saved = storage.load(saved)
        self._files = read(files)
        self._files.check(self._saved.tenants)
        _warn(self._files)
        self._refused: FileSet | None = None
        """Read well, but with rows whose tenants a command may still declare."""
        self._watch = Watch(files, self._files)
        self.current: Tenants
        """Who belongs to whom now; another object after a change."""
        self._renew()

    def poll(self) -> bool:
        """Take what the files say by now; True when that changed the tenants. Never waits for a file."""
        changed = False
        for found in self._watch.news():
            changed |= self._take(found)
        return changed

    def close(self) -> None:
        """Watch the files no longer."""
        self._watch.stop()

    def add(
        self,
        name_id: str,
        by: str,
        name: str = "",
        asked: Policy = EVERYTHING,
        rules: Iterable[Iterable[Condition]] = (),
    ) -> None:
        """Declare a tenant. Raises TenantsError, OSError."""
        known = self.current.known.get(tenant_id(name_id))
        if known is not None:
            advice = "change it there" if self._of_files(name_id) else f"`cgtrail tenants change {name_id}` changes it"
            raise TenantsError(f"there is a tenant {name_id!r} already, from {known.source}: {advice}")
        written = tuple(tuple((str(one.selector), one.value) for one in rule) for rule in rules)
        added = Added(name_id, tenant_name(name) if name else name_id, int(asked), by, written)
        self._store(tenants={**self._saved.tenants, name_id: added})

    def change(self, name_id: str, by: str, name: str | None = None, asked: Policy | None = None) -> None:
        """Give a tenant that a command declared another name or policy. Raises TenantsError, OSError."""
        added = self._own(name_id, "change")
        policy = added.policy if asked is None else int(asked)
        changed = Added(name_id, added.name if name is None else tenant_name(name), policy, by, added.rules)
        self._store(tenants={**self._saved.tenants, name_id: changed})

    def remove(self, name_id: str) -> None:
        """Remove a tenant that a command declared, and what commands attached to it. Raises TenantsError, OSError."""
        self._own(name_id, "remove")
        for rule in self._files.declared.rules:
            if rule.tenant == name_id:
                raise TenantsError(f"tenant {name_id!r} is named by {rule.source}: remove that row first")
        kept = {tenant: added for tenant, added in self._saved.tenants.items() if tenant != name_id}
        attached = {tenant: keys for tenant, keys in self._saved.attached.items() if tenant != name_id}
        self._store(tenants=kept, attached=attached)

    def attach(self, name_id: str, containers: Mapping[str, str], by: str) -> None:
        """Let containers, key → id, belong to a tenant, all or none. Raises TenantsError, OSError."""
        if name_id not in self.current.known:
            near = nearest(name_id, self.current.known)
            raise TenantsError(f"there is no tenant {name_id!r}: {near}declare it: cgtrail tenants add {name_id}")
        before = self._saved.attached.get(name_id, {})
        new = {key: Attached(name_id, key, number, by) for key, number in containers.items() if key not in before}
        if new:
            self._store(attached={**self._saved.attached, name_id: before | new})

    def detach(self, name_id: str, keys: Iterable[str]) -> None:
        """Undo `attach`, for all or none. Raises TenantsError, OSError."""
        before, gone = self._saved.attached.get(name_id, {}), set(keys)
        for key in gone:
            if key not in before:
                raise TenantsError(
                    f"container {key!r} was not attached to tenant {name_id!r}: see `cgtrail tenants show`"
                )
        kept = {key: attached for key, attached in before.items() if key not in gone}
        self._store(attached=_without_empty({**self._saved.attached, name_id: kept}))

    def forget(self, key: str) -> None:
        """A container was removed for good: what commands attached it to need not be kept. On a full disk it is."""
        if any(key in keys for keys in self._saved.attached.values()):
            left = {
                tenant: {other: attached for other, attached in keys.items() if other != key}
                for tenant, keys in self._saved.attached.items()
            }
            with suppress(OSError):
                self._store(attached=_without_empty(left))

    def attached(self, name_id: str) -> Mapping[str, str]:
        """The containers that commands attached to a tenant, key → id, whether they run or not."""
        return {key: attached.container_id for key, attached in self._saved.attached.get(name_id, {}).items()}

    def _of_files(self, name_id: str) -> bool:
        return name_id in self._files.declared.tenants

    def _own(self, name_id: str, what: str) -> Added:
        """A tenant of a command's. Raises TenantsError for another's."""
        if self._of_files(name_id):
            source = self._files.declared.tenants[name_id].source
            raise TenantsError(f"tenant {name_id!r} stands in {source}: {what} it there")
        if name_id not in self._saved.tenants:
            near = nearest(name_id, self.current.known)
            advice = "see `cgtrail tenants list`; one that a label names goes with the label"
            raise TenantsError(f"no command has added a tenant {name_id!r}: {near}{advice}")
        return self._saved.tenants[name_id]

    def _store(self, **changes: object) -> None:
        """Make a change, once it is on the disk."""
        saved: Saved = msgspec.structs.replace(self._saved, **changes)
        rules = sum(len(added.rules) for added in saved.tenants.values()) + sum(map(len, saved.attached.values()))
        if max(rules, len(saved.tenants)) > MAX_RULES:
            raise TenantsError(f"commands have made {MAX_RULES:,} tenants or members: choose by label or pattern")
        storage.store(self._path, saved)
        self._saved = saved
        if self._refused is not None:
            self._take(self._refused)
        self._renew()

    def _take(self, found: FileSet | TenantsError) -> bool:
        try:
            if isinstance(found, TenantsError):
                raise found
            found.check(self._saved.tenants)
        except TenantsError as error:
            self._refused = None if isinstance(found, TenantsError) else found
            if str(error) != self.error:
                self.error = str(error)
                _log.error("tenants files are not taken: those before stay in force", error=self.error,
                           next="mend the file; it is read again by itself")  # fmt: skip
            return False
        if self.error:
            _log.info("tenants files are taken again")
        self.error, self._refused = None, None
        changed = found.declared != self._files.declared
        self._files = found
        if changed:
            _warn(found)
            self._renew()
        return changed

    def _renew(self) -> None:
        declared, saved = self._files.declared, self._saved
        known = {name_id: added.tenant() for name_id, added in saved.tenants.items()} | declared.tenants
        rules = [*declared.rules]
        for added in saved.tenants.values():
            rules += added.members()
        rules += (attached.rule() for keys in saved.attached.values() for attached in keys.values())
        self.current = Tenants(self._unassigned, known.values(), rules, self._label, self.ignored)


def _warn(found: FileSet) -> None:
    if found.outlived:
        _log.warning("cgroups' ids of before this boot are passed over", count=len(found.outlived),
                     first=found.outlived[0], next="write them anew, or name the containers")  # fmt: skip


def _without_empty(attached: Mapping[str, dict[str, Attached]]) -> dict[str, dict[str, Attached]]:
    return {tenant: keys for tenant, keys in attached.items() if keys}
