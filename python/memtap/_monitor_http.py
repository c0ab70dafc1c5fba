"""The monitor's endpoints, whatever carries them: a request in, an answer out. memtap._monitor_web puts them into applications."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import math
import os
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qs

from memtap._monitor_growth import MIB
from memtap._monitor_settings import PROFILING_DISABLED, SNAPSHOTS_DISABLED

if TYPE_CHECKING:
    from memtap.monitoring import MemoryMonitor

__all__ = ["Answer", "Authorizer", "Routes", "PREFIXES"]

logger = logging.getLogger("memtap.monitoring")
PREFIXES = ("/monitoring", "/admin/monitoring", "/api/monitoring")
BODY_MAX = 64 * 1024

Authorizer = Callable[[Mapping[str, str]], int]  # headers by lower-case name -> 200, 401 or 403


class Answer(NamedTuple):
    """status; headers without Content-Length; body in UTF-8."""

    status: int
    headers: List[Tuple[str, str]]
    body: bytes


class _Problem(Exception):
    def __init__(self, status: int, detail: str, code: str, headers: Tuple[Tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = list(headers)


def _json(status: int, value: Any, headers: Tuple[Tuple[str, str], ...] = ()) -> Answer:
    body = json.dumps(value, allow_nan=False).encode()
    return Answer(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store"), *headers], body)


def _text(body: str) -> Answer:
    return Answer(200, [("Content-Type", "text/plain; version=0.0.4; charset=utf-8"), ("Cache-Control", "no-store")], body.encode())


# ---- who may ask ---------------------------------------------------------------------------------------------------------


def _presented(headers: Mapping[str, str]) -> List[str]:
    """Every token in a request: Bearer, Basic (the password), X-Memtap-Token, the cookie authToken."""
    found = [headers.get("x-memtap-token", "")]
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(rest.strip())
    elif scheme.lower() == "basic":
        try:
            found.append(base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2])
        except (binascii.Error, UnicodeDecodeError):
            pass
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get("authToken")
        found.append("" if cookie is None else cookie.value)
    except CookieError:
        pass
    return [token for token in found if token]


def _sent(text: str) -> bytes:
    """The bytes of a header, which servers hand over as Latin-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def by_token(token: Optional[str]) -> Authorizer:
    """Who has the token may ask. None or empty: nobody."""
    if token is not None and not isinstance(token, str):
        raise TypeError(f"token must be a str, not {type(token).__name__}")
    expected = (token or "").encode("utf-8", "surrogateescape")

    def authorize(headers: Mapping[str, str]) -> int:
        given = [_sent(item) for item in _presented(headers)]
        fits = [hmac.compare_digest(item, expected) for item in given]
        return 200 if expected and any(fits) else 401

    return authorize


