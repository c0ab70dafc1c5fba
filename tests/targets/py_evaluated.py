"""Programs for `memtap eval`; a line on standard input ends them. quiet: waits. prints: three threads print whole lines all the time;
replaces: and one puts wrappers of sys.stdout in its place and takes them out again. steps: an asyncio loop counts. computes: a
thread that holds the GIL whenever it can. Each says at the end what it did."""

import asyncio
import sys
import threading
import time

model = "the program's model"
i = "the program's i"
counter = 0
came = threading.Event()


class Wrapper:
    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        return self.stream.write(text)

    def flush(self):
        self.stream.flush()


wrappers = []  # print holds no reference to what it writes to before 3.14; the program has to


def prints(number, lines):
    while not came.is_set():
        sys.stdout.write("app %d %d\n" % (number, lines[number]))
        lines[number] += 1
        if lines[number] % 20 == 0:
            time.sleep(0.001)


def replaces():
    while not came.is_set():
        before = sys.stdout
        wrappers.append(Wrapper(before))
        sys.stdout = wrappers[-1]
        time.sleep(0.0005)
        sys.stdout = before
        time.sleep(0.0005)


def waits():
    sys.stdin.readline()
    came.set()


async def steps():
    global counter
    while not came.is_set():
        counter += 1
        await asyncio.sleep(0.001)


def computes():
    global counter
    while not came.is_set():
        counter += 1


def main(mode):
    lines = [0, 0, 0]
    others = [threading.Thread(target=prints, args=(n, lines)) for n in range(3) if mode in ("prints", "replaces")]
    if mode == "replaces":
        others.append(threading.Thread(target=replaces))
    if mode == "computes":
        others.append(threading.Thread(target=computes))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for thread in others:
        thread.start()
    if mode == "steps":
        threading.Thread(target=waits).start()
        asyncio.run(steps())
    else:
        waits()
    for thread in others:
        thread.join()
    sys.stdout.write("end %s\n" % lines)


main(sys.argv[1])
print(type(sys).__name__, type(sys.stdout).__name__, sys.stdout is sys.__stdout__, model, i, "psutil" in sys.modules)
