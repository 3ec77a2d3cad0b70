"""Names of users and groups as each container's own files say, read by a child that may be lost (`shipper.expendable`).

A container is asked for soon after it appeared, again while it is still being made, and from then on about every 30 s:
an answer comes only when its files, or its mount namespace, are others than before.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import structlog

from shipper.expendable import Expendable
from shipper.users_reader import ANSWER, NEVER, NEW, NOT_YET, STAMP
from shipper.wire.records import UserNames

_log = structlog.get_logger()

READER = Path(__file__).with_name("users_reader.py")
_SECOND = 1_000_000_000
PAUSE_NS, LONGEST_PAUSE_NS = 50_000_000, 5 * _SECOND
"""Between two questions while there is nothing to read yet: each is twice the one before."""
GIVE_UP_NS = 60 * _SECOND
"""What could not be read for so long is unread, and asked for no more often than what is known."""
LOOK_NS = 30 * _SECOND
LOOKS_A_ROUND = 4
"""Between two looks at what is known; so many in one round: with over 4,800 containers each waits longer."""
HEAVY_NS = 28_000
"""For each byte that was read, a container's next look is later: at 16 MiB, by 8 minutes."""
PATIENCE_NS = 2 * _SECOND
MUTE_NS, LONGEST_MUTE_NS = 60 * _SECOND, 3600 * _SECOND
"""One that did not answer is not asked for so long, each time twice as long, and not before its child is gone."""
MOST_OPEN = 64
MOST_ABANDONED = 8
"""Children that a container's file system keeps from ending; beyond, no names are read."""
UNABLE_NS = 5 * _SECOND
LINGER_NS = 2 * LOOK_NS
MOST_BYTES = 16 << 20
"""Of all containers' names, which are in every keyframe. Beyond, who has most is cut to half, ever again: nobody is
whose names have room in an equal share."""
ROOM_BYTES = MOST_BYTES * 3 // 4
"""Where there is that little, those that were cut are read anew; more, and they would be cut again at once."""


@dataclass(eq=False, slots=True)
class _Container:
    key: str
    folder: bytes
    owner: int
    since: int = 0
    """When it was asked for first."""
    pause: int = PAUSE_NS
    stamp: bytes = NEVER
    names: UserNames | None = None
    cut: bool = False
    """Of its names, some had no room beside those of all others."""
    unread: bool = False
    """It was given up, and that is counted."""
    muted: int = 0
    """How long it was not to be asked, the last time."""
    gone: bool = False

    @property
    def size(self) -> int:
        """Bytes of its names."""
        return len(self.names.users) + len(self.names.groups) if self.names else 0


_Due = list[tuple[int, int, _Container]]
"""A heap: (when a container is asked for next, a number that tells equal times apart, it)."""


