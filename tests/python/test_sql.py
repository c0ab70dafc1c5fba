"""Trace.sql: rows of a query, as the command answers it."""

import threading

import pytest

import memtap
from leakyprogram import run_memtap

pytest_plugins = ["leakyprogram"]


def test_rows_are_tuples_with_names(leaky):
    with memtap.open(leaky) as trace:
        rows = trace.sql("SELECT 1 AS a, NULL AS b, 'x\u00e9' AS c, 0.5 AS d UNION ALL SELECT 2, 3, '', -1.25")
        assert rows == [(1, None, "x\u00e9", 0.5), (2, 3, "", -1.25)] and rows.columns == ["a", "b", "c", "d"]
        assert rows.to_dicts()[1] == {"a": 2, "b": 3, "c": "", "d": -1.25}
        assert trace.sql("SELECT 1 AS a WHERE 0") == [] and trace.sql("SELECT 1 AS a WHERE 0").columns == ["a"]


def test_answers_are_the_commands_and_the_reports(leaky):
    with memtap.open(leaky) as trace:
        stats = trace.stats(all=True)
        assert trace.sql("SELECT sum(bytes), count(*) FROM memory.allocations") == [(stats["leaked_bytes"], stats["leaked_allocations"])]
        csv = run_memtap("query", "-f", "csv", leaky, "SELECT table_name FROM information_schema.tables").stdout.decode()
        assert [name for (name,) in trace.sql("SELECT table_name FROM information_schema.tables")] == csv.split()[1:]


@pytest.mark.parametrize("query, words", [("SELECT nope FROM memory.sites", "no such column: nope"), ("SELECT", "ends too early"), ("SELECT 1 +* 2", "line 1, column 11"),
                                          ("DROP TABLE memory.sites", "allowed"), ("", "there is no query"), ("SELECT '\0'", "NUL")])
def test_a_wrong_query_is_a_value_error_and_the_trace_goes_on(leaky, query, words):
    with memtap.open(leaky) as trace:
        with pytest.raises(ValueError, match=words):
            trace.sql(query)
        assert trace.sql("SELECT 1") == [(1,)]
        with pytest.raises(TypeError, match="a query is a str"):
            trace.sql(b"SELECT 1")


def test_a_closed_trace_says_so(leaky):
    trace = memtap.open(leaky)
    trace.close()
    with pytest.raises(ValueError, match="closed"):
        trace.sql("SELECT 1")


def test_a_trace_that_grows_is_as_it_is_now(tmp_path):
    path = tmp_path / "growing.mtap"
    with memtap.record(path):
        held = [bytearray(1000 + i) for i in range(50)]
        with memtap.open(path) as trace:
            count = "SELECT count(*) FROM memory.allocations WHERE size_bytes BETWEEN 70000 AND 70100"
            assert trace.sql(count) == [(0,)]
            held.append(bytearray(70001))
            assert trace.sql(count) == [(1,)]
            del held[-1]
            assert trace.sql(count) == [(0,)] and trace.stats()["peak_bytes"] > 70000
            assert trace.sql(count) == [(0,)]


def test_threads_take_turns(leaky):
    with memtap.open(leaky) as trace:
        results = []
        threads = [threading.Thread(target=lambda: results.append(trace.sql("SELECT sum(total_count) FROM memory.sites"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 4 and all(result == results[0] for result in results)


def test_other_libraries_take_the_rows(leaky):
    with memtap.open(leaky) as trace:
        rows = trace.sql("SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, NULL")
        for package, convert, check in (("pandas", rows.to_pandas, lambda t: list(t.columns) == ["a", "b"] and list(t["a"]) == [1, 2]),
                                        ("pyarrow", rows.to_arrow, lambda t: t.to_pydict() == {"a": [1, 2], "b": ["x", None]})):
            try:
                __import__(package)
            except ImportError:
                with pytest.raises(ImportError, match=package):
                    convert()
            else:
                assert check(convert())
