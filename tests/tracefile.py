"""An independent reader of .mtap files, written from docs/formats/trace.md alone.

Decides: nothing about memtap; it is the oracle the command line is compared with. It shares no code with src/wire, reads
the whole file into memory, favours clearness over speed, and raises FormatError wherever a trace breaks the
specification, so that a writer and a reader that agree on the same mistake are still caught.

    trace = tracefile.load("x.mtap")
    trace.events         every event of every thread, merged by (clock, stream)
    trace.marks, trace.labels   what happened once; number: (kind, text)
    trace.label_under           number: the label it is inside, 0 none
    trace.horizon        what was freed by this clock is not in the trace; 0: all is
    trace.processes      the traces of other processes in the same file
    trace.native_stack(n), trace.python_stack(n)   the frames of a stack
What follows from the events (live set, peak, amounts by function) is in tracereplay.py.
"""

import collections
import dataclasses
import os
import struct
import sys

import zstandard
from crc32c import crc32c
from tracecolumns import Cursor, FormatError, join_columns, join_meta_columns

SLOTS = {"slots": True} if sys.version_info >= (3, 10) else {}

MAGIC = b"\x89MTAP\r\n\x1a"
JOURNAL_MAGIC = b"\x89MTJL\r\n\x1a"
HEADER_BYTES = 4096  # of a trace that is not packed, and of a journal
BLOCK_MAGIC = 0x4B42544D
EXACT, SAMPLE, AGGREGATE = 1, 2, 4
STATE_NAMES = {1: "recording", 2: "ended", 3: "stopped", 4: "full", 5: "exec"}
META, EVENTS, SLOT, AGGREGATE_TABLE, INDEX, PROCESS, BASE = 1, 2, 3, 4, 5, 8, 9
PACKED, GROWTH = 1 << 7, 1 << 8
COUNTERS = (
    "dropped_events dropped_no_space dropped_no_thread truncated_stacks broken_stacks unknown_stacks "
    "python_walk_errors samples live_samples live_table_full threads native_nodes python_nodes stacks agent_bytes "
    "agent_ns flushes current_bytes peak_bytes peak_clock peak_number allocations deallocations last_clock "
    "times_alone passing_ps cpu_ns"
).split()
ALLOCATORS = (
    "unknown,malloc,calloc,realloc,posix_memalign,aligned_alloc,memalign,valloc,pvalloc,operator new,operator new[],"
    "mmap,sbrk,pymem raw,pymem mem,pymem object"
).split(",")
RESTART = 0xB7  # the tag of EXT 11, which is no event
PROGRAM_END = 3  # of MARK


def allocator_name(number):
    return ALLOCATORS[number] if number < len(ALLOCATORS) else f"allocator {number}"


@dataclasses.dataclass
class Module:
    number: int
    bias: int
    path: str
    build_id: bytes
    segments: list
    gone: bool = False

    def holds(self, pc):
        return any(start <= pc - self.bias < start + length for start, length, _, _ in self.segments)


@dataclasses.dataclass(**SLOTS)
class Event:
    """kind: alloc, free, map, unmap, resized. size: bytes of the block or range. undone frees and allocs are left out."""

    clock: int
    stream: int
    kind: str
    addr: int
    size: int = 0
    stack: int = 0
    allocator: str = ""
    map_kind: int = -1
    rate: int = 0
    is_realloc: bool = False
    goes_on: bool = False  # of a realloc's free, where growth is sampled: the stream's next alloc of a realloc is this block
    old_size: int = -1
    label: int = 0