@dataclass
class Users:
    """Asks for names. One thread may use it, and nothing waits but `close`, a tenth of a second.

    It keeps at most 160 KiB of a container, 2 KB of one made from a usual image of Alpine or Debian, and 16 MiB of all.
    """

    unread: int = 0
    """Containers whose names could not be read within a minute, or whose files did not answer, ever."""
    _known: dict[str, _Container] = field(default_factory=dict)
    _bytes: int = 0
    """Of names of all that are known."""
    _soon: _Due = field(default_factory=list)
    _looks: _Due = field(default_factory=list)
    """What has no names yet, and what is asked for again because they may change."""
    _numbers: count[int] = field(default_factory=count)
    _reader: Expendable[_Container] = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is started before there is something to ask."""
        self._reader = Expendable(
            READER,
            self._question,
            "names of containers' users",
            "it is tried again in some seconds",
            ahead=MOST_OPEN,
            patience_ns=PATIENCE_NS,
            most_abandoned=MOST_ABANDONED,
            linger_ns=LINGER_NS,
        )

    @property
    def abandoned(self) -> int:
        """Children that were given up and have not ended yet."""
        return self._reader.abandoned

    @property
    def cut(self) -> int:
        """Containers some of whose names have no room beside those of all others."""
        return sum(container.cut for container in self._known.values())

    def found(self, key: str, folder: str, owner: int) -> None:
        """A container appeared. `folder`: its topmost cgroup's, in the cgroup2 mount; `owner`: that cgroup's id."""
        before = self._known.get(key)
        if before is not None:
            if before.owner == owner:
                return
            self.gone(key)
        self._known[key] = container = _Container(key, os.fsencode(folder), owner)
        self._ask_at(0, container)

    def gone(self, key: str) -> None:
        """It has ended; what its child may still say is not told."""
        if container := self._known.pop(key, None):
            container.gone = True
            self._bytes -= container.size

    def answers(self, now: int) -> list[UserNames]:
        """What is new since it was asked last. `now`: boot time in ns."""
        self._ask(now)
        heard = self._reader.round(now)
        # who has other names than were told last; a later answer of the same container counts
        told = {each.key: each for each, answer in heard.answers if self._answered(each, answer, now)}
        told |= {each.key: each for each in self._fit(now)}
        if heard.stuck is not None:
            self._silent(heard.stuck, now)
        for container in heard.left_out:
            self._ask_at(now + UNABLE_NS, container)
        return [container.names for container in told.values() if container.names]

    def known(self) -> list[UserNames]:
        """The names of all containers there are, each as it was told last, and when: for a keyframe."""
        return [container.names for container in self._known.values() if container.names]

    def close(self) -> None:
        """Leave the children behind: each is killed, and ends when the kernel lets it."""
        self._reader.close()

    def _question(self, container: _Container) -> bytes:
        anew = container.cut and self._bytes <= ROOM_BYTES
        return (NEVER if anew else container.stamp) + container.folder

    def _ask(self, now: int) -> None:
        for due, most in ((self._soon, MOST_OPEN), (self._looks, LOOKS_A_ROUND)):
            room = min(most, MOST_OPEN - len(self._reader.asked) - len(self._reader.waiting))
            while room > 0 and due and due[0][0] <= now:
                _, _, container = heapq.heappop(due)
                if container.gone:
                    continue
                room -= 1
                if self._reader.holds(container):
                    self._ask_at(now + MUTE_NS, container)
                    continue
                container.since = container.since or now
                self._reader.waiting.append(container)

    def _ask_at(self, when: int, container: _Container) -> None:
        if container.gone:
            return
        due = self._looks if container.names or container.unread else self._soon
        if len(due) > 2 * len(self._known) + MOST_OPEN:
            due[:] = [entry for entry in due if not entry[2].gone]
            heapq.heapify(due)
        heapq.heappush(due, (when, next(self._numbers), container))

    def _answered(self, container: _Container, answer: bytes, now: int) -> bool:
        """Whether it has other names than before."""
        if container.gone:
            return False
        status, _, _, size, stamp = ANSWER.unpack_from(answer)
        if status == NOT_YET and container.names is None and not container.unread:
            self._not_yet(container, now)
            return False
        if status != NOT_YET:
            container.muted, container.unread = 0, False
        before = container.size
        if status == NEW:
            container.stamp, container.cut = stamp, False
            container.names = _names(container, answer, now)
            self._bytes += container.size - before
        self._ask_at(now + LOOK_NS + size * HEAVY_NS, container)
        return bool(status == NEW)

    def _fit(self, now: int) -> Iterator[_Container]:
        """Cut the names of those who have most until all have room; who was cut."""
        while self._bytes > MOST_BYTES:
            most = max(self._known.values(), key=lambda container: container.size)
            assert most.names
            before = most.size
            most.names = _half(replace(most.names, time=now))
            self._bytes -= before - most.size
            if not self.cut:
                _log.warning("some names of a container's users are left out: so many are kept of all containers",
                             container=ascii(most.key), cgroup=most.owner, bytes=MOST_BYTES,
                             next="ids are recorded; look into its /etc/passwd; users_cut says how many")  # fmt: skip
            most.cut = True
            yield most

    def _not_yet(self, container: _Container, now: int) -> None:
        if now - container.since >= GIVE_UP_NS:
            container.unread = True
            self.unread += 1
            self._ask_at(now + LOOK_NS, container)
            return
        self._ask_at(now + container.pause, container)
        container.pause = min(2 * container.pause, LONGEST_PAUSE_NS)

    def _silent(self, container: _Container, now: int) -> None:
        """Its files do not answer: its last names stay, and it is left alone for long."""
        self.unread += 1
        container.unread = True
        container.muted = min(2 * container.muted or MUTE_NS, LONGEST_MUTE_NS)
        self._ask_at(now + container.muted, container)
        if not container.gone:
            _log.warning("names of a container's users are left out: reading them does not end",
                         container=ascii(container.key), cgroup=container.owner,
                         next="look into it: its file system may hang, or hide on purpose")  # fmt: skip


def _names(container: _Container, answer: bytes, now: int) -> UserNames:
    _, left_out, users, _, stamp = ANSWER.unpack_from(answer)
    # no cgroup: behind the end of its cgroup, an answer must not bring that back
    return UserNames(
        time=now,
        owner=container.owner,
        mount_ns=STAMP.unpack(stamp)[0],
        left_out=left_out,
        key=os.fsencode(container.key),
        users=answer[ANSWER.size : ANSWER.size + users],
        groups=answer[ANSWER.size + users :],
    )


def _half(names: UserNames) -> UserNames:
    """The same with half as many bytes of users and of groups at most, and what is left out is counted."""
    users, groups = _first_half(names.users), _first_half(names.groups)
    dropped = sum(map(_count, (names.users, names.groups))) - sum(map(_count, (users, groups)))
    return replace(names, users=users, groups=groups, left_out=min(names.left_out + dropped, 2**32 - 1))


def _first_half(names: bytes) -> bytes:
    half = names[: len(names) // 2 + 1]  # one NUL more than has room: it ends the last name
    return half[: max(half.rfind(b"\0"), 0)]


def _count(names: bytes) -> int:
    return names.count(b"\0") + bool(names)
