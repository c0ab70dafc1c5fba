"""What `memtap serve` gives to other tools: profiles, metrics, its own description; and its monitor."""

import os
import re
import shutil
import subprocess

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from conftest import memtap, memtap_json
from served import serve, server, until  # noqa: F401 - fixtures
from test_serve import TOKEN, Growing

PROGRAM = """
kept = [bytearray(100_000) for _ in range(100)]
for _ in range(50):
    bytearray(200_000)
"""
MIB = 1 << 20
PREFIXES = ("/monitoring", "/admin/monitoring", "/api/monitoring")


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    (folder / "program.py").write_text(PROGRAM)
    memtap("run", "-q", "-o", folder / "program.mtap", folder / "program.py")
    return folder / "program.mtap"


@pytest.fixture
def growing(tmp_path):
    one = Growing(tmp_path)
    yield one
    one.process.kill()
    one.process.wait()


# ---- profiles ------------------------------------------------------------------------------------------------------------


def collapsed_sum(text):
    return sum(int(line.rpartition(" ")[2]) for line in text.decode().splitlines())


def test_profiles_are_what_export_writes(server, trace, tmp_path):
    stats = memtap_json("stats", trace)
    alive = stats["leaked_bytes"] + stats["libc_bytes"]
    assert collapsed_sum(server.ask("/profile?format=collapsed").body) == alive
    speedscope = server.ask("/profile?format=speedscope")
    assert speedscope.headers["Content-Type"] == "application/json"
    assert any(sum(profile["weights"]) == alive for profile in speedscope.json["profiles"])
    memtap("export", "--leaks", "--all", "--format", "pprof", "-o", tmp_path / "out.pb", trace)
    assert server.ask("/profile").body == server.ask("/debug/pprof/heap?gc=1&debug=0").body == (tmp_path / "out.pb").read_bytes()


def test_wrong_arguments_are_refused(server):
    for query in ("format=nothing", "seconds=0", "seconds=x", "seconds=601", "seconds=-1", "target=7", "rate=1"):
        assert server.ask(f"/profile?{query}").status in (400, 404), query
    assert server.ask("/debug/pprof/heap?debug=1").status == 400
    assert server.ask("/snapshot?rows=0").status == 400


