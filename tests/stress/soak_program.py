"""A busy process that profiles itself for SECONDS: threads that churn, and one that starts, stops, restarts, looks, records
and forks at random, while it checks what it sees against what it knows.

Usage: soak_program.py SECONDS SEED FOLDER. Prints one line of JSON: the counts of what was done, what was wrong, and resident
memory, mappings, descriptors and files after a third and at the end. TMPDIR must be a folder of its own.

The truth are markers: blocks of 1 MiB, which nothing else here allocates, made only while the rate is at most 64 KiB, so that
each is a sample (but one in 9 million). Whoever holds the lock may expect exactly the markers alive to be the samples seen.
"""

import collections
import ctypes
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import memtap
import memtap.memprof as memprof
from memtap import _memtap

MARKER = 1 << 20
KIB_MAX = 64


class Soak:
    def __init__(self, seconds, seed, folder):
        self.folder = folder
        self.generator = random.Random(seed)
        self.end = time.monotonic() + seconds
        self.seconds = seconds
        self.done = collections.Counter()
        self.wrong = []
        self.markers = []
        self.slowest_look_s = 0.0
        self.marks = []
        self.turn = threading.RLock()  # of whoever changes the profiler or the markers

    def running(self):
        return time.monotonic() < self.end and not self.wrong

    def fail(self, what, **facts):
        self.wrong.append({"what": what, **{key: str(value)[:300] for key, value in facts.items()}})

    # -- background ---------------------------------------------------------------------------------------------------

    def churn(self, seed):
        generator, mine = random.Random(seed), []
        while self.running():
            for _ in range(2000):
                if mine and generator.random() < 0.5:
                    mine.pop(generator.randrange(len(mine)))
                else:
                    mine.append(bytearray(int(generator.expovariate(1 / 600))))
            if generator.random() < 0.05:
                mine = [{str(n): [n] for n in range(200)}]
            time.sleep(0.002)

    def short_threads(self):
        while self.running():
            thread = threading.Thread(target=lambda: [bytearray(700) for _ in range(100)])
            thread.start()
            thread.join()
            self.done["threads"] += 1
            time.sleep(0.01)

    def guard(self, function, *arguments):
        try:
            function(*arguments)
        except BaseException as error:
            self.fail(f"{function.__name__} raised", error=repr(error))

    # -- looks ----------------------------------------------------------------------------------------------------------

    def look(self):
        with self.turn:
            began = time.monotonic()
            stats = memprof.get_stats()
            snapshot = memprof.get_snapshot(resolve=self.generator.random() < 0.3)
            self.slowest_look_s = max(self.slowest_look_s, time.monotonic() - began)
            seen = sum(MARKER <= sample.size < MARKER + 4096 for sample in snapshot.samples)
            expected = len(self.markers)
            if stats.collisions or stats.death_during_birth:
                state = _memtap.agent_state()
                self.fail("lost", stats=stats, dropped=state["dropped_events"], later=memprof.get_stats())
        self.done["looks"] += 1
        if stats.total_samples != stats.live_samples + stats.freed_samples:
            self.fail("counts", stats=stats)
        if len(snapshot.samples) != snapshot.live_samples:
            self.fail("length", snapshot=snapshot.live_samples)
        if sum(sample.estimated_bytes for sample in snapshot.samples) != snapshot.estimated_heap_bytes:
            self.fail("sum", snapshot=snapshot.estimated_heap_bytes)
        if seen != expected:
            self.fail("markers", seen=seen, expected=expected)

    def looks(self):
        while self.running():
            self.look()
            time.sleep(0.05)

    # -- what is done at random -------------------------------------------------------------------------------------------

    def change_markers(self):
        for _ in range(self.generator.randrange(20)):
            if self.markers and self.generator.random() < 0.5:
                self.markers.pop(self.generator.randrange(len(self.markers)))
            elif memprof._running and len(self.markers) < 60:
                self.markers.append(bytearray(MARKER))

    def restart(self):
        memprof.stop(missing_ok=True)
        if self.generator.random() < 0.5:
            unseen = bytearray(MARKER)
            self.look()
            del unseen
            self.change_markers()
        memprof.start(self.generator.choice((4, 16, KIB_MAX)))

    def record(self):
        """The stopped profiler gives way and begins a new trace, which knows nothing of earlier markers."""
        memprof.stop(missing_ok=True)
        with memtap.record(os.path.join(self.folder, "record.mtap"), overwrite=True) as recording:
            block = bytearray(5 << 20)
            time.sleep(0.05)
        with memtap.open(recording.path) as trace:
            stats = trace.stats()
        if stats["peak_bytes"] < len(block) or stats["dropped_events"]:
            self.fail("record", peak=stats["peak_bytes"], dropped=stats["dropped_events"])
        self.markers.clear()
        memprof.start(KIB_MAX)

    def fork(self):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                memprof.start(KIB_MAX)
                mine = [bytearray(3 << 20) for _ in range(3)]
                seen = sum(3 << 20 <= sample.size < 4 << 20 for sample in memprof.get_snapshot(resolve=False).samples)
                memprof.shutdown()
                status = 0 if seen == len(mine) else 2
            finally:
                os._exit(status)
        deadline = time.monotonic() + 60
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        if status:
            self.fail("fork", status=status)

    def program(self):
        if subprocess.run(["/bin/echo", "42"], stdout=subprocess.PIPE, check=True).stdout != b"42\n":
            self.fail("program")

    def collect(self):
        gc.collect()

    def measure(self):
        self.record()  # a trace just begun: what the reader of a longer one keeps is not growth
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator merely keeps depends on who needed most at once
        with open("/proc/self/statm") as statm:
            rss = int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        with open("/proc/self/maps") as maps:
            mappings = sum(1 for _ in maps)
        self.marks.append({"rss_bytes": rss - MARKER * len(self.markers), "mappings": mappings,
                           "descriptors": len(os.listdir("/proc/self/fd")), "files": len(os.listdir(os.environ["TMPDIR"]))})

    def control(self):
        actions = [self.change_markers] * 8 + [self.restart] * 4 + [self.look] * 2 + [self.program, self.fork, self.record, self.collect]
        deck = []  # shuffled anew when it is empty: everything has its turn
        first = time.monotonic() + self.seconds / 3
        while self.running():
            if not deck:
                deck = self.generator.sample(actions, len(actions))
            with self.turn:
                action = deck.pop()
                action()
                self.done[action.__name__] += 1
                if not self.marks and time.monotonic() > first:
                    self.measure()
            time.sleep(self.generator.random() * 0.02)

    def run(self):
        memprof.start(KIB_MAX)
        work = [(self.churn, n) for n in range(4)] + [(self.short_threads,), (self.looks,), (self.control,)]
        threads = [threading.Thread(target=self.guard, args=arguments) for arguments in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.measure()
        print(json.dumps({"done": self.done, "wrong": self.wrong, "marks": self.marks, "slowest_look_s": self.slowest_look_s}))


if __name__ == "__main__":
    Soak(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]).run()
