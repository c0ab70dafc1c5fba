"""What follows from the events of a trace: totals, the live set, the peak, amounts by function.

Decides: the plain meaning of a history, by replaying it one event at a time over a dict and a list. Function names come
from the symbol tables of the recorded modules through nm; inlined frames are not seen here.
"""

import collections
import dataclasses
import re
import subprocess

HEAP_MAPS = (0, 3)  # anonymous, brk; what mremap moves stays what it was
MREMAP, RESERVED, OPENED, CLOSED, EMPTIED = 4, 6, 8, 9, 10
CASE = re.compile(r"\bcase_\w+")


class Replay:
    """What follows from the events in order: totals, live blocks, live ranges, the peak."""

    def __init__(self, events=()):
        self.allocations = self.allocated_bytes = self.frees = 0
        self.live = {}
        self.ranges = []  # of Range, disjoint
        self.moved = {}  # stream: what its last mremap takes away
        self.double_allocations = []
        self.unknown_frees = 0
        self.current = self.peak = 0
        for event in events:
            self.step(event)

    def step(self, event):
        getattr(self, event.kind)(event)
        self.peak = max(self.peak, self.current)

    def alloc(self, event):
        self.allocations += 1
        self.allocated_bytes += event.size
        if event.addr in self.live:
            self.double_allocations.append(event)
            self.current -= self.live[event.addr].size
        self.live[event.addr] = event
        self.current += event.size

    def free(self, event):
        old = self.live.pop(event.addr, None)
        if old is None:
            self.unknown_frees += 1
            return
        self.frees += 1
        self.current -= old.size

    def resized(self, event):
        old = self.live.get(event.addr)
        if old is not None:
            self.live[event.addr] = dataclasses.replace(old, size=event.size)
            self.current += event.size - old.size

    def map(self, event):
        if event.map_kind in (OPENED, CLOSED, EMPTIED):
            self.access(event)
            return
        self.cut(event.addr, event.addr + event.size)
        what = "reserved" if event.map_kind == RESERVED else "heap" if event.map_kind in HEAP_MAPS else "other"
        if event.map_kind == MREMAP:
            what = self.moved.pop(event.stream, "heap")
        self.ranges.append(Range(event.addr, event.addr + event.size, what, event.stack))
        if what == "heap":
            self.allocate(event.size)

    def allocate(self, size):
        self.allocations += 1
        self.allocated_bytes += size
        self.current += size

    def unmap(self, event):
        gone = self.cut(event.addr, event.addr + event.size)
        if event.map_kind == MREMAP:
            self.moved[event.stream] = gone[-1].what if gone else "heap"

    def access(self, event):
        """What is mapped there stays mapped, perhaps as something else."""
        parts = self.cut(event.addr, event.addr + event.size)
        opened = [part for part in parts if part.what == "reserved"] if event.map_kind == OPENED else []
        if opened:
            self.allocate(sum(part.high - part.low for part in opened))
        for part in parts:
            part.closed = event.map_kind == CLOSED or (part.closed and event.map_kind != OPENED)
            part.emptied = event.map_kind == EMPTIED or (part.emptied and event.map_kind != OPENED)
            if part in opened:
                part.what, part.stack = "heap", event.stack
            elif part.what == "heap" and part.closed and part.emptied:
                part.what, part.stack = "reserved", event.stack
            elif part.what == "heap":
                self.current += part.high - part.low
        self.ranges += parts

    def cut(self, start, end):
        """Takes [start, end) out of the ranges and returns what was there, in order."""
        kept, gone = [], []
        for part in self.ranges:
            if part.high <= start or part.low >= end:
                kept.append(part)
                continue
            kept += [part.between(a, b) for a, b in ((part.low, start), (end, part.high)) if part.low <= a < b <= part.high]
            gone.append(part.between(max(part.low, start), min(part.high, end)))
        self.current -= sum(part.high - part.low for part in gone if part.what == "heap")
        self.ranges = kept
        return sorted(gone, key=lambda part: part.low)

    def range_bytes(self, what):
        return sum(part.high - part.low for part in self.ranges if part.what == what)


@dataclasses.dataclass
class Range:
    low: int
    high: int
    what: str  # heap, reserved, other
    stack: int
    closed: bool = False
    emptied: bool = False

    def between(self, low, high):
        return dataclasses.replace(self, low=low, high=high)


TICK = 1  # clock_kind of a header: the clock of the one thread was read now and then and counted on in between
COUNTED_UNITS = 2  # a clock so few units behind the one before was not read
SCALE_BITS = 32  # to which the distance of two counted events is known


