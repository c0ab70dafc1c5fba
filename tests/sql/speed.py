"""How long queries take on a large table, beside DuckDB: `make test-sql`. Prints, asserts the answers, never a time.

    python tests/sql/speed.py --memtap build/bin/memtap [--rows 1000000] [--rounds 7]

One table of a training loop (400 rows a step, 100 modules), in memtap's trace and in DuckDB's memory. Each round asks every query of
both, one after the other; medians with their smallest and largest. DuckDB is told that `/` of integers is one and where NULLs sort, and
takes QUALIFY where the guide has HAVING.
"""

import argparse
import math
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import tracewrite  # noqa: E402

MODULES, STAGES, MIB = 100, ("pre forward", "post forward", "pre step", "post step"), 1 << 20
QUERY = re.compile(r'^probing \$ENDPOINT query "\n(.*?)\n"', re.M | re.S)
WHOLE = {  # of the whole table
    "GROUP BY module, stage": "SELECT module, stage, avg(allocated), max(allocated) FROM python.torch_trace GROUP BY module, stage",
    "count(DISTINCT), sum": "SELECT count(DISTINCT step), sum(allocated) FROM python.torch_trace",
    "LAG over all": "SELECT count(*) FROM (SELECT allocated - LAG(allocated) OVER (PARTITION BY stage ORDER BY step, seq) AS d FROM "
                    "python.torch_trace) WHERE d > 50",
}


def rows(count):
    for i in range(count):
        step, seq = divmod(i, MODULES * len(STAGES))
        module, stage = divmod(seq, len(STAGES))
        yield step, seq, f"model.layer{module}", STAGES[stage], (100 + step % 97 + (module * 7 + stage * 3) % 50 + (300 if i % 9973 == 0 else 0)) * MIB


def make_trace(path, count):
    write = tracewrite.Writer(duration_ns=count * 1000)
    for i, (step, seq, module, stage, allocated) in enumerate(rows(count)):
        write.torch(clock=write.start_clock + i * 1000, step=step, seq=seq, module=module, stage=stage, allocated=allocated,
                    max_allocated=allocated, cached=2 * allocated)
    return write.save(path)


def make_duckdb(count):
    import duckdb

    base = duckdb.connect()
    base.execute("SET integer_division = true; SET default_null_order = 'nulls_last_on_asc_first_on_desc'; SET threads = 2; CREATE SCHEMA python")
    base.execute("CREATE TABLE python.torch_trace(step BIGINT, seq BIGINT, module VARCHAR, stage VARCHAR, allocated DOUBLE)")
    base.execute(f"""INSERT INTO python.torch_trace SELECT step, seq, 'model.layer' || (seq // 4), ['pre forward', 'post forward', 'pre step',
        'post step'][seq % 4 + 1], 100 + step % 97 + ((seq // 4) * 7 + (seq % 4) * 3) % 50 + CASE WHEN i % 9973 = 0 THEN 300 ELSE 0 END
        FROM (SELECT i, i // 400 AS step, i % 400 AS seq FROM range({count}) r(i))""")
    return base


def timed(ask):
    begin = time.perf_counter()
    answer = ask()
    return (time.perf_counter() - begin) * 1e3, answer


def checksum(answer):
    """Rows, and the sum of all numbers: enough to see a wrong answer whatever the order of ties."""
    return len(answer), math.fsum(value for row in answer for value in row if isinstance(value, (int, float)))


def spread(times):
    return f"{statistics.median(times):8.1f} [{min(times):.1f}-{max(times):.1f}]"


def cold(memtap, path, sql, rounds):
    return [timed(lambda: subprocess.run([memtap, "query", path, sql], check=True, capture_output=True))[0] for _ in range(rounds)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memtap", default=str(ROOT / "build/bin/memtap"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    import memtap

    guide = QUERY.findall((ROOT / "tests/guides/memory-analysis.md").read_text())
    queries = {f"guide query {i}": sql for i, sql in enumerate(guide, 1)} | WHOLE
    ties = {"guide query 4", "guide query 7", "guide query 8"}  # windows in an order that has ties: any answer is right
    with tempfile.TemporaryDirectory() as folder:
        path = make_trace(pathlib.Path(folder) / "large.mtap", options.rows)
        small = tracewrite.table_k(pathlib.Path(folder) / "k.mtap")
        base = make_duckdb(options.rows)
        print(f"{options.rows:,} rows, {options.rounds} rounds, ms: median [least-most]")
        first, _ = timed(lambda: memtap.open(path).sql("SELECT max(step) FROM python.torch_trace"))
        print(f"open and first query {first:.0f} ms")
        with memtap.open(path) as trace:
            trace.sql("SELECT max(step) FROM python.torch_trace")
            ours, theirs = {name: [] for name in queries}, {name: [] for name in queries}
            for _ in range(options.rounds):
                for name, sql in queries.items():
                    mine = timed(lambda: trace.sql(sql))
                    other = timed(lambda: base.execute(sql.replace("HAVING abs(memory_delta)", "QUALIFY abs(memory_delta)")).fetchall())
                    ours[name].append(mine[0])
                    theirs[name].append(other[0])
                    a, b = checksum(mine[1]), checksum(other[1])
                    assert name in ties or (a[0] == b[0] and math.isclose(a[1], b[1], rel_tol=1e-9)), (name, a, b)
            print(f"{'':24} {'memtap':28} {'DuckDB':28} ratio")
            for name in queries:
                ratio = statistics.median(ours[name]) / statistics.median(theirs[name])
                within = "" if name in WHOLE or statistics.median(ours[name]) <= max(60, 1.2 * statistics.median(theirs[name])) else "  over 60 ms and 1.2x"
                print(f"{name:24} {spread(ours[name]):28} {spread(theirs[name]):28} {ratio:.2f}{within}")
        nothing = cold(options.memtap, small, "SELECT 1", options.rounds)
        one = cold(options.memtap, small, guide[0], options.rounds)
        print(f"command, cold, known table of 3,600 rows: {spread(one)}; SELECT 1: {spread(nothing)}; memtap --version: "
              f"{spread([timed(lambda: subprocess.run([options.memtap, '--version'], capture_output=True))[0] for _ in range(options.rounds)])}")


if __name__ == "__main__":
    main()
