"""What the peers' own tests ask of them, asked of memtap: programs of ours for the same questions.

Each test carries `@peer("memray", "file.py::test", verdict, why)`. verdict: "same"; "better" (memtap knows or does more); or
"different", by a decision that `why` names. A run writes the table of all of them to PEER_TABLE when that is set
(`make test-peers`), with what the run itself found; such a run is one process, not several workers.
"""

import os
import pathlib
import subprocess
import sys
import sysconfig

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

_outcomes = {}
_peers = {}


def pytest_configure(config):
    config.addinivalue_line("markers", "peer(project, test, verdict, why): the peer's test that this one re-expresses")


def pytest_collection_modifyitems(items):
    for item in items:
        for mark in item.iter_markers("peer"):
            _peers.setdefault(mark.args, []).append(item.nodeid)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome


def _found(nodeids):
    seen = {_outcomes.get(nodeid, "not run") for nodeid in nodeids}
    return next(outcome for outcome in ("failed", "not run", "skipped", "passed") if outcome in seen)


def pytest_sessionfinish(session):
    path = os.environ.get("PEER_TABLE")
    if path is None:
        return
    rows = ["| peer | its test | verdict | why | here |", "|---|---|---|---|---|"]
    for (project, test, verdict, why), nodeids in sorted(_peers.items()):
        name = nodeids[0].rpartition("::")[2].partition("[")[0]
        rows.append(f"| {project} | {test} | {verdict} | {why} | `{name}` {_found(nodeids)} |")
    pathlib.Path(path).write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def blocks(tmp_path_factory):
    """Folder of the extension blocks.cpp, built for this interpreter."""
    folder = tmp_path_factory.mktemp("blocks")
    target = folder / ("blocks" + sysconfig.get_config_var("EXT_SUFFIX"))
    subprocess.run(["g++", "-O1", "-g", "-fno-builtin", "-shared", "-fPIC", "-pthread", f"-I{sysconfig.get_path('include')}",
                    str(HERE / "blocks.cpp"), "-o", str(target)], check=True)
    return folder
