"""Generated queries: memtap's answers against those of the standard library's sqlite3 over the same rows.

What memtap's dialect leaves out (where NULLs sort) or adds (QUALIFY, HAVING as a filter, stddev) is written out for sqlite3, so that
the oracle is independent of how memtap rewrites text. Amounts are multiples of 0.5: sums are exact in any order.
"""

import math
import sqlite3
import statistics

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memtap
from leakyprogram import run_memtap  # noqa: F401 - puts the folder of the next one on the path
import tracewrite

pytestmark = pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 30, 0), reason="this Python's sqlite3 cannot say where NULLs sort")

COLUMNS = "step seq module stage allocated duration".split()
NUMBERS = ("step", "seq", "allocated", "nullif(allocated, 0)", "nullif(seq, 3)", "step - seq", "-allocated", "step % 7", "step / 10 * 10",
           "CASE WHEN seq < 2 THEN allocated END", "max(seq, step)", "abs(seq - 3)")
TEXTS = ("module", "stage", "nullif(module, 'SGD')", "upper(stage)", "module || '/' || stage")
CONDITIONS = ("allocated > 105", "step BETWEEN 3 AND 17", "step = 5", "module LIKE 'net%'", "stage IN ('pre step', 'post forward')",
              "NOT seq < 4", "nullif(seq, 3) IS NULL", "step > (SELECT max(step) - 10 FROM t)", "allocated = 'x'", "step >= 12.5", "seq > NULL",
              "step < 9 OR module = 'SGD'")
AGGREGATES = ("count(*)", "count(DISTINCT stage)", "sum({0})", "avg({0})", "min({0})", "max({0})", "stddev({0})", "var_pop({0})")
WINDOWS = ("row_number() OVER (PARTITION BY {1} ORDER BY step, seq)", "lag({0}) OVER (PARTITION BY {1} ORDER BY step, seq)",
           "lead({0}, 2) OVER (ORDER BY step DESC, seq DESC)", "rank() OVER (PARTITION BY {1} ORDER BY {0})",
           "sum({0}) OVER (PARTITION BY {1} ORDER BY step, seq ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)",
           "first_value({0}) OVER (PARTITION BY {1} ORDER BY nullif(seq, 0), step DESC, seq)", "avg({0}) OVER (PARTITION BY {1})")


class Deviation:
    """stddev and var_pop for the oracle."""

    def __init__(self, of):
        self.of, self.values, self.least = of, [], 1 if of is statistics.pvariance else 2

    def step(self, value):
        if value is not None:
            self.values.append(value)

    def finalize(self):
        return float(self.of(self.values)) if len(self.values) >= self.least else None


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with memtap.open(tracewrite.table_k(tmp_path_factory.mktemp("oracle") / "k.mtap", steps=25)) as trace:
        oracle = sqlite3.connect(":memory:")
        oracle.create_aggregate("stddev", 1, lambda: Deviation(statistics.stdev))
        oracle.create_aggregate("var_pop", 1, lambda: Deviation(statistics.pvariance))
        oracle.execute(f"CREATE TABLE t({', '.join(COLUMNS)})")
        rows = trace.sql(f"SELECT {', '.join(COLUMNS)} FROM python.torch_trace")
        oracle.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(COLUMNS))})", rows)
        assert len(rows) == 150
        yield trace, oracle
        oracle.close()


def explicit(terms):
    """ORDER BY terms with their NULLs where memtap has them."""
    return ", ".join(f"{term} NULLS {'FIRST' if term.upper().endswith(' DESC') else 'LAST'}" for term in terms)