class Trace:
    def __init__(self, data):
        self.data = data
        self.holes = 0
        self.gaps = []
        self.dropped = 0
        self.strings = [""]
        self.modules = {}
        self.holders = {}  # pc: module, as long as modules stay as they are
        self.threads = {}
        self.codes = [None]
        self.native_nodes = [(0, 0, None)]
        self.python_nodes = [(0, 0, -1, 0)]
        self.stacks = [(0, 0, [])]
        self.notes = collections.defaultdict(list)
        self.rss = []
        self.marks = []  # (clock, stream, kind, value, text, stack)
        self.labels = {}
        self.label_under = {}
        self.torch = []
        self.events = []
        self.aggregate = []
        self.processes = []
        self.read_header()
        self.read_streams()
        self.events.sort(key=lambda e: (e.clock, e.stream))

    def read_header(self):
        data = self.data
        if len(data) < 576 or data[:8] != MAGIC:
            raise FormatError("not a memtap trace")
        self.major, self.minor, header_bytes = struct.unpack_from("<HHI", data, 8)
        (command_bytes,) = struct.unpack_from("<H", data, 512)
        (self.flags, self.pid, self.start_realtime, self.start_clock, self.rate, self.parent_pid, self.file_tail, self.end_clock,
         self.state, self.python_version, self.exit_status, self.rss_peak) = struct.unpack_from("<8Q2I2Q", data, 16)
        short = self.major == 2 or (self.major >= 3 and self.flags & PACKED)
        expected = (514 + command_bytes + 63) // 64 * 64 if short else 4096
        if self.major not in (1, 2, 3, 4) or header_bytes != expected:
            raise FormatError(f"major {self.major}, header of {header_bytes} bytes")
        self.header_bytes = header_bytes
        self.clock_kind, self.clock_shift, self.clock_tick_ns = struct.unpack_from("<2IQ", data, 104)
        self.counters = dict(zip(COUNTERS, struct.unpack_from("<32Q", data, 128)))
        (self.end_within_ns,) = struct.unpack_from("<Q", data, 416)
        self.base_offset, self.horizon = struct.unpack_from("<2Q", data, 456) if self.major == 4 else (0, 0)
        self.base_end = 0
        self.command = data[514 : 514 + command_bytes].decode("utf-8", "replace").rstrip("\0").split("\0")

    def extents(self):
        at, size = self.header_bytes, len(self.data)
        if self.base_offset:
            at = self.enter_base()
        while at + 64 <= size:
            header = self.block_header(at)
            if header is None:
                self.holes += 1
                at += 64
                continue
            yield at, header
            at += header["extent_bytes"]
            if header["type"] == PROCESS:
                at = self.read_process(at - header["extent_bytes"] + 64, header["clock_first"])

    def enter_base(self):
        base = self.block_header(self.base_offset)
        if base is None or base["type"] != BASE:
            raise FormatError(f"no base at {self.base_offset}")
        self.horizon, self.base_end = base["clock_first"], self.base_offset + base["extent_bytes"]
        return self.base_offset + 64

    def read_process(self, start, length):
        """A trace of its own inside this one; returns where the next extent begins."""
        self.processes.append(Trace(self.data[start : start + length]))
        return (start + length + 63) // 64 * 64

    def block_header(self, at):
        names = ("magic type codec kind stored_bytes raw_bytes stream extent_bytes clock_first clock_last "
                 "seq_committed events payload_crc column_bytes header_crc").split()
        header = dict(zip(names, struct.unpack_from("<IBBH4I3Q4I", self.data, at)))
        live = header["type"] in (SLOT, AGGREGATE_TABLE)
        covered = self.data[at : at + (24 if live else 60)]
        if header["magic"] != BLOCK_MAGIC or crc32c(covered) != header["header_crc"]:
            return None
        if header["extent_bytes"] % 64 or header["extent_bytes"] < 64:
            raise FormatError(f"extent of {header['extent_bytes']} bytes at {at}")
        return header

    def payload(self, at, header):
        stored = self.data[at + 64 : at + 64 + header["stored_bytes"]]
        if len(stored) < header["stored_bytes"]:
            return None  # the file was cut here
        if crc32c(stored) != header["payload_crc"]:
            raise FormatError(f"payload checksum of the block at {at}")
        if header["codec"] == 1:
            stored = zstandard.ZstdDecompressor().decompress(stored, max_output_size=header["raw_bytes"])
        if header["codec"] == 2:
            columns = zstandard.ZstdDecompressor().decompress(stored, max_output_size=header["column_bytes"])
            stored = join_columns(columns) if header["type"] == EVENTS else join_meta_columns(columns)
        if len(stored) != header["raw_bytes"]:
            raise FormatError(f"{len(stored)} raw bytes, {header['raw_bytes']} announced")
        return stored

    def read_streams(self):
        blocks, slots, firsts = collections.defaultdict(dict), {}, collections.defaultdict(int)
        for at, header in self.extents():
            if at < self.base_end and header["type"] in (META, EVENTS):
                firsts.setdefault(header["stream"], header["seq_committed"] >> 32)
            elif self.base_end and header["stream"] not in (0, 0xFFFFFFFF) and header["clock_first"] < self.horizon:
                continue  # of before
            sequence, committed = header["seq_committed"] >> 32, header["seq_committed"] & 0xFFFFFFFF
            if header["type"] in (META, EVENTS):
                payload = self.payload(at, header)
                if payload is not None:
                    blocks[header["stream"]][sequence] = (header["clock_first"], payload, header["events"])
            elif header["type"] == SLOT and header["stream"] != 0xFFFFFFFF:
                payload = self.data[at + 64 : at + 64 + committed]
                slots[header["stream"]] = (sequence, (header["clock_first"], payload, None))
            elif header["type"] == AGGREGATE_TABLE:
                self.read_aggregate(self.data[at + 64 : at + header["extent_bytes"]])
        for stream, (sequence, block) in slots.items():
            blocks[stream].setdefault(sequence, block)
        for stream in sorted(blocks):
            numbers = sorted(blocks[stream])
            if numbers != list(range(firsts[stream], firsts[stream] + len(numbers))):
                self.gaps.append((stream, numbers))
            ordered = [blocks[stream][number] for number in numbers]
            if stream == 0:
                self.read_meta(b"".join(payload for _, payload, _ in ordered))
            else:
                StreamReader(self, stream).read(ordered)

    # ---- metadata ------------------------------------------------------------------------------------------------

    def read_meta(self, data):
        cursor = Cursor(data)
        while not cursor.done():
            try:
                tag = cursor.u8()
                record = Cursor(cursor.string())
            except FormatError:
                break  # the process died inside this record
            reader = self.META_READERS.get(tag)
            if reader is not None:
                reader(self, record)

    def meta_string(self, record):
        self.strings.append(record.data.decode("utf-8", "replace"))

    def text(self, number):
        if number >= len(self.strings):
            raise FormatError(f"string {number} is referred to before it exists")
        return self.strings[number]

    def meta_module(self, record):
        number, bias = record.varint(), record.varint()
        path = record.string().decode("utf-8", "replace")
        build_id = record.string()
        segments = [tuple(record.varint() for _ in range(4)) for _ in range(record.varint())]
        self.holders.clear()
        self.modules[number] = Module(number, bias, path, build_id, segments)

    def meta_module_gone(self, record):
        self.holders.clear()
        self.modules[record.varint()].gone = True

    def meta_thread(self, record):
        stream, tid = record.varint(), record.varint()
        self.threads[stream] = (tid, record.string().decode("utf-8", "replace"))

    def meta_code(self, record):
        number, filename, name, qualname, line = (record.varint() for _ in range(5))
        if number != len(self.codes):
            raise FormatError(f"code {number} follows code {len(self.codes) - 1}")
        self.codes.append((self.text(filename), self.text(name), self.text(qualname), line))

    def meta_native_node(self, record):
        parent, pc = record.varint(), record.varint()
        if parent >= len(self.native_nodes):
            raise FormatError(f"native node {len(self.native_nodes)} refers forward to {parent}")
        self.native_nodes.append((parent, pc, self.module_of(pc)))

    def module_of(self, pc):
        """The module that holds a return address at this point of the stream."""
        if pc not in self.holders:
            found = [m for m in self.modules.values() if not m.gone and m.holds(pc - 1)]
            self.holders[pc] = found[-1] if found else None
        return self.holders[pc]

    def meta_python_node(self, record):
        parent, code, offset, flags = record.varint(), record.varint(), record.svarint(), record.u8()
        if parent >= len(self.python_nodes) or code >= len(self.codes):
            raise FormatError("a python node refers forward")
        self.python_nodes.append((parent, code, offset, flags))

    def meta_stack(self, record):
        native, python = record.varint(), record.varint()
        anchors = [record.varint() for _ in range(record.varint())]
        if native >= len(self.native_nodes) or python >= len(self.python_nodes):
            raise FormatError(f"stack {len(self.stacks)} refers forward")
        self.stacks.append((native, python, anchors))

    def meta_rss(self, record):
        self.rss.append((record.varint(), record.varint()))

    def meta_note(self, record):
        key = record.string().decode("utf-8", "replace")
        self.notes[key].append(record.string().decode("utf-8", "replace"))

    def meta_mark(self, record):
        numbers = [record.varint() for _ in range(4)]
        text = record.string().decode("utf-8", "replace")
        self.marks.append((*numbers, text, 0 if record.done() else record.varint()))

    def meta_torch(self, record):
        clock, step, micro_step, seq = (record.varint() for _ in range(4))
        module, stage, source = (self.text(record.varint()) for _ in range(3))
        amounts = [record.varint() for _ in range(6)] + [record.svarint(), record.svarint()]
        self.torch.append((clock, step, micro_step, seq, module, stage, source, *amounts))

    def meta_label(self, record):
        number, kind = record.varint(), record.varint()
        self.labels[number] = (kind, record.string().decode("utf-8", "replace"))
        self.label_under[number] = 0 if record.done() else record.varint()

    META_READERS = {1: meta_string, 2: meta_module, 3: meta_module_gone, 4: meta_thread, 5: meta_code,
                    6: meta_native_node, 7: meta_python_node, 8: meta_stack, 10: meta_rss, 11: meta_note,
                    13: meta_mark, 14: meta_label, 15: meta_torch}

    def read_aggregate(self, data):
        names = ("stack allocator used allocations allocated_bytes live_count live_bytes peak_count peak_bytes "
                 "peak_number").split()
        for at in range(0, len(data) - 63, 64):
            row = dict(zip(names, struct.unpack_from("<IBBxx7Q", data, at)))
            if row["used"]:
                row["allocator"] = allocator_name(row["allocator"])
                self.aggregate.append(row)

    def events_to_the_end(self):
        """The events before the last mark that says that the program's code is done; without one, all."""
        ends = [clock for clock, _, kind, *_ in self.marks if kind == PROGRAM_END]
        return [event for event in self.events if event.clock <= ends[-1]] if ends else self.events

    # ---- questions -----------------------------------------------------------------------------------------------

    def native_stack(self, stack):
        """[(pc, Module or None)], innermost first."""
        frames, node = [], self.stacks[stack][0]
        while node:
            parent, pc, module = self.native_nodes[node]
            frames.append((pc, module))
            node = parent
        return frames

    def python_stack(self, stack):
        """[function name], innermost first."""
        names, node = [], self.stacks[stack][1]
        while node:
            parent, code, _, _ = self.python_nodes[node]
            names.append(self.codes[code][1] if code else "[truncated]")
            node = parent
        return names


