"""Nothing that is said on a terminal is wider than it, and what gives way is never a number, a file's name or a line."""

import csv
import io
import re

import pytest
from conftest import MEMTAP, memtap, run
from onterminal import columns_of, on_a_terminal

NAME = "keep_it"
MODULE = f"""
import json
KEPT = []
class RegistryOfConnections:
    def {NAME}(self, number):
        KEPT.append(bytearray(40_000 + number))
    def parse(self, number):
        KEPT.append(json.loads('["' + 'x' * 30_000 + '"]'))
def f(number):
    RegistryOfConnections().{NAME}(number)
    RegistryOfConnections().parse(number)
"""
PROGRAM = "import http.server\nfrom long_package_name.another_long_folder import registry as r\nfor n in range(300): r.f(n)\n"
QUERIES = ("SELECT * FROM leaks", "SELECT * FROM memory.sites ORDER BY peak_bytes DESC LIMIT 3", "SELECT * FROM memory.allocations LIMIT 5",
           "SELECT * FROM memory.diff(0, 'end') ORDER BY delta_bytes DESC LIMIT 5", "SELECT * FROM memory.sites WHERE peak_bytes < 0")


@pytest.fixture(scope="module", params=["exact", "sample"])
def wide(request, tmp_path_factory):
    """A program in nested folders with long names."""
    folder = tmp_path_factory.mktemp("wide")
    package = folder / "long_package_name" / "another_long_folder"
    package.mkdir(parents=True)
    (package / "registry.py").write_text(MODULE)
    (folder / "app.py").write_text(PROGRAM)
    path = folder / "x.mtap"
    assert run([MEMTAP, "run", "-q", "--mode", request.param, "-o", path, folder / "app.py"]).returncode == 0
    return path


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(wide, columns):
    reports = [["summary"], ["stats"], ["tree"], ["table"], ["table", "--by", "function"], ["leaks"], ["leaks", "--invert"], ["memory"]]
    commands = [[*report, wide] for report in reports] + [["query", wide, sql] for sql in QUERIES] + [["diff", f"{wide}@50%", wide], ["doctor"]]
    for command in commands:
        shown = on_a_terminal(columns, MEMTAP, *command).splitlines()
        paths = (str(wide.parent), str(MEMTAP.parent))  # a folder of the tests is one word, and may be longer
        lines = [line for line in shown if not any(path in line for path in paths)]
        assert 2 * len(lines) > len(shown) and columns_of("\n".join(lines)) <= columns, command


def test_a_place_keeps_its_file_its_line_and_its_function(wide):
    for command in ("leaks", "table"):
        shown = on_a_terminal(80, MEMTAP, command, wide)
        assert f"registry.py:6 …{NAME}" in shown or f"registry.py:6 {NAME}" in shown, shown
    assert re.search(rf"…?{NAME}  (…/)?registry\.py:6$", on_a_terminal(80, MEMTAP, "tree", wide).replace("\r", ""), re.M)


def test_arrows_stand_in_one_column(wide):
    for command in ("leaks", "table", "summary"):
        rows = [line for line in on_a_terminal(80, MEMTAP, command, wide).splitlines() if "←" in line and not line.startswith("  biggest")]
        assert len(rows) >= 2 and len({row.index("←") for row in rows}) == 1, "\n".join(rows)


def shown_numbers(text):
    return re.findall(r"(?<![\w.])-?\d+(?![\w.])", text)


@pytest.mark.parametrize("sql", QUERIES[:4])
def test_no_number_of_a_query_is_cut_and_no_column_is_forgotten(wide, sql):
    rows = list(csv.DictReader(io.StringIO(memtap("query", "-f", "csv", wide, sql).stdout.decode())))
    shown = on_a_terminal(80, MEMTAP, "query", wide, sql)
    left_out = re.search(r"^too wide for this terminal .*?: ((?:.|\n)*)", shown, re.M)
    left_out = left_out[1].replace("\n", " ").replace(" ", "").split(",") if left_out else []
    assert len(left_out) * 2 <= len(rows[0])
    assert all(re.search(rf"(?<!\w){name}(?!\w)", shown) for name in rows[0])
    numbers = set(shown_numbers(shown))
    for row in rows:
        for name, value in row.items():
            assert name in left_out or not re.fullmatch(r"-?\d+", value) or value in numbers, (name, value)


def test_fractions_are_short_on_a_terminal_and_whole_elsewhere(wide):
    sql = "SELECT 1.0 / 3 AS third, 1234567.891 AS large, 24 AS whole, 1e-9 / 7 AS small"
    assert on_a_terminal(80, MEMTAP, "query", wide, sql).splitlines()[1].split() == ["0.333333", "1234568", "24", "1.42857e-10"]
    assert memtap("query", wide, sql).stdout.decode().splitlines()[1].split()[:3] == ["0.3333333333333333", "1234567.891", "24"]


def test_a_pipe_gets_every_column_whole(wide):
    header, row, *_ = memtap("query", wide, QUERIES[0]).stdout.decode().splitlines()
    assert header.split() == memtap("query", "-f", "csv", wide, QUERIES[0]).stdout.decode().splitlines()[0].split(",")
    for command, titles in (("leaks", "alive growth blocks oldest line"), ("table", "own blocks with callees line")):
        assert f"{titles} ← by" in " ".join(memtap(command, wide).stdout.decode().split())


def test_the_ends_of_intervals_are_told_apart(tmp_path, target):
    assert run([MEMTAP, "run", "-q", "-o", tmp_path / "x.mtap", "--", target("footprint"), "same", "100000"]).returncode == 0
    rows = memtap("timeline", tmp_path / "x.mtap").stdout.decode().splitlines()[2:]
    times = [" ".join(row.split()[:2]) for row in rows]
    assert len(times) >= 10 and len(set(times)) == len(times)
