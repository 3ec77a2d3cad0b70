"""What typed lines cost: of what is shown, of keys and lines, in memory, until they can be searched, and of many."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bpf.enums import EVERYTHING, Policy
from bpf.events import Header, TtyOutput, TtyWrite
from bpf.schema import decode
from enrich.item import Item, Step
from enrich.pipeline import steps
from enrich.snapshot import save
from enrich.steps.commands import Commands
from enrich.stores.sqlite import SqliteStore
from shipper.wire.records import Clock, HostInfo, Tick
from tests.bench.day import SECOND, TICK_NS, UNIX, day
from tests.bench.lab import Lab
from tests.bench.latency import TARGET, found_after, sampled
from tests.bench.person import WORK, Recorded, at_bash, enter, keys, recorded, with_bash
from tests.bench.report import Report, spread
from tests.bench.worker import Encoded, work
from tests.kernel.spine import spine
from tests.unit.stream import BOOT, STREAM, container

if TYPE_CHECKING:
    from tests.bench.__main__ import Size

WITHOUT, WITH = "without the step", "with it"
PLAYED = 100
"""Sessions whose keys are measured, a tenth of the most."""
BULK_BYTES, PIECE = 8_000_000, 4096
"""Of text, in records of so many bytes, as a pseudo-terminal passes it on."""
PAINTED_BYTES = 16_384
"""The most that a record of what an editor wrote holds."""
FRAME = 1 << 16
"""Records of a frame."""
REST_SECONDS = 5


def prelude(at: int) -> list[Header]:
    """A host with a container of which everything is recorded, told at a boot time."""
    told: list[Header] = [HostInfo(host_name=b"bench", boot_id=BOOT), Clock(realtime=UNIX + at), *container()]
    for record in told:
        record.time = at
    return told


def encoded(records: Iterable[Header]) -> list[bytes]:
    """A stream of them, as a spool has it."""
    found, first = [], True
    for record in records:
        if first:
            found += [each.encode() for each in prelude(record.time)]
        first = False
        found.append(record.encode())
    return found


def chain(state: str) -> list[Step]:
    """The worker's steps, with or without the one that is measured."""
    return [step for step in steps() if state == WITH or not isinstance(step, Commands)]


def feed(chained: Sequence[Step], stream: Sequence[bytes]) -> float:
    """Seconds of CPU time that it takes to make encoded documents of a stream."""
    began = time.process_time()
    for number, raw in enumerate(stream):
        item = Item(decode(raw, 0, len(raw)), STREAM, *divmod(number, FRAME))
        for step in chained:
            step(item)
        for document in item.documents:
            document.encode()
    return time.process_time() - began


