"""`memtap diff`: what changed between two recordings whose difference is known by construction."""

import csv
import io
import shutil
import subprocess

import pytest
from conftest import MEMTAP, memtap, memtap_json, run

PROGRAM = """{moved}
import os

def grows(count):
    return [bytearray(100_000) for _ in range(count)]

def shrinks(count):
    return [bytearray(60_000) for _ in range(count)]

def stays():
    return [bytearray(80_000) for _ in range(3)]

{extra}
kept = [grows({grows}), shrinks({shrinks}), stays(), {name}()]
os._exit(0)
"""


def place(rows, function):
    """The rows of a function, and of a comprehension in it, which is a function of its own before 3.12."""
    return [row for row in rows if row["function"] and function in row["function"].split(".") and abs(row["bytes"]) > 10_000]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two versions of a program in two folders: lines have moved, one function went, one came."""
    from conftest import find_interpreter

    python = find_interpreter("3.12") or find_interpreter("3.11") or find_interpreter("debian")
    base = tmp_path_factory.mktemp("diff")
    made = []
    for name, moved, grows, shrinks in (("old", "", 10, 20), ("new", "\n\n# three lines more", 30, 5)):
        folder = base / name / "app"
        folder.mkdir(parents=True)
        extra = f"def only_{name}():\n    return [bytearray(50_000) for _ in range(7)]\n"
        (folder / "job.py").write_text(PROGRAM.format(moved=moved, extra=extra, grows=grows, shrinks=shrinks, name=f"only_{name}"))
        path = base / f"{name}.mtap"
        result = run([MEMTAP, "run", "-q", "-o", path, "--", python, folder / "job.py"])
        assert result.returncode == 0, result.stderr
        made.append(path)
    return made


@pytest.mark.parametrize("by", ["line", "function", "file"])
def test_the_difference_is_what_was_changed(pair, by):
    diff = memtap_json("diff", "--leaks", "--by", by, *pair)
    rows = diff["rows"]
    assert sum(row["bytes"] for row in rows) == diff["bytes"] == diff["after"]["bytes"] - diff["before"]["bytes"]
    assert sum(row["count"] for row in rows) == diff["count"]
    assert all(row["bytes"] == row["after_bytes"] - row["before_bytes"] for row in rows)
    sizes = [abs(row["bytes"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    if by == "file":
        job = [row for row in rows if (row["file"] or "").endswith("app/job.py")]
        assert [row["change"] for row in job] == ["grew"] and 20 * 100_000 - 15 * 60_000 <= job[0]["bytes"] <= 1.2e6
        return
    (grew,) = place(rows, "grows")
    (shrank,) = place(rows, "shrinks")
    assert grew["change"] == "grew" and grew["bytes"] == pytest.approx(20 * 100_000, rel=0.01) and grew["before_bytes"] >= 1_000_000
    assert shrank["change"] == "shrank" and shrank["bytes"] == pytest.approx(-15 * 60_000, rel=0.01)
    assert not place(rows, "stays")
    assert [row["change"] for row in place(rows, "only_new")] == ["appeared"]
    assert [row["change"] for row in place(rows, "only_old")] == ["vanished"]
    assert place(rows, "only_old")[0]["after_bytes"] == place(rows, "only_new")[0]["before_bytes"] == 0


def test_a_recording_does_not_differ_from_itself(pair):
    diff = memtap_json("diff", "--fail-over", "0", pair[0], pair[0])
    assert diff["bytes"] == diff["count"] == 0
    assert {row["change"] for row in diff["rows"]} == {"same"} and diff["rebuilt"] == []
    text = memtap("diff", pair[0], pair[0]).stdout.decode()
    assert text.startswith("0 B") and "places are the same" in text


def test_turned_round_it_is_the_opposite(pair):
    there, back = memtap_json("diff", "--leaks", *pair), memtap_json("diff", "--leaks", *reversed(pair))
    assert there["bytes"] == -back["bytes"]
    opposite = {"grew": "shrank", "shrank": "grew", "appeared": "vanished", "vanished": "appeared", "same": "same"}
    assert sorted((opposite[row["change"]], -row["bytes"], -row["count"]) for row in there["rows"]) == \
           sorted((row["change"], row["bytes"], row["count"]) for row in back["rows"])


def test_growth_over_the_limit_fails(pair):
    grown = memtap_json("diff", "--leaks", *pair)["bytes"]
    before = memtap_json("diff", "--leaks", *pair)["before"]["bytes"]
    percent = 100 * grown / before
    for limit, code in ((str(grown), 0), (str(grown - 1), 1), ("1G", 0), ("0", 1), (f"{percent + 0.01:.4f}%", 0), (f"{percent - 0.01:.4f}%", 1)):
        result = memtap("diff", "--leaks", "--fail-over", limit, *pair, check=False)
        assert result.returncode == code, limit
        assert (b"--fail-over" in result.stderr) == (code == 1) and result.stdout
    assert memtap("diff", "--leaks", "--fail-over", "0", *reversed(pair)).returncode == 0
    for wrong in ("lots", "-5%", "%", "5%%"):
        assert memtap("diff", f"--fail-over={wrong}", *pair, check=False).returncode == 2


def test_a_moment_of_a_recording_is_a_side(pair):
    diff = memtap_json("diff", f"{pair[0]}@0", f"{pair[0]}@100%")
    assert diff["before"]["bytes"] < diff["after"]["bytes"] == memtap_json("stats", "--all", pair[0])["leaked_bytes"]
    assert {row["change"] for row in diff["rows"]} <= {"grew", "appeared"} | {"shrank", "vanished", "same"}
    assert sum(row["bytes"] for row in diff["rows"]) == diff["bytes"]
    for wrong in ("@soon", "@99h"):
        result = memtap("diff", f"{pair[0]}{wrong}", pair[1], check=False)
        assert result.returncode == 2 and str(pair[0]).encode() in result.stderr


def test_every_format_says_the_same(pair, tmp_path):
    rows = memtap_json("diff", "--leaks", *pair)["rows"]
    lines = memtap("diff", "--leaks", "-f", "ndjson", *pair).stdout.splitlines()
    table = list(csv.DictReader(io.StringIO(memtap("diff", "--leaks", "-f", "csv", *pair).stdout.decode(), newline="")))
    assert len(rows) == len(lines) == len(table)
    assert [(row["change"], int(row["bytes"]), int(row["count"])) for row in table] == [(r["change"], r["bytes"], r["count"]) for r in rows]
    memtap("diff", "--leaks", "-n", "0", "-o", tmp_path / "x.md", *pair)
    markdown = (tmp_path / "x.md").read_text().splitlines()
    body = [line for line in markdown if line.startswith("| ") and "---" not in line]
    assert len(body) == 1 + sum(row["change"] != "same" for row in rows)
    text = memtap("diff", "--leaks", "-n", "1", *pair).stdout.decode()
    assert "+" in text and all(word in text for word in ("grew", "shrank", "appeared", "vanished"))


def test_names_cannot_break_markdown(tmp_path, any_python):
    program = tmp_path / "a|b`<img>.py"
    for path, count in (("a.mtap", 1), ("b.mtap", 5)):
        program.write_text(f"import os\nkept = [bytearray(100_000) for _ in range({count})]\nos._exit(0)\n")
        assert run([MEMTAP, "run", "-q", "-o", tmp_path / path, "--", any_python, program]).returncode == 0
    text = memtap("diff", "--leaks", "-f", "markdown", tmp_path / "a.mtap", tmp_path / "b.mtap").stdout.decode()
    assert "a\\|b\\`&lt;img" in text and "<img" not in text


def junit(*arguments, code=0):
    """The cases of `-f junit`, by name, as a JUnit reader takes them: (fails, text)."""
    from xml.etree import ElementTree

    result = memtap("diff", "--leaks", "-f", "junit", *arguments, check=False)
    assert result.returncode == code, result.stderr
    root = ElementTree.fromstring(result.stdout)
    suite = root.find("testsuite")
    cases = suite.findall("testcase")
    failed = [case for case in cases if case.find("failure") is not None]
    for element in (root, suite):
        assert (int(element.get("tests")), int(element.get("failures")), element.get("errors")) == (len(cases), len(failed), "0")
    assert all(case.get("classname") and case.get("name") and float(case.get("time")) == 0 for case in cases)
    return {case.get("name"): (case in failed, (case.findtext("system-out") or case.find("failure").get("message"))) for case in cases}


def test_junit_has_a_case_for_the_whole_and_each_place_that_grew(pair):
    diff = memtap_json("diff", "--leaks", *pair)
    grown = [row for row in diff["rows"] if row["change"] in ("grew", "appeared")]
    whole, *places = junit(*pair).items()
    assert not whole[1][0] and len(places) == len({row["function"] for row in grown})
    assert not any(fails for _, (fails, _) in places) and not any("shrinks" in name for name, _ in places)
    (grows,) = place(grown, "grows")
    over = junit("--fail-over", str(diff["bytes"] - 1), *pair, code=1)
    assert over[whole[0]][0] and "allowed" in over[whole[0]][1]
    assert {name for name, (fails, _) in over.items() if fails} == {whole[0], *(r["function"] for r in grown if r["bytes"] >= diff["bytes"])}
    assert over[grows["function"]][0] == (grows["bytes"] >= diff["bytes"])
    assert not any(fails for fails, _ in junit("--fail-over", str(diff["bytes"]), *pair).values())


def test_names_cannot_break_junit(tmp_path, any_python):
    program = tmp_path / 'a"<b>&\ufffe.py'
    for path, count in (("a.mtap", 1), ("b.mtap", 5)):
        program.write_text(f"import os\ndef one():\n    return [bytearray(100_000) for _ in range({count})]\nkept = one()\nos._exit(0)\n")
        assert run([MEMTAP, "run", "-q", "-o", tmp_path / path, "--", any_python, program]).returncode == 0
    assert any('a"<b>&' in text for _, text in junit(tmp_path / "a.mtap", tmp_path / "b.mtap").values())


SOURCE = """
#include <stdlib.h>
void *volatile kept[100];
static __attribute__((noinline)) void grows(int i) { kept[i] = malloc(10000); }
static __attribute__((noinline)) void stays(void) { kept[90] = malloc(5000); }
int main(void) { for (int i = 0; i < COUNT; i++) { grows(i); } stays(); return 0; }
"""


def test_symbols_are_matched_across_builds(tmp_path):
    cc = shutil.which("cc") or pytest.skip("no C compiler")
    for folder, lines, count in (("one", "", 10), ("two", "\n\n", 30)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "work.c").write_text(lines + SOURCE)
        subprocess.run([cc, "-g", "-O1", f"-DCOUNT={count}", "-Wl,--build-id", "-o", "work", "work.c"], check=True, cwd=tmp_path / folder)
        assert run([MEMTAP, "run", "-q", "-o", tmp_path / f"{folder}.mtap", "--", tmp_path / folder / "work"]).returncode == 0
    sides = tmp_path / "one.mtap", tmp_path / "two.mtap"
    diff = memtap_json("diff", "--leaks", "--native", *sides)
    changed = {row["function"]: (row["change"], row["bytes"], row["count"]) for row in diff["rows"] if row["change"] != "same"}
    assert changed == {"grows": ("grew", 20 * 10000, 20)}
    assert [build["module"].rsplit("/", 1)[1] for build in diff["rebuilt"]] == ["work"]
    assert diff["rebuilt"][0]["before_build_id"] != diff["rebuilt"][0]["after_build_id"]
    assert b"not the same binary" in memtap("diff", *sides).stderr


def test_an_estimate_comes_with_its_error(record, target):
    sides = [record(target("threads"), 2, 400, "keep", mode="sample", options=["--rate", "4K"], name=f"{name}.mtap").path for name in "ab"]
    diff = memtap_json("diff", *sides)
    assert diff["bytes_ci95"] > 0 and all("bytes_ci95" in row for row in diff["rows"])
    assert memtap("diff", "--fail-over", f"{int(diff['bytes_ci95']) + 1}", sides[0], sides[0]).returncode == 0
    assert "±" in memtap("diff", *sides).stdout.decode()


def test_two_sides_are_wanted(pair):
    for operands in ((), pair[:1], [*pair, pair[0]]):
        result = memtap("diff", *operands, check=False)
        assert result.returncode == 2 and b"BEFORE AFTER" in result.stderr
    assert memtap("diff", pair[0], "missing.mtap", check=False).returncode == 1
