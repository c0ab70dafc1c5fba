"""A process in namespaces of its own: read-only root with nothing in it, other user, own numbers, own network; joined and asked from
outside, and from beside."""

import json
import os
import pathlib
import re
import shutil

import pytest
from armed import until
from conftest import MEMTAP, TARGETS, interpreter, memtap, memtap_json, run
from test_attach import Running, may_trace_siblings

TARGET = TARGETS / "attached"
USER = 12345
ALL = ("--pid", "--mount", "--net", "--ipc", "--uts")


def may_unshare():
    return os.geteuid() == 0 and shutil.which("unshare") and run(["unshare", *ALL, "--fork", "--kill-child", "true"]).returncode == 0


pytestmark = [pytest.mark.skipif(os.uname().machine != "x86_64" or not may_trace_siblings(), reason="attach needs x86-64 and the right to trace"),
              pytest.mark.skipif(not may_unshare(), reason="no namespaces can be made here: needs root with CAP_SYS_ADMIN")]


@pytest.fixture
def root(tmp_path):
    """A root with one program, what it is linked with, and nothing else."""
    root = tmp_path / "root"
    libraries = re.findall(r"(/\S+) \(", run(["ldd", TARGET]).stdout.decode())
    for path in (str(TARGET), *libraries):
        inside = root / (path[1:] if path != str(TARGET) else "program")
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, inside)
    (root / "proc").mkdir()
    for folder in (root, *root.rglob("*")):
        folder.chmod(0o755)
    return root


def only_child(pid):
    (child,) = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


class Container(Running):
    """pid is its number out here."""

    def __init__(self, script, *arguments, namespaces=ALL):
        super().__init__("unshare", *namespaces, "--fork", "--kill-child", "sh", "-c", script, "sh", *arguments)
        self.pid = only_child(self.process.pid)

    def has_ended(self):
        try:
            return re.search(r"^State:\s+[ZX]", pathlib.Path(f"/proc/{self.pid}/status").read_text(), re.M)
        except (FileNotFoundError, ProcessLookupError):
            return True

    def __exit__(self, *exception):
        super().__exit__(*exception)
        until(self.has_ended, "it is killed with its parent, and goes on")


def read_only(root, *arguments):
    script = ('root=$1; shift; mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" && mount -t proc proc "$root/proc" && '
              f'exec chroot --userspec={USER}:{USER} "$root" /program "$@"')
    return Container(script, root, *arguments)


def test_a_process_in_a_container_is_joined_asked_and_recorded(root, tmp_path):
    trace = tmp_path / "x.mtap"
    with read_only(root, "phases", 2) as program:
        assert re.search(rf"^NSpid:\s+{program.pid}\s+1$", pathlib.Path(f"/proc/{program.pid}/status").read_text(), re.M)
        program.attach("--mode", "exact", "-o", trace)
        (row,) = [row for row in json.loads(memtap("list", "-f", "json").stdout) if row["pid"] == program.pid]
        assert (row["mode"], row["trace"]) == ("exact", str(trace))
        assert "mode" in memtap("config", program.pid).stdout.decode()
        memtap("snapshot", program.pid)
        truth = json.loads(program.finish())
    stats = memtap_json("stats", trace)
    assert (stats["leaked_allocations"], stats["leaked_bytes"]) == (truth["case_new"]["live"], truth["case_new"]["live_bytes"])
    assert [path.name for path in (root / "proc").iterdir()] == []


def test_a_trace_leads_to_the_process_whatever_it_calls_itself(root, tmp_path):
    trace = tmp_path / "x.mtap"
    with read_only(root, "phases", 1) as program:
        program.attach("--mode", "exact", "-o", trace)
        look = json.loads(memtap("top", "--once", "--json", trace).stdout)
        resident = memtap_json("memory", program.pid)["rss_bytes"]
        assert look["pid"] == program.pid and look["recording"]
        assert abs(look["rss_bytes"] - resident) < resident  # init's, which has that number here, is many times as large
        answer = memtap_json("memory", trace)
        assert (answer["pid"], answer["live"]) == (program.pid, True)
        query = "SELECT count(*) AS mappings, max(process) AS process FROM memory.smaps"
        (row,) = json.loads(memtap("query", "-f", "json", trace, query).stdout)
        lines = pathlib.Path(f"/proc/{program.pid}/maps").read_text().splitlines()
        assert (row["mappings"], row["process"]) == (len(lines), 1)  # 1 is its number in the rows of its trace
        program.detach()
        assert not memtap_json("memory", trace)["live"]
        program.finish()


def test_a_killed_process_one_is_not_taken_for_ours(root, tmp_path):
    trace = tmp_path / "x.mtap"
    with read_only(root, "phases", 1) as program:
        program.attach("-o", trace)
    assert memtap_json("memory", trace)["live"] is False
    assert json.loads(memtap("top", "--once", "--json", trace).stdout)["recording"] is False


def test_a_python_is_asked_across_networks(tmp_path):
    code = "import sys; print('ready', flush=True); answer = 6 * 7; sys.stdin.readline()"
    with Container('exec "$@"', interpreter("3.13"), "-c", code, namespaces=("--pid", "--mount-proc", "--net")) as program:
        program.attach("-o", tmp_path / "x.mtap")
        assert memtap("eval", program.pid, "print(answer)").stdout == b"42\n"
        program.detach()
        program.finish()


def test_from_a_debug_container_beside_it(root, tmp_path):
    """memtap has its own mounts and shares the numbers; the target's image has no folder that both see."""
    script = ('set -e; mount -t tmpfs none "$1"; mkdir "$1/bin"; cp "$2"/memtap "$2"/libmemtap-agent.so "$1/bin"; '
              '"$1/bin/memtap" attach --mode exact --timeout 60s --max-stop 10s -o "$1/x.mtap" "$3"; "$1/bin/memtap" list -f json; '
              '"$1/bin/memtap" detach --timeout 60s --max-stop 10s "$3"; "$1/bin/memtap" stats -f json "$1/x.mtap"')
    place = tmp_path / "own"
    place.mkdir()
    with read_only(root, "phases", 1) as program:
        done = run(["unshare", "--mount", "sh", "-c", script, "sh", place, MEMTAP.parent, program.pid])
        assert done.returncode == 0, done.stderr
        listed, stats = done.stdout.decode().split("]\n", 1)
        assert program.pid in [row["pid"] for row in json.loads(listed + "]")]
        assert json.loads(stats)["attached_time_s"] is not None
        assert list(place.iterdir()) == []  # it was seen there alone
        program.finish()
