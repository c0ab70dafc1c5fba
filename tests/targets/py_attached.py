"""Programs for `memtap attach`. busy: four threads allocate all the time until a line comes, then a known number of times.
asleep: all threads sleep until the line has come."""

import hashlib
import sys
import threading
import time

came = threading.Event()
ROUNDS = 300


def churn(number):
    return sum(len(str(i * number)) for i in range(50))


def allocate_after(number):
    kept = [bytearray(1000 + i) for i in range(ROUNDS)]
    return sum(len(block) for block in kept) * number


def work(number, busy, results):
    while not came.is_set():
        if busy:
            churn(number)
        else:
            time.sleep(0.02)
    results[number] = allocate_after(number)


def main():
    results = {}
    threads = [threading.Thread(target=work, args=(n, sys.argv[1] == "busy", results)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    came.set()
    for thread in threads:
        thread.join()
    print(hashlib.sha256(repr(sorted(results.items())).encode()).hexdigest(), flush=True)


main()
