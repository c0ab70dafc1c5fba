#!/usr/bin/env python3
"""The first rows of memtap, memray, heaptrack and tracemalloc beside the line that leaks: `make test-answers`.

    tests/answers/table.py --python PATH [--memtap PATH] [--write TABLE.md] [PROGRAM …]

PATH is an interpreter with flask, fastapi, uvicorn, celery, ipykernel, jupyter_client and memray. Each program runs once under
each tool, with the options the tool's own documentation gives for leaks: memray with --trace-python-allocators, heaptrack as it is,
tracemalloc started with the program and asked for the largest line when it ends. Servers get 1,600 requests of 4 clients and
SIGINT; the Celery worker 400 tasks and SIGTERM; the notebook's kernel runs its cells and is shut down. Fails when a first row of memtap is not the line;
what peers say is only written down.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import answers

HERE = pathlib.Path(__file__).resolve().parent
FILES = {**answers.ALONE, "flask_app.py": "flask_app.py", "fastapi_app.py": "fastapi_app.py",
         "celery_worker.py": "celery_worker.py", "notebook.py": "notebook.py"}
HEAD = """What the first row names, of programs that leak at a known line. Written by `make test-answers`, which says how each tool was asked.

| program | its line | memtap leaks | memtap table | memray | heaptrack | tracemalloc |
|---|---|---|---|---|---|---|"""
CLIENTS, REQUESTS, TASKS, PATIENCE_S = 4, 400, 400, 300
TRACEMALLOC = """
import atexit, tracemalloc
def largest():
    found = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)])
    row = found.statistics("lineno")[0]
    with open({path!r}, "w") as file:
        file.write(f"{{row.traceback[0].filename}}:{{row.traceback[0].lineno}}")
atexit.register(largest)
tracemalloc.start()
"""


def wait_until(condition, process, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{what}: the program ended or hangs")
        time.sleep(0.05)


def answers_on(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def request_all(port, kind):
    def work(client):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        for number in range(REQUESTS):
            if kind == "flask_app.py":
                connection.request("GET", f"/report?session={client * REQUESTS + number}")
            else:
                body = json.dumps({"number": number, "items": list(range(200))})
                connection.request("POST", "/report", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            reply.read()
            if reply.status != 200:
                raise SystemExit(f"{kind}: status {reply.status}")

    threads = [threading.Thread(target=work, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def usual_signals():
    """A shell's background jobs ignore SIGINT; servers are ended with it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Runner:
    """Runs one program under one tool: prefix is the tool's command line."""

    def __init__(self, arguments, program, folder):
        self.python, self.program, self.folder = arguments.python, program, folder
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "C_FORCE_ROOT": "1", "BROKER": str(folder),
                            "PYTHONPATH": str(answers.PROGRAMS)}

    def start(self, prefix, argv):
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            return subprocess.Popen([*map(str, prefix), *map(str, argv)], env=self.environment, cwd=self.folder, stdout=log,
                                    stderr=log, stdin=subprocess.DEVNULL, preexec_fn=usual_signals)

    def run(self, prefix, python_options=()):
        """prefix: of a whole command line that begins with the interpreter (or the program, of a compiled one)."""
        if self.program in answers.ALONE:
            command = answers.command(self.program, self.python, self.folder)
            if command[0] == str(self.python):
                command[1:1] = python_options
            self.start(prefix, command).wait(timeout=PATIENCE_S)
        elif self.program == "celery_worker.py":
            self.run_worker(prefix, python_options)
        elif self.program == "notebook.py":
            self.run_notebook(prefix, python_options)
        else:
            self.run_server(prefix, python_options)

    def run_server(self, prefix, python_options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = self.start(prefix, [self.python, *python_options, answers.PROGRAMS / self.program, port])
        try:
            wait_until(lambda: answers_on(port), process, self.program)
            request_all(port, self.program)
        finally:
            self.stop(process, signal.SIGINT)

    def run_worker(self, prefix, python_options):
        for name in ("queue", "done", "control"):
            (self.folder / name).mkdir()
        send = f"import celery_worker as w\nfor n in range({TASKS}): w.thumbnail.delay(n)"
        subprocess.run([self.python, "-c", send], env=self.environment, cwd=self.folder, check=True)
        process = self.start(prefix, [self.python, *python_options, "-m", "celery", "-A", "celery_worker", "worker", "-P", "prefork",
                                      "-c", "2", "-l", "INFO"])
        log = self.folder / "log"
        try:
            wait_until(lambda: log.read_text().count("succeeded in") >= TASKS, process, self.program)
        finally:
            self.stop(process, signal.SIGTERM)

    def run_notebook(self, prefix, python_options):
        command = [*map(str, [*prefix, self.python, *python_options]), "-m", "ipykernel_launcher", "-f"]
        subprocess.run([self.python, HERE / "kernel.py", answers.PROGRAMS / "notebook.py", json.dumps(command)],
                       env=self.environment, cwd=self.folder, check=True, timeout=PATIENCE_S)

    def signalled(self, pid):
        """The process a signal is for: heaptrack is a shell script that passes none on."""
        if pathlib.Path(f"/proc/{pid}/comm").read_text() != "heaptrack\n":
            return pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        (child,) = [child for child in children if str(self.python).encode() in pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0]]
        return int(child)

    def stop(self, process, number):
        if process.poll() is None:
            os.kill(self.signalled(process.pid), number)
        try:
            process.wait(timeout=PATIENCE_S)
        finally:
            if process.poll() is None:
                process.kill()


