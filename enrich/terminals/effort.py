"""What looking for secrets may cost: text that is full of what looks like them is dear, and a container can make it."""

from __future__ import annotations

from enrich.item import Epoch

BURST = 100_000
"""Places where a secret may begin that are looked at of a container's terminals at once."""
RATE = 2_000
"""And for each second of the stream: at some 50 µs each, a tenth of a processor."""
_KNOWN = 1024
_SECOND = 1_000_000_000


class Effort:
    """Keeps the account of each container, in places and stream time: the same stream gives the same documents."""

    def __init__(self) -> None:
        self.owed: dict[bytes, tuple[int, int]] = {}
        """Container → places that were looked at, less what has run off until this boot time in ns."""

    def may(self, epoch: Epoch | None, now: int) -> bool:
        """Whether more of a container's output may be looked at now."""
        return self._owed(_key(epoch), now) < BURST

    def spend(self, epoch: Epoch | None, now: int, places: int) -> None:
        """So many places were looked at."""
        if not places:
            return
        key = _key(epoch)
        self.owed[key] = self._owed(key, now) + places, now
        if len(self.owed) > _KNOWN:
            self.owed = {each: account for each, account in self.owed.items() if self._owed(each, now)}

    def _owed(self, key: bytes, now: int) -> int:
        owed, since = self.owed.get(key, (0, now))
        return max(owed - max(now - since, 0) * RATE // _SECOND, 0)


def _key(epoch: Epoch | None) -> bytes:
    if epoch is None:
        return b""
    return epoch.container.key if epoch.container is not None else epoch.id.encode()