class StreamReader(Cursor):
    """Decodes the event blocks of one thread and pairs the halves of its reallocs."""

    def __init__(self, trace, stream):
        super().__init__(b"")
        self.trace = trace
        self.stream = stream
        self.clock_shift = trace.clock_shift
        self.events = trace.events
        self.pending = []  # REALLOC_OLD events that have not taken effect yet; a stack, signal handlers nest
        self.last_clock = -1

    def read(self, blocks):
        for clock, payload, announced in blocks:
            count = self.read_block(clock, payload)
            if announced is not None and count != announced:
                raise FormatError(f"stream {self.stream}: {count} events in a block of {announced}")

    def read_block(self, clock, payload):
        self.clock, self.addr, self.range, self.stack, self.rate, self.label = clock, 0, 0, 0, 0, 0
        self.recent = [0, 0, 0, 0]
        self.data, self.at = payload, 0
        count, end, kinds = 0, len(payload), self.KINDS
        while self.at < end:
            tag = payload[self.at]
            self.at += 1
            if tag & 7 == 0:
                break
            count += 1
            self.clock = self.later(self.varint()) if tag & 8 else self.clock + 1
            if self.clock < self.last_clock:
                raise FormatError(f"stream {self.stream}: the clock runs back to {self.clock}")
            self.last_clock = self.clock
            kinds[tag & 7](self, tag >> 4)
            count -= tag & 0xF7 == RESTART
        return count

    def later(self, units):
        return ((self.clock >> self.clock_shift) + units) << self.clock_shift if units else self.clock

    def address(self):
        self.addr = (self.addr + (self.svarint() << 3)) & (2**64 - 1)
        return self.addr

    def add(self, allocator, addr, size, stack, is_realloc):
        if not 0 <= stack < len(self.trace.stacks):
            raise FormatError(f"stream {self.stream}: event with unknown stack {stack}")
        self.emit("alloc", addr, size=size, stack=stack, allocator=allocator_name(allocator), is_realloc=is_realloc)

    def emit(self, kind, addr, **fields):
        self.events.append(Event(self.clock, self.stream, kind, addr, rate=self.rate, label=self.label, **fields))

    def alloc(self, nibble, is_realloc=False):
        addr, size = self.address(), self.varint()
        self.stack += self.svarint()
        self.recent = [addr] + self.recent[:3]
        self.add(nibble, addr, size, self.stack, is_realloc)

    def freed_address(self, nibble):
        return self.recent[nibble - 1] if nibble else self.address()

    def free(self, nibble):
        self.emit("free", self.freed_address(nibble))

    def realloc_old(self, nibble):
        self.pending.append((self.clock, self.freed_address(nibble), self.label))

    def take_effect(self, goes_on):
        if not self.pending:
            raise FormatError(f"stream {self.stream}: the end of a realloc without REALLOC_OLD")
        clock, addr, label = self.pending.pop()
        self.events.append(Event(clock, self.stream, "free", addr, rate=self.rate, is_realloc=True, goes_on=goes_on, label=label))

    def find_old_half(self):
        """Where growth is sampled, a block that becomes a sample has none."""
        if self.pending or not self.trace.flags & GROWTH:
            self.take_effect(goes_on=bool(self.trace.flags & GROWTH))

    def realloc_new(self, nibble):
        self.find_old_half()
        self.alloc(nibble, is_realloc=True)

    def map(self, nibble):
        self.range = (self.range + (self.svarint() << 12)) & (2**64 - 1)
        size = self.varint()
        self.stack += self.svarint()
        self.emit("map", self.range, size=size, stack=self.stack, map_kind=nibble)

    def unmap(self, nibble):
        self.range = (self.range + (self.svarint() << 12)) & (2**64 - 1)
        self.emit("unmap", self.range, size=self.varint(), map_kind=nibble)

    def extended(self, nibble):
        bytes_left = self.varint()
        end = self.at + bytes_left
        if nibble == 1:
            self.rate = self.varint()
        elif nibble == 2:
            self.pending.pop()
        elif nibble in (3, 9):
            allocator, addr, size, stack = (self.varint() for _ in range(4))
            if nibble == 9:
                self.find_old_half()
            self.add(allocator, addr, size, stack, nibble == 9)
        elif nibble == 4:
            self.emit("free", self.varint())
        elif nibble == 5:
            kind, addr, size, stack = (self.varint() for _ in range(4))
            self.emit("map", addr, size=size, stack=stack, map_kind=kind)
        elif nibble == 6:
            addr = self.varint()
            self.emit("unmap", addr, size=self.varint())
        elif nibble == 7:
            self.trace.dropped += self.varint()
        elif nibble == 8:
            self.pending.append((self.clock, self.varint(), self.label))
        elif nibble in (10, 14):
            self.take_effect(goes_on=False)
        elif nibble == 11:
            self.clock, self.addr, self.range, self.stack, self.rate, self.label = self.varint(), 0, 0, 0, 0, 0
            self.recent = [0, 0, 0, 0]
        elif nibble == 12:
            self.label = self.varint()
        elif nibble == 13:
            addr, old_size = self.varint(), self.varint()
            self.emit("resized", addr, old_size=old_size, size=self.varint())
        self.at = end  # what a newer writer added is skipped

    KINDS = {1: alloc, 2: free, 3: realloc_old, 4: realloc_new, 5: map, 6: unmap, 7: extended}


