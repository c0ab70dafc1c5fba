"""The monitor inside a web application: its endpoints, how long requests take, and the memory each route kept.

Every request runs under the label "METHOD route" (memtap.label), so that what it allocates and keeps is known by route. A route is
what the framework calls it (/items/{id}); of an application that is just a callable, the path with numbers and identifiers replaced,
and no more than ROUTES_MAX different ones.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional

from memtap._monitor_http import BODY_MAX, Answer, Authorizer, Routes, _json

if TYPE_CHECKING:
    from memtap.monitoring import MemoryMonitor

__all__ = ["Middleware", "install"]

logger = logging.getLogger("memtap.monitoring")
ROUTES_MAX = 500
_STATUS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 405: "Method Not Allowed", 409: "Conflict",
           413: "Content Too Large", 429: "Too Many Requests", 500: "Internal Server Error"}
_IDENTIFIER = re.compile(r"\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,}")
_TOO_LARGE = _json(413, {"detail": f"The body is larger than {BODY_MAX} bytes", "code": "TOO_LARGE", "message": "too large"})

Finder = Callable[[Any], Optional[str]]  # of the framework: environ or scope -> route


class _Labels:
    """The label of each route, made once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._labels: Dict[str, Any] = {}

    def of(self, text: str) -> Any:
        from memtap.labels import label

        found = self._labels.get(text)
        if found is None:
            with self._lock:
                name = text if len(self._labels) < ROUTES_MAX else text.partition(" ")[0] + " (other routes)"
                found = self._labels.setdefault(name, label(name))
        return found


def _generic(path: str) -> str:
    return "/".join("{id}" if _IDENTIFIER.fullmatch(part) else part for part in path.split("/")) or "/"


class Middleware:
    """Stands before a WSGI or ASGI application; which of the two it is, its signature tells.

    token, authorize: as for Routes. monitor: by default the one of this process. route: the framework's own way to name the
    route of a request; None where it does not know.
    """

    def __new__(cls, app: Any, *arguments: Any, **named: Any) -> "Middleware":
        if cls is not Middleware:
            return super().__new__(cls)
        return super().__new__(_AsgiMiddleware if _is_async(app) else _WsgiMiddleware)

    def __init__(
        self,
        app: Any,
        token: Optional[str] = None,
        *,
        authorize: Optional[Authorizer] = None,
        monitor: Optional[MemoryMonitor] = None,
        route: Optional[Finder] = None,
    ) -> None:
        if monitor is None:
            from memtap import monitoring

            monitor = monitoring.monitor()
        self.app = app
        self.monitor = monitor
        self.routes = Routes(monitor, token, authorize)
        self._route = route
        self._labels = _Labels()
        monitor.start()

    def __getattr__(self, name: str) -> Any:
        if name == "app":  # half-made, as by copy
            raise AttributeError(name)
        return getattr(self.app, name)

    def _label(self, method: str, path: str, request: Any) -> Any:
        name = None
        if self._route is not None:
            try:
                name = self._route(request)
            except Exception:  # the framework's way of saying that there is none
                name = None
        return self._labels.of(f"{method} {name or _generic(path)}")

    def _done(self, method: str, path: str, began: float, status: int) -> None:
        self.monitor.track_slow_endpoint(method, path, (time.perf_counter() - began) * 1e3, status)


class _WsgiMiddleware(Middleware):
    """PEP 3333."""

    def __call__(self, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Any:
        method, path = environ.get("REQUEST_METHOD", "GET"), _wsgi_text(environ.get("PATH_INFO", ""))
        answer = self._answer(environ, method, path) if self.routes.knows(path) else None
        if answer is None:
            return self._timed(environ, start_response, method, path)
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} {_STATUS.get(answer.status, '')}".rstrip(), headers)
        return [] if method == "HEAD" else [answer.body]

    def _answer(self, environ: Dict[str, Any], method: str, path: str) -> Optional[Answer]:
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit()) or int(length) > BODY_MAX:
            return _TOO_LARGE
        body = environ["wsgi.input"].read(int(length)) if int(length) else b""
        headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
        return self.routes.handle(method, path, environ.get("QUERY_STRING", ""), headers, body)

    def _timed(self, environ: Dict[str, Any], start_response: Callable[..., Any], method: str, path: str) -> Any:
        label = self._label(method, path, environ)
        began, status = time.perf_counter(), [500]

        def start(line: str, headers: Any, *more: Any) -> Any:
            status[0] = int(line[:3]) if line[:3].isdecimal() else 0
            return start_response(line, headers, *more)

        try:
            with label:
                body = self.app(environ, start)
        except BaseException:
            self._done(method, path, began, 500)
            raise
        return _Body(body, label, lambda: self._done(method, path, began, status[0]))


