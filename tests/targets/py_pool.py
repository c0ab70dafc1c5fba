"""Workers of a pool that are recycled, and keep one book of the blocks that all of them hold.   py_pool.py SEED TASKS WORKERS

A task takes and drops blocks of 16 MiB and more, each under one lock of all workers, and drops the last before it ends; each worker
ends after three tasks, and another takes its place. Prints `TRUTH PEAK`: the largest sum of the sizes, right whatever the scheduler
does. Everything else that the processes allocate is less than a unit.
"""

import multiprocessing
import random
import sys

UNIT = 16 * 1024 * 1024
OVERHEAD = sys.getsizeof(b"")
LOCK = BOOK = None


def case_pool_take(units):
    return bytes(units * UNIT - OVERHEAD)  # by calloc: the pages are never touched


def begin(lock, book):
    global LOCK, BOOK
    LOCK, BOOK = lock, book


def note(units):
    BOOK[0] += units
    BOOK[1] = max(BOOK[1], BOOK[0])


def task(seed):
    chance, blocks = random.Random(seed), {}
    for _ in range(chance.randrange(4, 20)):
        slot = chance.randrange(3)
        with LOCK:
            units, block = blocks.pop(slot, (0, None))
            if block is None:
                units = chance.randrange(1, 9)
                blocks[slot] = units, case_pool_take(units)
                note(units)
            else:
                del block
                note(-units)
    while blocks:
        with LOCK:
            note(-blocks.popitem()[1][0])
    return seed


def main():
    seed, tasks, workers = (int(argument) for argument in sys.argv[1:4])
    seeds = [random.Random(seed).randrange(2**32) + index for index in range(tasks)]
    context = multiprocessing.get_context("fork")
    lock, book = context.Lock(), context.RawArray("q", 2)
    with context.Pool(workers, begin, (lock, book), maxtasksperchild=3) as pool:
        assert pool.map(task, seeds, chunksize=1) == seeds
        pool.close()
        pool.join()
    assert book[0] == 0
    print("TRUTH", book[1] * UNIT)


if __name__ == "__main__":
    main()
