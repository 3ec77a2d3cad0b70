"""What commands said of tenants, in a file of the data folder: it survives a restart."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import msgspec

from bpf.enums import Policy
from shipper.tenants.declare import TenantsError, tenant_id, tenant_name
from shipper.tenants.model import EVERYTHING, Tenant
from shipper.tenants.selectors import Condition, Rule, Selector, SelectorError, condition
from shipper.wire.regular import open_regular

FILE = "tenants.json"
"""Its name in the data folder."""


class SavedError(TenantsError):
    """The file is damaged or can't be read; the message names it."""


class Added(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant that a command declared."""

    id: str
    name: str
    policy: int
    by: str
    """Which command, and whose."""
    rules: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Conditions: selector and value; a rule is some of them."""

    def tenant(self) -> Tenant:
        """As the model has it. Raises TenantsError."""
        if self.policy & ~EVERYTHING:
            raise TenantsError(f"policy {self.policy} has unknown flags")
        return Tenant(tenant_id(self.id), tenant_name(self.name), Policy(self.policy), self.by)

    def members(self) -> list[Rule]:
        """As the model has them. Raises SelectorError, ValueError."""
        return [
            Rule(self.id, tuple(condition(Selector(selector), value) for selector, value in rule), self.by)
            for rule in self.rules
        ]


class Attached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A container that a command attached to a tenant."""

    tenant: str
    key: str
    container_id: str
    by: str

    def rule(self) -> Rule:
        """As the model has it."""
        return Rule(self.tenant, (Condition(Selector.CONTAINER, self.key),), self.by)


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. Immutable: a change makes another, and counts once it is stored."""

    tenants: dict[str, Added] = {}
    attached: dict[str, dict[str, Attached]] = {}
    """By tenant and key."""


class _File(msgspec.Struct):
    saved: msgspec.Raw
    crc: int
    """crc32 of the bytes of `saved`: one bit that flips would be another tenant."""


def load(file: Path) -> Saved:
    """What was stored; nothing when there is no file. Raises SavedError."""
    try:
        with open_regular(file) as opened:
            stored = msgspec.json.decode(opened.read(), type=_File)
        if zlib.crc32(stored.saved) != stored.crc:
            raise ValueError("crc32 differs")
        saved = msgspec.json.decode(stored.saved, type=Saved)
        for added in saved.tenants.values():
            added.tenant()
            added.members()
    except FileNotFoundError:
        return Saved()
    except OSError as error:
        raise SavedError(f"{file}: {error.strerror or error}: tenants that commands made can't be read; mend it, or "
                         "move it away to do without them") from error  # fmt: skip
    except (msgspec.MsgspecError, TenantsError, SelectorError, ValueError, RecursionError) as error:
        raise SavedError(f"{file}: it is damaged ({error}): restore it from a backup, or move it away to do without "
                         "the tenants that commands made") from error  # fmt: skip
    return saved


def store(file: Path, saved: Saved) -> None:
    """Replace the file, durably. Raises OSError."""
    told = msgspec.json.encode(saved)
    temporary = file.with_suffix(".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as opened:
        opened.write(msgspec.json.encode(_File(msgspec.Raw(told), zlib.crc32(told))))
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
