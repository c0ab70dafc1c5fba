"""Threads of a service that each keep what they read in a scratch buffer of their own."""

import hashlib
import queue
import threading

scratch = threading.local()
jobs = queue.Queue()
digests = []


def read(number):
    return hashlib.sha256(str(number).encode()).digest() * 200


def digest(number):
    data = read(number)
    if not hasattr(scratch, "seen"):
        scratch.seen = []
    scratch.seen.append(data + b".")  # the leak
    return data[0]


def work():
    while True:
        digests.append(digest(jobs.get()))
        jobs.task_done()


for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
for number in range(2_000):
    jobs.put(number)
jobs.join()
print(sum(digests))
