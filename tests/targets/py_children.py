"""Children of a Python program: fork, os.system, subprocess, multiprocessing by fork and by spawn.

Usage: py_children.py HOW. Every process keeps one block of a size of its own and appends `PID SIZE` to TRUTH_FILE.
"""

import multiprocessing
import os
import subprocess
import sys

KEPT = []
LEAF = "import os,sys; b=bytes(71_021); open(os.environ['TRUTH_FILE'],'a').write(f'{os.getpid()} {sys.getsizeof(b)}\\n')"


def note(size):
    KEPT.append(bytes(size))
    with open(os.environ["TRUTH_FILE"], "a") as file:
        file.write("%d %d\n" % (os.getpid(), sys.getsizeof(KEPT[-1])))


def child(number):
    note(72_001 + number)


def by_fork():
    pid = os.fork()
    if pid == 0:
        child(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def by_system():
    assert os.system("'%s' -c \"%s\"" % (sys.executable, LEAF)) == 0


def by_subprocess():
    subprocess.run([sys.executable, "-c", LEAF], check=True)


def by_multiprocessing(method):
    context = multiprocessing.get_context(method)
    children = [context.Process(target=child, args=(n,)) for n in (1, 2, 3)]
    for process in children:
        process.start()
    for process in children:
        process.join()
        assert process.exitcode == 0


def by_pool():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, range(-50, 0)) == list(range(50, 0, -1))
        pool.close()  # leaving the block kills the workers, and one of them may not have begun
        pool.join()


def main():
    how = sys.argv[1]
    note(73_001)
    if how in ("fork", "system", "subprocess", "pool"):
        globals()["by_" + how]()
    else:
        by_multiprocessing(how.split("-")[1])


if __name__ == "__main__":
    main()
