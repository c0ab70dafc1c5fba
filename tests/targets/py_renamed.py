"""Threads that are renamed by another one, all the time and in every way, while they allocate from ever new places."""

import random
import sys
import threading

ROUNDS, THREADS, PLACES = 2, 4, 60
sys.setswitchinterval(1e-5)
live = []
done = threading.Event()


def place(number):
    """A function that nobody has allocated from."""
    space = {}
    exec("def allocate():\n    return [bytearray(600) for _ in range(3)]", space)
    space["allocate"].__code__ = space["allocate"].__code__.replace(co_firstlineno=number + 1)
    return space["allocate"]


def work(number):
    for i in range(PLACES):
        place(number * PLACES + i)()
        if i % 7 == 0:
            threading.current_thread().name = "self %d %s" % (i, "x" * (i * 37 % 200))


def rename():
    choose = random.Random(1)
    while not done.is_set():
        for thread in list(live):
            thread.name = "other %s" % ("\u4e2d" * choose.randrange(60))
            if choose.random() < 0.1:
                setattr(thread, "more%d" % choose.randrange(80), 1)
            if choose.random() < 0.02:
                for key in [key for key in list(vars(thread)) if key.startswith("more")]:
                    delattr(thread, key)


renamer = threading.Thread(target=rename, name="renamer")
renamer.start()
for _ in range(ROUNDS):
    live[:] = [threading.Thread(target=work, args=(number,), name="work %d" % number) for number in range(THREADS)]
    for thread in list(live):
        thread.start()
    for thread in list(live):
        thread.join()
done.set()
renamer.join()
