"""memtap.monitoring over HTTP: real servers of Flask, FastAPI, Django and plain WSGI and ASGI (acceptance A3-01, 03, 04, 10).

FastAPI, uvicorn and Django are tested under Debian's Python; they are not installed for the others (tests/requirements.txt).
"""

import base64
import contextlib
import http.client
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

WEBAPPS = pathlib.Path(__file__).with_name("webapps.py")
KEEPS_AT = next(n for n, line in enumerate(WEBAPPS.read_text().splitlines(), 1) if "kept for ever" in line)
NEEDS = {"flask": ["flask"], "fastapi": ["fastapi", "uvicorn"], "django": ["django"], "wsgi": [], "asgi": ["uvicorn"]}
ROUTES = {"flask": "/keep/<int:number>", "fastapi": "/keep/{number}", "django": "/keep/<int:number>", "wsgi": "/keep/{id}",
          "asgi": "/keep/{id}"}
BEARER = {"Authorization": "Bearer secret"}
ENABLED = {"MONITORING_TRACEMALLOC_ENABLED": "true", "MONITORING_TRACEMALLOC_THRESHOLD_MB": "1e9"}


class Service:
    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()

    def json(self, method, path, body=None, headers=BEARER):
        status, _, text = self.ask(method, path, None if body is None else json.dumps(body), headers)
        return status, json.loads(text)


@contextlib.contextmanager
def running(kind, **environment):
    for module in NEEDS[kind]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is tested under Debian's Python")
    process = subprocess.Popen([sys.executable, str(WEBAPPS), kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env={**os.environ, **environment}, universal_newlines=True)
    try:
        yield Service(int(process.stdout.readline()))
    finally:
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.fixture(scope="module")
def service():
    """One that is enabled, for questions that leave no trace in it."""
    with running("wsgi", **ENABLED) as service:
        yield service


def test_a3_01_defaults():
    with running("wsgi") as service:
        status, hotspots = service.json("GET", "/monitoring/hotspots")
        config = hotspots["data"]["config"]
        assert (status, hotspots["success"]) == (200, True)
        assert (config["tracemalloc_enabled"], config["tracemalloc_threshold_mb"], config["tracemalloc_top_n"]) == (False, 100.0, 10)
        status, leaks = service.json("GET", "/monitoring/memory-leaks")
        assert (status, leaks["success"], leaks["data"]["enabled"], leaks["data"]["snapshots"]) == (200, False, False, [])
        assert leaks["message"] == "Memory profiling disabled"
        status, refused = service.json("POST", "/monitoring/memory-snapshot")
        assert status == 400 and refused["detail"].startswith("Memory snapshots are not enabled, neither of the sampler nor of tracemalloc: set ")


@pytest.mark.parametrize("kind", list(NEEDS))
def test_the_memory_that_a_route_kept_is_named_and_slow_requests_are_known(kind):
    with running(kind, MONITORING_SOURCE="sampler", MONITORING_SAMPLING_RATE_KB="64", MONITORING_SLOW_ENDPOINT_THRESHOLD_MS="0",
                 **ENABLED) as service:
        assert service.ask("GET", "/plain")[2] == "plain"
        with contextlib.suppress(http.client.HTTPException):
            service.ask("GET", "/broken")
        assert [service.ask("GET", f"/keep/{n}")[2] for n in range(8)] == [f"kept {n}" for n in range(8)]
        status, answer = service.json("POST", "/monitoring/memory-snapshot")
        assert (status, answer["message"]) == (200, "Snapshot taken")
        snapshot = answer["data"]["snapshot"]
        routes = {item["label"]: item["size_mb"] for item in snapshot["request_memory"]}
        # a block of 1 MiB is missed by the sampler at 64 KiB with probability e^-16; small ones may be taken beside them
        assert routes["GET " + ROUTES[kind]] == pytest.approx(8, rel=0.1)
        assert max(routes, key=routes.get) == "GET " + ROUTES[kind]
        top = snapshot["top_allocations"][0]
        assert top["file"] == f"{WEBAPPS}:{KEEPS_AT}" and top["size_mb"] == pytest.approx(8, rel=0.1)
        slow = service.json("GET", "/monitoring/hotspots")[1]["data"]["diagnostics"]["slow_endpoints"]["endpoints"]
        assert {entry["path"]: entry["status_code"] for entry in slow} == {
            "/plain": 200, "/broken": 500, **{f"/keep/{n}": 200 for n in range(8)}}


def test_a3_03_and_a3_04_snapshots_by_hand():
    with running("wsgi", **ENABLED) as service:
        for _ in range(2):
            status, answer = service.json("POST", "/monitoring/memory-snapshot")
            assert status == 200 and {"timestamp", "memory_mb", "top_allocations"} <= set(answer["data"]["snapshot"])
        status, below = service.json("POST", "/monitoring/memory-snapshot?force=false")
        assert (status, below["code"]) == (409, "THRESHOLD_NOT_REACHED")
        status, config = service.json("PUT", "/monitoring/config", {"tracemalloc_threshold_mb": 0})
        assert (status, config["data"]["tracemalloc_threshold_mb"]) == (200, 0.0)
        for path, body in (("/monitoring/memory-snapshot?force=false", None), ("/monitoring/memory-snapshot", {"force": False})):
            status, headers, text = service.ask("POST", path, None if body is None else json.dumps(body), BEARER)
            assert status == 429 and json.loads(text)["code"] == "TOO_SOON"
            assert 1 <= int(headers["Retry-After"]) <= 60
        for _ in range(25):
            status, answer = service.json("POST", "/monitoring/memory-snapshot")
            assert status == 200
        status, leaks = service.json("GET", "/monitoring/memory-leaks")
        data = leaks["data"]
        assert (data["snapshot_count"], len(data["snapshots"]), leaks["message"]) == (20, 20, "Found 20 memory snapshots")
        assert data["latest_snapshot"] == data["snapshots"][-1] == answer["data"]["snapshot"]


@pytest.mark.parametrize("headers", [
    {}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}, {"X-Memtap-Token": "secre"}, {"Cookie": "authToken=secrets"},
    {"Authorization": "Basic !!!"}, {"Authorization": "Basic " + base64.b64encode(b"admin:wrong").decode()}, {"Cookie": "a=\"; b"},
    {"X-Memtap-Token": "s\xe9cret"},
])
def test_a3_10_a_request_without_the_token_is_refused_and_takes_nothing(service, headers):
    before = service.json("GET", "/monitoring/memory-leaks")[1]["data"]["snapshot_count"]
    for method, path in (("GET", "/monitoring/hotspots"), ("POST", "/admin/monitoring/memory-snapshot"), ("PUT", "/monitoring/config")):
        status, refused = service.json(method, path, headers=headers)
        assert (status, refused["code"]) == (401, "UNAUTHORIZED")
    assert service.json("GET", "/monitoring/memory-leaks")[1]["data"]["snapshot_count"] == before