class _AsgiMiddleware(Middleware):
    """asgi.readthedocs.io, version 3."""

    async def __call__(self, scope: Dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        answer = await self._answer(scope, receive, method, path) if self.routes.knows(path) else None
        if answer is None:
            await self._timed(scope, receive, send, method, path)
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})

    async def _answer(self, scope: Dict[str, Any], receive: Any, method: str, path: str) -> Optional[Answer]:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        body, more = b"", method in ("POST", "PUT")
        while more and len(body) <= BODY_MAX:
            message = await receive()
            body += message.get("body", b"")
            more = message["type"] == "http.request" and message.get("more_body", False)
        if len(body) > BODY_MAX:
            return _TOO_LARGE
        query = scope.get("query_string", b"").decode("latin-1")
        return await asyncio.get_running_loop().run_in_executor(None, self.routes.handle, method, path, query, headers, body)

    async def _timed(self, scope: Dict[str, Any], receive: Any, send: Any, method: str, path: str) -> None:
        began, status = time.perf_counter(), [500]

        async def heard(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            with self._label(method, path, scope):
                await self.app(scope, receive, heard)
        finally:
            self._done(method, path, began, status[0])


class _Body:
    """A WSGI response: what makes its pieces works under the request's label too."""

    def __init__(self, inner: Any, label: Any, done: Callable[[], None]) -> None:
        self._inner = inner
        self._pieces = iter(inner)
        self._label = label
        self._done: Optional[Callable[[], None]] = done

    def __iter__(self) -> "_Body":
        return self

    def __next__(self) -> Any:
        with self._label:
            return next(self._pieces)

    def close(self) -> None:
        """What a server calls at the end of a response, whatever its end was."""
        try:
            if hasattr(self._inner, "close"):
                with self._label:
                    self._inner.close()
        finally:
            if self._done is not None:
                self._done()
                self._done = None


def _wsgi_text(text: str) -> str:
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _is_async(app: Any) -> bool:
    call = getattr(app, "__call__", app)
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call)


# ---- frameworks ----------------------------------------------------------------------------------------------------------


def _flask_route(app: Any) -> Finder:
    def find(environ: Dict[str, Any]) -> Optional[str]:
        rule, _ = app.url_map.bind_to_environ(environ).match(return_rule=True)
        return str(rule.rule)

    return find


def _starlette_route(app: Any) -> Finder:
    def find(scope: Dict[str, Any]) -> Optional[str]:
        for route in app.router.routes:
            match, _ = route.matches(scope)
            if match.value == 2:  # full
                return str(route.path)
        return None

    return find


def _django_route(environ: Dict[str, Any]) -> Optional[str]:
    import importlib

    resolve = importlib.import_module("django.urls").resolve

    path = environ["path"] if "path" in environ else _wsgi_text(environ.get("PATH_INFO", ""))
    return "/" + str(resolve(path).route)


def install(
    app: Any,
    token: Optional[str] = None,
    *,
    authorize: Optional[Authorizer] = None,
    monitor: Optional[MemoryMonitor] = None,
) -> Any:
    """Puts the monitor into a web application and returns what a server is to run: the application itself where that can be
    (Flask, FastAPI, Starlette), else it wrapped (Django's application, any WSGI or ASGI callable).

        monitoring.install(app, token="…")
        application = monitoring.install(get_wsgi_application(), token="…")
    """
    if not callable(app):
        raise TypeError(f"a web application can be called, {type(app).__name__} cannot")
    if isinstance(getattr(app, "wsgi_app", app), Middleware):
        raise RuntimeError("the monitor is in this application already")
    arguments: Dict[str, Any] = {"token": token, "authorize": authorize, "monitor": monitor}
    if hasattr(app, "wsgi_app") and hasattr(app, "url_map"):  # Flask
        app.wsgi_app = Middleware(app.wsgi_app, route=_flask_route(app), **arguments)
        return app
    if hasattr(app, "add_middleware") and hasattr(app, "router"):  # Starlette, FastAPI
        app.add_middleware(Middleware, route=_starlette_route(app), **arguments)
        return app
    django = type(app).__module__.startswith("django.")
    return Middleware(app, route=_django_route if django else None, **arguments)


