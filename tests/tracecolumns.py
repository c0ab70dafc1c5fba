"""The bytes below tracefile.py: varints, and the columns of packed traces (docs/formats/trace.md, 3.2 and 3.3).

Shares no code with src/wire. FormatError wherever bytes break the specification.
"""

import struct

COLUMNS = "tag clock addr freed size stack range ext".split()
META_COLUMNS = "base tag parent pc new_pc code offset flags native python count anchor length text whole".split()
FIELDS = {0: (), 1: ("addr", "size", "stack"), 2: ("freed",), 3: ("freed",), 4: ("addr", "size", "stack"),
          5: ("range", "range", "range"), 6: ("range", "range"), 7: ()}


class FormatError(Exception):
    """The file breaks the specification."""


class Cursor:
    """Reads varints and strings from bytes; running out is a FormatError."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def done(self):
        return self.at >= len(self.data)

    def u8(self):
        return self.take(1)[0]

    def varint(self):
        data, at = self.data, self.at
        value = shift = 0
        try:
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 0x7F) << shift
                if byte < 0x80:
                    self.at = at
                    return value
                shift += 7
                if shift >= 70:
                    raise FormatError("varint longer than ten bytes")
        except IndexError:
            raise FormatError("record ends early") from None

    def varint_bytes(self):
        start = self.at
        self.varint()
        return self.data[start : self.at]

    def svarint(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def take(self, count):
        if self.at + count > len(self.data):
            raise FormatError("bytes end early")
        self.at += count
        return self.data[self.at - count : self.at]

    def string(self):
        return self.take(self.varint())


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return out + bytes([value])


def find_columns(names, data):
    """{name: Cursor} of the columns in data."""
    sizes = struct.unpack_from(f"<{len(names)}I", data)
    columns, at = {}, 4 * len(sizes)
    for name, size in zip(names, sizes):
        columns[name] = Cursor(data[at : at + size])
        at += size
    if at != len(data):
        raise FormatError(f"columns of {at} bytes in {len(data)}")
    return columns


def join_meta_columns(data):
    """The metadata records whose fields are the columns in data (section 3.3)."""
    columns = find_columns(META_COLUMNS, data)
    native, python = columns["base"].varint(), columns["base"].varint()
    rows, pcs = bytearray(), []
    for shown in columns["tag"].data:
        fields = bytearray()
        if shown == 6:
            place = columns["pc"].varint()
            if place == 0:
                pcs.append((pcs[-1] if pcs else 0) + columns["new_pc"].svarint())
            fields += varint(native - columns["parent"].varint()) + varint(pcs[place - 1])
        elif shown == 7:
            fields += varint(python - columns["parent"].varint())
            fields += columns["code"].varint_bytes() + columns["offset"].varint_bytes() + columns["flags"].take(1)
        elif shown == 8:
            fields += varint(native - columns["native"].varint()) + varint(python - columns["python"].varint())
            count, anchor = columns["count"].varint(), 0
            fields += varint(count)
            for _ in range(count):
                anchor += columns["anchor"].svarint()
                fields += varint(anchor)
        else:
            fields += columns["text" if shown == 1 else "whole"].take(columns["length"].varint())
        native += shown & 0x7F == 6
        python += shown & 0x7F == 7
        rows.append(shown & 0x7F)
        rows += varint(len(fields)) + fields
    if not all(column.done() for name, column in columns.items() if name != "tag"):
        raise FormatError("metadata columns have bytes left")
    return bytes(rows)


def join_columns(data):
    """The event records whose fields are the columns in data (section 3.2)."""
    columns = find_columns(COLUMNS, data)
    rows = bytearray()
    for tag in columns["tag"].data:
        rows.append(tag)
        if tag & 8:
            rows += columns["clock"].varint_bytes()
        kind, nibble = tag & 7, tag >> 4
        if kind in (2, 3) and nibble:
            continue
        for name in FIELDS[kind]:
            rows += columns[name].varint_bytes()
        if kind == 7:
            length = columns["ext"].varint_bytes()
            rows += length + columns["ext"].take(Cursor(length).varint())
    return bytes(rows)
