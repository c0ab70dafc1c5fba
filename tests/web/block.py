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
    def __init__(self, page):
        self.text = page.read_text(encoding="utf-8")
        (packed,) = re.findall(r'<script type="application/octet-stream" id="data">([A-Za-z0-9+/=]*)</script>', self.text)
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

    def stack(self, node):
        """Frames from the innermost outwards."""
        while node != 0:
            yield self.place(self.data["tree"]["frame"][node])
            node = self.parent[node]