def explicit_windows(text):
    """The same inside OVER ( … ): its ORDER BY runs to ROWS or the bracket."""
    head, found, tail = text.partition("ORDER BY ")
    if not found:
        return text
    depth, end = 0, 0
    for end, character in enumerate(tail):
        depth += (character == "(") - (character == ")")
        if depth < 0 or tail.startswith(" ROWS", end):
            break
    terms, part, depth = [], "", 0
    for character in tail[:end]:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            terms.append(part.strip())
            part = ""
        else:
            part += character
    return head + found + explicit([*terms, part.strip()]) + tail[end:]


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs):
        for a, b in zip(mine, other):
            close = isinstance(a, float) and isinstance(b, (int, float)) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
            assert close or (a == b and (a is None) == (b is None)), (mine, other)


@st.composite
def plain(draw):
    """(memtap's text, sqlite3's text) of a query with or without GROUP BY."""
    keys = draw(st.lists(st.sampled_from(TEXTS + NUMBERS), min_size=1, max_size=3))
    condition = draw(st.sampled_from(("", *CONDITIONS)))
    items, tail = [f"{key} AS c{i}" for i, key in enumerate(keys)], ""
    if draw(st.booleans()):
        amounts = draw(st.lists(st.tuples(st.sampled_from(AGGREGATES), st.sampled_from(NUMBERS)), min_size=1, max_size=2))
        items += [f"{text.format(of)} AS a{i}" for i, (text, of) in enumerate(amounts)]
        tail = " GROUP BY " + ", ".join(f"c{i}" for i in range(len(keys)))
        tail += draw(st.sampled_from(("", " HAVING count(*) > 4", " HAVING max(step) < 20 AND c0 IS NOT NULL")))
    names = [item.rsplit(" AS ", 1)[1] for item in items]
    order = [name + draw(st.sampled_from(("", " ASC", " DESC", " desc"))) for name in draw(st.permutations(names))]
    limit = draw(st.sampled_from(("", " LIMIT 7", " LIMIT 5 OFFSET 3")))
    select = f"SELECT {', '.join(items)} FROM t" + (f" WHERE {condition}" if condition else "") + tail
    return f"{select} ORDER BY {', '.join(order)}{limit}", f"{select} ORDER BY {explicit(order)}{limit}"


@st.composite
def filtered(draw):
    """The same of a filter behind window functions: QUALIFY or HAVING, which names aliases, columns or window functions."""
    window = draw(st.sampled_from(WINDOWS)).format(draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(TEXTS)))
    other = draw(st.sampled_from(WINDOWS)).format("allocated", "stage")
    where = draw(st.sampled_from(("", *CONDITIONS)))
    where = f" WHERE {where}" if where else ""
    ours, theirs = draw(st.sampled_from((("w > 3", "w > 3"), ("abs(w) > 1 AND seq <> 2", "abs(w) > 1 AND seq <> 2"),
                                         (f"{other} > 1", "x > 1"), ("w IS NULL OR duration > 0", "w IS NULL OR duration > 0"),
                                         (f"({other}) IS NOT NULL AND step > 4 -- why", "x IS NOT NULL AND step > 4"))))
    word = draw(st.sampled_from(("QUALIFY", "HAVING", "having")))
    inner = f"SELECT step, module, {explicit_windows(window)} AS w, seq, duration, {explicit_windows(other)} AS x FROM t{where}"
    return (f"SELECT step, module, {window} AS w FROM t{where} {word} {ours}\nORDER BY 1, 2, 3 DESC",
            f"SELECT step, module, w FROM ({inner}) WHERE {theirs} ORDER BY {explicit(['1', '2', '3 DESC'])}")


def check(both, texts):
    trace, oracle = both
    ours, theirs = texts
    mine = trace.sql(ours.replace(" FROM t", " FROM python.torch_trace"))
    assert len(mine.columns) == len(oracle.execute(theirs).description)
    same(mine, oracle.execute(theirs).fetchall())


COMMON = {"derandomize": True, "deadline": None, "database": None,
          "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(max_examples=50, **COMMON)
@given(texts=plain())
def test_selections_groups_and_orders(both, texts):
    check(both, texts)


@settings(max_examples=50, **COMMON)
@given(texts=filtered())
def test_filters_behind_window_functions(both, texts):
    check(both, texts)