@pytest.mark.parametrize("headers", [
    BEARER, {"authorization": "bearer secret"}, {"X-Memtap-Token": "secret"}, {"Cookie": "a=1; authToken=secret"},
    {"Authorization": "Basic " + base64.b64encode(b"admin:secret").decode()},
])
def test_a3_10_each_way_to_show_the_token_and_each_prefix_leads_to_the_same(service, headers):
    answers = [service.json("GET", prefix + "/memory-leaks", headers=headers)
               for prefix in ("/monitoring", "/admin/monitoring", "/api/monitoring")]
    assert [status for status, _ in answers] == [200] * 3
    steady = [{**answer["data"], "current_memory_mb": 0} for _, answer in answers]
    assert steady[0] == steady[1] == steady[2]


def test_a_page_of_another_site_cannot_use_the_cookie(service):
    cookie = {"Cookie": "authToken=secret", "Origin": "https://elsewhere.example"}
    assert service.json("POST", "/monitoring/memory-snapshot", headers=cookie)[0] == 403
    own = {**cookie, "Origin": f"http://127.0.0.1:{service.port}"}
    assert service.json("POST", "/monitoring/memory-snapshot", headers=own)[0] == 200


@pytest.mark.parametrize("method, path, body, status", [
    ("DELETE", "/monitoring/hotspots", None, 405), ("POST", "/monitoring/hotspots", None, 405),
    ("PUT", "/monitoring/config", "{", 400), ("PUT", "/monitoring/config", "[1]", 400), ("PUT", "/monitoring/config", "[" * 60000, 400),
    ("PUT", "/monitoring/config", '{"tracemalloc_top_n": 0}', 400), ("PUT", "/monitoring/config", '{"unheard_of": 1}', 400),
    ("POST", "/monitoring/memory-snapshot", '{"force": 3}', 400), ("POST", "/monitoring/memory-snapshot?force=maybe", None, 400),
    ("PUT", "/monitoring/config", "x" * 70000, 413),
])
def test_bad_requests_get_an_error_that_says_why(service, method, path, body, status):
    got, headers, text = service.ask(method, path, body, BEARER)
    assert got == status and json.loads(text)["detail"]
    if status == 405:
        assert headers["Allow"]
    assert service.json("GET", "/monitoring/config")[1]["data"]["tracemalloc_top_n"] == 10