def journal_of(path, data):
    """Beside the trace, under its name or the one it was made with; else where it was made."""
    (number,) = struct.unpack_from("<Q", data, 424)
    made = data[3520:4032].split(b"\0")[0].decode("utf-8", "surrogateescape")
    folder, name = os.path.split(os.fspath(path))
    for beside in (os.path.join(folder, f".{name[:200]}.{number:016x}.journal"), os.path.join(folder, os.path.basename(made)), made):
        if number != 0 and os.path.isfile(beside):
            return beside
    return None


def with_journal(path, data):
    """The trace with what its journal has behind it, if it has one: as one file."""
    beside = journal_of(path, data) if data[:8] == MAGIC and len(data) >= HEADER_BYTES and not data[16] & PACKED else None
    if beside is None:
        return data
    with open(beside, "rb") as file:
        journal = file.read()
    if journal[:8] != JOURNAL_MAGIC or journal[24:40] != data[24:40] or journal[424:432] != data[424:432]:
        raise FormatError(f"{beside} is not the journal of {path}")
    head = bytearray(MAGIC + journal[8:HEADER_BYTES])
    head[88:96] = data[88:96]  # the exit status
    if head[80:84] == b"\1\0\0\0":  # the state
        head[80:84] = data[80:84]
    if not any(head[72:80]):  # the end
        head[72:80], head[416:424] = data[72:80], data[416:424]
    body = data[HEADER_BYTES:]
    return bytes(head) + body + bytes(-len(body) % 64) + journal[HEADER_BYTES:]


def load(path):
    with open(path, "rb") as file:
        return Trace(with_journal(path, file.read()))


def load_run(path):
    """Every process of a run: the first, those behind it in its file, those in its folder; each once, as of the folder."""
    first = load(path)
    found = {(trace.pid, trace.start_realtime): trace for trace in (first, *first.processes)}
    folder = f"{os.fspath(path)}.d"
    for name in sorted(n for n in os.listdir(folder) if n[0] != ".") if os.path.isdir(folder) else []:
        trace = load(os.path.join(folder, name))
        found[trace.pid, trace.start_realtime] = trace
    return list(found.values())
