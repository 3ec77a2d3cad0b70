"""The ledger: of each container, what the kernel numbered, what came, and what is known to be lost.

Every record of the kernel takes the next number of its owner, also one that is then dropped (`Header.sequence`). So the
highest number that came is what the kernel had seen by then: what is neither delivered nor told as a loss was lost on
its way, and shows here to the record, even where a damaged frame does not tell what it held.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bpf.enums import Cause
from bpf.events import Header
from bpf.schema import RECORDS
from enrich.item import Epoch, Item, Made
from enrich.losses import Trouble, document
from enrich.steps.host import Host
from enrich.steps.registry import RegistryView
from shipper.wire.records import FIRST, AgentStart, KeyframeEnd, Loss, Tick

_HALF, _WHOLE = 1 << 31, 1 << 32
_WRAPS = _WHOLE - (1 << 20)
"""Behind such a number, 0 is the one that follows 2^32 - 1."""
_OF_KERNEL = frozenset(cls for number, cls in RECORDS.items() if number < FIRST)
_UNNUMBERED = frozenset({Cause.RECURSION})
"""Lost where the kernel had not numbered them yet."""


@dataclass(slots=True, eq=False)
class Account:
    """One owner's. All counts are of records of the kernel."""

    highest: int = 0
    """The highest number that came, extended to 64 bits."""
    received: int = 0
    lost: Counter[int] = field(default_factory=Counter)
    """bpf.enums.Cause → how many."""
    undelivered: int = 0

    @property
    def seen(self) -> int:
        """What the kernel is known to have seen: losses may be told before a higher number comes."""
        return max(self.highest, self.accounted)

    @property
    def accounted(self) -> int:
        """What came, or is known to be lost."""
        lost = sum(count for cause, count in self.lost.items() if cause not in _UNNUMBERED)
        return self.received + lost + self.undelivered

    @property
    def wraps(self) -> bool:
        """Whether 0 may be the next number; elsewhere it is none."""
        return self.highest % _WHOLE >= _WRAPS

    def receive(self, number: int) -> None:
        """A record came; its number counts modulo 2^32, and CPUs may pass each other."""
        self.received += 1
        ahead = (number - self.highest) % _WHOLE
        if ahead < _HALF:
            self.highest += ahead


class Ledger:
    """The step that keeps the accounts, and makes a document of what was lost on the way."""

    state: ClassVar[tuple[str, ...]] = ("accounts", "ended", "_moved", "_gone", "_whole")

    def __init__(self, host: Host, registry: RegistryView) -> None:
        self._host, self._registry = host, registry
        self.accounts: dict[int, Account] = {}
        self.ended = Account()
        """Of owners that are gone, all in one."""
        self._moved: dict[int, int] = {}
        """Owner → its highest number at the last tick, for those whose number has moved since the tick before."""
        self._gone: set[int] = set()
        """Owners that a keyframe did not name: closed once they are settled."""
        self._whole = False
        """An agent's start was seen: accounts begin at 0."""

    def __call__(self, item: Item) -> None:
        """Keeps the account of the record's owner."""
        record = item.record
        if isinstance(record, Header) and type(record) in _OF_KERNEL:
            self._receive(record)
        elif isinstance(record, Tick):
            self._settle(item)
        elif isinstance(record, Loss):
            self._account(record.cgroup_id).lost[record.cause] += record.count
        elif isinstance(record, AgentStart):  # the kernel's numbers begin anew
            self.rest(item)
            self.accounts.clear()
            self._moved.clear()
            self._gone.clear()
            self.ended, self._whole = Account(), True
        elif (
            type(record) is Header and 0 < record.type < FIRST
        ):  # one that is not understood was delivered all the same
            self._receive(record)
        elif isinstance(record, KeyframeEnd) and not record.incomplete:
            for owner, account in self.accounts.items():
                if owner and self._registry.known(owner) is None:
                    self._gone.add(owner)
                    self._moved[owner] = account.highest

    def _receive(self, record: Header) -> None:
        known = self.accounts.get(record.owner)
        if not record.sequence and not (known and known.wraps):
            return
        account = known or self._account(record.owner)
        if not account.received and not self._whole:  # begun in the middle: what was before is not known
            account.highest = account.received = record.sequence - 1
            account.lost.clear()
        account.receive(record.sequence)
        self._gone.discard(record.owner)
        self._moved.setdefault(record.owner, 0)

    def _account(self, owner: int) -> Account:
        account = self.accounts.get(owner)
        if account is None:
            account = self.accounts[owner] = Account()
        return account

    def _settle(self, item: Item) -> None:
        """An owner that was still for a tick has all its losses told: what is missing now was not delivered."""
        for owner, before in list(self._moved.items()):
            account = self.accounts[owner]
            if account.highest != before:
                self._moved[owner] = account.highest
                continue
            del self._moved[owner]
            self._tell(item, owner)
            epoch = self._registry.known(owner)
            if owner in self._gone or (epoch is not None and (epoch.ended or epoch.is_host)):
                self._close(owner)

    def rest(self, item: Item) -> None:
        """The agent or its boot is over, at this item: nothing that is missing now can come any more."""
        for owner in self.accounts:
            self._tell(item, owner)

    def _tell(self, item: Item, owner: int) -> None:
        account = self.accounts[owner]
        missing = account.highest - account.accounted
        if missing > 0:
            account.undelivered += missing
            item.made += (self._made(item, owner, self._registry.known(owner), missing),)

    def _close(self, owner: int) -> None:
        account = self.accounts.pop(owner)
        self._gone.discard(owner)
        self.ended.highest += account.seen
        self.ended.received += account.received
        self.ended.lost += account.lost
        self.ended.undelivered += account.undelivered

    def _made(self, item: Item, owner: int, epoch: Epoch | None, count: int) -> Made:
        identity = f"{item.id}-{owner}"
        source = document(self._host, identity, item.time, item.sequence, Trouble.NOT_DELIVERED, 0, count=count)
        source["cgtrail"]["cgroup"] = {"id": owner}
        return Made(identity, item.time, epoch, source)

    def balances(self) -> dict[int, dict[str, Any]]:
        """Owner → its account, as it is shown; may be asked from another thread. -1: owners that are gone."""
        shown = {owner: _balance(account) for owner, account in list(self.accounts.items())}
        for owner, balance in shown.items():
            epoch = self._registry.known(owner)
            if epoch is not None and epoch.container is not None:
                balance["container"] = epoch.container.shown.get("name") or epoch.container.shown.get("id")
        return shown | {-1: _balance(self.ended)}


def _balance(account: Account) -> dict[str, Any]:
    lost = {Cause(cause).name.lower(): count for cause, count in dict(account.lost).items() if cause in set(Cause)}
    if account.undelivered:
        lost[Trouble.NOT_DELIVERED] = account.undelivered
    return {"seen": account.seen, "received": account.received, "lost": lost}
