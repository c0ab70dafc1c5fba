"""What the workers of tests/targets/storm.c do, and whether a trace agrees with what they logged.

Decides: the model. operations(seed, row) yields the same sequence as the C code: ("alloc", bytes), ("realloc", bytes,
index of the block) or ("free", index of the block). check() compares it with the events of one process's trace: for each
worker the trace must hold a prefix of the sequence that is at least as long as the log's `done` and at most as long as
`begun`.
"""

import collections
import struct

ROWS, BLOCKS, WORKER_BASE = 16384, 32, 1_000_000
MASK = 2**64 - 1


def mix(x):
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & MASK
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def operations(seed, row):
    key = mix((seed * 1000003 + row) & MASK)
    places = [None] * BLOCKS
    made = 0
    index = 0
    while True:
        r = mix((key + index) & MASK)
        place = r % BLOCKS
        size = 1 + (r >> 8) % (40000 if r & 0x800000 else 300)
        if places[place] is None:
            yield ("alloc", size)
            places[place], made = made, made + 1
        elif r & 0x1000000:
            yield ("realloc", size, places[place])
            places[place], made = made, made + 1
        else:
            yield ("free", places[place])
            places[place] = None
        index += 1


Row = collections.namedtuple("Row", "begun done pid")


def read_log(path):
    with open(path, "rb") as file:
        data = file.read()
    count = min(struct.unpack_from("<Q", data)[0], ROWS)
    return [Row(*struct.unpack_from("<QQI", data, 16 + 24 * row)) for row in range(count)]


def root_pid(path):
    with open(path, "rb") as file:
        return struct.unpack("<QQ", file.read(16))[1]


def worker_events(trace, namer):
    """{row: [operation]} as the trace tells it; a worker's stream begins with its mark."""
    live, found, row_of_stream = {}, collections.defaultdict(list), {}
    made = collections.Counter()
    pending = {}
    for event in trace.events:
        stream = event.stream
        if event.kind == "alloc" and WORKER_BASE <= event.size < WORKER_BASE + ROWS:
            if any(name == "case_first" for name in namer.names(event.stack)):
                row_of_stream[stream] = event.size - WORKER_BASE
                found[event.size - WORKER_BASE] = []
            continue
        if stream not in row_of_stream:
            continue
        row = row_of_stream[stream]
        if event.kind == "free":
            owner = live.pop(event.addr, None)
            if owner is None or owner[0] != row:
                continue  # a block of libc, such as the end of a thread frees
            if event.is_realloc:
                pending[stream] = owner[1]
            else:
                found[row].append(("free", owner[1]))
        elif event.kind == "alloc" and any(n in ("case_alloc", "case_resize") for n in namer.names(event.stack)[:1]):
            if event.is_realloc:
                found[row].append(("realloc", event.size, pending.pop(stream)))
            else:
                found[row].append(("alloc", event.size))
            live[event.addr] = (row, made[row])
            made[row] += 1
    return found


def check(trace, namer, log, seed):
    """Problems as text, empty when the trace agrees with the log of its process."""
    problems = []
    found = worker_events(trace, namer)
    for row, entry in enumerate(log):
        if entry.pid != trace.pid or entry.begun == 0:
            continue
        got = found.get(row)
        if got is None:
            problems.append(f"worker {row} logged {entry.done} operations, the trace does not know it")
            continue
        if not entry.done <= len(got) <= entry.begun:
            problems.append(f"worker {row}: {len(got)} operations recorded, {entry.done} to {entry.begun} logged")
        for index, (operation, wanted) in enumerate(zip(got, operations(seed, row))):
            if operation != wanted:
                problems.append(f"worker {row}, operation {index}: recorded {operation}, made {wanted}")
                break
    return problems
