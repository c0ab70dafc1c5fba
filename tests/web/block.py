"""An independent reader of a page's data (docs/formats/report.md): sums by measure, line, thread and allocator.

Knows the document, not memtap's code: base64, raw deflate, JSON, columns.
"""

import base64
import collections
import json
import re
import zlib

MEASURES = ("peak", "live", "total", "temporary")
IMPORT = 3  # role


def running(distances):
    at = 0
    for distance in distances:
        at += distance
        yield at


class Block:
    def __init__(self, page, which="data"):
        self.text = page.read_text(encoding="utf-8")
        (packed,) = re.findall(rf'<script type="application/octet-stream" id="{which}">([A-Za-z0-9+/=]*)</script>', self.text)
        self.data = json.loads(zlib.decompress(base64.b64decode(packed), -15))
        self.strings = self.data["strings"]
        self.rows = self.data["rows"]
        self.node = list(running(self.rows["node"]))
        self.parent = [i - distance for i, distance in enumerate(self.data["tree"]["parent"])]

    def sum(self, measure, what="bytes"):
        return sum(self.data["measures"][measure][what])

    def by(self, column, measure, what="bytes"):
        sums = collections.Counter()
        for key, amount in zip(self.rows[column], self.data["measures"][measure][what]):
            sums[key] += amount
        return sums

    def place(self, frame):
        frames = self.data["frames"]
        return self.strings[frames["path"][frame]], frames["line"][frame], self.strings[frames["function"][frame]]

    def lines(self, measure, what="bytes"):
        """{(file, line, function): amount} of the lines that are no imports."""
        lines = self.data["lines"]
        sums = collections.Counter()
        for line, amount in self.by("line", measure, what).items():
            if not lines["import"][line]:
                sums[self.place(lines["frame"][line])] += amount
        return sums

    def allocators(self, measure, what="bytes"):
        return {self.data["allocators"][number]: amount for number, amount in self.by("allocator", measure, what).items()}

    def frames_of(self, node):
        """Numbers of frames from the innermost outwards."""
        while node != 0:
            yield self.data["tree"]["frame"][node]
            node = self.parent[node]

    def stack(self, node):
        """Frames from the innermost outwards."""
        return map(self.place, self.frames_of(node))

    def through(self, measure, frame, what="bytes"):
        """What was allocated in stacks that have the frame."""
        frames = self.data["tree"]["frame"]
        inside = [False] * len(frames)
        for node in range(1, len(frames)):
            inside[node] = frames[node] == frame or inside[self.parent[node]]
        return sum(amount for node, amount in zip(self.node, self.data["measures"][measure][what]) if inside[node])

    def window(self, first, last):
        """(bytes, count) allocated in interval first or later and alive at the end of interval last."""
        edges = self.data["edges"]
        cells = edges["cells"]
        changes = collections.defaultdict(lambda: [0, 0])
        for row, born, after, in_bytes, count in zip(running(cells["row"]), cells["born"], cells["after"], cells["bytes"], cells["count"]):
            if born >= first and born + after <= last:
                changes[row][0] += in_bytes
                changes[row][1] += count
        half = (1 << edges["scale_bits"]) >> 1
        return tuple(sum((units[i] + half) >> edges["scale_bits"] for units in changes.values()) for i in (0, 1))

    def window_variance(self, first, last):
        cells = self.data["edges"]["cells"]
        return sum(variance for born, after, variance in zip(cells["born"], cells["after"], cells["bytes_variance"])
                   if born >= first and born + after <= last)

    def between(self, first, last):
        """The same window for memtap."""
        times = self.data["edges"]["time_ns"]
        start = 0 if first == 0 else times[first - 1] + 1
        return f"{start}ns,{times[last]}ns"