def test_other_paths_are_the_applications(service):
    for path in ("/monitoring", "/monitoring/", "/monitoring/nothing", "/monitoringx/hotspots", "/"):
        assert service.ask("GET", path)[::2] == (200, "plain")


def test_metrics_are_prometheus_text(service):
    status, headers, text = service.ask("GET", "/monitoring/metrics", headers=BEARER)
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(samples["memtap_resident_bytes"]) > 5e6
    kept = service.json("GET", "/monitoring/memory-leaks")[1]["data"]["snapshot_count"]
    assert float(samples["memtap_memory_snapshots_count"]) == kept
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {name.partition("{")[0] for name in samples} <= names


def test_an_application_may_decide_for_itself_who_asks():
    from memtap.monitoring import MemoryMonitor, Routes, Settings

    roles = {"root": 200, "guest": 403}
    routes = Routes(MemoryMonitor(Settings()), authorize=lambda headers: roles.get(headers.get("x-user"), 401))
    asked = [routes.handle("GET", "/monitoring/hotspots", "", {"x-user": user}, b"").status for user in ("root", "guest", "nobody")]
    assert asked == [200, 403, 401]
    assert routes.handle("GET", "/elsewhere", "", {}, b"") is None


def test_without_a_token_nobody_is_let_in(monkeypatch):
    from memtap.monitoring import MemoryMonitor, Routes, Settings

    for name in ("MONITORING_TOKEN", "MEMTAP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monitor = MemoryMonitor(Settings())
    assert Routes(monitor).handle("GET", "/monitoring/hotspots", "", {"authorization": "Bearer "}, b"").status == 401
    monkeypatch.setenv("MEMTAP_TOKEN", "t")
    assert Routes(monitor).handle("GET", "/monitoring/hotspots", "", {"authorization": "Bearer t"}, b"").status == 200


def test_a_failure_inside_is_an_answer_with_its_cause(caplog):
    from memtap.monitoring import MemoryMonitor, Routes, Settings

    monitor = MemoryMonitor(Settings())
    monitor.get_hotspots = None
    answer = Routes(monitor, "t").handle("GET", "/monitoring/hotspots", "", {"x-memtap-token": "t"}, b"")
    assert answer.status == 500 and json.loads(answer.body)["code"] == "INTERNAL"


def test_it_is_installed_once_and_into_applications_only():
    from memtap import monitoring

    def app(environ, start_response):
        start_response("OK", [])
        return []

    monitor = monitoring.MemoryMonitor(monitoring.Settings())
    installed = monitoring.install(app, "pässwörd", monitor=monitor)
    try:
        with pytest.raises(RuntimeError, match="already"):
            monitoring.install(installed, "t", monitor=monitor)
        for wrong in (None, 5, "x"):
            with pytest.raises(TypeError, match="application"):
                monitoring.install(wrong, "t", monitor=monitor)
        with pytest.raises(TypeError, match="token"):
            monitoring.install(app, 5, monitor=monitor)
        answers = []
        request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/monitoring/config", "CONTENT_LENGTH": "",
                   "HTTP_X_MEMTAP_TOKEN": "pässwörd".encode().decode("latin-1")}
        installed(request, lambda status, headers: answers.append(status))
        installed({**request, "CONTENT_LENGTH": "²"}, lambda status, headers: answers.append(status))
        installed({**request, "PATH_INFO": "/"}, lambda status, headers: answers.append(status)).close()
        assert answers == ["200 OK", "413 Content Too Large", "OK"]
    finally:
        monitor.stop()
