"""Real programs: redis under load, sqlite, gcc, CPython with numpy; recorded without harm in both modes."""

import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import MEMTAP, run


def need(program):
    return shutil.which(program) or pytest.skip(f"no {program} on this machine")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_redis_serves_a_benchmark(tmp_path, mode):
    server, bench, client = need("redis-server"), need("redis-benchmark"), need("redis-cli")
    path = tmp_path / "redis.mtap"
    with tempfile.TemporaryDirectory() as short:  # a socket: ports are everybody's; its name has to fit into 108 bytes
        where = ["-s", f"{short}/redis"]
        options = ["--port", "0", "--unixsocket", where[1], "--save", "", "--daemonize", "no"]
        process = subprocess.Popen([MEMTAP, "run", "-q", "--mode", mode, "-o", path, "--", server, *options], cwd=tmp_path,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            for line in process.stdout:
                if b"eady to accept connections" in line:
                    break
            command = [bench, *where, "-n", 20000, "-c", 20, "-d", 512, "-r", 5000, "-t", "set,get,lpush,lrange_100", "-q"]
            assert run(command).returncode == 0
            assert run([client, *where, "dbsize"]).stdout.strip().isdigit()
            run([client, *where, "shutdown", "nosave"])
            process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0
    check_recording(path, mode, least_bytes=20_000_000)


def check_recording(path, mode, least_bytes):
    """A sampled total is an estimate: a tenth of the truth is missed with P(Poisson(least_bytes / rate) <= a tenth of its mean),
    which is below 1e-12 for 38 samples, the fewest here: 20 MB at 512 KiB."""
    from conftest import Recording

    recording = Recording(0, b"", b"", path)
    stats = recording.stats
    assert stats["mode"] == mode and stats["dropped_events"] == 0
    assert stats["total_allocated_bytes"] >= (least_bytes if mode == "exact" else least_bytes // 10)
    assert 0 <= stats["leaked_bytes"] <= stats["peak_bytes"] <= stats["total_allocated_bytes"]
    assert recording.report("table")[0]["bytes"] > 0


SQL = """create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i+1 from n where i < 20000) insert into t select i, hex(i*7919) from n;
create index tb on t(b);
select count(*), sum(length(b)) from t;
select b from t order by b limit 3;
"""


@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_sqlite_answers_the_same(record, mode, tmp_path):
    shell = need("sqlite3")
    alone = run([shell, ":memory:"], input=SQL.encode())
    rate = ["--rate", "64K"] if mode == "sample" else []
    recording = record(shell, ":memory:", mode=mode, options=rate, input=SQL.encode())
    assert recording.stdout == alone.stdout
    check_recording(recording.path, mode, least_bytes=7_000_000)


def generated_source(functions):
    lines = [f"int f{i}(int a, int b) {{ int c = a * {i} + b; for (int j = 0; j < a; j++) c ^= b >> (j & 7); return c; }}"
             for i in range(functions)]
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_gcc_compiles_the_same_object(record, mode, tmp_path):
    gcc = need("gcc")
    source = tmp_path / "generated.c"
    source.write_text(generated_source(1500))
    alone, under = tmp_path / "alone.o", tmp_path / "under.o"
    assert run([gcc, "-O1", "-c", source, "-o", alone]).returncode == 0
    recording = record(gcc, "-O1", "-c", source, "-o", under, mode=mode)
    assert alone.read_bytes() == under.read_bytes()
    assert len(recording.family) >= 2  # cc1 and as
    check_recording(recording.path, mode, least_bytes=20_000_000)


NUMPY = """
import json, numpy as np
a = np.arange(400 * 400, dtype=float).reshape(400, 400) / 1000
b = a @ a.T
u, s, v = np.linalg.svd(b[:120, :120])
print(json.dumps([round(float(b.sum()), 3), round(float(s[0]), 3)]))
"""


@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_numpy_computes_the_same(record, mode):
    python = pathlib.Path("/usr/bin/python3.11")
    if run([python, "-c", "import numpy"]).returncode != 0:
        pytest.skip("no numpy for Debian's Python")
    alone = run([python, "-c", NUMPY])
    recording = record(python, "-c", NUMPY, mode=mode)
    assert recording.stdout == alone.stdout
    check_recording(recording.path, mode, least_bytes=20_000_000)