def counts(trace):
    """The clocks of the events of a program with one thread, cut where one was read."""
    parts = []
    for event in trace.events:
        if not parts or event.clock - parts[-1][-1] > COUNTED_UNITS << trace.clock_shift:
            parts.append([])
        parts[-1].append(event.clock)
    return parts


def times(trace):
    """When each event was, on the clock of the trace's start: events that were counted lie at equal distances up to the next reading of the
    clock, or up to a tick behind the last one. Where clocks are times already, these."""
    if trace.clock_kind != TICK or trace.horizon or not trace.events:
        return [event.clock for event in trace.events]
    parts = counts(trace)
    nexts = [part[0] for part in parts[1:]] + [max(trace.end_clock, parts[-1][-1] + 1)]
    found = []
    for part, after in zip(parts, nexts):
        first, count = part[0], part[-1] - part[0] + 1
        span = max(min(after - first, trace.clock_tick_ns), count)
        scale = (span << SCALE_BITS) // count
        found += [first + ((clock - first) * scale >> SCALE_BITS) for clock in part]
    return found


class Run:
    """Several processes, moment by moment: each holds what its trace says from its start to its end."""

    def __init__(self, traces):
        self.traces = traces
        moments = []
        for number, trace in enumerate(traces):
            events = [(max(time, trace.start_clock), False, number, order) for order, time in enumerate(times(trace))]
            end = max([trace.end_clock, trace.counters["last_clock"], trace.start_clock, *(e[0] for e in events)])
            moments += [*events, (end, True, number, 0)]
        self.moments = sorted(moments)
        self.start = min(trace.start_clock for trace in traces)

    def held(self):
        """(time, bytes held by all processes) after each event; what ends at a time is still held at it."""
        processes = [Replay() for _ in self.traces]
        for clock, is_end, number, order in self.moments:
            if is_end:
                processes[number] = Replay()
            else:
                processes[number].step(self.traces[number].events[order])
                yield clock, sum(process.current for process in processes)


class SymbolTable:
    """Function names of one ELF file by link-time address, from nm."""

    def __init__(self, path):
        listing = subprocess.run(["nm", "-C", "-S", "--defined-only", path], capture_output=True, text=True, check=False).stdout
        self.ranges, self.known = [], {}
        for line in listing.splitlines():
            fields = line.split(None, 3)
            if len(fields) == 4 and fields[2] in "tTwWiV":
                start = int(fields[0], 16)
                self.ranges.append((start, start + int(fields[1], 16), fields[3]))

    def name(self, vaddr):
        if vaddr not in self.known:
            self.known[vaddr] = next((name for low, high, name in self.ranges if low <= vaddr < high), None)
        return self.known[vaddr]


class Namer:
    """Names the frames of stacks; remembers every stack it has named. Inlined frames are not seen here."""

    def __init__(self, trace):
        self.trace = trace
        self.tables = {}
        self.stacks = {}

    def names(self, stack):
        if stack not in self.stacks:
            self.stacks[stack] = [self.frame(pc, module) for pc, module in self.trace.native_stack(stack)]
        return self.stacks[stack]

    def frame(self, pc, module):
        if module is None:
            return hex(pc)
        if module.path not in self.tables:
            self.tables[module.path] = SymbolTable(module.path)
        return self.tables[module.path].name(pc - 1 - module.bias) or hex(pc)

    def case(self, stack):
        """The innermost function of a target (case_*) on this stack, None when there is none."""
        matches = (CASE.search(name) for name in self.names(stack))
        return next((match.group() for match in matches if match), None)


def by_case(trace):
    """{case: {allocations, bytes, frees, live, live_bytes}}, in the form of the targets' truth."""
    namer, live = Namer(trace), {}
    rows = collections.defaultdict(lambda: dict(allocations=0, bytes=0, frees=0, live=0, live_bytes=0))
    for event in trace.events:
        if event.kind == "alloc":
            case = namer.case(event.stack)
            live[event.addr] = (case, event.size)
            change(rows[case], event.size, allocations=1, bytes=event.size, live=1)
        elif event.kind == "free" and event.addr in live:
            case, size = live.pop(event.addr)
            change(rows[case], -size, frees=1, live=-1)
    rows.pop(None, None)
    return dict(rows)


def change(row, live_bytes, **amounts):
    row["live_bytes"] += live_bytes
    for key, amount in amounts.items():
        row[key] += amount
