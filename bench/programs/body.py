"""What the Python programs share: run a body N times and say what it cost, apart from starting the interpreter."""

import json
import sys
import time


def run(body, default_rounds):
    """Calls body() as often as the first argument says and prints one `BENCH {json}` line with its CPU time."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else default_rounds
    wall = time.perf_counter()
    cpu = time.process_time()
    for _ in range(rounds):
        body()
    cpu = time.process_time() - cpu
    wall = time.perf_counter() - wall
    print("BENCH " + json.dumps({"ops": rounds, "body_cpu_s": cpu, "body_wall_s": wall}), flush=True)
