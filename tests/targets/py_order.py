"""Threads that hand blocks over by locks and queues of Python's, and keep the books.   py_order.py SEED ROUNDS THREADS

One thread at a time has the baton: it takes and drops blocks, whoever took them, and wakes another. In some rounds all
threads take a block each behind a barrier, and drop it behind another. Prints `TRUTH PEAK`: the largest sum of the sizes that
was alive, right whatever the scheduler does. All blocks are taken in case_order_take.
"""

import queue
import random
import sys
import threading

UNIT = 64 * 1024


def case_order_take(units):
    return bytearray(units * UNIT - 1)  # and a zero byte


class Place:
    """Where one thread waits, for each of the ways it can be woken."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lock.acquire()
        self.event = threading.Event()
        self.semaphore = threading.Semaphore(0)
        self.condition = threading.Condition()
        self.told = False
        self.queue = queue.Queue()
        self.simple = queue.SimpleQueue()
        self.way = "semaphore"

    WAYS = "lock event semaphore condition queue simple".split()

    def wake(self):
        way = self.way
        if way == "lock":
            self.lock.release()
        elif way == "condition":
            with self.condition:
                self.told = True
                self.condition.notify()
        elif way == "event":
            self.event.set()
        elif way == "semaphore":
            self.semaphore.release()
        else:
            getattr(self, way).put(None)

    def sleep(self, way):
        if way in ("lock", "semaphore"):
            getattr(self, way).acquire()
        elif way == "event":
            self.event.wait()
            self.event.clear()
        elif way == "condition":
            with self.condition:
                self.condition.wait_for(lambda: self.told)
                self.told = False
        else:
            getattr(self, way).get()


class Game:
    def __init__(self, seed, rounds, threads):
        self.random = random.Random(seed)
        self.rounds = rounds
        self.places = [Place() for _ in range(threads)]
        self.barrier = threading.Barrier(threads)
        self.blocks = {}
        self.own = [None] * threads
        self.live = self.peak = 0
        self.done = False
        self.all_at_once = None  # units by thread while that is what is played

    def book(self, units):
        self.live += units
        self.peak = max(self.peak, self.live)

    def turn(self):
        for _ in range(self.random.randrange(1, 6)):
            slot = self.random.randrange(12)
            units, block = self.blocks.pop(slot, (0, None))
            if block is None:
                units = self.random.randrange(1, 9)
                self.blocks[slot] = units, case_order_take(units)
                self.book(units)
            else:
                del block
                self.book(-units)

    def part(self, self_index):
        """Everybody's part of a round of all: nobody drops before all have taken."""
        self.own[self_index] = case_order_take(self.all_at_once[self_index])
        self.barrier.wait()
        self.own[self_index] = None
        self.barrier.wait()

    def play_all(self, index):
        self.all_at_once = [self.random.randrange(1, 9) for _ in self.places]
        for other, place in enumerate(self.places):
            if other != index:
                place.wake()
        self.part(index)
        self.book(sum(self.all_at_once))
        self.book(-sum(self.all_at_once))
        self.all_at_once = None

    def play(self, index):
        if self.rounds == 0:
            self.done = True
        else:
            self.rounds -= 1
            self.play_all(index) if self.random.randrange(6) == 0 else self.turn()
            self.places[index].way = self.random.choice(Place.WAYS)
        ahead = 1 if self.done else self.random.randrange(1, len(self.places))
        self.places[(index + ahead) % len(self.places)].wake()

    def live_on(self, index):
        place, way = self.places[index], "semaphore"
        while True:
            place.sleep(way)
            if self.done:
                break
            if self.all_at_once is not None:
                self.part(index)
            else:
                self.play(index)
                way = place.way
        self.places[(index + 1) % len(self.places)].wake()


def main():
    game = Game(*(int(argument) for argument in sys.argv[1:4]))
    threads = [threading.Thread(target=game.live_on, args=(index,)) for index in range(len(game.places))]
    for thread in threads:
        thread.start()
    game.places[0].wake()
    for thread in threads:
        thread.join()
    print("TRUTH", game.peak * UNIT)


main()
