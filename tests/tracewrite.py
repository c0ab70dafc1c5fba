"""Writes small .mtap files, from docs/formats/trace.md alone: traces of processes that never were, for tests of readers.

Shares no code with src/wire. One block of metadata follows another; there are no events.

    write = tracewrite.Writer(pid=7)
    write.note("torch.rank", "0")
    write.torch(clock=1, step=0, …)
    write.save(path)
"""

import struct

from crc32c import crc32c

MAGIC = b"\x89MTAP\r\n\x1a"
EXACT, ENDED, META = 1, 2, 1
STRING, NOTE, TORCH = 1, 11, 15
BLOCK_BYTES = 1 << 20


def varint(value):
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def svarint(value):
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def string(text):
    data = text.encode()
    return varint(len(data)) + data


class Writer:
    def __init__(self, pid=1, start_realtime_ns=1_700_000_000 * 10**9, start_clock=10**9, duration_ns=10**9, command=("train",)):
        self.pid, self.start_realtime_ns, self.start_clock, self.duration_ns = pid, start_realtime_ns, start_clock, duration_ns
        self.command = "\0".join(command).encode() + b"\0"
        self.blocks, self.records = [], bytearray()
        self.strings = {}

    def record(self, tag, data):
        self.records += bytes([tag]) + varint(len(data)) + data
        if len(self.records) > BLOCK_BYTES:
            self.end_block()

    def end_block(self):
        if self.records:
            self.blocks.append(bytes(self.records))
            self.records = bytearray()

    def number_of(self, text):
        if text not in self.strings:
            self.strings[text] = len(self.strings) + 1
            self.record(STRING, text.encode())
        return self.strings[text]

    def note(self, key, value):
        self.record(NOTE, string(key) + string(value))

    def torch(self, *, clock, step, micro_step=None, seq, module, stage, source="cuda", allocated=0, max_allocated=0, cached=0,
              max_cached=0, offset_ns=0, duration_ns=0, allocated_delta=0, max_allocated_delta=0):
        """Amounts are bytes."""
        fields = [clock, step, step if micro_step is None else micro_step, seq, self.number_of(module), self.number_of(stage),
                  self.number_of(source), allocated, max_allocated, cached, max_cached, offset_ns, duration_ns]
        self.record(TORCH, b"".join(map(varint, fields)) + svarint(allocated_delta) + svarint(max_allocated_delta))

    def header(self, size):
        head = bytearray(4096)
        struct.pack_into("<8sHHI", head, 0, MAGIC, 3, 1, 4096)
        struct.pack_into("<8Q2I2Q", head, 16, EXACT, self.pid, self.start_realtime_ns, self.start_clock, 0, 1, size,
                         self.start_clock + self.duration_ns, ENDED, 0, 1, 0)
        struct.pack_into("<2IQ", head, 104, 1, 0, 0)
        struct.pack_into("<H", head, 512, len(self.command))
        head[514 : 514 + len(self.command)] = self.command
        return bytes(head)

    def block(self, sequence, payload):
        extent = (64 + len(payload) + 63) // 64 * 64
        head = struct.pack("<IBBH4I3Q3I", 0x4B42544D, META, 0, 0, len(payload), len(payload), 0, extent, self.start_clock,
                           self.start_clock + self.duration_ns, sequence << 32, 0, crc32c(payload), 0)
        return (head + struct.pack("<I", crc32c(head)) + payload).ljust(extent, b"\0")

    def save(self, path):
        self.end_block()
        body = b"".join(self.block(i, payload) for i, payload in enumerate(self.blocks))
        with open(path, "wb") as file:
            file.write(self.header(4096 + len(body)) + body)
        return path


MODULES = ("net", "net.fc1", "net.fc1", "net", "SGD", "SGD")
STAGES = ("pre forward", "pre forward", "post forward", "post forward", "pre step", "post step")
MIB = 1 << 20


def table_k(path, steps=600):
    """The known table: 6 rows a step that grow by half a MiB a step, one that jumps and one of 0."""
    write = Writer(pid=4242, duration_ns=steps * 10**7)
    for s in range(steps):
        for q in range(6):
            allocated = 100 + 0.5 * s + (0, 0, 10, 20, 30, 0)[q] + (200 if (s, q) == (595, 3) else 0)
            allocated = 0 if (s, q) == (598, 5) else allocated
            write.torch(clock=write.start_clock + s * 10**7 + q * 10**6, step=s, seq=q, module=MODULES[q], stage=STAGES[q],
                        allocated=int(allocated * MIB), max_allocated=int(max(allocated, 100 + 0.5 * s + 30) * MIB),
                        cached=int((100 + 0.5 * s + 50) * MIB))
    return write.save(path)