def in_turn(stream: Sequence[bytes], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of a stream with and without the step, round by round."""
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for state in (WITHOUT, WITH):
            took[state].append(feed(chain(state), stream))
    return took


def typing(report: Report, person: Recorded, size: Size) -> None:
    """Keys and lines of bash."""
    played = min(PLAYED, size.sessions)
    took = in_turn(encoded(person.many(played)), size.rounds)
    lines, keys, shown = (count * played for count in (person.lines, person.keys, person.shown))
    what = f"{lines:,} lines of {keys / lines:.0f} keys in {played} sessions of bash"
    for state, found in took.items():
        report.row(f"{what}, {state}", f"{spread([each / lines * 1e6 for each in found])} µs a line, of a core")
    added = [now - before for now, before in zip(took[WITH], took[WITHOUT], strict=True)]
    keyed, speed = ([each / keys * 1e6 for each in added], [shown / each / 1e6 for each in added])
    report.row(
        "of that the step",
        f"{spread([each / lines * 1e6 for each in added])} µs a line, {spread(keyed, '{:,.1f}')} µs a key;"
        f" {spread(speed, '{:,.2f}')} MB/s of what is shown",
    )


def bulk(report: Report, person: Recorded, size: Size) -> None:
    """Text that a program shows in lines, and text that one paints which edits a line and never ends it."""
    idle = person.idle()
    for what, stream in {"text in lines": _shown(idle), "text painted by a line editor": _painted(idle)}.items():
        raw = encoded(stream)
        took = in_turn(raw, size.rounds)
        speed = {state: [BULK_BYTES / each / 1e6 for each in found] for state, found in took.items()}
        ratios = [now / before for now, before in zip(took[WITH], took[WITHOUT], strict=True)]
        report.row(f"{what}, {BULK_BYTES / 1e6:.0f} MB, {WITHOUT}", f"{spread(speed[WITHOUT])} MB/s of a core")
        with_it = f"{spread(speed[WITH])} MB/s of a core; {spread(ratios, '{:.2f}x')} of the time"
        report.row(f"{what}, {BULK_BYTES / 1e6:.0f} MB, {WITH}", with_it)


def _shown(idle: Recorded) -> Iterator[Header]:
    """What a shell that has taken a line is told to show: numbers, line by line."""
    yield from idle.again(0)
    last = next(record for record in reversed(list(idle.again(0))) if isinstance(record, TtyOutput))
    text, shown = _numbers(PIECE), last.shown + last.size
    for number in range(BULK_BYTES // PIECE):
        yield _like(last, TtyOutput, number, shown=shown, drained=shown + PIECE, content=text)
        shown += PIECE


def _painted(idle: Recorded) -> Iterator[Header]:
    """What an editor writes that paints its line again and again."""
    yield from idle.again(0)
    last = next(record for record in reversed(list(idle.again(0))) if isinstance(record, TtyWrite))
    text = (b"\r\x1b[K\x1b[1;32m" + b"some words of a line " * 3 + b"\x1b[0m\x1b[5D\x1b[C") * PAINTED_BYTES
    for number in range(BULK_BYTES // PAINTED_BYTES):
        yield _like(last, TtyWrite, number, content=text[:PAINTED_BYTES])


def _numbers(size: int) -> bytes:
    return b"".join(b"%d\r\n" % number for number in range(100_000, 100_000 + size // 8)).ljust(size, b"\n")


def _like(last: Header, kind: type[Header], number: int, *, content: bytes, **fields: int) -> Header:
    """Another record of the same terminal, a tenth of a millisecond later each."""
    known = {field.name: getattr(last, field.name) for field in kind.layout.fields() if hasattr(last, field.name)}
    moment = {"time": last.time + (number + 1) * SECOND // 10_000}
    return kind(**known | moment | fields | {"content": content, "size": len(content)})


def state(report: Report, person: Recorded, size: Size) -> None:
    """What a shell at its prompt takes in a snapshot and in memory, less what it takes without the step."""
    idle = person.idle()
    for sessions in (1, size.sessions):
        stream = encoded(_at_rest(idle.many(sessions)))
        stored = {each: _stored(chain(each), stream) for each in (WITHOUT, WITH)}
        held = {each: _held(each, stream) for each in (WITHOUT, WITH)}
        pickled, memory = ((found[WITH] - found[WITHOUT]) / sessions for found in (stored, held))
        report.row(
            f"an idle session of bash after {idle.lines} lines, of {sessions:,}",
            f"{pickled:,.0f} bytes in a snapshot, {memory:,.0f} bytes in memory, more than {WITHOUT};"
            f" {stored[WITH] / sessions:,.0f} and {held[WITH] / sessions:,.0f} of all steps",
        )


def _at_rest(records: Iterator[Header]) -> Iterator[Header]:
    """Nothing happens for a while after them."""
    now = 0
    for record in records:
        now = record.time
        yield record
    for second in range(REST_SECONDS):
        yield Tick(time=now + second * SECOND)


def _stored(chained: list[Step], stream: Sequence[bytes]) -> int:
    feed(chained, stream)
    return len(save(chained))


def _held(which: str, stream: Sequence[bytes]) -> int:
    """Bytes that Python's own allocator holds for the steps."""
    gc.collect()
    tracemalloc.start()
    try:
        chained = chain(which)
        feed(chained, stream)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def latency(report: Report, lab: Lab, size: Size) -> None:
    """From just before Return is typed until a search finds the line."""
    data = lab.scratch / "lines-up"
    with spine(lab.daemon, data), with_bash(lab) as box, at_bash(lab, box) as client:
        store = SqliteStore(data / "store")

        def once(number: int) -> float:
            text = f"echo line-{number}"
            keys(client, text)
            since = time.time_ns()
            enter(client)
            return found_after(store, f'event.action:command_started AND cgtrail.command.line:"{text}"', since)

        measured = sampled(once, size.samples)
    report.row(f"Return → searchable, {size.samples} lines in bash", measured, TARGET)


def many(report: Report, person: Recorded, size: Size) -> None:
    """Sessions at once through the whole worker."""
    data = report.scratch / "many"
    data.mkdir()
    _spooled(data, person.many(size.sessions))
    lines, found, rates = person.lines * size.sessions, [], []
    for turn in range(size.rounds):
        cpu, _, records = work(data, f"lines-{turn}", snapshot_seconds=60, sink=Encoded())
        found.append(lines / cpu)
        rates.append(records / cpu)
    what = f"{size.sessions:,} busy sessions, frames → encoded documents"
    report.row(what, f"{spread(found)} lines/CPU-s; {spread(rates)} records/CPU-s")


def _spooled(data: Path, records: Iterator[Header]) -> None:
    """A spool with these records, committed as an agent does."""
    with day(data) as made:
        made.standing, made.policy = 0, Policy(EVERYTHING)
        following = 0
        for record in records:
            if record.time >= following:
                made.now = record.time
                if not following:
                    made.keyframe()
                made.put(Tick())
                made.spool.time = UNIX + made.now
                made.spool.commit()
                following = record.time + TICK_NS
            made.now = record.time
            made.put(record)
        made.spool.commit()


def run(report: Report, lab: Lab, size: Size) -> None:
    """All of it."""
    person = recorded(lab, WORK)
    typing(report, person, size)
    bulk(report, person, size)
    state(report, recorded(lab, WORK[:3]), size)
    many(report, person, size)
    latency(report, lab, size)