def _is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Sent by a page of another site, which a browser gives the cookie along with."""
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host", "")


# ---- what is asked -------------------------------------------------------------------------------------------------------


class Routes:
    """The endpoints of a monitor, under each of PREFIXES. token: by default MONITORING_TOKEN or MEMTAP_TOKEN; without one every request is refused.
    authorize: who decides instead of the token, a function of the headers (lower-case names): 200, 401 or 403."""

    def __init__(self, monitor: MemoryMonitor, token: Optional[str] = None, authorize: Optional[Authorizer] = None) -> None:
        self.monitor = monitor
        given = token if token is not None else os.environ.get("MONITORING_TOKEN") or os.environ.get("MEMTAP_TOKEN")
        self._authorize = authorize if authorize is not None else by_token(given)
        self._routes: Dict[Tuple[str, str], Callable[[Mapping[str, str], bytes], Answer]] = {
            ("GET", "hotspots"): self._hotspots,
            ("GET", "memory-leaks"): self._memory_leaks,
            ("POST", "memory-snapshot"): self._memory_snapshot,
            ("GET", "config"): self._config,
            ("PUT", "config"): self._change_config,
            ("GET", "metrics"): self._metrics,
        }

    @staticmethod
    def find(path: str) -> Optional[str]:
        """The endpoint a path leads to, "hotspots" of /admin/monitoring/hotspots; None: it is the application's."""
        for prefix in PREFIXES:
            if path.startswith(prefix + "/"):
                return path[len(prefix) + 1:].rstrip("/")
        return None

    def knows(self, path: str) -> bool:
        """Is it the path of an endpoint?"""
        name = self.find(path)
        return any(endpoint == name for _, endpoint in self._routes)

    def handle(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Optional[Answer]:
        """headers: by lower-case names. None: the path is not one of ours."""
        name = self.find(path)
        method = "GET" if method == "HEAD" else method
        methods = sorted(known for known, endpoint in self._routes if endpoint == name)
        if name is None or not methods:
            return None
        try:
            self._admit(method, headers)
            if method not in methods:
                raise _Problem(405, f"{name} is for {' and '.join(methods)}", "METHOD", (("Allow", ", ".join(methods)),))
            arguments = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
            return self._routes[method, name](arguments, body)
        except _Problem as problem:
            detail = {"detail": str(problem), "code": problem.code, "message": str(problem)}
            return _json(problem.status, detail, tuple(problem.headers))
        except Exception as error:
            logger.exception("%s %s failed", method, path)
            return _json(500, {"detail": str(error), "code": "INTERNAL", "message": f"{type(error).__name__}: {error}"})

    def _admit(self, method: str, headers: Mapping[str, str]) -> None:
        status = self._authorize(headers)
        if status == 200 and method != "GET" and _is_from_elsewhere(headers):
            status = 403
        if status == 403:
            raise _Problem(403, "Administrators only", "FORBIDDEN")
        if status != 200:
            raise _Problem(401, "A token is needed: Authorization: Bearer …, of MONITORING_TOKEN or install(token=…)", "UNAUTHORIZED",
                           (("WWW-Authenticate", 'Bearer realm="memtap"'),))

    def _settings(self) -> Dict[str, Any]:
        now = self.monitor.settings
        names = ("slow_query_threshold_ms", "slow_query_ring_size", "slow_endpoint_threshold_ms", "slow_endpoint_ring_size",
                 "process_history_size", "tracemalloc_enabled", "tracemalloc_threshold_mb", "tracemalloc_top_n")
        return {name: getattr(now, name) for name in names}

    def _hotspots(self, _arguments: Mapping[str, str], _body: bytes) -> Answer:
        data = {"config": self._settings(), "diagnostics": self.monitor.get_hotspots()}
        return _json(200, {"success": True, "data": data, "message": "Hotspots of this process"})

    def _memory_leaks(self, _arguments: Mapping[str, str], _body: bytes) -> Answer:
        monitor = self.monitor
        if not monitor.tracemalloc_enabled:
            data: Dict[str, Any] = {"enabled": False, "snapshots": [], "message": PROFILING_DISABLED}
            return _json(200, {"success": False, "data": data, "message": "Memory profiling disabled"})
        snapshots = monitor.get_hotspots()["memory_snapshots"]["snapshots"]
        data = {
            "enabled": True,
            "current_memory_mb": round(monitor.resident_mb(), 2),
            "threshold_mb": monitor.tracemalloc_threshold_mb,
            "snapshot_count": len(snapshots),
            "snapshots": snapshots,
            "latest_snapshot": snapshots[-1] if snapshots else None,
            "growth": monitor.growth(),
            "suspected_leaks": monitor.suspected_leaks(),
        }
        return _json(200, {"success": True, "data": data, "message": f"Found {len(snapshots)} memory snapshots"})

    def _memory_snapshot(self, arguments: Mapping[str, str], body: bytes) -> Answer:
        from memtap.monitoring import Refused

        if not self.monitor.tracemalloc_enabled:
            raise _Problem(400, SNAPSHOTS_DISABLED, "NOT_ENABLED")
        force = _is_true(arguments["force"]) if "force" in arguments else _object(body).get("force", True)
        if not isinstance(force, bool):
            raise _Problem(400, f"force is true or false, not {force!r}", "BAD_REQUEST")
        try:
            snapshot = self.monitor.take_snapshot(force=force)
        except Refused as refused:
            soon = refused.code == "TOO_SOON"
            headers = (("Retry-After", str(max(1, math.ceil(refused.retry_after_s)))),) if soon else ()
            raise _Problem(429 if soon else 409, str(refused), refused.code, headers) from None
        except Exception as error:
            logger.exception("a memory snapshot failed")
            raise _Problem(500, f"Failed to capture memory snapshot: {error}", "SNAPSHOT_FAILED") from error
        data = {"snapshot": snapshot, "message": f"{len(snapshot['top_allocations'])} places at {snapshot['memory_mb']} MiB"}
        return _json(200, {"success": True, "data": data, "message": "Snapshot taken"})

    def _config(self, _arguments: Mapping[str, str], _body: bytes) -> Answer:
        return _json(200, {"success": True, "data": {**self._settings(), **_rest(self.monitor)}, "message": "Settings in force"})

    def _change_config(self, arguments: Mapping[str, str], body: bytes) -> Answer:
        changes = _object(body)
        try:
            self.monitor.configure(**changes)
        except (ValueError, TypeError) as error:
            raise _Problem(400, str(error), "BAD_REQUEST") from None
        return self._config(arguments, body)

    def _metrics(self, _arguments: Mapping[str, str], _body: bytes) -> Answer:
        return _text("".join(f"# HELP {name} {text}\n# TYPE {name} gauge\n" + "".join(f"{name}{labels} {value}\n" for labels, value in rows)
                             for name, text, rows in _gauges(self.monitor)))


def _rest(monitor: MemoryMonitor) -> Dict[str, Any]:
    now = monitor.settings
    return {
        "tracemalloc_min_interval_s": now.tracemalloc_min_interval_s,
        "check_interval_s": now.check_interval_s,
        "sampling_rate_kb": now.sampling_rate_kb,
        "source": now.source,
        "source_in_use": monitor.source,
    }


def _gauges(monitor: MemoryMonitor) -> List[Tuple[str, str, List[Tuple[str, float]]]]:
    """(name, help, [(labels, value)]), few series whatever the program does."""
    spots = monitor.get_hotspots()
    queries, endpoints = spots["slow_queries"]["queries"], spots["slow_endpoints"]["endpoints"]
    trends = [(f'{{pid="{pid}"}}', trend) for pid, trend in spots["process_trends"].items()]
    return [
        ("memtap_resident_bytes", "Resident memory of the process", [("", round(monitor.resident_mb() * MIB))]),
        ("memtap_memory_snapshots_count", "Memory snapshots kept", [("", spots["memory_snapshots"]["count"])]),
        ("memtap_suspected_leaks_count", "Places that never shrank over three snapshots or more", [("", len(monitor.suspected_leaks()))]),
        ("memtap_process_history_count", "Processes with a history", [("", len(trends))]),
        ("memtap_process_trend_cpu_avg", "CPU of a process in percent, mean of its history", [(l, t["cpu_avg"]) for l, t in trends]),
        ("memtap_process_trend_rss_mb", "Resident memory of a process in MiB, mean", [(l, t["rss_avg_mb"]) for l, t in trends]),
        ("memtap_slow_queries_count", "Slow queries kept", [("", len(queries))]),
        ("memtap_slow_queries_slowest_ms", "The slowest of them", [("", queries[0]["duration_ms"] if queries else 0)]),
        ("memtap_slow_endpoints_count", "Slow requests kept", [("", len(endpoints))]),
        ("memtap_slow_endpoints_slowest_ms", "The slowest of them", [("", endpoints[0]["duration_ms"] if endpoints else 0)]),
    ]


def _is_true(text: str) -> Any:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def _object(body: bytes) -> Dict[str, Any]:
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Problem(400, f"the body is not JSON: {error}", "BAD_REQUEST") from None
    if not isinstance(value, dict):
        raise _Problem(400, "the body must be a JSON object", "BAD_REQUEST")
    return value