@pytest.mark.slow  # go builds its pprof first, which takes minutes
@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_go_tool_pprof_asks_by_url(server, trace, tmp_path):
    stats = memtap_json("stats", trace)
    kib = {"heap": (stats["leaked_bytes"] + stats["libc_bytes"]) / 1024, "allocs": stats["total_allocated_bytes"] / 1024}
    for name, kind in (("heap", "inuse_space"), ("allocs", "alloc_space")):
        done = subprocess.run(["go", "tool", "pprof", "-top", "-unit=kB", f"{server.url}/debug/pprof/{name}"], capture_output=True, text=True, timeout=900,
                              env={**os.environ, "PPROF_TMPDIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        assert f"Type: {kind}" in done.stdout
        total = float(re.search(r"% of ([0-9.]+)kB total", done.stdout).group(1))
        assert total == pytest.approx(kib[name], abs=0.01)


def test_a_profile_of_the_next_seconds_waits_for_them(growing, serve):
    """Asked before; what is allocated while it waits is in it, and what was there before is not."""
    server = serve(growing.trace)
    connection = server.connect()
    connection.request("GET", "/profile?format=collapsed&seconds=20")
    until(lambda: server.ask("/metrics").body.decode().find("memtap_serve_busy 2") >= 0, "it waits")
    growing.grow()
    growing.grow()
    assert server.ask("/health").status == 200
    reply = connection.getresponse()
    grown = [line for line in reply.read().decode().splitlines() if "keep" in line]
    connection.close()
    assert reply.status == 200 and 2 * MIB <= sum(int(line.rpartition(" ")[2]) for line in grown) < 2 * MIB + 100_000


def test_a_snapshot_has_the_numbers_of_the_commands(server, trace):
    snapshot = server.ask("/snapshot?rows=3").json
    assert snapshot["target"] == "program.mtap" and snapshot["timestamp"].endswith("+00:00")
    assert snapshot["stats"]["peak_bytes"] == memtap_json("stats", trace)["peak_bytes"]
    assert snapshot["live"] == memtap_json("leaks", "-n", "3", trace)


# ---- metrics -------------------------------------------------------------------------------------------------------------


def samples(families):
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def test_metrics_are_read_by_prometheus(server, trace):
    stats = memtap_json("stats", trace)
    server.ask("/health")
    text = server.ask("/metrics")
    assert text.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    known = samples(parser.text_string_to_metric_families(text.body.decode()))
    open_text = server.ask("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_text.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    also = samples(openmetrics_parser.text_string_to_metric_families(open_text.body.decode()))
    target = (("number", "0"), ("target", "program.mtap"))
    for found in (known, also):
        assert found["memtap_target_leaked_bytes", target] == stats["leaked_bytes"]
        assert found["memtap_target_peak_bytes", target] == stats["peak_bytes"]
        assert found["memtap_target_allocated_bytes_total", target] == stats["total_allocated_bytes"]
        assert found["memtap_targets_readable", ()] == 1
        assert found["memtap_serve_requests_total", (("method", "GET"), ("path", "/health"), ("status", "2xx"))] >= 1
    assert len(known) < 100


def test_names_of_files_cannot_break_metrics(serve, trace, tmp_path):
    odd = tmp_path / 'a"b\\c\nd\x1b.mtap'
    shutil.copy(trace, odd)
    known = samples(parser.text_string_to_metric_families(serve(odd).ask("/metrics").body.decode()))
    (name,) = {dict(labels)["target"] for (metric, labels) in known if metric == "memtap_target_peak_bytes"}
    assert name == 'a"b\\c\\nd\\x1b.mtap'


# ---- what it says of itself ----------------------------------------------------------------------------------------------


def test_the_description_is_true(server, serve, trace):
    document = server.ask("/openapi.json").json
    guarded = serve(trace, token=TOKEN)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path == "/events":
                continue  # does not end
            reply = server.ask(path, method.upper(), "{}" if "requestBody" in operation else None)
            assert reply.status not in (404, 405, 500), (method, path, reply.body)
            (described,) = operation["responses"]["200"]["content"]
            if reply.status == 200:
                assert reply.headers["Content-Type"].split(";")[0] == described, path
            assert guarded.ask(path, method.upper()).status == (401 if operation["security"] else 200), path
            for parameter in operation["parameters"]:
                reply = server.ask(f"{path}?{parameter['name']}=no-such-value", method.upper(), "{}" if "requestBody" in operation else None)
                assert b"no argument of that name" not in reply.body
        others = {"GET", "POST", "PUT", "DELETE", "PATCH"} - {name.upper() for name in operations}
        for method in others:
            assert server.ask(path, method).status == 405, (method, path)


# ---- the monitor ---------------------------------------------------------------------------------------------------------


def data_of(server, path="/monitoring/memory-leaks"):
    return server.ask(path).json["data"]


def test_without_settings_there_are_no_snapshots(server):
    for prefix in PREFIXES:
        hotspots = server.ask(f"{prefix}/hotspots").json
        assert hotspots["success"] is True
        assert hotspots["data"]["config"] == {
            "slow_query_threshold_ms": 100.0, "slow_query_ring_size": 50, "slow_endpoint_threshold_ms": 1000.0, "slow_endpoint_ring_size": 50,
            "process_history_size": 100, "tracemalloc_enabled": False, "tracemalloc_threshold_mb": 100.0, "tracemalloc_top_n": 10}
        leaks = server.ask(f"{prefix}/memory-leaks")
        assert leaks.status == 200 and leaks.json["success"] is False and leaks.json["data"]["enabled"] is False and leaks.json["data"]["snapshots"] == []
        refused = server.ask(f"{prefix}/memory-snapshot", "POST")
        assert refused.status == 400 and refused.json["detail"].startswith("Tracemalloc is not enabled")


def test_a_snapshot_is_taken_by_itself_above_the_threshold(growing, serve):
    server = serve(growing.pid, env={"MONITORING_TRACEMALLOC_ENABLED": "true", "MONITORING_TRACEMALLOC_THRESHOLD_MB": "1"})
    until(lambda: data_of(server)["snapshot_count"] == 1, "the first snapshot")
    data = data_of(server)
    assert data["latest_snapshot"] == data["snapshots"][0] and data["threshold_mb"] == 1.0 and data["current_memory_mb"] > 1
    soon = server.ask("/monitoring/memory-snapshot?force=false", "POST")
    assert soon.status == 429 and 1 <= int(soon.headers["Retry-After"]) <= 60
    trends = server.ask("/monitoring/hotspots").json["data"]["diagnostics"]["process_trends"]
    assert trends[str(growing.pid)]["rss_avg_mb"] > 1


def test_what_grows_from_snapshot_to_snapshot_is_suspected(growing, serve):
    server = serve(growing.trace, env={"MONITORING_TRACEMALLOC_ENABLED": "1", "MONITORING_TRACEMALLOC_THRESHOLD_MB": "1000000",
                                       "MONITORING_TRACEMALLOC_TOP_N": "3"})
    assert server.ask("/monitoring/memory-snapshot?force=false", "POST").status == 409
    for _ in range(4):
        reply = server.post("/api/monitoring/memory-snapshot", {"force": True})
        assert reply.status == 200 and len(reply.json["data"]["snapshot"]["top_allocations"]) <= 3
        growing.grow()
    data = data_of(server)
    (leak,) = [item for item in data["suspected_leaks"] if item["file"].endswith("growing.py:5")]
    assert leak["delta_mb"] == pytest.approx(3, abs=0.1) and leak["snapshots_present"] == 4 and leak["monotonic"] is True
    sizes = [place["size_mb"] for place in data["latest_snapshot"]["top_allocations"]]
    assert sizes == sorted(sizes, reverse=True)


def test_twenty_snapshots_are_kept(server):
    assert server.ask("/monitoring/config", "PUT", '{"tracemalloc_enabled": true}').json["data"]["tracemalloc_enabled"] is True
    try:
        taken = [server.ask("/monitoring/memory-snapshot", "POST").json["data"]["snapshot"] for _ in range(25)]
        data = data_of(server)
        assert data["snapshots"] == taken[5:] and data["snapshot_count"] == 20
        assert [one["timestamp"] for one in taken] == sorted(one["timestamp"] for one in taken)
    finally:
        server.ask("/monitoring/config", "PUT", '{"tracemalloc_enabled": false}')


def test_settings_that_cannot_be_are_refused_as_a_whole(server):
    before = data_of(server, "/monitoring/config")
    for body in ('{"tracemalloc_top_n": 0}', '{"tracemalloc_top_n": 1.5}', '{"tracemalloc_enabled": 1}', '{"nothing": 1}', "[]", "",
                 '{"process_history_size": 5, "check_interval_s": 0}'):
        reply = server.ask("/monitoring/config", "PUT", body)
        assert reply.status == 400 and reply.json["detail"], body
    assert data_of(server, "/monitoring/config") == before


def test_slow_questions_are_remembered(server):
    server.ask("/monitoring/config", "PUT", '{"slow_query_threshold_ms": 0, "slow_query_ring_size": 2, "slow_endpoint_threshold_ms": 0}')
    try:
        for number in range(3):
            server.sql(f"SELECT {number} AS n, '{'x' * 600}' AS long")
        diagnostics = server.ask("/monitoring/hotspots").json["data"]["diagnostics"]
        queries = diagnostics["slow_queries"]["queries"]
        assert len(queries) == 2 and all(len(query["query"]) == 500 for query in queries)
        assert queries[0]["duration_ms"] >= queries[1]["duration_ms"]
        assert {"POST"} == {item["method"] for item in diagnostics["slow_endpoints"]["endpoints"] if item["path"] == "/query/dto"}
    finally:
        server.ask("/monitoring/config", "PUT", '{"slow_query_threshold_ms": 100, "slow_query_ring_size": 50, "slow_endpoint_threshold_ms": 1000}')