# ---- what each tool says --------------------------------------------------------------------------------------------


def memtap(arguments, runner):
    trace = runner.folder / "x.mtap"
    runner.run([arguments.memtap, "run", "-q", "-o", trace, "--"])
    said = []
    for report in ("leaks", "table"):
        shown = subprocess.run([arguments.memtap, report, "--full-paths", trace], capture_output=True, text=True, check=True).stdout
        said.append(" ".join(re.split(r" {2,}", answers.first_row(shown).split("←")[0].strip())[-1:]))
    return said


def memray(arguments, runner):
    if not runner.program.endswith(".py"):
        return "no Python program"
    out = runner.folder / "x.memray"
    runner.run([], ["-m", "memray", "run", "-q", "--trace-python-allocators", "--follow-fork", "-o", out])
    best = (0, "nothing")
    for path in runner.folder.glob("x.memray*"):  # one file a forked child
        done = subprocess.run([arguments.python, "-c", MEMRAY, path], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout:
            size, line = done.stdout.strip().split(" ", 1)
            best = max(best, (int(size), line))
    return best[1]


MEMRAY = """
import sys, memray
reader = memray.FileReader(sys.argv[1])
rows = {}
for record in reader.get_leaked_allocation_records(merge_threads=True):
    stack = record.stack_trace(max_stacks=1)
    line = f"{stack[0][1]}:{stack[0][2]}" if stack else "no stack"
    rows[line] = rows.get(line, 0) + record.size
line = max(rows, key=rows.get)
print(rows[line], line)
"""


def heaptrack(arguments, runner):
    out = runner.folder / "x.heaptrack"
    if shutil.which("heaptrack") is None:
        return "not installed"
    runner.run(["heaptrack", "-o", out])
    written = next(iter(runner.folder.glob("x.heaptrack*")), None)
    if written is None:
        return "nothing"
    shown = subprocess.run(["heaptrack_print", "-l", "1", "-p", "0", "-a", "0", "-T", "0", "-f", written], capture_output=True, text=True,
                           check=True).stdout
    lines = shown.partition("MEMORY LEAKS")[2].splitlines()
    at = next((i for i, line in enumerate(lines) if " leaked over " in line), None)
    if at is None:
        return "nothing"
    where = re.search(r"at (\S+:\d+)", lines[at + 2])
    return where.group(1) if where else lines[at + 1].strip()


def tracemalloc(arguments, runner):
    if not runner.program.endswith(".py"):
        return "no Python program"
    said = runner.folder / "said"
    site = runner.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(TRACEMALLOC.format(path=str(said)))
    runner.environment["PYTHONPATH"] += f":{site}"
    runner.run([])
    return said.read_text() if said.exists() else "nothing: the process that holds it ends without exit handlers"


# ---- the table --------------------------------------------------------------------------------------------------------


def is_right(program, said):
    """Does a tool's answer name the line?"""
    path, line = answers.right_line(FILES[program])
    if program == "notebook.py":  # a cell's lines are counted from its first
        text = path.read_text().splitlines()[:line]
        line -= max(i for i, row in enumerate(text, 1) if row.startswith("# %%"))
        return re.search(rf"ipykernel_\d+/\d+\.py:{line}(\D|$)", said) is not None
    return re.search(rf"(^|[/ ]){re.escape(path.name)}:{line}(\D|$)", said) is not None


def cell(program, said):
    short = re.sub(r"\S*/(?=[^/ ]+:\d+)", "", said)
    return "right" if is_right(program, said) else short[:60].replace("|", "\\|")


def one(arguments, tool, program):
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        return tool(arguments, Runner(arguments, program, pathlib.Path(folder)))


def row(arguments, program):
    leaks, table = one(arguments, memtap, program)
    path, line = answers.right_line(FILES[program])
    peers = [cell(program, one(arguments, tool, program)) for tool in (memray, heaptrack, tracemalloc)]
    text = f"| {program} | {path.name}:{line} | {' | '.join([cell(program, leaks), cell(program, table), *peers])} |"
    print(text, flush=True)
    return text, is_right(program, leaks) and is_right(program, table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, type=pathlib.Path)
    parser.add_argument("--memtap", type=pathlib.Path, default=HERE.parents[1] / "build/bin/memtap")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=", ".join(FILES))
    arguments = parser.parse_args()
    if not set(arguments.programs) <= set(FILES):
        parser.error(f"PROGRAM is one of {', '.join(FILES)}")
    arguments.python, arguments.memtap = arguments.python.absolute(), arguments.memtap.absolute()
    with tempfile.TemporaryDirectory() as arguments.folder:
        rows = [row(arguments, program) for program in arguments.programs or FILES]
    if arguments.write:
        arguments.write.write_text("\n".join([HEAD, *(text for text, _ in rows), ""]), encoding="utf-8")
    return not all(right for _, right in rows)


if __name__ == "__main__":
    sys.exit(main())
