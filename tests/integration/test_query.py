"""`memtap query` and `memtap tables`: SQL over a recording says what the reports say, and nothing can be broken by it."""

import csv
import io
import json
import os
import pathlib
import signal
import subprocess

import pytest
import tracefile

from armed import until
from conftest import MEMTAP, memtap, memtap_json

PROGRAM = """
import json
def keep(n):
    return [bytes(1000 + i % 7) for i in range(n)]
held = keep(3000)
temporary = [keep(10) for _ in range(50)]
del temporary
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("query")
    (folder / "program.py").write_text(PROGRAM)
    path = folder / "program.mtap"
    memtap("run", "-q", "-o", path, folder / "program.py")
    return path


def query(trace, sql, *options):
    return json.loads(memtap("query", "-f", "json", *options, trace, sql).stdout)


def refused(trace, *arguments):
    result = subprocess.run([MEMTAP, "query", trace, *arguments], capture_output=True, text=True)
    assert result.stdout == ""
    return result.returncode, result.stderr


def test_sums_are_those_of_stats(trace):
    stats = memtap_json("stats", trace)
    sites = query(trace, "SELECT sum(live_bytes) AS live, sum(live_count) AS live_count, sum(peak_bytes) AS peak, sum(peak_count) AS "
                         "peak_count, sum(total_bytes) AS total, sum(total_count) AS count, sum(temporary_count) AS temporary FROM memory.sites")[0]
    assert sites == {
        "live": stats["leaked_bytes"] + stats["libc_bytes"], "live_count": stats["leaked_allocations"] + stats["libc_allocations"],
        "peak": stats["peak_bytes"], "peak_count": stats["peak_allocations"], "total": stats["total_allocated_bytes"],
        "count": stats["allocations"], "temporary": stats["temporary_allocations"]}
    blocks = query(trace, "SELECT sum(bytes) AS bytes, sum(count) AS count, sum(size_bytes) AS size FROM memory.allocations")[0]
    assert blocks == {"bytes": sites["live"], "count": sites["live_count"], "size": sites["live"]}
    assert query(trace, "SELECT max(heap_max_bytes) AS most FROM memory.timeline") == [{"most": stats["peak_bytes"]}]
    assert query(trace, "SELECT sum(bytes) AS bytes FROM memory.live_at('peak')") == [{"bytes": stats["peak_bytes"]}]
    assert query(trace, "SELECT sum(bytes) AS bytes FROM leaks") == [{"bytes": stats["leaked_bytes"]}]


def rows_of_leaks(*files):
    keys = "function", "file", "line", "bytes", "count", "suspect"
    return [{key: row[key] for key in keys} for row in memtap_json("leaks", *files)]


def test_leaks_are_the_rows_of_the_report_in_its_order(trace, tmp_path):
    """Imports and Python itself folded and last, what the C library keeps for itself left out; also of two recordings."""
    other = tmp_path / "other.mtap"
    (tmp_path / "other.py").write_text("import json, decimal\nkept = [bytes(10 + n) for n in range(500)]\n")
    memtap("run", "-q", "-o", other, tmp_path / "other.py")
    for files in ((trace,), (other,), (trace, other)):
        rows = json.loads(memtap("query", "-f", "json", *files, "SELECT function, file, line, bytes, count, suspect FROM leaks").stdout)
        assert [{**row, "suspect": bool(row["suspect"])} for row in rows] == rows_of_leaks(*files)
        assert any(row["line"] is None for row in rows) and rows[0]["line"] is not None


def test_sums_of_samples_are_estimates_of_the_same(tmp_path):
    path = tmp_path / "sample.mtap"
    (tmp_path / "program.py").write_text(PROGRAM)
    memtap("run", "-q", "--mode", "sample", "--rate", "4K", "-o", path, tmp_path / "program.py")
    stats = memtap_json("stats", path)
    blocks = query(path, "SELECT sum(bytes) AS bytes, count(*) AS rows, sum(count) AS count FROM memory.allocations")[0]
    sites = query(path, "SELECT sum(live_bytes) AS bytes, sum(live_count) AS count, max(live_bytes_ci95) > 0 AS estimated FROM memory.sites")[0]
    known = {"bytes": stats["leaked_bytes"] + stats["libc_bytes"], "count": stats["leaked_allocations"] + stats["libc_allocations"]}
    assert sites["estimated"] == 1
    for key, value in known.items():  # sites are rounded to whole bytes and blocks
        assert sites[key] == pytest.approx(value, abs=blocks["rows"]) and blocks[key] == pytest.approx(value, abs=blocks["rows"])


def test_events_lifetimes_and_windows_agree(trace):
    kinds = dict((row["kind"], row["n"]) for row in query(trace, "SELECT kind, count(*) AS n FROM memory.events GROUP BY kind"))
    lives = query(trace, "SELECT count(*) AS n, sum(freed_s IS NULL) AS alive, min(lifetime_s) >= 0 AS sane FROM memory.lifetimes")[0]
    assert lives["n"] == kinds["alloc"] and lives["alive"] == kinds["alloc"] - kinds["free"] and lives["sane"] == 1
    all_of_it = query(trace, "SELECT count(*) AS n FROM memory.between(0, 'exit')")
    assert all_of_it == query(trace, "SELECT count(*) AS n FROM memory.live_at('exit')")
    delta = query(trace, "SELECT sum(delta_bytes) AS n, sum(after_bytes) AS b FROM memory.diff(0, 'peak')")[0]
    assert delta["b"] == memtap_json("stats", trace)["peak_bytes"] and delta["n"] <= delta["b"]


def test_stacks_have_names(trace):
    rows = query(trace, "SELECT frame(stack_id, 0) AS leaf, has_frame(stack_id, 'keep') AS kept, live_bytes FROM memory.sites "
                        "ORDER BY live_bytes DESC LIMIT 1")
    assert rows[0]["kept"] == 1 and rows[0]["live_bytes"] > 3_000_000
    flames = query(trace, "SELECT flamegraph(stack_id, live_bytes) AS text FROM memory.sites WHERE has_frame(stack_id, 'keep')")[0]["text"]
    total = query(trace, "SELECT sum(live_bytes) AS n FROM memory.sites WHERE has_frame(stack_id, 'keep')")[0]["n"]
    lines = [line.rsplit(" ", 1) for line in flames.splitlines()]
    assert sum(int(amount) for _, amount in lines) == total and all("keep" in stack for stack, _ in lines)


def test_every_table_exists_and_is_described(trace):
    tables = query(trace, "SHOW TABLES")
    names = {f"{row['table_schema']}.{row['table_name']}" for row in tables}
    assert {"memory.allocations", "memory.events", "memory.sites", "memory.stacks", "memory.snapshots", "memory.gc", "memory.tensors",
            "memory.objects", "memory.threads", "memory.modules", "memory.smaps", "memory.timeline", "memory.lifetimes", "process.memory",
            "process.oom_events", "python.torch_trace", "gpu.utilization", "gpu.devices", "memory.leaks", "temp.growth", "temp.peak",
            "temp.slack"} <= names
    for row in tables:
        if row["table_type"] != "FUNCTION":
            name = f"{row['table_schema']}.{row['table_name']}"
            columns = memtap("query", "-f", "csv", trace, f"SELECT * FROM {name} LIMIT 0").stdout.decode().strip().split(",")
            described = query(trace, f"DESCRIBE {name}")
            assert row["table_type"] == "VIEW" or [column["column_name"] for column in described] == columns
    listed = json.loads(memtap("tables", "-f", "json", trace).stdout)
    assert all(column["description"] and column["data_type"] in ("INTEGER", "REAL", "TEXT") for column in listed)


@pytest.mark.parametrize("sql, words", [
    ("SELECT stepp FROM python.torch_trace", ["no such column: stepp", "line 1, column 8", "did you mean step?"]),
    ("SELECT step\n  FROM python.torch_trac", ["no such table: python.torch_trac", "did you mean python.torch_trace?"]),
    ("SELECT elephant FROM memory.sites", ["no such column: elephant", "DESCRIBE"]),
    ("SELECT peak_byte FROM memory.sites", ["did you mean peak_bytes?"]),
    ("SELECT bytes FROM memory.sites", ["no such column: bytes (line 1, column 8); DESCRIBE"]),
    ("SELECT * FROM memory.diff(0, \"end\")", ["no such column: end", "text stands in single quotes: 'end'"]),
    ("SELEC 1", ["syntax error", "line 1, column 1"]),
    ("SELECT a FROM memory.sites\nHAVING b = 'x", ["line 2"]),
    ("SELECT 1; SELECT 2", ["one statement at a time"]),
    ("", ["there is no query"]),
    ("SELECT * FROM memory.live_at('noon')", ["\"noon\" is no time"]),
])
def test_a_wrong_query_says_where_and_what_instead(trace, sql, words):
    code, message = refused(trace, sql + " ")
    assert code == 1 and all(word in message for word in words), message


@pytest.mark.parametrize("sql", [
    "DELETE FROM memory.sites", "INSERT INTO memory.sites(process) VALUES (1)", "CREATE TABLE x(a)", "DROP TABLE memory.sites",
    "ATTACH '/tmp/x' AS x", "PRAGMA journal_mode = OFF", "PRAGMA writable_schema = 1", "VACUUM INTO '/tmp/x'", "BEGIN",
    "SELECT load_extension('/tmp/x.so')", "WITH x AS (SELECT 1) DELETE FROM memory.sites"])
def test_nothing_can_be_written_or_loaded(trace, sql):
    code, message = refused(trace, sql)
    assert code == 1 and message.startswith("memtap query: ") and message.count("\n") == 1


def test_a_query_that_never_ends_ends_at_its_time(trace):
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r"
    code, message = refused(trace, "--timeout", "50ms", endless)
    assert code == 4 and "took longer than its time" in message


def test_the_forms_say_what_is_not_known(trace, tmp_path):
    sql = "SELECT 1 AS a, NULL AS b, 'x,\x1b[2J' AS c, 0.1 AS d"
    assert query(trace, sql) == [{"a": 1, "b": None, "c": "x,\x1b[2J", "d": 0.1}]
    assert memtap("query", "-f", "csv", trace, sql).stdout == b'a,b,c,d\r\n1,,"x,\\x1b[2J",0.1\r\n'
    table = memtap("query", trace, sql).stdout.decode()
    assert "nil" in table and "\x1b" not in table
    for name, text in (("q.json", query(trace, sql)), ("q.csv", None), ("q.ndjson", query(trace, sql)[0])):
        with open(tmp_path / name, "wb") as out:  # the file's name is the format's
            subprocess.run([MEMTAP, "query", trace, sql], stdout=out, check=True)
        written = (tmp_path / name).read_text()
        assert written.startswith("a,b,c,d") if text is None else json.loads(written) == text


def test_a_query_comes_from_standard_input_and_either_way_round(trace):
    sql = "SELECT count(*) AS n FROM memory.threads"
    expected = memtap("query", "-f", "csv", trace, sql).stdout
    assert subprocess.run([MEMTAP, "query", "-f", "csv", trace], input=sql.encode(), capture_output=True, check=True).stdout == expected
    assert memtap(trace, "query", "-f", "csv", sql).stdout == expected and memtap("-t", trace, "query", "-f", "csv", sql).stdout == expected


@pytest.mark.parametrize("sql", ["-- how much\nSELECT 7 AS n", "--\nSELECT 7 AS n", "--SELECT 1\nSELECT 7 AS n", "  \n\t SELECT 7 AS n",
                                 "/* a */ SELECT 7 AS n -- end", "-- a = b\n-- c\n\nSELECT 7 AS n;\n"])
def test_a_query_may_begin_with_comments_and_blanks(trace, sql):
    assert query(trace, sql) == [{"n": 7}]
    given = subprocess.run([MEMTAP, "query", "-f", "json", trace], input=sql, capture_output=True, text=True)
    assert json.loads(given.stdout) == [{"n": 7}]


def test_the_place_of_a_mistake_behind_a_comment_is_right(trace):
    code, text = refused(trace, "-- first\nSELECT nothing_such FROM memory.sites")
    assert code == 1 and "line 2" in text and "column 8" in text


def test_several_processes_are_told_apart(tmp_path):
    path = tmp_path / "run.mtap"
    script = "import os\nx = bytearray(3_000_000)\nif os.fork() == 0:\n    y = bytearray(5_000_000)\n    os._exit(0)\nos.wait()\n"
    (tmp_path / "p.py").write_text(script)
    memtap("run", "-q", "-o", path, tmp_path / "p.py")
    rows = query(path, "SELECT process, max(total_bytes) AS most FROM memory.sites GROUP BY process ORDER BY most")
    assert [round(row["most"] / 1e6) for row in rows] == [3, 5] and rows[0]["process"] != rows[1]["process"]
    assert query(path, "SELECT count(*) AS n FROM memory.sites WHERE frame(stack_id, 0) IS NULL AND stack_id % 4294967296 > 0")[0]["n"] == 0


def test_an_aggregate_has_sites_and_no_blocks(tmp_path):
    path = tmp_path / "a.mtap"
    memtap("run", "-q", "--aggregate", "-o", path, "--", "ls", tmp_path)
    assert query(path, "SELECT sum(total_bytes) > 0 AS some, sum(temporary_bytes) AS none FROM memory.sites") == [{"some": 1, "none": None}]
    code, message = refused(path, "SELECT * FROM memory.allocations")
    assert code == 1 and "memory.sites" in message


def test_csv_of_a_table_is_read_back(trace):
    rows = list(csv.DictReader(io.StringIO(memtap("query", "-f", "csv", trace, "SELECT * FROM memory.modules").stdout.decode(), newline="")))
    assert rows and any(row["interpreter"] == "1" for row in rows)


def test_events_that_cannot_be_read_are_said(tmp_path):
    """A byte of a block's payload is another one: its checksum fails."""
    (tmp_path / "program.py").write_text(PROGRAM)
    path = tmp_path / "x.mtap"
    memtap("run", "-q", "-o", path, tmp_path / "program.py")
    data = bytearray(path.read_bytes())
    at, header = next(found for found in tracefile.Trace(bytes(data)).extents() if found[1]["type"] == tracefile.EVENTS)
    data[at + 64 + header["stored_bytes"] // 2] ^= 0xFF
    path.write_bytes(data)
    for table in ("memory.events", "memory.allocations", "memory.sites"):
        result = memtap("query", path, f"SELECT count(*) FROM {table}")
        assert b"1 block could not be decoded" in result.stderr, table
    assert b"could not be decoded" not in memtap("query", path, "SELECT count(*) FROM memory.threads").stderr



def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_ctrl_c_ends_a_query_that_computes(trace, tmp_path):
    """As other commands end: by the signal, and with no file half written."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    process = subprocess.Popen([MEMTAP, "query", "-f", "ndjson", "-o", tmp_path / "rows.ndjson", trace, endless], stderr=subprocess.PIPE)
    until(lambda: processor_seconds(process.pid) > 0.2, "the query did not begin")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == -signal.SIGINT
    assert list(tmp_path.iterdir()) == []
